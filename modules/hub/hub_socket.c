#include "hub_socket.h"

#include <linux/sockios.h>

#define SOCKET_UNSENT    (32 * 1024)
#define SOCKET_SNDBUF    (92 * 1024)   /* the kernel takes twice this */
#define SOCKET_LOCAL     (8 * 1024)    /* to a proxy, which has such a queue, too */
#define SOCKET_CLIENTS   16            /* most that count on one connection */

#define WAY_LOOK_MS      1000          /* between looks */
#define WAY_MARK_MS      20            /* between looks of a measurement, at least */


void
hub_socket_unsent(ngx_socket_t fd)
{
    int  unsent = SOCKET_UNSENT;

    /* fails on a unix socket, which has no such option */
    (void) setsockopt(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, &unsent, sizeof(int));
}


/* 32 KB of unsent bytes keep a link busy until the next round of the event loop; one
 * segment of up to 64 KB may exceed them.  Together with the bytes in flight they
 * stay below SOCKET_SNDBUF. */
void
hub_socket_bound(ngx_connection_t *c, ngx_uint_t clients)
{
    int  size;

    if (c->listening && c->listening->sndbuf > 0) {
        return;                              /* the operator chose a size */
    }

    size = hub_socket_is_unix(c) ? SOCKET_LOCAL : SOCKET_SNDBUF;
    size *= (int) ngx_max(ngx_min(clients, SOCKET_CLIENTS), 1);

    hub_socket_unsent(c->fd);
    (void) setsockopt(c->fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof(int));
}


/* The time since MS, a time of hub_way_t. */
static uint32_t
way_since(uint32_t ms)
{
    return (uint32_t) ngx_current_msec - ms;
}


/* Looks get rarer the longer a measurement takes. */
static uint32_t
way_pause(const hub_way_t *w)
{
    return w->mark ? ngx_max(WAY_MARK_MS, way_since(w->mark_ms) / 8)
                   : WAY_LOOK_MS;
}


int
hub_way_look(hub_way_t *w, ngx_connection_t *c)
{
    int       queued;
    uint64_t  taken;

    if (way_since(w->looked_ms) < way_pause(w)
        || ioctl(c->fd, SIOCOUTQ, &queued) == -1)
    {
        return 0;
    }

    w->looked_ms = (uint32_t) ngx_current_msec;
    taken = (uint64_t) c->sent > (uint64_t) queued ? c->sent - queued : 0;

    if (taken > w->taken || queued == 0 || w->moved_ms == 0) {
        w->taken = taken;
        w->moved_ms = (uint32_t) ngx_current_msec;
    }

    if (w->mark && (taken >= w->mark || queued == 0)) {
        w->way_ms = way_since(w->mark_ms);
        w->rate = w->way_ms < HUB_WAY_LONG_MS
                  ? 0 : (uint64_t) w->waited * 1000 / w->way_ms + 1;
        w->mark = 0;

        if (w->rate == 0) {
            return 1;                        /* a short way: measure again later */
        }
    }

    if (queued == 0) {
        w->way_ms = w->rate = 0;

    } else if (w->mark == 0) {
        w->mark = c->sent;
        w->mark_ms = (uint32_t) ngx_current_msec;
        w->waited = queued;
    }

    return 1;
}


ngx_msec_t
hub_way_ms(const hub_way_t *w, const ngx_connection_t *c)
{
    uint64_t    waits = (uint64_t) c->sent - w->taken;
    ngx_msec_t  ms = w->way_ms;

    if (w->rate) {
        ms = waits * 1000 / w->rate;
        ms += ms / 8;                        /* new bytes come behind all of it */
    }

    return w->mark ? ngx_max(ms, way_since(w->mark_ms)) : ms;
}


int
hub_way_stuck(const hub_way_t *w, ngx_msec_t ms)
{
    return w->mark && way_since(w->moved_ms) > ms;
}
