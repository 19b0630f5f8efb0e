#include "ngx_rtmp_guard_session.h"
#include "ngx_rtmp_guard_amf.h"
#include "../hub/address_table.h"


extern ngx_module_t  ngx_rtmp_module;    /* in no header of nginx-rtmp */

/*
 * Weak: without the wire layer the library still loads, so that nginx -t
 * can say what is missing.
 */
#pragma weak ngx_rtmp_module
#pragma weak ngx_rtmp_core_module
#pragma weak ngx_rtmp_finalize_session


static ngx_int_t ngx_rtmp_guard_connect(ngx_rtmp_session_t *s,
    ngx_rtmp_header_t *h, ngx_chain_t *in);
static void ngx_rtmp_guard_cleanup(void *data);
static void ngx_rtmp_guard_deadline(ngx_event_t *ev);

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


/* nginx calls it at load_module, before any rtmp{} block: it can tell that
 * nginx-rtmp is missing */

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


/* nginx-rtmp's auto_push connects our own workers through a unix socket.  But a
 * unix socket with proxy_protocol is a proxy's, and strangers use it. */
static ngx_uint_t
ngx_rtmp_guard_is_auto_push(ngx_connection_t *c)
{
    ngx_uint_t           i;
    ngx_rtmp_port_t     *port = c->listening->servers;
    ngx_rtmp_in_addr_t  *addr = port->addrs;

    if (c->sockaddr->sa_family != AF_UNIX) {
        return 0;
    }

    for (i = 0; i < port->naddrs; i++) {
        if (addr[i].conf.proxy_protocol) {
            return 0;
        }
    }

    return 1;
}


/* nginx-rtmp's "connect" event is the accepted TCP connection */

static ngx_int_t
ngx_rtmp_guard_connect(ngx_rtmp_session_t *s, ngx_rtmp_header_t *h,
    ngx_chain_t *in)
{
    ngx_connection_t           *c;
    ngx_pool_cleanup_t         *cln;
    ngx_rtmp_guard_ctx_t       *ctx;
    ngx_rtmp_core_srv_conf_t   *cscf;
    ngx_rtmp_guard_srv_conf_t  *gscf;

    c = s->connection;
    gscf = ngx_rtmp_get_module_srv_conf(s, ngx_rtmp_guard_module);

    /* relays connect outward */
    if (!gscf->enable || c->listening == NULL
        || ngx_rtmp_guard_is_auto_push(c))
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
    ctx->zone_entry = ADDRESS_TABLE_NONE;
    ctx->chunk_size = NGX_RTMP_DEFAULT_CHUNK_SIZE;

    cscf = ngx_rtmp_get_module_srv_conf(s, ngx_rtmp_core_module);

    ctx->csids = ngx_pcalloc(c->pool, cscf->max_streams * sizeof(uint32_t));
    if (ctx->csids == NULL) {
        return NGX_ERROR;
    }

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

    if (c->sockaddr->sa_family == AF_UNIX) {
        c->tcp_nodelay = NGX_TCP_NODELAY_DISABLED;
    } else {
        (void) ngx_tcp_nodelay(c);
    }

    return NGX_OK;
}


static void
ngx_rtmp_guard_cleanup(void *data)
{
    ngx_rtmp_guard_ctx_t  *ctx = data;

    if (ctx->deadline.timer_set) {
        ngx_del_timer(&ctx->deadline);
    }

    if (ctx->zone_entry != ADDRESS_TABLE_NONE) {
        address_table_leave(ctx->zone, ctx->zone_entry);
    }

    ngx_rtmp_guard_release(ctx);
}


static void
ngx_rtmp_guard_deadline(ngx_event_t *ev)
{
    const char                 *stage;
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

    stage = s->connected ? "connected without publish or play"
            : ctx->stage <= guard_handshake ? "in the handshake"
            : "without connect";

    if (ngx_rtmp_guard_refuse(s, "a session still %s after %M ms, "
                              "expected publish or play by then", stage,
                              gscf->deadline)
        != NGX_DONE)
    {
        ngx_rtmp_finalize_session(s);
    }
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

    /* there is no configuration, but nginx takes NULL for a failure */
    return cycle;
}


static ngx_int_t
ngx_rtmp_guard_postconfiguration(ngx_conf_t *cf)
{
    ngx_rtmp_handler_pt        *connect;
    ngx_rtmp_core_main_conf_t  *cmcf;

    cmcf = ngx_rtmp_conf_get_module_main_conf(cf, ngx_rtmp_core_module);

    connect = ngx_array_push(&cmcf->events[NGX_RTMP_CONNECT]);
    if (connect == NULL) {
        return NGX_ERROR;
    }

    *connect = ngx_rtmp_guard_connect;

    ngx_rtmp_guard_add_connect();

    return ngx_rtmp_guard_add_handlers(cmcf);
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
    ngx_str_t                    name = ngx_string("rtmp_guard");
    ngx_rtmp_guard_main_conf_t  *gmcf = conf;

    ngx_conf_init_size_value(gmcf->zone_size, 1024 * 1024);

    if (gmcf->zone_size < ADDRESS_TABLE_MIN) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"rtmp_guard_zone\" is %uz bytes, expected at "
                           "least %uz", gmcf->zone_size, ADDRESS_TABLE_MIN);
        return NGX_CONF_ERROR;
    }

    gmcf->zone = address_table_add(cf, &name, gmcf->zone_size,
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

    /* a worker that died still counts the connections it had */
    gmcf = ctx->main_conf[ngx_rtmp_guard_module.ctx_index];
    address_table_sweep(gmcf->zone);

    return NGX_OK;
}
