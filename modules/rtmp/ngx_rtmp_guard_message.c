#include "ngx_rtmp_guard_session.h"
#include "ngx_rtmp_guard_amf.h"


/* weak, as in ngx_rtmp_guard_module.c */
#pragma weak ngx_rtmp_core_module


#define CHUNK_SIZE_MAX  0x7fffffffu        /* RTMP specification, 5.4.1 */


static ngx_int_t ngx_rtmp_guard_chunk_size(ngx_rtmp_session_t *s,
    ngx_rtmp_header_t *h, ngx_chain_t *in);
static ngx_int_t ngx_rtmp_guard_abort(ngx_rtmp_session_t *s,
    ngx_rtmp_header_t *h, ngx_chain_t *in);
static ngx_int_t ngx_rtmp_guard_media(ngx_rtmp_session_t *s,
    ngx_rtmp_header_t *h, ngx_chain_t *in);
static ngx_int_t ngx_rtmp_guard_aggregate(ngx_rtmp_session_t *s,
    ngx_rtmp_header_t *h, ngx_chain_t *in);
static ngx_int_t ngx_rtmp_guard_amf(ngx_rtmp_session_t *s,
    ngx_rtmp_header_t *h, ngx_chain_t *in);


/* They run before the handlers of every module that was loaded earlier. */

ngx_int_t
ngx_rtmp_guard_add_handlers(ngx_rtmp_core_main_conf_t *cmcf)
{
    size_t                      i;
    ngx_array_t                *events;
    ngx_rtmp_handler_pt        *handlers;

    static const struct {
        ngx_uint_t              event;
        ngx_rtmp_handler_pt     handler;
    } first[] = {
        { NGX_RTMP_MSG_CHUNK_SIZE,  ngx_rtmp_guard_chunk_size },
        { NGX_RTMP_MSG_ABORT,       ngx_rtmp_guard_abort },
        { NGX_RTMP_MSG_AUDIO,       ngx_rtmp_guard_media },
        { NGX_RTMP_MSG_VIDEO,       ngx_rtmp_guard_media },
        { NGX_RTMP_MSG_AGGREGATE,   ngx_rtmp_guard_aggregate },
        { NGX_RTMP_MSG_AMF3_META,   ngx_rtmp_guard_amf },
        { NGX_RTMP_MSG_AMF3_SHARED, ngx_rtmp_guard_amf },
        { NGX_RTMP_MSG_AMF3_CMD,    ngx_rtmp_guard_amf },
        { NGX_RTMP_MSG_AMF_META,    ngx_rtmp_guard_amf },
        { NGX_RTMP_MSG_AMF_SHARED,  ngx_rtmp_guard_amf },
        { NGX_RTMP_MSG_AMF_CMD,     ngx_rtmp_guard_amf }
    };

    for (i = 0; i < sizeof(first) / sizeof(first[0]); i++) {
        events = &cmcf->events[first[i].event];

        if (ngx_array_push(events) == NULL) {
            return NGX_ERROR;
        }

        handlers = events->elts;
        ngx_memmove(handlers + 1, handlers,
                    (events->nelts - 1) * sizeof(ngx_rtmp_handler_pt));
        handlers[0] = first[i].handler;
    }

    return NGX_OK;
}


static ngx_int_t
ngx_rtmp_guard_chunk_size(ngx_rtmp_session_t *s, ngx_rtmp_header_t *h,
    ngx_chain_t *in)
{
    u_char                     *p;
    uint32_t                    size, wire;
    ngx_rtmp_guard_ctx_t       *ctx;
    ngx_rtmp_guard_srv_conf_t  *gscf;

    ctx = ngx_rtmp_get_module_ctx(s, ngx_rtmp_guard_module);

    /* nginx-rtmp still handles the rest of an aggregate after a refusal */
    if (ctx && ctx->why) {
        return NGX_DONE;
    }

    /* nginx-rtmp ignores a message that is too short */
    if (ctx == NULL || in->buf->last - in->buf->pos < 4) {
        return NGX_OK;
    }

    p = in->buf->pos;
    size = (uint32_t) p[0] << 24 | (uint32_t) p[1] << 16
           | (uint32_t) p[2] << 8 | p[3];

    gscf = ngx_rtmp_get_module_srv_conf(s, ngx_rtmp_guard_module);

    if (size < gscf->chunk_min || size > CHUNK_SIZE_MAX) {
        return ngx_rtmp_guard_refuse(s, "chunk size %uD, expected %uz to %uD",
                                     size, gscf->chunk_min, CHUNK_SIZE_MAX);
    }

    /* this sets the size of the wire layer's buffers; ngx_rtmp_guard_recv.c
     * splits larger chunks */
    wire = ngx_min(size, (uint32_t) gscf->chunk_max);

    /* nginx-rtmp loses bytes when it moves unfinished messages to new buffers */
    if (ctx->pending && wire < s->in_chunk_size) {
        return ngx_rtmp_guard_refuse(s, "chunk size %uD with %uz bytes of "
                   "unfinished messages held, expected none", size,
                   ctx->pending);
    }

    ctx->chunk_size = size;

    if (ctx->pending || wire == s->in_chunk_size) {
        return NGX_DONE;
    }

    p[0] = (u_char) (wire >> 24);
    p[1] = (u_char) (wire >> 16);
    p[2] = (u_char) (wire >> 8);
    p[3] = (u_char) wire;

    return NGX_OK;
}


/* nginx-rtmp ignores Abort: it would append the next message to this one. */

static ngx_int_t
ngx_rtmp_guard_abort(ngx_rtmp_session_t *s, ngx_rtmp_header_t *h,
    ngx_chain_t *in)
{
    u_char                    *p;
    uint32_t                   csid, slot;
    ngx_chain_t               *head;
    ngx_rtmp_stream_t         *st;
    ngx_rtmp_guard_ctx_t      *ctx;
    ngx_rtmp_core_srv_conf_t  *cscf;

    ctx = ngx_rtmp_get_module_ctx(s, ngx_rtmp_guard_module);

    if (ctx == NULL || in->buf->last - in->buf->pos < 4) {
        return NGX_OK;
    }

    p = in->buf->pos;
    csid = (uint32_t) p[0] << 24 | (uint32_t) p[1] << 16
           | (uint32_t) p[2] << 8 | p[3];

    cscf = ngx_rtmp_get_module_srv_conf(s, ngx_rtmp_core_module);

    slot = ngx_rtmp_guard_find_slot(ctx, csid, (uint32_t) cscf->max_streams);

    if (slot == 0) {
        return NGX_OK;
    }

    st = &s->in_streams[slot];

    if (st->len == 0 || st->in == NULL) {
        return NGX_OK;
    }

    /* st->in is the last link of a ring: stream 0 holds the free buffers */
    head = st->in->next;
    st->in->next = s->in_streams[0].in;
    s->in_streams[0].in = head;
    st->in = NULL;

    ctx->pending -= st->len;
    st->len = 0;

    return NGX_OK;
}


static ngx_int_t
ngx_rtmp_guard_media(ngx_rtmp_session_t *s, ngx_rtmp_header_t *h,
    ngx_chain_t *in)
{
    if (ngx_rtmp_guard_refusal(s)) {
        return NGX_DONE;
    }

    if (!ngx_rtmp_guard_watches(s) || s->app_conf) {
        return NGX_OK;
    }

    return ngx_rtmp_guard_refuse(s, "message type %ud before connect",
                                 (unsigned) h->type);
}


static ngx_int_t
ngx_rtmp_guard_aggregate(ngx_rtmp_session_t *s, ngx_rtmp_header_t *h,
    ngx_chain_t *in)
{
    ngx_rtmp_guard_amf_t  amf;

    if (ngx_rtmp_guard_refusal(s)) {
        return NGX_DONE;
    }

    if (!ngx_rtmp_guard_watches(s)) {
        return NGX_OK;
    }

    if (s->app_conf == NULL) {
        return ngx_rtmp_guard_refuse(s, "an aggregate before connect");
    }

    switch (ngx_rtmp_guard_aggregate_check(in, &amf)) {

    case NGX_DECLINED:
        return ngx_rtmp_guard_refuse(s, "message type %ui in an aggregate, "
                   "expected audio (8), video (9) or data (15, 18)",
                   amf.tag_type);

    case NGX_ERROR:
        return ngx_rtmp_guard_refuse(s, "an aggregate of %uD bytes that ends "
                   "inside a message of type %ui", h->mlen, amf.tag_type);

    default:
        return NGX_OK;
    }
}


static ngx_int_t
ngx_rtmp_guard_amf(ngx_rtmp_session_t *s, ngx_rtmp_header_t *h,
    ngx_chain_t *in)
{
    ngx_uint_t                  amf3, shared, command;
    ngx_rtmp_guard_amf_t        amf;
    ngx_rtmp_guard_ctx_t       *ctx;
    ngx_rtmp_guard_cursor_t     cur;
    ngx_rtmp_guard_srv_conf_t  *gscf;

    ctx = ngx_rtmp_get_module_ctx(s, ngx_rtmp_guard_module);

    if (ctx == NULL) {
        return NGX_OK;
    }

    if (ctx->why) {
        return NGX_DONE;
    }

    gscf = ngx_rtmp_get_module_srv_conf(s, ngx_rtmp_guard_module);

    command = (h->type == NGX_RTMP_MSG_AMF_CMD
               || h->type == NGX_RTMP_MSG_AMF3_CMD);
    shared = (h->type == NGX_RTMP_MSG_AMF_SHARED
              || h->type == NGX_RTMP_MSG_AMF3_SHARED);
    amf3 = (h->type == NGX_RTMP_MSG_AMF3_CMD
            || h->type == NGX_RTMP_MSG_AMF3_META
            || h->type == NGX_RTMP_MSG_AMF3_SHARED);

    /* an "AMF3" message is AMF0 behind a zero byte */
    ngx_rtmp_guard_cursor(&cur, in, amf3 ? 1 : 0);

    if (ngx_rtmp_guard_amf_walk(cur, shared, gscf->amf_depth, &amf)
        != NGX_OK)
    {
        return ngx_rtmp_guard_refuse(s, "AMF \"%s\" nested deeper than %ui "
                                     "levels", amf.name, gscf->amf_depth);
    }

    /* nginx-rtmp takes commands from any AMF message and ignores their case */
    if (s->app_conf == NULL
        && (!command || ngx_strcasecmp(amf.name, (u_char *) "connect") != 0))
    {
        return ngx_rtmp_guard_refuse(s, "message type %ud \"%s\" before "
                   "connect", (unsigned) h->type, amf.name);
    }

    /* a message inside an aggregate must keep its length */
    if (amf.foreign && h == &s->in_streams[h->csid].hdr) {
        ngx_rtmp_guard_amf_rewrite(cur, shared);
    }

    if (!command) {
        return NGX_OK;
    }

    if (ngx_strcasecmp(amf.name, (u_char *) "publish") == 0) {
        ctx->publishing = 1;

    } else if (ngx_strcasecmp(amf.name, (u_char *) "play") != 0
               && ngx_strcasecmp(amf.name, (u_char *) "play2") != 0)
    {
        return NGX_OK;
    }

    if (ctx->deadline.timer_set) {
        ngx_del_timer(&ctx->deadline);
    }

    return NGX_OK;
}
