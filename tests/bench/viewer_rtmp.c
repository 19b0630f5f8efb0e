/* RTMP play. */

#include "viewer.h"

#include <stdlib.h>


static void
ask_rtmp(viewer_t *v)
{
    rtmp_client_t  *c = malloc(sizeof(rtmp_client_t));

    if (c == NULL) {
        bench_fail("memory", "for an RTMP client", "enough");
    }

    v->own = c;
    rtmp_client_start(c, v->fd, v->target->host, v->target->app,
                      v->target->name, 0);
}


static int
take_rtmp(viewer_t *v)
{
    size_t           used;
    rtmp_client_t   *c = v->own;
    rtmp_message_t   m;

    do {
        used = rtmp_client_take(c, v->raw.data + v->raw.pos,
                                bench_left(&v->raw), &m);
        v->raw.pos += used;

        if (c->state == RTMP_REFUSED) {
            v->why = c->refusal;
            return -1;
        }
        if (m.type == RTMP_VIDEO && viewer_frame(v, m.body, m.size)) {
            break;
        }
    } while (used);

    rtmp_client_ack(c, v->total);
    return 0;
}


/* A mass viewer only has to acknowledge what it receives: pings come a minute
 * after the start, when it is gone. */
static ssize_t
drop_rtmp(viewer_t *v)
{
    ssize_t  n = viewer_drop(v);

    if (n > 0) {
        rtmp_client_ack(v->own, v->total + (uint64_t) n);
    }

    return n;
}


static void
forget_rtmp(viewer_t *v)
{
    if (v->own) {
        rtmp_client_free(v->own);
        free(v->own);
        v->own = NULL;
    }
}


const protocol_t  protocol_rtmp = {
    .stall_us = 1000000,
    .ask = ask_rtmp, .take = take_rtmp, .drop = drop_rtmp,
    .forget = forget_rtmp,
};
