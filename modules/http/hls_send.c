#include "hls_send.h"

#include <zlib.h>

#include "answer.h"

#define SEND_RECORD       16384    /* of TLS: RFC 8446, section 5.1 */
#define SEND_GZIP_BITS    13       /* a window of 8 KB: lists are about as long */
#define SEND_GZIP_MEMORY  6
#define SEND_GZIP_LARGE   65536    /* long lists are compressed fast: they change often */


/* References that a request holds. */
typedef struct {
    hls_sending_t  *sending;
    hls_bytes_t   **bytes;
    ngx_uint_t      n;
} send_refs_t;


/* --- texts --- */

void
hls_text_free(hls_text_t *t)
{
    hls_bytes_drop(&t->plain);
    hls_bytes_drop(&t->gzip);
    ngx_memzero(t, sizeof(hls_text_t));
}


/* SIZE bytes of P.  NULL: there is no memory. */
static hls_bytes_t *
copy_bytes(const u_char *p, size_t size)
{
    hls_bytes_t  *bytes = hls_bytes_new(size);

    if (bytes) {
        ngx_memcpy(bytes->data, p, size);
    }

    return bytes;
}


ngx_int_t
hls_text_set(hls_text_t *t, text_t *text, uint64_t changes)
{
    uint64_t      hash = hub_name_hash(text->start, text_size(text));
    hls_bytes_t  *plain;

    hls_text_free(t);
    plain = text->failed ? NULL : copy_bytes(text->start, text_size(text));
    t->changes = changes;
    text_free(text);

    if (plain) {
        hls_bytes_offer(plain, &t->plain);
    }

    (void) ngx_sprintf(t->etag, "\"%016xL\"%Z", hash);
    (void) ngx_sprintf(t->gzip_etag, "\"%016xL-gzip\"%Z", hash);

    return t->plain ? NGX_OK : NGX_ERROR;
}


/* NULL: there is no memory. */
static hls_bytes_t *
compress_bytes(const hls_bytes_t *plain)
{
    u_char       *out;
    z_stream      z;
    hls_bytes_t  *bytes = NULL;

    ngx_memzero(&z, sizeof(z_stream));

    if (deflateInit2(&z, plain->size > SEND_GZIP_LARGE ? Z_BEST_SPEED
                                                       : Z_DEFAULT_COMPRESSION,
                     Z_DEFLATED, SEND_GZIP_BITS + 16,
                     SEND_GZIP_MEMORY, Z_DEFAULT_STRATEGY) != Z_OK)
    {
        return NULL;
    }

    z.next_in = (Bytef *) plain->data;
    z.avail_in = (uInt) plain->size;
    z.avail_out = (uInt) deflateBound(&z, plain->size);
    z.next_out = out = ngx_alloc(z.avail_out, ngx_cycle->log);

    if (out && deflate(&z, Z_FINISH) == Z_STREAM_END) {
        bytes = copy_bytes(out, z.total_out);
    }

    ngx_free(out);
    (void) deflateEnd(&z);

    return bytes;
}


static int
client_takes_gzip(ngx_http_request_t *r)
{
#if (NGX_HTTP_GZIP)
    return ngx_http_gzip_ok(r) == NGX_OK;
#else
    return 0;
#endif
}


/* --- the body --- */

static void
give_bytes(hls_bytes_t **bytes, ngx_uint_t n)
{
    ngx_uint_t  i;

    for (i = 0; i < n; i++) {
        hls_bytes_give(bytes[i]);
    }
}


/* Runs when nginx has no frame of the body left, not even one of HTTP/2. */
static void
give_refs(void *data)
{
    send_refs_t  *refs = data;

    hls_sending_free(refs->sending);
    give_bytes(refs->bytes, refs->n);
}


/* Gives the references to BYTES to the request, if they may be sent.  NGX_OK, or NGX_DONE
 * with *RC for the handler to return. */
static ngx_int_t
keep_refs(hls_sending_t *s, hls_bytes_t **bytes, ngx_uint_t n, ngx_int_t *rc)
{
    send_refs_t         *refs;
    ngx_pool_cleanup_t  *cln;

    if (hls_sending_admit(s, bytes, n, rc) != NGX_OK) {
        give_bytes(bytes, n);
        return NGX_DONE;
    }

    cln = ngx_pool_cleanup_add(s->request->pool, sizeof(send_refs_t));

    if (cln == NULL) {
        give_bytes(bytes, n);
        *rc = NGX_HTTP_INTERNAL_SERVER_ERROR;
        return NGX_DONE;
    }

    refs = cln->data;
    refs->sending = s;
    refs->bytes = bytes;
    refs->n = n;
    cln->handler = give_refs;

    return NGX_OK;
}


int
hls_sends_files(const ngx_http_request_t *r)
{
    const ngx_connection_t  *c = r->connection;

#if (NGX_HTTP_V2)
    if (r->stream) {
        return 0;
    }
#endif

    return c->sendfile && c->ssl == NULL;
}


/* NULL: there is no memory. */
static ngx_chain_t *
chain_bytes(ngx_http_request_t *r, hls_bytes_t **bytes, ngx_uint_t n)
{
    int           files = hls_sends_files(r);
    ngx_buf_t    *b = NULL;
    ngx_uint_t    i;
    ngx_chain_t  *first = NULL, **next = &first;

    for (i = 0; i < n; i++) {
        b = ngx_calloc_buf(r->pool);
        *next = ngx_alloc_chain_link(r->pool);

        if (b == NULL || *next == NULL) {
            return NULL;
        }

        b->start = b->pos = bytes[i]->data;
        b->end = b->last = bytes[i]->data + bytes[i]->size;
        b->memory = 1;

        if (files && bytes[i]->file) {
            b->file = bytes[i]->file;
            b->file_last = (off_t) bytes[i]->size;
            b->in_file = 1;
        }

        (*next)->buf = b;
        (*next)->next = NULL;
        next = &(*next)->next;
    }

    if (b) {
        b->last_buf = r == r->main;
        b->last_in_chain = 1;
    }

    return first;
}


#if (NGX_HTTP_SSL)

static void
restore_buffer(void *data)
{
    ngx_http_request_t  *r = data;

    if (r->connection->ssl) {
        r->connection->ssl->buffer = 1;
    }
}


/* Has OpenSSL encrypt a large body from where it is: nginx would copy each record
 * together first.  The shared bytes stay in their place for OpenSSL's retries. */
static ngx_int_t
bypass_buffer(ngx_http_request_t *r)
{
    ngx_http_cleanup_t  *cln;

#if (NGX_HTTP_V2)
    if (r->stream) {
        return NGX_OK;                       /* frames are small: let nginx join them */
    }
#endif

    if (r->connection->ssl == NULL || !r->connection->ssl->buffer
        || r->headers_out.content_length_n <= SEND_RECORD)
    {
        return NGX_OK;
    }

    cln = ngx_http_cleanup_add(r, 0);
    if (cln == NULL) {
        return NGX_ERROR;
    }

    cln->handler = restore_buffer;
    cln->data = r;
    r->connection->ssl->buffer = 0;

    return NGX_OK;
}

#endif


/* Sends BODY as if the location had no `aio`: nginx reads that at a request's first bytes,
 * and would have a thread wait for a disk that these have not, with state of the request
 * in the file that others share. */
static ngx_int_t
output_at_once(ngx_http_request_t *r, ngx_chain_t *body)
{
    ngx_int_t                  rc;
    ngx_flag_t                 aio;
    ngx_http_core_loc_conf_t  *clcf;

    clcf = ngx_http_get_module_loc_conf(r, ngx_http_core_module);
    aio = clcf->aio;
    clcf->aio = NGX_HTTP_AIO_OFF;
    rc = ngx_http_output_filter(r, body);
    clcf->aio = aio;

    return rc;
}


/* Sends the headers and, unless only these are wanted, BYTES. */
static ngx_int_t
send_bytes(hls_sending_t *s, hls_bytes_t **bytes, ngx_uint_t n)
{
    ngx_int_t            rc;
    ngx_uint_t           i;
    ngx_http_request_t  *r = s->request;
    ngx_chain_t         *body = chain_bytes(r, bytes, n);

    if (body == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    r->headers_out.status = NGX_HTTP_OK;
    r->headers_out.content_length_n = 0;

    for (i = 0; i < n; i++) {
        r->headers_out.content_length_n += (off_t) bytes[i]->size;
    }

#if (NGX_HTTP_SSL)
    if (bypass_buffer(r) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }
#endif

    rc = ngx_http_send_header(r);
    if (rc == NGX_ERROR || rc > NGX_OK || r->header_only) {
        return rc;
    }

    rc = output_at_once(r, body);

    /* nginx waits for the rest of a request's body, too */
    if ((rc == NGX_AGAIN || (rc == NGX_OK && r->discard_body))
        && hls_sending_begin(s, bytes, n) != NGX_OK)
    {
        return NGX_ERROR;
    }

    return rc;
}


/* --- headers --- */

ngx_int_t
hls_send_cors(ngx_http_request_t *r)
{
    return answer_header(r, "Access-Control-Allow-Origin", "*")
           && answer_header(r, "Access-Control-Expose-Headers",
                            "Age, Content-Length, Content-Range, Date, ETag")
           ? NGX_OK : NGX_ERROR;
}


ngx_int_t
hls_send_preflight(ngx_http_request_t *r)
{
    if (answer_header(r, "Access-Control-Allow-Methods", "GET, HEAD, OPTIONS") == NULL
        || answer_header(r, "Access-Control-Allow-Headers", "Range") == NULL
        || answer_header(r, "Access-Control-Max-Age", "86400") == NULL)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    r->headers_out.status = NGX_HTTP_NO_CONTENT;
    r->header_only = 1;

    return ngx_http_send_header(r);
}


static ngx_int_t
set_headers(ngx_http_request_t *r, const char *type, const char *cache,
    const u_char *etag)
{
    r->headers_out.content_type.data = (u_char *) type;
    r->headers_out.content_type.len = ngx_strlen(type);
    r->headers_out.content_type_len = r->headers_out.content_type.len;
    r->headers_out.etag = answer_header(r, "ETag", (const char *) etag);

    return r->headers_out.etag && answer_header(r, "Cache-Control", cache)
           ? NGX_OK : NGX_ERROR;
}


/* --- answers --- */

/* A reference to the text in the encoding that the client takes. */
static hls_bytes_t *
choose_encoding(ngx_http_request_t *r, hls_text_t *t)
{
    hls_bytes_t  *gzip, *plain = hls_bytes_keep(t->plain);

    hls_bytes_used(plain);

    if (!client_takes_gzip(r)) {
        return plain;
    }

    if (t->gzip == NULL) {
        gzip = compress_bytes(plain);
        if (gzip == NULL) {
            return plain;
        }
        hls_bytes_offer(gzip, &t->gzip);
    }

    hls_bytes_give(plain);
    hls_bytes_used(t->gzip);

    return hls_bytes_keep(t->gzip);
}


static ngx_int_t
set_text_headers(ngx_http_request_t *r, const hls_text_t *t, int gzip,
    const char *cache)
{
    u_char  *etag = ngx_pnalloc(r->pool, HLS_ETAG_MAX);

    if (etag == NULL || answer_header(r, "Vary", "Accept-Encoding") == NULL) {
        return NGX_ERROR;
    }

    ngx_memcpy(etag, gzip ? t->gzip_etag : t->etag, HLS_ETAG_MAX);

    if (gzip) {
        r->headers_out.content_encoding = answer_header(r, "Content-Encoding",
                                                        "gzip");
        if (r->headers_out.content_encoding == NULL) {
            return NGX_ERROR;
        }
    }

    return set_headers(r, "application/vnd.apple.mpegurl", cache, etag);
}


ngx_int_t
hls_send_text(hls_sending_t *s, hls_text_t *t, ngx_uint_t age)
{
    char                *cache;
    ngx_int_t            rc;
    hls_bytes_t        **bytes;
    ngx_http_request_t  *r = s->request;

    cache = ngx_pnalloc(r->pool, sizeof("max-age=") + NGX_INT_T_LEN);
    bytes = ngx_palloc(r->pool, sizeof(hls_bytes_t *));

    if (cache == NULL || bytes == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    (void) ngx_sprintf((u_char *) cache, "max-age=%ui%Z", age);

    *bytes = choose_encoding(r, t);
    if (keep_refs(s, bytes, 1, &rc) != NGX_OK) {
        return rc;
    }

    if (set_text_headers(r, t, *bytes == t->gzip, cache) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    return send_bytes(s, bytes, 1);
}


static ngx_int_t
set_media_headers(ngx_http_request_t *r, const u_char *etag)
{
    /* nginx can serve several ranges only from a single buffer */
    r->allow_ranges = 1;
    r->single_range = 1;

    /* An hour is longer than any player looks back at once, and shorter than a token
     * lives on in a cache that does not check it. */
    return set_headers(r, "video/mp4", "max-age=3600, immutable", etag);
}


/* The name itself is the validator: its bytes never change. */
ngx_int_t
hls_send_media(hls_sending_t *s, const ngx_str_t *name, hls_bytes_t **bytes,
    ngx_uint_t n)
{
    u_char              *etag;
    ngx_int_t            rc;
    ngx_http_request_t  *r = s->request;

    if (keep_refs(s, bytes, n, &rc) != NGX_OK) {
        return rc;
    }

    etag = ngx_pnalloc(r->pool, name->len + 3);
    if (etag == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    (void) ngx_sprintf(etag, "\"%V\"%Z", name);

    if (set_media_headers(r, etag) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    return send_bytes(s, bytes, n);
}


static void
end_recorded(void *data)
{
    hls_sending_free(data);
}


ngx_int_t
hls_send_recorded(hls_sending_t *s, const ngx_str_t *name, pieces_t *body,
    uint64_t size, int fd)
{
    u_char              *etag;
    ngx_int_t            rc;
    ngx_pool_cleanup_t  *cln;
    ngx_http_request_t  *r = s->request;

    if (hls_sending_admit(s, NULL, 0, &rc) != NGX_OK) {
        return rc;
    }

    cln = ngx_pool_cleanup_add(r->pool, 0);
    etag = ngx_pnalloc(r->pool, name->len + 5);

    if (cln == NULL || etag == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    cln->handler = end_recorded;
    cln->data = s;

    /* The hub's bytes were other ones: a player must not join ranges of both. */
    (void) ngx_sprintf(etag, "\"%V-r\"%Z", name);

    if (set_media_headers(r, etag) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    r->headers_out.status = NGX_HTTP_OK;
    r->headers_out.content_length_n = (off_t) size;

    rc = pieces_send(body);

    if (rc == NGX_AGAIN || (rc == NGX_OK && r->discard_body)) {
        s->fd = fd;
        return hls_sending_begin(s, NULL, 0) == NGX_OK ? rc : NGX_ERROR;
    }

    return rc;
}
