/*
 * WebSocket viewers: reads their frames, and makes control frames for them.
 */

#include "viewer.h"

#define VIEWER_TURN  16384         /* most bytes read in one event */


void
viewer_queue_close(viewer_t *v, enum ws_status status)
{
    u_char  *frame = viewer_control(v);

    if (frame) {
        v->control_size = ws_write_close(frame, status);
    }

    v->closing = 1;
}


static void
viewer_queue_pong(viewer_t *v)
{
    size_t   n;
    u_char  *frame = viewer_control(v);

    if (frame) {
        n = ws_write_header(frame, WS_PONG, v->ws->at);
        ngx_memcpy(frame + n, v->ws->payload, v->ws->at);
        v->control_size = n + v->ws->at;
    }
}


/* Parses N bytes.  NGX_OK, NGX_DONE, NGX_ABORT, as viewer_read(). */
static ngx_int_t
viewer_parse(viewer_t *v, const u_char *bytes, size_t n)
{
    int     rc;
    size_t  i;

    for (i = 0; i < n; i++) {
        rc = ws_read_byte(v->ws, bytes[i]);

        if (rc == 0 || (rc == WS_PING && v->closing)) {
            continue;                        /* keep the queued close frame */
        }

        if (rc == WS_PING) {
            viewer_queue_pong(v);
            continue;
        }

        if (rc == WS_CLOSE) {
            viewer_queue_close(v, ws_close_status(v->ws));
            return NGX_DONE;
        }

        ngx_log_error(NGX_LOG_INFO, v->request->connection->log, 0,
                      "viewer closed with status %d: %s", rc, v->ws->why);
        viewer_queue_close(v, rc);
        return NGX_ABORT;
    }

    return NGX_OK;
}


ngx_int_t
viewer_read(viewer_t *v)
{
    u_char             buf[512];
    size_t             turn = 0;
    ssize_t            n;
    ngx_int_t          rc;
    ngx_connection_t  *c = v->request->connection;

    while (turn < VIEWER_TURN) {
        n = c->recv(c, buf, sizeof(buf));

        if (n == NGX_AGAIN) {
            return ngx_handle_read_event(c->read, 0);
        }

        if (n <= 0) {
            return NGX_ERROR;
        }

        turn += n;
        rc = viewer_parse(v, buf, n);

        if (rc != NGX_OK) {
            return rc;
        }
    }

    ngx_post_event(c->read, &ngx_posted_next_events);

    return NGX_OK;
}
