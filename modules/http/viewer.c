#include "viewer.h"

#define VIEWER_MESSAGE  65536          /* browsers get a message when it is whole */


/* --- what to send next --- */

static ngx_int_t
viewer_join(viewer_t *v)
{
    size_t  n;

    if (hub_reader_join(&v->reader) != NGX_OK) {
        v->reader.joined = 0;
        return NGX_AGAIN;
    }

    if (v->prefix == NULL) {
        v->prefix = ngx_alloc(HUB_PREFIX_MAX, ngx_cycle->log);
        if (v->prefix == NULL) {
            return NGX_ERROR;
        }
    }

    n = hub_reader_prefix(hub, &v->reader, !v->started, v->prefix);
    if (n == 0) {
        v->reader.joined = 0;
        return NGX_AGAIN;
    }

    v->prefix_pos = v->prefix;
    v->prefix_last = v->prefix + n;

    return NGX_OK;
}


u_char *
viewer_control(viewer_t *v)
{
    if (v->control == NULL) {
        v->control = ngx_alloc(WS_CONTROL_MAX, ngx_cycle->log);
    }

    return v->control;
}


void
viewer_free(viewer_t *v)
{
    if (v->prefix) {
        ngx_free(v->prefix);
        v->prefix = NULL;
    }

    if (v->control) {
        ngx_free(v->control);
        v->control = NULL;
        v->control_size = 0;
    }
}


/* Sends the pong, ping or close frame next, between two messages. */
static void
viewer_queue_control(viewer_t *v)
{
    if (v->prefix) {
        ngx_free(v->prefix);                 /* of a join that found nothing */
    }

    v->prefix = v->prefix_pos = v->control;
    v->prefix_last = v->control + v->control_size;
    v->control = NULL;
    v->control_size = 0;
}


/* The connection that has the socket: an HTTP/2 request's own one has none. */
static ngx_connection_t *
viewer_connection(const viewer_t *v)
{
#if (NGX_HTTP_V2)
    if (v->request->stream) {
        return v->request->stream->connection->connection;
    }
#endif

    return v->request->connection;
}


/* Finds the next batch.  A viewer's lateness includes the time that bytes spend
 * on the way; when that is long, take one tag at a time. */
static ngx_int_t
viewer_batch(viewer_t *v)
{
    size_t      limit = v->ws ? VIEWER_MESSAGE : VIEWER_BATCH;
    ngx_msec_t  way = hub_way_ms(&v->way, viewer_connection(v));

    return hub_reader_batch(&v->reader, way < HUB_WAY_LONG_MS ? limit : 1,
                            v->lag - ngx_min(v->lag, way));
}


/* The script tag has no name: ffmpeg would take a named one for subtitles. */
void
viewer_keep_alive(viewer_t *v)
{
    u_char  *p = viewer_control(v);

    if (p == NULL) {
        return;
    }

    if (v->ws) {
        p += ws_write_header(p, WS_PING, 0);

    } else {
        p += flv_write_tag_header(p, FLV_SCRIPT, 0,
                                  (uint32_t) v->reader.ref.stream->dts);
        p += flv_write_back(p, 0);
    }

    v->control_size = p - v->control;
}


/* Sets up the next bytes to send.  NGX_OK, NGX_AGAIN, NGX_DONE, NGX_ERROR. */
static ngx_int_t
viewer_next(viewer_t *v)
{
    ngx_int_t  rc;

    if (v->control_size) {
        viewer_queue_control(v);
        return NGX_OK;
    }

    if (!hub_reader_alive(&v->reader)) {
        return NGX_DONE;
    }

    rc = v->reader.joined ? viewer_batch(v) : NGX_DECLINED;

    if (rc == NGX_DECLINED) {
        rc = viewer_join(v);
        if (rc != NGX_OK) {
            return rc;
        }

        rc = viewer_batch(v);
        if (rc == NGX_AGAIN && v->reader.blind) {
            rc = NGX_OK;                     /* send headers before any sound */
        }

        if (rc != NGX_OK) {
            v->prefix_pos = v->prefix_last;
            v->reader.joined = 0;
            return NGX_AGAIN;
        }
    }

    if (rc == NGX_OK) {
        v->started = 1;

        if (v->ws) {
            v->head_pos = v->head_last = v->head;
            v->head_last += ws_write_header(v->head, WS_BINARY,
                                            viewer_pending(v));
        }
    }

    return rc;
}


ngx_int_t
viewer_send(viewer_t *v)
{
    ngx_int_t          rc;
    ngx_connection_t  *c = v->request->connection;

    v->blocked = 0;

    if (c->error) {
        return NGX_ERROR;
    }

    for ( ;; ) {
        if (viewer_buffered(v)) {
            return viewer_block(v);
        }

        if (viewer_pending(v) == 0) {
            if (v->closing && v->control_size == 0) {
                return NGX_DONE;
            }

            rc = viewer_next(v);
            if (rc != NGX_OK) {
                return rc == NGX_AGAIN ? NGX_OK : rc;
            }

        } else if (v->reader.pos < v->reader.end
                   && !hub_stream_holds(&v->reader, v->reader.pos))
        {
            return viewer_drop(v);
        }

        rc = viewer_put(v);
        if (rc != NGX_OK) {
            return rc;
        }
    }
}


/* --- how late --- */

void
viewer_bound(viewer_t *v)
{
    ngx_uint_t  clients = 1;

#if (NGX_HTTP_V2)
    if (v->request->stream) {
        clients = v->request->stream->connection->processing;
    }
#endif

    hub_socket_bound(viewer_connection(v), clients);
    v->copy_ms = ngx_current_msec;
}


/* Has HTTP/2 flow control kept nginx from sending the viewer's copy for `lag`? */
static int
viewer_copy_stuck(viewer_t *v)
{
    off_t  sent = v->request->connection->sent;

    if (v->copy == NULL || v->copy->pos == v->copy->last || sent != v->copy_sent)
    {
        v->copy_sent = sent;
        v->copy_ms = ngx_current_msec;
    }

    return ngx_current_msec - v->copy_ms > v->lag;
}


/* Discards the bytes that wait in the socket, and sends no more. */
static void
viewer_cut_off(viewer_t *v)
{
    ngx_connection_t  *c = viewer_connection(v);

    if (c == v->request->connection) {
        hub_socket_take_back(c);

    } else if (hub_way_stuck(&v->way, v->lag / 2)) {
        hub_socket_take_back(c);             /* the whole connection is stuck */
        c->write->timedout = 1;
        ngx_post_event(c->write, &ngx_posted_events);
    }
}


ngx_int_t
viewer_check_lag(viewer_t *v)
{
    ngx_msec_t  late;

    if (!hub_way_look(&v->way, viewer_connection(v))) {
        return NGX_OK;
    }

    late = hub_reader_behind(&v->reader)
           + hub_way_ms(&v->way, viewer_connection(v));

    if (v->client.session) {
        v->client.session->late = hub_session_late(late);
    }

    if (!hub_way_stuck(&v->way, v->lag) && !viewer_copy_stuck(v)) {
        return NGX_OK;
    }

    ngx_log_error(NGX_LOG_INFO, v->request->connection->log, 0,
                  "viewer dropped: it read nothing for %M ms (hub_lag), %M ms "
                  "behind", v->lag, late);
    viewer_cut_off(v);

    return NGX_ERROR;
}
