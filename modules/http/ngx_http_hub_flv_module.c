/*
 * HTTP-FLV and WebSocket-FLV out of the hub:
 *     GET /m/TOKEN/APP/NAME.flv
 */

#include "viewer.h"
#include "access.h"
#include "answer.h"
#include "stream_path.h"

#define FLV_FAILED_MS  1000            /* time for the close frame to arrive */
#define FLV_POOLED     128             /* of a header: filters' small things */


typedef struct {
    ngx_flag_t    flv;
    hub_flush_t   flush;
    ngx_msec_t    lag;
    ngx_msec_t    keepalive;       /* 0: none */
} ngx_http_hub_flv_loc_conf_t;


static ngx_int_t ngx_http_hub_flv_handler(ngx_http_request_t *r);
static void *ngx_http_hub_flv_create_loc_conf(ngx_conf_t *cf);
static char *ngx_http_hub_flv_merge_loc_conf(ngx_conf_t *cf, void *parent,
    void *child);
static char *ngx_http_hub_flv(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);


static ngx_command_t  ngx_http_hub_flv_commands[] = {

    { ngx_string("hub_flv"),
      NGX_HTTP_LOC_CONF|NGX_CONF_FLAG,
      ngx_http_hub_flv,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_hub_flv_loc_conf_t, flv),
      NULL },

    { ngx_string("hub_flush"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE12,
      hub_flush_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_hub_flv_loc_conf_t, flush),
      NULL },

    { ngx_string("hub_lag"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_msec_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_hub_flv_loc_conf_t, lag),
      NULL },

    { ngx_string("hub_keepalive"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_msec_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_hub_flv_loc_conf_t, keepalive),
      NULL },

      ngx_null_command
};


static ngx_http_module_t  ngx_http_hub_flv_module_ctx = {
    NULL,                                  /* preconfiguration */
    NULL,                                  /* postconfiguration */
    NULL,                                  /* create main configuration */
    NULL,                                  /* init main configuration */
    NULL,                                  /* create server configuration */
    NULL,                                  /* merge server configuration */
    ngx_http_hub_flv_create_loc_conf,      /* create location configuration */
    ngx_http_hub_flv_merge_loc_conf        /* merge location configuration */
};


ngx_module_t  ngx_http_hub_flv_module = {
    NGX_MODULE_V1,
    &ngx_http_hub_flv_module_ctx,          /* module context */
    ngx_http_hub_flv_commands,             /* module directives */
    NGX_HTTP_MODULE,                       /* module type */
    NULL,                                  /* init master */
    NULL,                                  /* init module */
    NULL,                                  /* init process */
    NULL,                                  /* init thread */
    NULL,                                  /* exit thread */
    NULL,                                  /* exit process */
    NULL,                                  /* exit master */
    NGX_MODULE_V1_PADDING
};


/* --- the end of a viewer --- */

static void
flv_cleanup(void *data)
{
    viewer_t  *v = data;

    hub_tick_remove(&v->tick);
    hub_session_close(hub, &v->client);
    viewer_free(v);
}


/* Sends to the viewer, and ends the request at the stream's end or an error. */
static void
flv_flush(viewer_t *v)
{
    ngx_int_t            rc;
    ngx_http_request_t  *r = v->request;

    rc = viewer_send(v);

    if (rc == NGX_DONE && v->ws && !v->closing) {
        viewer_queue_close(v, WS_NORMAL);
        rc = viewer_send(v);
    }

    if (rc == NGX_DONE && v->failed) {
        hub_session_close(hub, &v->client);  /* flv_tick() ends the request */

    } else if (rc == NGX_DONE) {
        if (v->out == VIEWER_COPIED && !v->ws) {
            (void) ngx_http_send_special(r, NGX_HTTP_LAST);
        }
        ngx_http_finalize_request(r, NGX_OK);

    } else if (rc == NGX_ERROR) {
        if (v->torn && v->out != VIEWER_COPIED) {
            hub_socket_take_back(r->connection);
        }
        r->connection->error = 1;
        ngx_http_finalize_request(r, NGX_ERROR);
    }
}


/* --- events --- */

/* Was nothing sent for the keepalive time, as happens in grace? */
static int
flv_is_silent(const viewer_t *v)
{
    ngx_http_hub_flv_loc_conf_t  *conf;

    conf = ngx_http_get_module_loc_conf(v->request, ngx_http_hub_flv_module);

    return conf->keepalive && v->started && !v->closing && !v->control_size
           && ngx_current_msec - v->sent_ms >= conf->keepalive;
}


/* The hub, or its link, ends the viewer.  Does not wait for a viewer that does not read. */
static void
flv_leave(void *data, const char *why)
{
    viewer_t          *v = data;
    ngx_int_t          rc = NGX_ERROR;
    ngx_connection_t  *c = v->request->connection;

    ngx_log_error(NGX_LOG_NOTICE, c->log, 0, "viewer ended: %s", why);

    if (v->ws && !v->closing && !v->blocked) {
        viewer_queue_close(v, WS_POLICY);
        rc = viewer_send(v);

        if (v->torn && v->out != VIEWER_COPIED) {
            hub_socket_take_back(c);
        }
    }

    c->error |= rc != NGX_DONE;
    ngx_http_finalize_request(v->request, rc == NGX_DONE ? NGX_OK : NGX_ERROR);
    ngx_http_run_posted_requests(c);
}


static void
flv_tick(hub_tick_t *tick)
{
    viewer_t          *v = ngx_queue_data(&tick->queue, viewer_t, tick.queue);
    ngx_connection_t  *c = v->request->connection;

    if (v->failed) {
        if ((ngx_msec_int_t) (ngx_current_msec - v->ends_ms) >= 0) {
            c->error = 1;
            ngx_http_finalize_request(v->request, NGX_ERROR);
            ngx_http_run_posted_requests(c);
        }
        return;
    }

    if (v->until && ngx_time() >= v->until && !v->closing) {
        flv_leave(v, "its link has expired");
        return;
    }

    if (viewer_check_lag(v) != NGX_OK) {
        c->error = 1;
        ngx_http_finalize_request(v->request, NGX_ERROR);

    } else if (!v->blocked) {
        if (flv_is_silent(v)) {
            viewer_keep_alive(v);
        }
        flv_flush(v);

    } else {
        return;
    }

    ngx_http_run_posted_requests(c);
}


static void
flv_write_handler(ngx_http_request_t *r)
{
    viewer_t  *v = ngx_http_get_module_ctx(r, ngx_http_hub_flv_module);

    if (r->connection->buffered || r->buffered || r->out) {
        if (ngx_http_output_filter(r, NULL) == NGX_ERROR) {
            ngx_http_finalize_request(r, NGX_ERROR);
            return;
        }
    }

    flv_flush(v);
}


/* The viewer violated the protocol: stops reading and closes later.  A close with
 * unread bytes in the socket would send a reset, which may destroy the close
 * frame. */
static void
flv_fail(viewer_t *v)
{
    v->failed = 1;
    v->ends_ms = ngx_current_msec + FLV_FAILED_MS;
    v->request->read_event_handler = ngx_http_test_reading;
    flv_flush(v);
}


static void
flv_ws_read_handler(ngx_http_request_t *r)
{
    ngx_int_t  rc;
    viewer_t  *v = ngx_http_get_module_ctx(r, ngx_http_hub_flv_module);

    rc = viewer_read(v);

    if (rc == NGX_ERROR) {
        r->connection->error = 1;
        ngx_http_finalize_request(r, NGX_HTTP_CLIENT_CLOSED_REQUEST);

    } else if (rc == NGX_ABORT) {
        flv_fail(v);

    } else if (rc == NGX_DONE || (v->control_size && !v->blocked)) {
        flv_flush(v);
    }
}


/* --- the request --- */

/* Splits "TOKEN/APP/NAME.flv" or "APP/NAME.flv" after the location's name.
 * Returns NGX_OK, or NGX_DECLINED when it is neither. */
static ngx_int_t
flv_split(ngx_http_request_t *r, ngx_str_t *token, ngx_str_t *stream)
{
    ngx_str_t                  path = r->uri;
    stream_path_t              split;
    ngx_http_core_loc_conf_t  *clcf;

    clcf = ngx_http_get_module_loc_conf(r, ngx_http_core_module);

    if (path.len >= clcf->name.len) {
        path.data += clcf->name.len;
        path.len -= clcf->name.len;
    }

    if (path.len <= 4
        || ngx_memcmp(path.data + path.len - 4, ".flv", 4) != 0
        || !stream_path_read(&split, path.data, path.len - 4, HUB_NAME_MAX))
    {
        return NGX_DECLINED;
    }

    token->data = (u_char *) split.token;
    token->len = split.token_len;
    stream->data = (u_char *) split.stream;
    stream->len = split.stream_len;

    return NGX_OK;
}


/* Log lines name the stream: the request line holds the token. */
static u_char *
flv_log(ngx_http_request_t *r, ngx_http_request_t *sr, u_char *buf, size_t len)
{
    ngx_str_t  token, stream;

    if (flv_split(r, &token, &stream) != NGX_OK) {
        return buf;
    }

    return ngx_snprintf(buf, len, ", stream: \"%V\"", &stream);
}


/* Sends the response's header, and gives back the block it was written in: the
 * request, with its pool, lasts as long as its viewer.  HTTP/2 sends from that
 * block later, and keeps it. */
static ngx_int_t
flv_put_header(ngx_http_request_t *r, enum viewer_out out)
{
    size_t            max = r->pool->max;
    ngx_int_t         rc;
    ngx_buf_t        *header;
    ngx_chain_t       chain;
    static ngx_buf_t  flush;                 /* empty: nobody changes it */

    if (out == VIEWER_COPIED) {
        rc = ngx_http_send_header(r);

        return rc == NGX_ERROR || rc > NGX_OK
               ? rc : ngx_http_send_special(r, NGX_HTTP_FLUSH);
    }

    r->pool->max = FLV_POOLED;               /* what is larger can be freed */
    rc = ngx_http_send_header(r);
    r->pool->max = max;

    if (rc == NGX_ERROR || rc > NGX_OK) {
        return rc;
    }

    header = r->out ? r->out->buf : NULL;

    flush.flush = 1;
    chain.buf = &flush;
    chain.next = NULL;

    /* no filter has anything to do with the body of a viewer */
    rc = ngx_http_write_filter(r, &chain);

    if (header && r->out == NULL) {
        (void) ngx_pfree(r->pool, header->start);
    }

    return rc;
}


static ngx_int_t
flv_send_header(ngx_http_request_t *r, viewer_t *v)
{
    ngx_int_t  rc;

    if (answer_header(r, "Cache-Control", "no-store") == NULL) {
        return NGX_ERROR;
    }

    r->keepalive = 0;

    if (v->ws) {
        rc = ws_accept(r);
        if (rc != NGX_OK) {
            return rc;
        }

    } else {
        r->headers_out.status = NGX_HTTP_OK;
        ngx_str_set(&r->headers_out.content_type, "video/x-flv");
        r->headers_out.content_type_len = r->headers_out.content_type.len;

        /* otherwise a proxy collects bytes until its buffer is full */
        if (answer_header(r, "X-Accel-Buffering", "no") == NULL) {
            return NGX_ERROR;
        }

        if (v->out != VIEWER_COPIED) {
            /* without chunked framing the hub's bytes need no copy */
            r->http_version = NGX_HTTP_VERSION_10;
        }
    }

    rc = flv_put_header(r, v->out);
    if (rc == NGX_ERROR || rc > NGX_OK) {
        return rc;
    }

    return NGX_OK;
}


static enum viewer_out
flv_choose_out(ngx_http_request_t *r)
{
#if (NGX_HTTP_V2)
    if (r->stream) {
        return VIEWER_COPIED;
    }
#endif

#if (NGX_HTTP_SSL)
    if (r->connection->ssl) {
        return VIEWER_TLS;
    }
#endif

    return VIEWER_PLAIN;
}


static viewer_t *
flv_create_viewer(ngx_http_request_t *r)
{
    viewer_t                     *v;
    ngx_http_hub_flv_loc_conf_t  *conf;

    conf = ngx_http_get_module_loc_conf(r, ngx_http_hub_flv_module);

    v = ngx_pcalloc(r->pool, sizeof(viewer_t));
    if (v == NULL) {
        return NULL;
    }

    v->request = r;
    v->lag = conf->lag;
    v->out = flv_choose_out(r);

    if (ws_requested(r)) {
        v->ws = ngx_pcalloc(r->pool, sizeof(ws_reader_t));
        if (v->ws == NULL) {
            return NULL;
        }
    }

    return v;
}


static enum hub_refusal
flv_admit(ngx_http_request_t *r, viewer_t *v, const access_holder_t *holder)
{
    hub_identity_t  identity;

    ngx_memzero(&identity, sizeof(hub_identity_t));
    identity.protocol = v->ws ? HUB_WS : HUB_FLV;
    identity.uid = holder->uid;
    identity.issued = holder->issued;
    identity.address = r->connection->addr_text;

    return hub_session_open(hub, &v->client, &identity, v->reader.ref.stream,
                            flv_leave, v);
}


static ngx_int_t
flv_start(ngx_http_request_t *r, ngx_str_t *stream,
    const access_holder_t *holder)
{
    viewer_t                     *v;
    ngx_int_t                     rc;
    enum hub_refusal              reason;
    ngx_http_cleanup_t           *cln;
    ngx_http_hub_flv_loc_conf_t  *conf;

    conf = ngx_http_get_module_loc_conf(r, ngx_http_hub_flv_module);

    v = flv_create_viewer(r);
    cln = v ? ngx_http_cleanup_add(r, 0) : NULL;

    if (cln == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    if (hub_reader_open(hub, stream->data, stream->len, &v->reader) != NGX_OK) {
        return access_refuse(r, "view", NGX_HTTP_NOT_FOUND, stream, "not live");
    }

    v->until = holder->until;

    reason = flv_admit(r, v, holder);
    if (reason != HUB_ADMITTED) {
        return answer_refusal(r, "view", stream, reason);
    }

    hub_tick_add(&conf->flush, &v->tick, flv_tick);
    cln->handler = flv_cleanup;
    cln->data = v;

#if (NGX_HTTP_SSL)
    if (v->out == VIEWER_TLS) {
        viewer_begin_tls(v);
    }
#endif

    rc = flv_send_header(r, v);
    if (rc != NGX_OK) {
        v->blocked = 1;                      /* rc ends the request */
        return rc;
    }

    ngx_http_set_ctx(r, v, ngx_http_hub_flv_module);
    r->write_event_handler = flv_write_handler;
    r->read_event_handler = v->ws ? flv_ws_read_handler
                                  : ngx_http_test_reading;
    r->main->count++;

    if (v->out != VIEWER_COPIED) {
        (void) ngx_tcp_nodelay(r->connection);
    }

    viewer_bound(v);
    flv_flush(v);

    return NGX_DONE;
}


static ngx_int_t
ngx_http_hub_flv_handler(ngx_http_request_t *r)
{
    ngx_int_t         rc;
    ngx_str_t         token, stream;
    access_holder_t   holder;

    if (!(r->method & NGX_HTTP_GET)) {
        return NGX_HTTP_NOT_ALLOWED;
    }

    rc = ngx_http_discard_request_body(r);
    if (rc != NGX_OK) {
        return rc;
    }

    r->log_handler = flv_log;

    if (flv_split(r, &token, &stream) != NGX_OK) {
        return NGX_HTTP_NOT_FOUND;
    }

    rc = access_admit(r, "view", &token, &stream, &holder);
    if (rc != NGX_OK) {
        return rc;
    }

    return flv_start(r, &stream, &holder);
}


/* --- configuration --- */

const hub_flush_t *
viewer_flush(const ngx_http_request_t *r)
{
    ngx_http_hub_flv_loc_conf_t  *conf;

    conf = ngx_http_get_module_loc_conf(r, ngx_http_hub_flv_module);

    return &conf->flush;
}


static char *
ngx_http_hub_flv(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    char                      *rv;
    ngx_http_core_loc_conf_t  *clcf;

    rv = ngx_conf_set_flag_slot(cf, cmd, conf);

    if (rv == NGX_CONF_OK && ((ngx_http_hub_flv_loc_conf_t *) conf)->flv) {
        clcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);
        clcf->handler = ngx_http_hub_flv_handler;
    }

    return rv;
}


static void *
ngx_http_hub_flv_create_loc_conf(ngx_conf_t *cf)
{
    ngx_http_hub_flv_loc_conf_t  *conf;

    conf = ngx_pcalloc(cf->pool, sizeof(ngx_http_hub_flv_loc_conf_t));
    if (conf == NULL) {
        return NULL;
    }

    conf->flv = NGX_CONF_UNSET;
    hub_flush_unset(&conf->flush);
    conf->lag = NGX_CONF_UNSET_MSEC;
    conf->keepalive = NGX_CONF_UNSET_MSEC;

    return conf;
}


static char *
ngx_http_hub_flv_merge_loc_conf(ngx_conf_t *cf, void *parent, void *child)
{
    ngx_http_hub_flv_loc_conf_t  *prev = parent;
    ngx_http_hub_flv_loc_conf_t  *conf = child;
    ngx_http_conf_ctx_t          *ctx;

    if (conf->flv == NGX_CONF_UNSET) {
        conf->flv = 0;                       /* not inherited: see handler */
    }

    hub_flush_merge(&conf->flush, &prev->flush);
    ngx_conf_merge_msec_value(conf->lag, prev->lag, 5000);
    ngx_conf_merge_msec_value(conf->keepalive, prev->keepalive, 10000);

    ctx = cf->ctx;

    if (conf->flv && access_keys(ctx->loc_conf) == NULL) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"hub_flv on\" has no \"access_token_keys\": "
                           "without keys nobody may view");
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}
