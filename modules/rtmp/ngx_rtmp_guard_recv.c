#include "ngx_rtmp_guard_session.h"


/* weak, as in ngx_rtmp_guard_module.c */
#pragma weak ngx_rtmp_core_module


#define HANDSHAKE         (1 + 2 * 1536)       /* C0, C1, C2 */

/*
 * nginx-rtmp reads until the socket is empty.  A client that sends faster than
 * we read would never let it end: after this many bytes in a row, serve the
 * other connections first.
 */
#define READ_TURN         (128 * 1024)


static size_t ngx_rtmp_guard_pass(ngx_rtmp_guard_ctx_t *ctx, u_char *buf,
    size_t size);
static ssize_t ngx_rtmp_guard_read_more(ngx_connection_t *c,
    ngx_rtmp_guard_ctx_t *ctx);
static ngx_int_t ngx_rtmp_guard_check_version(ngx_rtmp_session_t *s, u_char first);
static ngx_int_t ngx_rtmp_guard_next_piece(ngx_rtmp_session_t *s,
    ngx_rtmp_guard_ctx_t *ctx);
static ngx_int_t ngx_rtmp_guard_take_header(ngx_rtmp_session_t *s,
    ngx_rtmp_guard_ctx_t *ctx);
static void ngx_rtmp_guard_begin_chunk(ngx_rtmp_session_t *s,
    ngx_rtmp_guard_ctx_t *ctx, size_t whole);
static ngx_int_t ngx_rtmp_guard_timestamp_size(ngx_rtmp_guard_ctx_t *ctx,
    ngx_rtmp_stream_t *st, u_char *p, size_t avail);
static uint32_t ngx_rtmp_guard_choose_slot(ngx_rtmp_guard_ctx_t *ctx, uint32_t csid,
    uint32_t max);
static void ngx_rtmp_guard_write_header(ngx_rtmp_guard_ctx_t *ctx, ngx_uint_t fmt,
    u_char *rest, size_t len, ngx_uint_t ext, uint32_t timestamp);
static uint32_t ngx_rtmp_guard_u32(u_char *p);
static uint32_t ngx_rtmp_guard_timestamp(ngx_rtmp_stream_t *st);
static ngx_int_t ngx_rtmp_guard_check_length(ngx_rtmp_session_t *s,
    ngx_rtmp_guard_ctx_t *ctx, uint32_t slot, uint32_t mlen);


/*
 * Gives nginx-rtmp at most one chunk per call.  So nginx-rtmp has handled
 * everything before a chunk (and freed, connected, changed its chunk size)
 * when we check that chunk's header, and we can rely on its state: no second
 * parser can disagree with it.
 *
 * Some of the client's chunks would break nginx-rtmp, so they are changed:
 *   - a chunk larger than rtmp_guard_chunk_size allows is split, and each piece
 *     gets a header of format 3;
 *   - a chunk stream number beyond max_streams is replaced by a free one below,
 *     its slot;
 *   - some clients leave the extended timestamp out of headers of format 3: it
 *     is inserted.
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

        /* by now the address is the client's, even behind a proxy */
        if (ngx_rtmp_guard_admit(s, ctx) != NGX_OK) {
            return NGX_ERROR;
        }

        ctx->stage = guard_handshake;
        ctx->left = HANDSHAKE;
    }

    for ( ;; ) {

        if (ctx->stage == guard_closing) {
            return NGX_AGAIN;
        }

        if (ctx->stage == guard_header) {
            rc = ngx_rtmp_guard_next_piece(s, ctx);

            if (rc == NGX_ERROR) {
                return NGX_ERROR;
            }

            if (rc == NGX_DONE) {
                continue;                            /* refused: it is closing */
            }

            if (rc == NGX_OK) {
                ctx->stage = guard_payload;
            }
        }

        if (ctx->stage != guard_header) {
            n = ngx_rtmp_guard_pass(ctx, buf, size);

            if (n > 0) {
                return n;
            }

            if (ctx->stage == guard_header) {
                continue;                            /* it was empty */
            }
        }

        __builtin_prefetch(buf, 1);
        n = ngx_rtmp_guard_read_more(c, ctx);

        if (n <= 0) {
            return n;
        }

        if (ctx->left == HANDSHAKE && ctx->stage == guard_handshake
            && ngx_rtmp_guard_check_version(s, ctx->pos[0]) != NGX_OK)
        {
            return NGX_ERROR;
        }
    }
}


/* Copies to BUF as much of the current header and payload as has arrived. */

static size_t
ngx_rtmp_guard_pass(ngx_rtmp_guard_ctx_t *ctx, u_char *buf, size_t size)
{
    size_t  n, head;

    head = ngx_min((size_t) (ctx->head_len - ctx->head_pos), size);
    ngx_memcpy(buf, ctx->head + ctx->head_pos, head);
    ctx->head_pos += head;

    n = ngx_min((size_t) (ctx->last - ctx->pos), ctx->left);
    n = ngx_min(n, size - head);

    if (n) {
        ngx_memcpy(buf + head, ctx->pos, n);
        ctx->pos += n;
        ctx->left -= n;
    }

    if (ctx->left == 0 && ctx->head_pos == ctx->head_len) {
        ctx->stage = guard_header;
    }

    if (ctx->pos == ctx->last) {
        ngx_rtmp_guard_release(ctx);
    }

    return head + n;
}


static ssize_t
ngx_rtmp_guard_read_more(ngx_connection_t *c, ngx_rtmp_guard_ctx_t *ctx)
{
    ssize_t  n;

    if (ctx->turn >= READ_TURN) {
        ctx->turn = 0;
        ngx_post_event(c->read, &ngx_posted_next_events);
        return NGX_AGAIN;
    }

    if (ctx->start == NULL && ngx_rtmp_guard_obtain(ctx, c->log) != NGX_OK) {
        return NGX_ERROR;
    }

    if (ctx->pos != ctx->start) {
        /* at most an incomplete chunk header */
        n = ctx->last - ctx->pos;
        ngx_memmove(ctx->start, ctx->pos, n);
        ctx->pos = ctx->start;
        ctx->last = ctx->start + n;
    }

    n = ctx->recv(c, ctx->last,
                  ctx->start + NGX_RTMP_GUARD_READ_AHEAD - ctx->last);

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


static ngx_int_t
ngx_rtmp_guard_check_version(ngx_rtmp_session_t *s, u_char first)
{
    const char  *protocol;

    switch (first) {

    case NGX_RTMP_VERSION:
        return NGX_OK;

    case 6:
    case 8:
        protocol = "RTMPE, an encryption that nginx-rtmp does not support";
        break;

    case 0x16:
        protocol = "TLS, as of an rtmps:// address";
        break;

    case 'G':
    case 'P':
    case 'O':
    case 'H':
        protocol = "HTTP, as of an http:// or rtmpt:// address";
        break;

    default:
        protocol = "unknown protocol";
    }

    return ngx_rtmp_guard_refuse(s, "a handshake that begins with byte %ud "
                                 "(%s), expected %d (plain RTMP)",
                                 (unsigned) first, protocol, NGX_RTMP_VERSION);
}


/*
 * Decides how many bytes may pass before the next check: the rest of the
 * client's chunk or of the wire layer's, whichever is shorter.
 *   NGX_OK     ctx->head, then ctx->left bytes may pass
 *   NGX_AGAIN  the next header has not arrived completely
 *   NGX_ERROR, NGX_DONE  refused, as ngx_rtmp_guard_refuse() says
 */

static ngx_int_t
ngx_rtmp_guard_next_piece(ngx_rtmp_session_t *s, ngx_rtmp_guard_ctx_t *ctx)
{
    ngx_int_t           rc;
    ngx_rtmp_stream_t  *st;

    ctx->head_pos = 0;
    ctx->head_len = 0;

    if (ctx->chunk_left == 0) {
        rc = ngx_rtmp_guard_take_header(s, ctx);

        if (rc != NGX_OK) {
            return rc;
        }

    } else {
        st = &s->in_streams[ctx->slot];
        ngx_rtmp_guard_begin_chunk(s, ctx, st->hdr.mlen - st->len);
        ngx_rtmp_guard_write_header(ctx, 3, NULL, 0, st->ext,
                                    ngx_rtmp_guard_timestamp(st));
    }

    ctx->left = ngx_min(ctx->chunk_left, ctx->wire_left);
    ctx->chunk_left -= ctx->left;
    ctx->wire_left -= ctx->left;

    return NGX_OK;
}


/*
 * Checks the client's chunk header at ctx->pos and consumes it.  Its payload
 * continues the wire layer's current chunk, or begins a new one.
 */

static ngx_int_t
ngx_rtmp_guard_take_header(ngx_rtmp_session_t *s, ngx_rtmp_guard_ctx_t *ctx)
{
    u_char                     *p;
    size_t                      avail, size, whole;
    uint8_t                     type;
    uint32_t                    csid, slot, mlen, timestamp;
    ngx_int_t                   rc;
    ngx_uint_t                  fmt, ext;
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

    if (avail < size + header_size[fmt]) {
        return NGX_AGAIN;
    }

    if (csid < 2) {
        csid = 64 + p[1] + (size == 3 ? (uint32_t) p[2] << 8 : 0);
    }

    cscf = ngx_rtmp_get_module_srv_conf(s, ngx_rtmp_core_module);
    slot = ngx_rtmp_guard_choose_slot(ctx, csid, (uint32_t) cscf->max_streams);

    if (slot == 0) {
        return ngx_rtmp_guard_refuse(s, "chunk stream %uD beside %i others, "
                                     "expected no more (max_streams)",
                                     csid, cscf->max_streams - 2);
    }

    if (ctx->wire_left && slot != ctx->slot) {
        return ngx_rtmp_guard_refuse(s, "chunk stream %uD within a message on "
                   "chunk stream %uD in chunks of %uD bytes, expected messages "
                   "in such large chunks one after another", csid,
                   ctx->csids[ctx->slot], ctx->chunk_size);
    }

    p += size;
    size += header_size[fmt];

    st = &s->in_streams[slot];
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

    timestamp = 0;

    if (ext) {
        if (fmt == 3) {
            rc = ngx_rtmp_guard_timestamp_size(ctx, st, ctx->pos + size,
                                               avail - size);
            timestamp = ngx_rtmp_guard_timestamp(st);

        } else {
            rc = avail < size + 4 ? NGX_AGAIN : 4;
            timestamp = ngx_rtmp_guard_u32(ctx->pos + size);
        }

        if (rc == NGX_AGAIN) {
            return NGX_AGAIN;
        }

        size += rc;
    }

    if (st->len || ctx->wire_left) {
        if (mlen != st->hdr.mlen || type != st->hdr.type) {
            return ngx_rtmp_guard_refuse(s, "a header of type %ud and length "
                       "%uD in the middle of a message of type %ud and "
                       "length %uD (%uD received) on chunk stream %uD",
                       (unsigned) type, mlen, (unsigned) st->hdr.type,
                       st->hdr.mlen, st->len, csid);
        }

    } else {
        if (type == 0) {
            return ngx_rtmp_guard_refuse(s, "a message without type on chunk "
                       "stream %uD, in a header of format %ui, expected format "
                       "0 and a type", csid, fmt);
        }

        rc = ngx_rtmp_guard_check_length(s, ctx, slot, mlen);

        if (rc != NGX_OK) {
            return rc;
        }
    }

    /* bytes of this message that the wire layer does not have yet */
    whole = mlen - st->len;
    ctx->slot = slot;
    ctx->csids[slot] = csid;

    if (ctx->wire_left) {
        whole -= ngx_min(whole, s->in_chunk_size) - ctx->wire_left;

    } else {
        ngx_rtmp_guard_begin_chunk(s, ctx, whole);
        ngx_rtmp_guard_write_header(ctx, fmt, p, header_size[fmt], ext, timestamp);
    }

    ctx->pos += size;
    ctx->chunk_left = ngx_min(whole, ctx->chunk_size);

    return NGX_OK;
}


/* Begins a chunk for the wire layer, which needs WHOLE more bytes of its
 * message. */

static void
ngx_rtmp_guard_begin_chunk(ngx_rtmp_session_t *s, ngx_rtmp_guard_ctx_t *ctx,
    size_t whole)
{
    ctx->wire_left = ngx_min(whole, s->in_chunk_size);

    if (whole > ctx->wire_left) {
        ctx->pending += ctx->wire_left;

    } else {
        ctx->pending -= s->in_streams[ctx->slot].len;
    }
}


/*
 * Returns the size of the extended timestamp at P, behind a header of format 3:
 * 4, or 0 when the client does not repeat it, so that the payload begins at P.
 * NGX_AGAIN: too few bytes have arrived to tell.  When a client has once left it
 * out within a message, it always does, so do not wait for more bytes: its last
 * message may have none.
 */

static ngx_int_t
ngx_rtmp_guard_timestamp_size(ngx_rtmp_guard_ctx_t *ctx, ngx_rtmp_stream_t *st,
    u_char *p, size_t avail)
{
    u_char      expected[4];
    uint32_t    timestamp = ngx_rtmp_guard_timestamp(st);
    ngx_uint_t  within = st->len || ctx->wire_left;

    if (within && ctx->unrepeated) {
        return 0;
    }

    expected[0] = (u_char) (timestamp >> 24);
    expected[1] = (u_char) (timestamp >> 16);
    expected[2] = (u_char) (timestamp >> 8);
    expected[3] = (u_char) timestamp;

    if (ngx_memcmp(p, expected, ngx_min(avail, 4)) != 0) {
        ctx->unrepeated |= within;
        return 0;
    }

    return avail < 4 ? NGX_AGAIN : 4;
}


/* The current message's extended timestamp, or timestamp delta. */

static uint32_t
ngx_rtmp_guard_timestamp(ngx_rtmp_stream_t *st)
{
    return st->dtime ? st->dtime : st->hdr.timestamp;
}


uint32_t
ngx_rtmp_guard_find_slot(ngx_rtmp_guard_ctx_t *ctx, uint32_t csid,
    uint32_t max)
{
    uint32_t  i;

    if (csid < max && ctx->csids[csid] == csid) {
        return csid;
    }

    for (i = 2; i < max; i++) {
        if (ctx->csids[i] == csid) {
            return i;
        }
    }

    return 0;
}


/* Returns CSID's slot, or a free one: its own number if possible. */

static uint32_t
ngx_rtmp_guard_choose_slot(ngx_rtmp_guard_ctx_t *ctx, uint32_t csid, uint32_t max)
{
    uint32_t  i = ngx_rtmp_guard_find_slot(ctx, csid, max);

    if (i) {
        return i;
    }

    if (csid < max && ctx->csids[csid] == 0) {
        return csid;
    }

    for (i = max - 1; i > 2; i--) {              /* 2: for control messages */
        if (ctx->csids[i] == 0) {
            return i;
        }
    }

    return 0;
}


/* Writes the chunk header for the wire layer: format FMT, the slot, the LEN
 * bytes of REST, and TIMESTAMP if EXT. */

static void
ngx_rtmp_guard_write_header(ngx_rtmp_guard_ctx_t *ctx, ngx_uint_t fmt, u_char *rest,
    size_t len, ngx_uint_t ext, uint32_t timestamp)
{
    u_char    *p = ctx->head;
    uint32_t   slot = ctx->slot;

    if (slot < 64) {
        *p++ = (u_char) (fmt << 6 | slot);

    } else if (slot < 64 + 256) {
        *p++ = (u_char) (fmt << 6);
        *p++ = (u_char) (slot - 64);

    } else {
        *p++ = (u_char) (fmt << 6 | 1);
        *p++ = (u_char) (slot - 64);
        *p++ = (u_char) ((slot - 64) >> 8);
    }

    if (len) {
        p = ngx_cpymem(p, rest, len);
    }

    if (ext) {
        *p++ = (u_char) (timestamp >> 24);
        *p++ = (u_char) (timestamp >> 16);
        *p++ = (u_char) (timestamp >> 8);
        *p++ = (u_char) timestamp;
    }

    ctx->head_len = p - ctx->head;
}


static uint32_t
ngx_rtmp_guard_u32(u_char *p)
{
    return (uint32_t) p[0] << 24 | (uint32_t) p[1] << 16
           | (uint32_t) p[2] << 8 | p[3];
}


/* Checks the length of a message that begins. */

static ngx_int_t
ngx_rtmp_guard_check_length(ngx_rtmp_session_t *s, ngx_rtmp_guard_ctx_t *ctx,
    uint32_t slot, uint32_t mlen)
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

    /* a message of one chunk is never unfinished */
    if (mlen <= s->in_chunk_size && mlen <= gscf->pending) {
        return NGX_OK;
    }

    limit = gscf->pending + (ctx->publishing ? cscf->max_message : 0);

    /* count unfinished messages with their whole length, so that their later
     * chunks need no check */
    for (i = 2; i < (uint32_t) cscf->max_streams; i++) {
        st = &s->in_streams[i];

        if (st->len && i != slot) {
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
