#include "ngx_rtmp_guard.h"
#include "ngx_rtmp_guard_amf.h"
#include "ngx_rtmp_guard_zone.h"


extern ngx_module_t  ngx_rtmp_module;    /* no header of nginx-rtmp says it */

/*
 * Weak: without the wire layer the library still loads, so that nginx -t
 * can say what is missing.
 */
#pragma weak ngx_rtmp_module
#pragma weak ngx_rtmp_core_module
#pragma weak ngx_rtmp_finalize_session


#define READ_AHEAD        65536
#define HANDSHAKE         (1 + 2 * 1536)       /* C0, C1, C2 */
#define LOG_LINES         20                   /* per second and worker */

/*
 * nginx-rtmp reads until the socket is empty.  After this many bytes in a
 * row a sender that outruns us lets the other connections have a turn.
 */
#define READ_TURN         (1024 * 1024)


typedef struct {
    size_t                  zone_size;
    ngx_shm_zone_t         *zone;
} ngx_rtmp_guard_main_conf_t;


typedef struct {
    ngx_flag_t              enable;
    ngx_msec_t              deadline;
    size_t                  pending;
    size_t                  chunk_min;
    size_t                  chunk_max;
    ngx_uint_t              amf_depth;
    ngx_uint_t              conn_per_ip;
} ngx_rtmp_guard_srv_conf_t;


typedef enum {
    guard_accepted = 0,     /* nginx-rtmp may still look for a PROXY line */
    guard_handshake,
    guard_header,           /* the next byte begins a chunk */
    guard_payload
} ngx_rtmp_guard_stage_e;


typedef struct {
    ngx_recv_pt             recv;       /* what we wrap */
    ngx_rtmp_guard_stage_e  stage;
    ngx_rtmp_session_t     *session;
    ngx_shm_zone_t         *zone;
    uint32_t                zone_entry;

    u_char                 *start;      /* read ahead; NULL while empty */
    u_char                 *pos;
    u_char                 *last;
    size_t                  left;       /* bytes that may pass before a check */
    size_t                  turn;

    size_t                  pending;    /* bytes in unfinished messages */
    ngx_event_t             deadline;
    unsigned                publishing:1;
    unsigned                refused:1;
} ngx_rtmp_guard_ctx_t;


static ngx_int_t ngx_rtmp_guard_connect(ngx_rtmp_session_t *s,
    ngx_rtmp_header_t *h, ngx_chain_t *in);
static void ngx_rtmp_guard_cleanup(void *data);
static void ngx_rtmp_guard_deadline(ngx_event_t *ev);
static ngx_int_t ngx_rtmp_guard_admit(ngx_rtmp_session_t *s,
    ngx_rtmp_guard_ctx_t *ctx);

static ssize_t ngx_rtmp_guard_recv(ngx_connection_t *c, u_char *buf,
    size_t size);
static ssize_t ngx_rtmp_guard_fill(ngx_connection_t *c,
    ngx_rtmp_guard_ctx_t *ctx);
static void ngx_rtmp_guard_release(ngx_rtmp_guard_ctx_t *ctx);
static ngx_int_t ngx_rtmp_guard_chunk(ngx_rtmp_session_t *s,
    ngx_rtmp_guard_ctx_t *ctx);
static ngx_int_t ngx_rtmp_guard_length(ngx_rtmp_session_t *s,
    ngx_rtmp_guard_ctx_t *ctx, uint32_t csid, uint32_t mlen);

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

static void *ngx_rtmp_guard_create_core_conf(ngx_cycle_t *cycle);
static ngx_int_t ngx_rtmp_guard_postconfiguration(ngx_conf_t *cf);
static void *ngx_rtmp_guard_create_main_conf(ngx_conf_t *cf);
static char *ngx_rtmp_guard_init_main_conf(ngx_conf_t *cf, void *conf);
static void *ngx_rtmp_guard_create_srv_conf(ngx_conf_t *cf);
static char *ngx_rtmp_guard_merge_srv_conf(ngx_conf_t *cf, void *parent,
    void *child);
static char *ngx_rtmp_guard_set_chunk_size(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
static ngx_int_t ngx_rtmp_guard_init_process(ngx_cycle_t *cycle);


static ngx_command_t  ngx_rtmp_guard_commands[] = {

    { ngx_string("rtmp_guard"),
      NGX_RTMP_MAIN_CONF|NGX_RTMP_SRV_CONF|NGX_CONF_FLAG,
      ngx_conf_set_flag_slot,
      NGX_RTMP_SRV_CONF_OFFSET,
      offsetof(ngx_rtmp_guard_srv_conf_t, enable),
      NULL },

    { ngx_string("rtmp_guard_deadline"),
      NGX_RTMP_MAIN_CONF|NGX_RTMP_SRV_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_msec_slot,
      NGX_RTMP_SRV_CONF_OFFSET,
      offsetof(ngx_rtmp_guard_srv_conf_t, deadline),
      NULL },

    { ngx_string("rtmp_guard_pending"),
      NGX_RTMP_MAIN_CONF|NGX_RTMP_SRV_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_size_slot,
      NGX_RTMP_SRV_CONF_OFFSET,
      offsetof(ngx_rtmp_guard_srv_conf_t, pending),
      NULL },

    { ngx_string("rtmp_guard_chunk_size"),
      NGX_RTMP_MAIN_CONF|NGX_RTMP_SRV_CONF|NGX_CONF_TAKE2,
      ngx_rtmp_guard_set_chunk_size,
      NGX_RTMP_SRV_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("rtmp_guard_amf_depth"),
      NGX_RTMP_MAIN_CONF|NGX_RTMP_SRV_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_num_slot,
      NGX_RTMP_SRV_CONF_OFFSET,
      offsetof(ngx_rtmp_guard_srv_conf_t, amf_depth),
      NULL },

    { ngx_string("rtmp_guard_conn_per_ip"),
      NGX_RTMP_MAIN_CONF|NGX_RTMP_SRV_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_num_slot,
      NGX_RTMP_SRV_CONF_OFFSET,
      offsetof(ngx_rtmp_guard_srv_conf_t, conn_per_ip),
      NULL },

    { ngx_string("rtmp_guard_zone"),
      NGX_RTMP_MAIN_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_size_slot,
      NGX_RTMP_MAIN_CONF_OFFSET,
      offsetof(ngx_rtmp_guard_main_conf_t, zone_size),
      NULL },

      ngx_null_command
};


static ngx_rtmp_module_t  ngx_rtmp_guard_module_ctx = {
    NULL,                                  /* preconfiguration */
    ngx_rtmp_guard_postconfiguration,      /* postconfiguration */
    ngx_rtmp_guard_create_main_conf,       /* create main configuration */
    ngx_rtmp_guard_init_main_conf,         /* init main configuration */
    ngx_rtmp_guard_create_srv_conf,        /* create server configuration */
    ngx_rtmp_guard_merge_srv_conf,         /* merge server configuration */
    NULL,                                  /* create app configuration */
    NULL                                   /* merge app configuration */
};


ngx_module_t  ngx_rtmp_guard_module = {
    NGX_MODULE_V1,
    &ngx_rtmp_guard_module_ctx,            /* module context */
    ngx_rtmp_guard_commands,               /* module directives */
    NGX_RTMP_MODULE,                       /* module type */
    NULL,                                  /* init master */
    NULL,                                  /* init module */
    ngx_rtmp_guard_init_process,           /* init process */
    NULL,                                  /* init thread */
    NULL,                                  /* exit thread */
    NULL,                                  /* exit process */
    NULL,                                  /* exit master */
    NGX_MODULE_V1_PADDING
};


/* its only work is to be asked at load_module, before any rtmp{} block */

static ngx_core_module_t  ngx_rtmp_guard_core_module_ctx = {
    ngx_string("rtmp_guard_core"),
    ngx_rtmp_guard_create_core_conf,
    NULL
};


ngx_module_t  ngx_rtmp_guard_core_module = {
    NGX_MODULE_V1,
    &ngx_rtmp_guard_core_module_ctx,       /* module context */
    NULL,                                  /* module directives */
    NGX_CORE_MODULE,                       /* module type */
    NULL,                                  /* init master */
    NULL,                                  /* init module */
    NULL,                                  /* init process */
    NULL,                                  /* init thread */
    NULL,                                  /* exit thread */
    NULL,                                  /* exit process */
    NULL,                                  /* exit master */
    NGX_MODULE_V1_PADDING
};


/* read-ahead buffer of the connection that was drained last */
static u_char  *ngx_rtmp_guard_spare;

ngx_uint_t
ngx_rtmp_guard_watches(ngx_rtmp_session_t *s)
{
    return ngx_rtmp_get_module_ctx(s, ngx_rtmp_guard_module) != NULL;
}


ngx_int_t
ngx_rtmp_guard_refuse(ngx_rtmp_session_t *s, const char *fmt, ...)
{
    u_char                *p, line[NGX_MAX_ERROR_STR];
    va_list                args;
    ngx_rtmp_guard_ctx_t  *ctx;

    static time_t          second;
    static ngx_uint_t      lines, silent;

    ctx = ngx_rtmp_get_module_ctx(s, ngx_rtmp_guard_module);

    if (ctx) {
        if (ctx->refused) {              /* one line per connection */
            return NGX_ERROR;
        }

        ctx->refused = 1;
    }

    if (second != ngx_time()) {
        second = ngx_time();
        lines = 0;

        if (silent) {
            ngx_log_error(NGX_LOG_ERR, ngx_cycle->log, 0,
                          "guard: refused %ui more connections, "
                          "at most %d lines are logged per second",
                          silent, LOG_LINES);
            silent = 0;
        }
    }

    if (lines++ >= LOG_LINES) {
        silent++;
        return NGX_ERROR;
    }

    va_start(args, fmt);
    p = ngx_vslprintf(line, line + sizeof(line), fmt, args);
    va_end(args);

    ngx_log_error(NGX_LOG_ERR, s->connection->log, 0, "guard: refused %*s",
                  (size_t) (p - line), line);

    return NGX_ERROR;
}


/* nginx-rtmp's "connect" event is the accepted TCP connection */

static ngx_int_t
ngx_rtmp_guard_connect(ngx_rtmp_session_t *s, ngx_rtmp_header_t *h,
    ngx_chain_t *in)
{
    ngx_connection_t           *c;
    ngx_pool_cleanup_t         *cln;
    ngx_rtmp_guard_ctx_t       *ctx;
    ngx_rtmp_guard_srv_conf_t  *gscf;

    c = s->connection;
    gscf = ngx_rtmp_get_module_srv_conf(s, ngx_rtmp_guard_module);

    /* relays connect outward; auto_push comes from our own workers */
    if (!gscf->enable || c->listening == NULL
        || c->sockaddr->sa_family == AF_UNIX)
    {
        return NGX_OK;
    }

    ctx = ngx_pcalloc(c->pool, sizeof(ngx_rtmp_guard_ctx_t));
    if (ctx == NULL) {
        return NGX_ERROR;
    }

    cln = ngx_pool_cleanup_add(c->pool, 0);
    if (cln == NULL) {
        return NGX_ERROR;
    }

    cln->handler = ngx_rtmp_guard_cleanup;
    cln->data = ctx;

    ctx->session = s;
    ctx->zone_entry = NGX_RTMP_GUARD_ZONE_NONE;

    ngx_rtmp_set_ctx(s, ctx, ngx_rtmp_guard_module);

    if (gscf->deadline) {
        ctx->deadline.handler = ngx_rtmp_guard_deadline;
        ctx->deadline.data = c;
        ctx->deadline.log = c->log;
        ctx->deadline.cancelable = 1;
        ngx_add_timer(&ctx->deadline, gscf->deadline);
    }

    ctx->recv = c->recv;
    c->recv = ngx_rtmp_guard_recv;

    (void) ngx_tcp_nodelay(c);

    return NGX_OK;
}


static void
ngx_rtmp_guard_cleanup(void *data)
{
    ngx_rtmp_guard_ctx_t  *ctx = data;

    if (ctx->deadline.timer_set) {
        ngx_del_timer(&ctx->deadline);
    }

    if (ctx->zone_entry != NGX_RTMP_GUARD_ZONE_NONE) {
        ngx_rtmp_guard_zone_leave(ctx->zone, ctx->zone_entry);
    }

    ngx_rtmp_guard_release(ctx);
}


static void
ngx_rtmp_guard_deadline(ngx_event_t *ev)
{
    const char                 *doing;
    ngx_connection_t           *c;
    ngx_rtmp_session_t         *s;
    ngx_rtmp_guard_ctx_t       *ctx;
    ngx_rtmp_guard_srv_conf_t  *gscf;

    c = ev->data;
    s = c->data;

    if (c->destroyed) {
        return;
    }

    ctx = ngx_rtmp_get_module_ctx(s, ngx_rtmp_guard_module);
    gscf = ngx_rtmp_get_module_srv_conf(s, ngx_rtmp_guard_module);

    doing = s->connected ? "connected without publish or play"
            : ctx->stage <= guard_handshake ? "in the handshake"
            : "without connect";

    (void) ngx_rtmp_guard_refuse(s, "a session still %s after %M ms, "
                                 "expected publish or play by then",
                                 doing, gscf->deadline);

    ngx_rtmp_finalize_session(s);
}


static ngx_int_t
ngx_rtmp_guard_admit(ngx_rtmp_session_t *s, ngx_rtmp_guard_ctx_t *ctx)
{
    ngx_int_t                    rc;
    struct sockaddr             *sa;
    ngx_rtmp_guard_srv_conf_t   *gscf;
    ngx_rtmp_guard_main_conf_t  *gmcf;

    gscf = ngx_rtmp_get_module_srv_conf(s, ngx_rtmp_guard_module);
    gmcf = ngx_rtmp_get_module_main_conf(s, ngx_rtmp_guard_module);
    sa = s->connection->sockaddr;

    if (gscf->conn_per_ip == 0
        || (sa->sa_family != AF_INET && sa->sa_family != AF_INET6))
    {
        return NGX_OK;
    }

    rc = ngx_rtmp_guard_zone_enter(gmcf->zone, sa, gscf->conn_per_ip,
                                   &ctx->zone_entry);
    if (rc == NGX_OK) {
        ctx->zone = gmcf->zone;
        return NGX_OK;
    }

    if (rc == NGX_BUSY) {
        /* an undersized zone must not lock everybody out */
        ngx_log_error(NGX_LOG_WARN, s->connection->log, 0,
                      "guard: rtmp_guard_zone of %uz bytes is full, "
                      "this connection is not counted", gmcf->zone_size);
        return NGX_OK;
    }

    return ngx_rtmp_guard_refuse(s, "one more connection of this address, "
                                 "expected at most %ui", gscf->conn_per_ip);
}


/*
 * Hands nginx-rtmp at most one chunk per call.  So it has dealt with
 * everything before a chunk (and freed, connected, changed its chunk size)
 * when we look at that chunk's header, and its own state is the truth: no
 * second parser can disagree with it.
 */

static ssize_t
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


static void
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


static ngx_int_t
ngx_rtmp_guard_chunk_size(ngx_rtmp_session_t *s, ngx_rtmp_header_t *h,
    ngx_chain_t *in)
{
    u_char                     *p;
    uint32_t                    size;
    ngx_rtmp_guard_ctx_t       *ctx;
    ngx_rtmp_guard_srv_conf_t  *gscf;

    ctx = ngx_rtmp_get_module_ctx(s, ngx_rtmp_guard_module);

    /* nginx-rtmp ignores a shorter one */
    if (ctx == NULL || in->buf->last - in->buf->pos < 4) {
        return NGX_OK;
    }

    p = in->buf->pos;
    size = (uint32_t) p[0] << 24 | (uint32_t) p[1] << 16
           | (uint32_t) p[2] << 8 | p[3];

    gscf = ngx_rtmp_get_module_srv_conf(s, ngx_rtmp_guard_module);

    if (size < gscf->chunk_min || size > gscf->chunk_max) {
        return ngx_rtmp_guard_refuse(s, "chunk size %uD, expected %uz to %uz",
                                     size, gscf->chunk_min, gscf->chunk_max);
    }

    if (size == s->in_chunk_size) {
        return NGX_DONE;
    }

    /* nginx-rtmp loses bytes when it moves partial messages to new buffers */
    if (ctx->pending) {
        return ngx_rtmp_guard_refuse(s, "chunk size %uD with %uz bytes of "
                   "unfinished messages held, expected none", size,
                   ctx->pending);
    }

    return NGX_OK;
}


/* nginx-rtmp ignores Abort and would take the next message for the rest */

static ngx_int_t
ngx_rtmp_guard_abort(ngx_rtmp_session_t *s, ngx_rtmp_header_t *h,
    ngx_chain_t *in)
{
    u_char                    *p;
    uint32_t                   csid;
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

    if (csid < 2 || csid >= (uint32_t) cscf->max_streams) {
        return NGX_OK;
    }

    st = &s->in_streams[csid];

    if (st->len == 0 || st->in == NULL) {
        return NGX_OK;
    }

    /* st->in is the last of a ring: give its buffers back to stream 0 */
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

    gscf = ngx_rtmp_get_module_srv_conf(s, ngx_rtmp_guard_module);

    command = (h->type == NGX_RTMP_MSG_AMF_CMD
               || h->type == NGX_RTMP_MSG_AMF3_CMD);
    shared = (h->type == NGX_RTMP_MSG_AMF_SHARED
              || h->type == NGX_RTMP_MSG_AMF3_SHARED);
    amf3 = (h->type == NGX_RTMP_MSG_AMF3_CMD
            || h->type == NGX_RTMP_MSG_AMF3_META
            || h->type == NGX_RTMP_MSG_AMF3_SHARED);

    /* "AMF3" messages are a zero byte and AMF0 */
    ngx_rtmp_guard_cursor(&cur, in, amf3 ? 1 : 0);

    if (ngx_rtmp_guard_amf_walk(cur, shared, gscf->amf_depth, &amf)
        != NGX_OK)
    {
        return ngx_rtmp_guard_refuse(s, "AMF \"%s\" nested deeper than %ui "
                                     "levels", amf.name, gscf->amf_depth);
    }

    /* nginx-rtmp looks names up in any AMF message, in any case */
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


static void *
ngx_rtmp_guard_create_core_conf(ngx_cycle_t *cycle)
{
    if (&ngx_rtmp_core_module == NULL || ngx_rtmp_finalize_session == NULL) {
        ngx_log_error(NGX_LOG_EMERG, cycle->log, 0,
                      "ngx_rtmp_guard_module.so needs nginx-rtmp: put "
                      "\"load_module .../ngx_rtmp_module.so;\" (Debian: "
                      "package libnginx-mod-rtmp) before the load_module "
                      "of the guard");
        return NULL;
    }

    /* nginx takes NULL for a failure; there is nothing to keep */
    return cycle;
}


static ngx_int_t
ngx_rtmp_guard_postconfiguration(ngx_conf_t *cf)
{
    size_t                      i;
    ngx_array_t                *events;
    ngx_rtmp_handler_pt        *handlers, *connect;
    ngx_rtmp_core_main_conf_t  *cmcf;

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

    cmcf = ngx_rtmp_conf_get_module_main_conf(cf, ngx_rtmp_core_module);

    connect = ngx_array_push(&cmcf->events[NGX_RTMP_CONNECT]);
    if (connect == NULL) {
        return NGX_ERROR;
    }

    *connect = ngx_rtmp_guard_connect;

    /* before the handlers of every module that was loaded earlier */
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


static void *
ngx_rtmp_guard_create_main_conf(ngx_conf_t *cf)
{
    ngx_rtmp_guard_main_conf_t  *gmcf;

    gmcf = ngx_pcalloc(cf->pool, sizeof(ngx_rtmp_guard_main_conf_t));
    if (gmcf == NULL) {
        return NULL;
    }

    gmcf->zone_size = NGX_CONF_UNSET_SIZE;

    return gmcf;
}


static char *
ngx_rtmp_guard_init_main_conf(ngx_conf_t *cf, void *conf)
{
    ngx_rtmp_guard_main_conf_t  *gmcf = conf;

    ngx_conf_init_size_value(gmcf->zone_size, 1024 * 1024);

    if (gmcf->zone_size < 8 * ngx_pagesize) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"rtmp_guard_zone\" is %uz bytes, expected at "
                           "least %uz", gmcf->zone_size, 8 * ngx_pagesize);
        return NGX_CONF_ERROR;
    }

    gmcf->zone = ngx_rtmp_guard_zone_add(cf, gmcf->zone_size,
                                         &ngx_rtmp_guard_module);
    if (gmcf->zone == NULL) {
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}


static void *
ngx_rtmp_guard_create_srv_conf(ngx_conf_t *cf)
{
    ngx_rtmp_guard_srv_conf_t  *gscf;

    gscf = ngx_pcalloc(cf->pool, sizeof(ngx_rtmp_guard_srv_conf_t));
    if (gscf == NULL) {
        return NULL;
    }

    gscf->enable = NGX_CONF_UNSET;
    gscf->deadline = NGX_CONF_UNSET_MSEC;
    gscf->pending = NGX_CONF_UNSET_SIZE;
    gscf->chunk_min = NGX_CONF_UNSET_SIZE;
    gscf->chunk_max = NGX_CONF_UNSET_SIZE;
    gscf->amf_depth = NGX_CONF_UNSET_UINT;
    gscf->conn_per_ip = NGX_CONF_UNSET_UINT;

    return gscf;
}


static char *
ngx_rtmp_guard_merge_srv_conf(ngx_conf_t *cf, void *parent, void *child)
{
    ngx_rtmp_guard_srv_conf_t  *prev = parent;
    ngx_rtmp_guard_srv_conf_t  *conf = child;

    ngx_conf_merge_value(conf->enable, prev->enable, 1);
    ngx_conf_merge_msec_value(conf->deadline, prev->deadline, 10000);
    ngx_conf_merge_size_value(conf->pending, prev->pending, 128 * 1024);
    ngx_conf_merge_size_value(conf->chunk_min, prev->chunk_min, 128);
    ngx_conf_merge_size_value(conf->chunk_max, prev->chunk_max, 1024 * 1024);
    ngx_conf_merge_uint_value(conf->amf_depth, prev->amf_depth, 16);
    ngx_conf_merge_uint_value(conf->conn_per_ip, prev->conn_per_ip, 64);

    if (conf->amf_depth == 0
        || conf->amf_depth > NGX_RTMP_GUARD_AMF_DEPTH_MAX)
    {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"rtmp_guard_amf_depth\" is %ui, expected 1 to "
                           "%d", conf->amf_depth,
                           NGX_RTMP_GUARD_AMF_DEPTH_MAX);
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}


static char *
ngx_rtmp_guard_set_chunk_size(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_rtmp_guard_srv_conf_t  *gscf = conf;

    ssize_t     min, max;
    ngx_str_t  *value;

    if (gscf->chunk_min != NGX_CONF_UNSET_SIZE) {
        return "is duplicate";
    }

    value = cf->args->elts;
    min = ngx_parse_size(&value[1]);
    max = ngx_parse_size(&value[2]);

    if (min < 1 || min > NGX_RTMP_DEFAULT_CHUNK_SIZE
        || max < NGX_RTMP_DEFAULT_CHUNK_SIZE
        || max > NGX_RTMP_MAX_CHUNK_SIZE)
    {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"rtmp_guard_chunk_size\" is \"%V %V\", expected "
                           "a minimum of 1 to %d and a maximum of %d to %d",
                           &value[1], &value[2], NGX_RTMP_DEFAULT_CHUNK_SIZE,
                           NGX_RTMP_DEFAULT_CHUNK_SIZE,
                           NGX_RTMP_MAX_CHUNK_SIZE);
        return NGX_CONF_ERROR;
    }

    gscf->chunk_min = min;
    gscf->chunk_max = max;

    return NGX_CONF_OK;
}


static ngx_int_t
ngx_rtmp_guard_init_process(ngx_cycle_t *cycle)
{
    ngx_rtmp_conf_ctx_t         *ctx;
    ngx_rtmp_guard_main_conf_t  *gmcf;

    ctx = (ngx_rtmp_conf_ctx_t *) ngx_get_conf(cycle->conf_ctx,
                                               ngx_rtmp_module);

    if (ctx == NULL) {                   /* no rtmp{} */
        return NGX_OK;
    }

    /* the worker we replace may have died with connections */
    gmcf = ctx->main_conf[ngx_rtmp_guard_module.ctx_index];
    ngx_rtmp_guard_zone_sweep(gmcf->zone);

    return NGX_OK;
}
