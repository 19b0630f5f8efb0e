#include "ngx_rtmp_guard_session.h"


/* weak, as in ngx_rtmp_guard_module.c */
#pragma weak ngx_rtmp_core_module


#define READ_AHEAD        65536
#define HANDSHAKE         (1 + 2 * 1536)       /* C0, C1, C2 */

/*
 * nginx-rtmp reads until the socket is empty.  After this many bytes in a
 * row a sender that outruns us lets the other connections have a turn.
 */
#define READ_TURN         (128 * 1024)


static ssize_t ngx_rtmp_guard_fill(ngx_connection_t *c,
    ngx_rtmp_guard_ctx_t *ctx);
static ngx_int_t ngx_rtmp_guard_chunk(ngx_rtmp_session_t *s,
    ngx_rtmp_guard_ctx_t *ctx);
static ngx_int_t ngx_rtmp_guard_length(ngx_rtmp_session_t *s,
    ngx_rtmp_guard_ctx_t *ctx, uint32_t csid, uint32_t mlen);


/* read-ahead buffer of the connection that was drained last */
static u_char  *ngx_rtmp_guard_spare;


/*
 * Hands nginx-rtmp at most one chunk per call.  So it has dealt with
 * everything before a chunk (and freed, connected, changed its chunk size)
 * when we look at that chunk's header, and its own state is the truth: no
 * second parser can disagree with it.
 */

ssize_t
ngx_rtmp_guard_recv(ngx_connection_t *c, u_char *buf, size_t size)
{
    ssize_t                n;
    ngx_int_t              rc;
    ngx_rtmp_session_t    *s;
    ngx_rtmp_guard_ctx_t  *ctx;

    s = c->data;
    ctx = ngx_rtmp_get_module_ctx(s, ngx_rtmp_guard_module);

    if (ctx->stage == guard_accepted) {
        if (s->hs_buf == NULL) {
            return ctx->recv(c, buf, size);
        }

        /* the address is final now, also behind a proxy */
        if (ngx_rtmp_guard_admit(s, ctx) != NGX_OK) {
            return NGX_ERROR;
        }

        ctx->stage = guard_handshake;
        ctx->left = HANDSHAKE;
    }

    for ( ;; ) {

        if (ctx->stage == guard_header) {
            rc = ngx_rtmp_guard_chunk(s, ctx);

            if (rc == NGX_ERROR) {
                return NGX_ERROR;
            }

            if (rc == NGX_OK) {
                ctx->stage = guard_payload;
            }
        }

        if (ctx->stage != guard_header && ctx->pos != ctx->last) {
            n = ngx_min((size_t) (ctx->last - ctx->pos), ctx->left);
            n = ngx_min((size_t) n, size);

            ngx_memcpy(buf, ctx->pos, n);
            ctx->pos += n;
            ctx->left -= n;

            if (ctx->left == 0) {
                ctx->stage = guard_header;
            }

            if (ctx->pos == ctx->last) {
                ngx_rtmp_guard_release(ctx);
            }

            return n;
        }

        n = ngx_rtmp_guard_fill(c, ctx);

        if (n <= 0) {
            return n;
        }
    }
}


static ssize_t
ngx_rtmp_guard_fill(ngx_connection_t *c, ngx_rtmp_guard_ctx_t *ctx)
{
    ssize_t  n;

    if (ctx->turn >= READ_TURN) {
        ctx->turn = 0;
        ngx_post_event(c->read, &ngx_posted_next_events);
        return NGX_AGAIN;
    }

    if (ctx->start == NULL) {
        if (ngx_rtmp_guard_spare) {
            ctx->start = ngx_rtmp_guard_spare;
            ngx_rtmp_guard_spare = NULL;

        } else {
            ctx->start = ngx_alloc(READ_AHEAD, c->log);
            if (ctx->start == NULL) {
                return NGX_ERROR;
            }
        }

        ctx->pos = ctx->start;
        ctx->last = ctx->start;
    }

    if (ctx->pos != ctx->start) {
        /* a piece of a chunk header at most */
        n = ctx->last - ctx->pos;
        ngx_memmove(ctx->start, ctx->pos, n);
        ctx->pos = ctx->start;
        ctx->last = ctx->start + n;
    }

    n = ctx->recv(c, ctx->last, ctx->start + READ_AHEAD - ctx->last);

    if (n > 0) {
        ctx->last += n;
        ctx->turn += n;
        return n;
    }

    ctx->turn = 0;

    if (ctx->pos == ctx->last) {
        ngx_rtmp_guard_release(ctx);
    }

    return n;
}


void
ngx_rtmp_guard_release(ngx_rtmp_guard_ctx_t *ctx)
{
    if (ctx->start == NULL) {
        return;
    }

    if (ngx_rtmp_guard_spare == NULL) {
        ngx_rtmp_guard_spare = ctx->start;

    } else {
        ngx_free(ctx->start);
    }

    ctx->start = NULL;
    ctx->pos = NULL;
    ctx->last = NULL;
}


/*
 * Looks at the chunk header at ctx->pos.
 *   NGX_OK     ctx->left bytes (header and payload) may pass
 *   NGX_AGAIN  the header is not complete
 *   NGX_ERROR  refused
 */

static ngx_int_t
ngx_rtmp_guard_chunk(ngx_rtmp_session_t *s, ngx_rtmp_guard_ctx_t *ctx)
{
    u_char                     *p;
    size_t                      avail, size, payload;
    uint8_t                     ext, type;
    uint32_t                    csid, mlen;
    ngx_uint_t                  fmt;
    ngx_rtmp_stream_t          *st;
    ngx_rtmp_core_srv_conf_t   *cscf;

    static const size_t         header_size[] = { 11, 7, 3, 0 };

    p = ctx->pos;
    avail = ctx->last - ctx->pos;

    if (avail < 1) {
        return NGX_AGAIN;
    }

    fmt = p[0] >> 6;
    csid = p[0] & 0x3f;
    size = csid == 0 ? 2 : csid == 1 ? 3 : 1;

    if (avail < size) {
        return NGX_AGAIN;
    }

    if (csid < 2) {
        csid = 64 + p[1] + (size == 3 ? (uint32_t) p[2] << 8 : 0);
    }

    cscf = ngx_rtmp_get_module_srv_conf(s, ngx_rtmp_core_module);

    if (csid >= (uint32_t) cscf->max_streams) {
        return ngx_rtmp_guard_refuse(s, "chunk stream %uD, expected less "
                                     "than %i (max_streams)",
                                     csid, cscf->max_streams);
    }

    p += size;
    size += header_size[fmt];

    if (avail < size) {
        return NGX_AGAIN;
    }

    st = &s->in_streams[csid];
    ext = st->ext;
    mlen = st->hdr.mlen;
    type = st->hdr.type;

    if (fmt <= 2) {
        ext = (p[0] == 0xff && p[1] == 0xff && p[2] == 0xff);
    }

    if (fmt <= 1) {
        mlen = (uint32_t) p[3] << 16 | (uint32_t) p[4] << 8 | p[5];
        type = p[6];
    }

    if (ext) {
        size += 4;

        if (avail < size) {
            return NGX_AGAIN;
        }
    }

    if (st->len) {
        if (mlen != st->hdr.mlen || type != st->hdr.type) {
            return ngx_rtmp_guard_refuse(s, "a header of type %ud and length "
                       "%uD in the middle of a message of type %ud and "
                       "length %uD (%uD received) on chunk stream %uD",
                       (unsigned) type, mlen, (unsigned) st->hdr.type,
                       st->hdr.mlen, st->len, csid);
        }

    } else {
        if (type == 0) {
            return ngx_rtmp_guard_refuse(s, "chunk stream %uD with a message "
                       "without type (first chunk format %ui), expected a "
                       "header of format 0", csid, fmt);
        }

        if (ngx_rtmp_guard_length(s, ctx, csid, mlen) != NGX_OK) {
            return NGX_ERROR;
        }
    }

    payload = mlen - st->len;

    if (payload > s->in_chunk_size) {
        payload = s->in_chunk_size;
        ctx->pending += payload;

    } else {
        ctx->pending -= st->len;
    }

    ctx->left = size + payload;

    return NGX_OK;
}


/* a message of mlen bytes begins */

static ngx_int_t
ngx_rtmp_guard_length(ngx_rtmp_session_t *s, ngx_rtmp_guard_ctx_t *ctx,
    uint32_t csid, uint32_t mlen)
{
    size_t                      limit;
    uint32_t                    i;
    ngx_rtmp_stream_t          *st;
    ngx_rtmp_core_srv_conf_t   *cscf;
    ngx_rtmp_guard_srv_conf_t  *gscf;

    cscf = ngx_rtmp_get_module_srv_conf(s, ngx_rtmp_core_module);
    gscf = ngx_rtmp_get_module_srv_conf(s, ngx_rtmp_guard_module);

    if (mlen > cscf->max_message) {
        return ngx_rtmp_guard_refuse(s, "a message of %uD bytes, expected at "
                   "most %uz (max_message)", mlen, cscf->max_message);
    }

    /* what passes in one chunk is never held */
    if (mlen <= s->in_chunk_size && mlen <= gscf->pending) {
        return NGX_OK;
    }

    limit = gscf->pending + (ctx->publishing ? cscf->max_message : 0);

    /* messages that began count as whole: later chunks need no look */
    for (i = 2; i < (uint32_t) cscf->max_streams; i++) {
        st = &s->in_streams[i];

        if (st->len && i != csid) {
            limit = st->hdr.mlen < limit ? limit - st->hdr.mlen : 0;
        }
    }

    if (mlen > limit) {
        return ngx_rtmp_guard_refuse(s, "a message of %uD bytes with %uz "
                   "bytes of unfinished messages held %s publish, expected "
                   "at most %uz more", mlen, ctx->pending,
                   ctx->publishing ? "after" : "before", limit);
    }

    return NGX_OK;
}
