#include "viewer.h"

#define VIEWER_BATCH      (1024 * 1024)
#define VIEWER_MESSAGE    65536        /* of WebSocket, shown when it is whole */
#define VIEWER_IOV        (VIEWER_BATCH / HUB_BLOCK_SIZE + 8)
#define VIEWER_COPY_SIZE  65536


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


static size_t
viewer_pending(const viewer_t *v)
{
    return (size_t) (v->head_last - v->head_pos)
           + (size_t) (v->prefix_last - v->prefix_pos)
           + (size_t) (v->reader.end - v->reader.pos);
}


/* A pong or a close goes between two messages. */
static ngx_int_t
viewer_queue_control(viewer_t *v)
{
    if (v->prefix == NULL) {
        v->prefix = ngx_alloc(WS_CONTROL_MAX, ngx_cycle->log);
        if (v->prefix == NULL) {
            return NGX_ERROR;
        }
    }

    v->prefix_pos = v->prefix;
    v->prefix_last = ngx_cpymem(v->prefix, v->control, v->control_size);
    v->control_size = 0;

    return NGX_OK;
}


/* The connection whose socket it is; HTTP/2 has others for its requests. */
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


/* Finds the next batch.  A viewer is as late as what it gets next will be when
 * it has come; when the way is long, each tag is looked at by itself. */
static ngx_int_t
viewer_batch(viewer_t *v)
{
    size_t      limit = v->ws ? VIEWER_MESSAGE : VIEWER_BATCH;
    ngx_msec_t  way = hub_way_ms(&v->way, viewer_connection(v));

    return hub_reader_batch(&v->reader, way < HUB_WAY_LONG_MS ? limit : 1,
                            v->lag - ngx_min(v->lag, way));
}


/* A script tag with a name would be a track of subtitles to ffmpeg. */
void
viewer_say_alive(viewer_t *v)
{
    u_char  *p = v->control;

    if (v->ws) {
        p += ws_write_header(p, WS_PING, 0);

    } else {
        p += flv_write_tag_header(p, FLV_SCRIPT, 0,
                                  (uint32_t) v->reader.ref.stream->dts);
        p += flv_write_back(p, 0);
    }

    v->control_size = p - v->control;
}


/* Puts the next batch in hand.  NGX_OK, NGX_AGAIN, NGX_DONE, NGX_ERROR. */
static ngx_int_t
viewer_next(viewer_t *v)
{
    ngx_int_t  rc;

    if (v->control_size) {
        return viewer_queue_control(v);
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


/* Drops a viewer whose batch has left the window: the rest is not there. */
static ngx_int_t
viewer_drop(viewer_t *v)
{
    ngx_log_error(NGX_LOG_INFO, v->request->connection->log, 0,
                  "viewer dropped: too slow, it fell out of hub_window");

    v->torn = 1;

    return NGX_ERROR;
}


/* Counts N bytes as sent.  NGX_ERROR when ring bytes among them may be torn. */
static ngx_int_t
viewer_sent(viewer_t *v, size_t n)
{
    size_t    part;
    uint64_t  from = v->reader.pos;

    part = ngx_min(n, (size_t) (v->head_last - v->head_pos));
    v->head_pos += part;
    n -= part;

    part = ngx_min(n, (size_t) (v->prefix_last - v->prefix_pos));
    v->prefix_pos += part;
    n -= part;

    v->reader.pos += n;

    if (v->prefix && v->prefix_pos == v->prefix_last) {
        ngx_free(v->prefix);
        v->prefix = v->prefix_pos = v->prefix_last = NULL;
    }

    return n == 0 || hub_stream_holds(&v->reader, from) ? NGX_OK
                                                        : viewer_drop(v);
}


/* --- plain connections --- */

static int
viewer_iov(viewer_t *v, struct iovec *iov, int max)
{
    int     n = 0;
    size_t  size;

    if (v->head_pos < v->head_last) {
        iov[n].iov_base = v->head_pos;
        iov[n++].iov_len = v->head_last - v->head_pos;
    }

    if (v->prefix_pos < v->prefix_last) {
        iov[n].iov_base = v->prefix_pos;
        iov[n++].iov_len = v->prefix_last - v->prefix_pos;
    }

    return n + hub_reader_iov(hub, &v->reader, iov + n, max - n, &size);
}


static ngx_int_t
viewer_block(viewer_t *v)
{
    v->blocked = 1;

    if (!v->ws) {
        hub_reader_cut(&v->reader);
    }

    return ngx_handle_write_event(v->request->connection->write, 0) == NGX_OK
           ? NGX_AGAIN : NGX_ERROR;
}


static ngx_int_t
viewer_write(viewer_t *v)
{
    int                n;
    ssize_t            sent;
    struct iovec       iov[VIEWER_IOV];
    ngx_connection_t  *c = v->request->connection;

    n = viewer_iov(v, iov, VIEWER_IOV);

    sent = writev(c->fd, iov, n);

    if (sent == -1) {
        if (ngx_errno == NGX_EINTR) {
            return NGX_OK;
        }
        if (ngx_errno != NGX_EAGAIN) {
            return NGX_ERROR;
        }

        c->write->ready = 0;
        return viewer_block(v);
    }

    c->sent += sent;
    v->client.session->bytes += sent;
    v->spoke_ms = ngx_current_msec;

    return viewer_sent(v, (size_t) sent);
}


/* --- TLS and HTTP/2 --- */

static ngx_int_t
viewer_copy(viewer_t *v)
{
    int                  i, n;
    size_t               room, part, size = 0;
    ngx_buf_t           *b = v->copy;
    ngx_int_t            rc;
    ngx_chain_t          out;
    struct iovec         iov[VIEWER_IOV];
    ngx_http_request_t  *r = v->request;

    if (b == NULL) {
        b = v->copy = ngx_create_temp_buf(r->pool, VIEWER_COPY_SIZE);
        if (b == NULL) {
            return NGX_ERROR;
        }
        b->flush = 1;
    }

    b->pos = b->last = b->start;
    room = b->end - b->start;
    n = viewer_iov(v, iov, VIEWER_IOV);

    for (i = 0; i < n && size < room; i++) {
        part = ngx_min(iov[i].iov_len, room - size);
        b->last = ngx_cpymem(b->last, iov[i].iov_base, part);
        size += part;
    }

    v->client.session->bytes += size;
    v->spoke_ms = ngx_current_msec;

    if (viewer_sent(v, size) != NGX_OK) {
        return NGX_ERROR;
    }

    out.buf = b;
    out.next = NULL;
    rc = ngx_http_output_filter(r, &out);

    return rc == NGX_ERROR ? NGX_ERROR : NGX_OK;
}


/* Is an earlier copy, or the response's header, still on its way? */
static int
viewer_buffered(viewer_t *v)
{
    ngx_http_request_t  *r = v->request;

    return r->connection->buffered || r->buffered || r->out
           || (v->copy && v->copy->pos < v->copy->last);
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

        rc = v->chained ? viewer_copy(v) : viewer_write(v);
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


/* Has what nginx holds for it, behind the limits of TLS or HTTP/2, not moved
 * for so long? */
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


/* Nothing more is sent to it, and what was is taken back. */
static void
viewer_cut_off(viewer_t *v)
{
    ngx_connection_t  *c = viewer_connection(v);

    if (c == v->request->connection) {
        hub_socket_take_back(c);

    } else if (hub_way_stuck(&v->way, v->lag / 2)) {
        hub_socket_take_back(c);             /* all of it reads nothing */
        c->write->timedout = 1;
        ngx_post_event(c->write, &ngx_posted_events);
    }
}


ngx_int_t
viewer_look(viewer_t *v)
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
