#include "hls_send.h"

#include <zlib.h>

#include "answer.h"

#define SEND_RECORD       16384    /* of TLS: RFC 8446, section 5.1 */
#define SEND_GZIP_BITS    13       /* a window of 8 KB: lists are about as long */
#define SEND_GZIP_MEMORY  6


/* References that a request holds; the first COUNTED of them are also counted. */
typedef struct {
    hls_bytes_t  **bytes;
    ngx_uint_t     n, counted;
} send_refs_t;


static budget_t  send_budget;          /* of bytes that answers keep, and users' shares */


/* --- texts --- */

void
hls_text_free(hls_text_t *t)
{
    hls_bytes_give(t->plain);
    hls_bytes_give(t->gzip);
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
    uint64_t  hash = hub_name_hash(text->start, text_size(text));

    hls_text_free(t);
    t->plain = text->failed ? NULL : copy_bytes(text->start, text_size(text));
    t->changes = changes;
    text_free(text);

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

    if (deflateInit2(&z, Z_DEFAULT_COMPRESSION, Z_DEFLATED, SEND_GZIP_BITS + 16,
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

/* Runs when nginx has no frame of the body left, not even one of HTTP/2. */
static void
give_refs(void *data)
{
    send_refs_t  *refs = data;
    ngx_uint_t    i;

    for (i = 0; i < refs->n; i++) {
        if (i < refs->counted && --refs->bytes[i]->answers == 0) {
            budget_give(&refs->bytes[i]->hold);
        }

        hls_bytes_give(refs->bytes[i]);
    }
}


/* Counts the bytes for UID, except those that another answer has.  NGX_OK; NGX_BUSY,
 * NGX_DECLINED: as budget_take(), *HELD is as much as answers keep. */
static ngx_int_t
count_refs(send_refs_t *refs, uint64_t uid, size_t *held)
{
    ngx_int_t     rc;
    hls_bytes_t  *bytes;

    for ( ; refs->counted < refs->n; refs->counted++) {
        bytes = refs->bytes[refs->counted];

        if (bytes->answers == 0) {
            rc = budget_take(&send_budget, &bytes->hold, uid, bytes->size,
                             hls_bytes_most(), held);
            if (rc != NGX_OK) {
                return rc;
            }
        }

        bytes->answers++;
    }

    return NGX_OK;
}


/* NULL: there is no memory. */
static send_refs_t *
keep_refs(ngx_http_request_t *r, hls_bytes_t **bytes, ngx_uint_t n)
{
    send_refs_t         *refs;
    ngx_pool_cleanup_t  *cln = ngx_pool_cleanup_add(r->pool, sizeof(send_refs_t));

    if (cln == NULL) {
        return NULL;
    }

    refs = cln->data;
    refs->bytes = bytes;
    refs->n = n;
    refs->counted = 0;
    cln->handler = give_refs;

    return refs;
}


/* NULL: there is no memory. */
static ngx_chain_t *
chain_bytes(ngx_http_request_t *r, hls_bytes_t **bytes, ngx_uint_t n)
{
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


/* Sends the headers and, unless only these are wanted, BYTES. */
static ngx_int_t
send_bytes(ngx_http_request_t *r, hls_bytes_t **bytes, ngx_uint_t n)
{
    ngx_int_t     rc;
    ngx_uint_t    i;
    ngx_chain_t  *body = chain_bytes(r, bytes, n);

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

    return ngx_http_output_filter(r, body);
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

/* The text in the encoding that the client takes, with its headers.  NULL: there is no
 * memory. */
static hls_bytes_t *
choose_encoding(ngx_http_request_t *r, hls_text_t *t, const char *cache)
{
    int      gzip = client_takes_gzip(r);
    u_char  *etag = ngx_pnalloc(r->pool, HLS_ETAG_MAX);

    if (gzip && t->gzip == NULL) {
        t->gzip = compress_bytes(t->plain);
    }

    gzip = gzip && t->gzip;

    if (etag == NULL || answer_header(r, "Vary", "Accept-Encoding") == NULL) {
        return NULL;
    }

    ngx_memcpy(etag, gzip ? t->gzip_etag : t->etag, HLS_ETAG_MAX);

    if (gzip) {
        r->headers_out.content_encoding = answer_header(r, "Content-Encoding",
                                                        "gzip");
        if (r->headers_out.content_encoding == NULL) {
            return NULL;
        }
    }

    return set_headers(r, "application/vnd.apple.mpegurl", cache, etag) == NGX_OK
           ? hls_bytes_keep(gzip ? t->gzip : t->plain) : NULL;
}


ngx_int_t
hls_send_text(ngx_http_request_t *r, hls_text_t *t, ngx_uint_t age)
{
    char          *cache = ngx_pnalloc(r->pool, sizeof("max-age=") + NGX_INT_T_LEN);
    hls_bytes_t  **bytes = ngx_palloc(r->pool, sizeof(hls_bytes_t *));

    if (cache == NULL || bytes == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    (void) ngx_sprintf((u_char *) cache, "max-age=%ui%Z", age);

    *bytes = choose_encoding(r, t, cache);
    if (*bytes == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    if (keep_refs(r, bytes, 1) == NULL) {
        hls_bytes_give(*bytes);
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    return send_bytes(r, bytes, 1);
}


/* The name itself is the validator: its bytes never change. */
ngx_int_t
hls_send_media(ngx_http_request_t *r, const ngx_str_t *name, hls_bytes_t **bytes,
    ngx_uint_t n, uint64_t uid)
{
    size_t        held;
    u_char       *etag = ngx_pnalloc(r->pool, name->len + 3);
    ngx_int_t     rc;
    ngx_uint_t    i;
    send_refs_t  *refs = etag ? keep_refs(r, bytes, n) : NULL;

    if (refs == NULL) {
        for (i = 0; i < n; i++) {
            hls_bytes_give(bytes[i]);
        }
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    if (budget_init(&send_budget, ngx_cycle->log) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    rc = count_refs(refs, uid, &held);

    if (rc != NGX_OK) {
        return answer_error(r, rc == NGX_BUSY ? NGX_HTTP_SERVICE_UNAVAILABLE
                                              : NGX_HTTP_TOO_MANY_REQUESTS,
                            "answers that %s not read yet take %uz bytes, of %uz in "
                            "hls_cache: read them first",
                            rc == NGX_BUSY ? "viewers have" : "this user has", held,
                            hls_bytes_most());
    }

    (void) ngx_sprintf(etag, "\"%V\"%Z", name);

    /* An hour is longer than any player looks back, and shorter than a token lives
     * on in a cache that does not check it. */
    if (set_headers(r, "video/mp4", "max-age=3600, immutable", etag) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    /* nginx can serve several ranges only from a single buffer */
    r->allow_ranges = 1;
    r->single_range = 1;

    return send_bytes(r, bytes, n);
}
