/*
 * The three ways to send a viewer's bytes: plain, TLS, HTTP/2.
 */

#include "viewer.h"

#define OUT_IOV     (VIEWER_BATCH / HUB_BLOCK_SIZE + 8)
#define OUT_RECORD  16384          /* of TLS: RFC 8446, section 5.1 */
#define OUT_COPY    32768          /* of HTTP/2 */


/* --- common to all three --- */

size_t
viewer_pending(const viewer_t *v)
{
    return (size_t) (v->head_last - v->head_pos)
           + (size_t) (v->prefix_last - v->prefix_pos)
           + (size_t) (v->reader.end - v->reader.pos);
}


ngx_int_t
viewer_drop(viewer_t *v)
{
    ngx_log_error(NGX_LOG_INFO, v->request->connection->log, 0,
                  "viewer dropped: too slow, it fell out of hub_window");

    v->torn = 1;

    return NGX_ERROR;
}


/* Counts N bytes as sent.  NGX_ERROR when the hub may have overwritten some. */
static ngx_int_t
out_sent(viewer_t *v, size_t n)
{
    size_t    part;
    uint64_t  from = v->reader.pos;

    v->client.session->bytes += n;
    v->sent_ms = ngx_current_msec;

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


/* Fills IOV with the pending bytes; MAX is at least 2.  Returns its length. */
static int
out_iov(viewer_t *v, struct iovec *iov, int max)
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


/* Copies at most ROOM of the pending bytes.  Returns their number. */
static size_t
out_gather(viewer_t *v, u_char *to, size_t room)
{
    int           i, n;
    size_t        part, size = 0;
    struct iovec  iov[OUT_IOV];

    n = out_iov(v, iov, OUT_IOV);

    for (i = 0; i < n && size < room; i++) {
        part = ngx_min(iov[i].iov_len, room - size);
        to = ngx_cpymem(to, iov[i].iov_base, part);
        size += part;
    }

    return size;
}


/* Number of the hub's bytes in a record that must be retried. */
static size_t
out_sealed(const viewer_t *v)
{
    size_t  own = (size_t) (v->head_last - v->head_pos)
                  + (size_t) (v->prefix_last - v->prefix_pos);

    return v->record > own ? v->record - own : 0;
}


ngx_int_t
viewer_block(viewer_t *v)
{
    size_t  sealed = out_sealed(v);

    v->blocked = 1;

    if (!v->ws) {
        v->reader.pos += sealed;
        hub_reader_cut(&v->reader);
        v->reader.pos -= sealed;
    }

    return ngx_handle_write_event(v->request->connection->write, 0) == NGX_OK
           ? NGX_AGAIN : NGX_ERROR;
}


/* --- plain: one writev() straight from the hub's memory --- */

static ngx_int_t
out_write(viewer_t *v)
{
    int                n;
    ssize_t            sent;
    struct iovec       iov[OUT_IOV];
    ngx_connection_t  *c = v->request->connection;

    n = out_iov(v, iov, OUT_IOV);

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

    return out_sent(v, (size_t) sent);
}


/* --- TLS: a record at a time --- */

#if (NGX_HTTP_SSL)

void
viewer_begin_tls(viewer_t *v)
{
    ngx_ssl_connection_t  *tls = v->request->connection->ssl;

    /* with kernel TLS, OpenSSL retries from the same address: needs a copy */
    if (BIO_get_ktls_send(SSL_get_wbio(tls->connection))) {
        v->out = VIEWER_COPIED;
        return;
    }

    /* allow a retry from another address; a call sends one record at most */
    SSL_set_mode(tls->connection, SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER
                                  |SSL_MODE_ENABLE_PARTIAL_WRITE);

    tls->buffer = 0;                         /* no 16 KB buffer of nginx */
}


/* The next record's bytes: in place when contiguous, else copied together.
 * *SIZE: their number; less than v->record when the hub has overwritten
 * them. */
static u_char *
out_record(viewer_t *v, size_t *size)
{
    size_t         want;
    struct iovec   iov[3];                   /* head, prefix, one of the hub */
    static u_char  record[OUT_RECORD];       /* valid for one call */

    want = v->record ? v->record : ngx_min(viewer_pending(v), OUT_RECORD);

    if (out_iov(v, iov, 3) > 0 && iov[0].iov_len >= want) {
        *size = want;
        return iov[0].iov_base;
    }

    *size = out_gather(v, record, want);

    return record;
}


/* OpenSSL encrypts into its own buffer.  When the socket is full it keeps the
 * record and must be called again with the same bytes.  So count bytes only when
 * they are sent: until then the reader stays at them. */
static ngx_int_t
out_seal(viewer_t *v)
{
    size_t             size;
    u_char            *bytes;
    ssize_t            n;
    ngx_connection_t  *c = v->request->connection;

    bytes = out_record(v, &size);

    if (size == 0 || size < v->record) {
        return viewer_drop(v);
    }

    n = c->send(c, bytes, size);

    if (n == NGX_AGAIN) {
        v->record = size;
        return hub_stream_holds(&v->reader, v->reader.pos) ? viewer_block(v)
                                                           : viewer_drop(v);
    }

    if (n <= 0) {
        return NGX_ERROR;
    }

    v->record = 0;

    return out_sent(v, (size_t) n);
}

#endif


/* --- HTTP/2: a copy, since nginx's frames outlive the call --- */

static void
out_free_copy(void *data)
{
    ngx_buf_t  *b = data;

    if (b->start) {
        ngx_free(b->start);
        b->start = b->pos = b->last = NULL;
    }
}


/* A cleanup of the pool frees the copy, not one of the request: until then nginx
 * may have frames of it queued. */
static ngx_buf_t *
out_create_copy(ngx_http_request_t *r)
{
    ngx_buf_t           *b = ngx_calloc_buf(r->pool);
    ngx_pool_cleanup_t  *cln = ngx_pool_cleanup_add(r->pool, 0);

    if (b == NULL || cln == NULL) {
        return NULL;
    }

    b->temporary = 1;
    b->flush = 1;
    cln->handler = out_free_copy;
    cln->data = b;

    return b;
}


static ngx_int_t
out_copy(viewer_t *v)
{
    size_t               size;
    ngx_buf_t           *b = v->copy;
    ngx_chain_t          out;
    ngx_http_request_t  *r = v->request;

    if (b == NULL) {
        b = v->copy = out_create_copy(r);
        if (b == NULL) {
            return NGX_ERROR;
        }
    }

    if (b->start == NULL) {
        b->start = ngx_alloc(OUT_COPY, r->connection->log);
        if (b->start == NULL) {
            return NGX_ERROR;
        }
        b->end = b->start + OUT_COPY;
    }

    size = out_gather(v, b->start, OUT_COPY);
    b->pos = b->start;
    b->last = b->start + size;

    if (out_sent(v, size) != NGX_OK) {
        return NGX_ERROR;
    }

    out.buf = b;
    out.next = NULL;

    return ngx_http_output_filter(r, &out) == NGX_ERROR ? NGX_ERROR : NGX_OK;
}


int
viewer_buffered(viewer_t *v)
{
    ngx_http_request_t  *r = v->request;

    if (r->connection->buffered || r->buffered || r->out
        || (v->copy && v->copy->pos < v->copy->last))
    {
        return 1;
    }

    if (v->copy) {
        out_free_copy(v->copy);              /* an idle viewer holds none */
    }

    return 0;
}


ngx_int_t
viewer_put(viewer_t *v)
{
    switch (v->out) {

#if (NGX_HTTP_SSL)
    case VIEWER_TLS:
        return out_seal(v);
#endif

    case VIEWER_COPIED:
        return out_copy(v);

    default:
        return out_write(v);
    }
}
