/*
 * RTMP as a door of ingest: gives publishers and their messages to ingest, and
 * tells publishers what ingest decides.  nginx-rtmp's own live, record and
 * notify must stay off, so that nothing else answers a publish.
 */

#include "publish.h"
#include "../ingest/ingest_pace.h"

#define CLOSE_MS   1000         /* time for the status to reach the client */


static ngx_int_t ngx_rtmp_ingest_postconfiguration(ngx_conf_t *cf);
static void *ngx_rtmp_ingest_create_app_conf(ngx_conf_t *cf);
static ngx_int_t ngx_rtmp_ingest_init_process(ngx_cycle_t *cycle);
static char *ngx_rtmp_ingest_merge_app_conf(ngx_conf_t *cf, void *parent,
    void *child);

static ngx_rtmp_publish_pt       next_publish;
static ngx_rtmp_close_stream_pt  next_close_stream;


static ngx_command_t  ngx_rtmp_ingest_commands[] = {

    { ngx_string("ingest"),
      NGX_RTMP_MAIN_CONF|NGX_RTMP_SRV_CONF|NGX_RTMP_APP_CONF|NGX_CONF_FLAG,
      ngx_conf_set_flag_slot,
      NGX_RTMP_APP_CONF_OFFSET,
      offsetof(ngx_rtmp_ingest_app_conf_t, ingest),
      NULL },

    { ngx_string("ingest_timeout"),
      NGX_RTMP_MAIN_CONF|NGX_RTMP_SRV_CONF|NGX_RTMP_APP_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_msec_slot,
      NGX_RTMP_APP_CONF_OFFSET,
      offsetof(ngx_rtmp_ingest_app_conf_t, publisher.timeout),
      NULL },

    { ngx_string("gate"),
      NGX_RTMP_MAIN_CONF|NGX_RTMP_SRV_CONF|NGX_RTMP_APP_CONF|NGX_CONF_TAKE1,
      gate_set,
      NGX_RTMP_APP_CONF_OFFSET,
      offsetof(ngx_rtmp_ingest_app_conf_t, publisher.gate),
      NULL },

    { ngx_string("gate_timeout"),
      NGX_RTMP_MAIN_CONF|NGX_RTMP_SRV_CONF|NGX_RTMP_APP_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_msec_slot,
      NGX_RTMP_APP_CONF_OFFSET,
      offsetof(ngx_rtmp_ingest_app_conf_t, publisher.gate.timeout),
      NULL },

    { ngx_string("ingest_pace"),
      NGX_RTMP_MAIN_CONF|NGX_CONF_TAKE12,
      ingest_pace_set,
      NGX_RTMP_MAIN_CONF_OFFSET,
      0,
      NULL },

      ngx_null_command
};


static ngx_rtmp_module_t  ngx_rtmp_ingest_module_ctx = {
    NULL,                                   /* preconfiguration */
    ngx_rtmp_ingest_postconfiguration,      /* postconfiguration */
    ingest_pace_create_conf,                /* create main configuration */
    ingest_pace_init_conf,                  /* init main configuration */
    NULL,                                   /* create server configuration */
    NULL,                                   /* merge server configuration */
    ngx_rtmp_ingest_create_app_conf,        /* create app configuration */
    ngx_rtmp_ingest_merge_app_conf          /* merge app configuration */
};


ngx_module_t  ngx_rtmp_ingest_module = {
    NGX_MODULE_V1,
    &ngx_rtmp_ingest_module_ctx,            /* module context */
    ngx_rtmp_ingest_commands,               /* module directives */
    NGX_RTMP_MODULE,                        /* module type */
    NULL,                                   /* init master */
    NULL,                                   /* init module */
    ngx_rtmp_ingest_init_process,           /* init process */
    NULL,                                   /* init thread */
    NULL,                                   /* exit thread */
    NULL,                                   /* exit process */
    NULL,                                   /* exit master */
    NGX_MODULE_V1_PADDING
};


/* A session's publisher. */
typedef struct {
    ngx_rtmp_session_t  *session;
    ngx_rtmp_publish_t   command;    /* `in` points to its name and arguments */
    ngx_event_t          closing;    /* timer */
    ngx_recv_pt          recv;       /* wrapped by publisher_recv() */
    ingest_t             in;
} publisher_t;


/* --- ingest calls the door --- */

/* After the gate, the wire layer's access, relay and exec rules apply. */
static const char *
publisher_admit(void *data)
{
    publisher_t   *p = data;
    const u_char  *refusal = ngx_rtmp_guard_refusal(p->session);

    if (refusal) {                           /* by the guard, meanwhile */
        return (const char *) refusal;
    }

    return next_publish(p->session, &p->command) == NGX_OK
           ? NULL : "refused by another rule of nginx.conf";
}


static ngx_int_t
publisher_started(void *data)
{
    publisher_t         *p = data;
    ngx_rtmp_session_t  *s = p->session;

    if (ngx_rtmp_send_stream_begin(s, NGX_RTMP_MSID) != NGX_OK
        || ngx_rtmp_send_status(s, "NetStream.Publish.Start", "status",
                                "Start publishing") != NGX_OK)
    {
        ngx_rtmp_finalize_session(s);
        return NGX_ERROR;
    }

    return NGX_OK;
}


static void
publisher_ended(void *data, enum ingest_fault fault, const char *why)
{
    publisher_t         *p = data;
    ngx_rtmp_session_t  *s = p->session;

    if (ngx_rtmp_send_status(s, fault == INGEST_NAME_DENIED
                                ? "NetStream.Publish.BadName"
                                : "NetStream.Publish.Failed",
                             "error", (char *) why) != NGX_OK)
    {
        ngx_rtmp_finalize_session(s);
        return;
    }

    ngx_add_timer(&p->closing, CLOSE_MS);
}


static void
publisher_close_now(ngx_event_t *ev)
{
    publisher_t  *p = ev->data;

    ngx_rtmp_finalize_session(p->session);
}


static const ingest_door_t  publisher_door = {
    publisher_admit,
    publisher_started,
    publisher_ended
};


/* --- the wire layer calls the door --- */

/* Prefetches the memory for the next append while the kernel reads. */
static ssize_t
publisher_recv(ngx_connection_t *c, u_char *buf, size_t size)
{
    publisher_t         *p;
    ngx_rtmp_session_t  *s = c->data;

    p = ngx_rtmp_get_module_ctx(s, ngx_rtmp_ingest_module);

    if (c->read->available < 0) {            /* the first call after an event */
        hub_append_soon(&p->in.client, &p->in.writer);
    }

    return p->recv(c, buf, size);
}


static publisher_t *
publisher_get(ngx_rtmp_session_t *s)
{
    publisher_t  *p = ngx_rtmp_get_module_ctx(s, ngx_rtmp_ingest_module);

    if (p) {
        return p;
    }

    p = ngx_pcalloc(s->connection->pool, sizeof(publisher_t));
    if (p == NULL) {
        return NULL;
    }

    p->session = s;
    p->closing.data = p;
    p->closing.log = s->connection->log;
    p->closing.handler = publisher_close_now;
    ingest_init(&p->in, &publisher_door, p, s->connection);
    ngx_rtmp_set_ctx(s, p, ngx_rtmp_ingest_module);

    p->recv = s->connection->recv;
    s->connection->recv = publisher_recv;

    return p;
}


static ngx_int_t
ngx_rtmp_ingest_message(ngx_rtmp_session_t *s, ngx_rtmp_header_t *h,
    ngx_chain_t *chain)
{
    uint8_t                      type;
    ngx_buf_t                    rest;
    ngx_chain_t                  first;
    publisher_t                 *p;
    ngx_rtmp_ingest_app_conf_t  *conf;

    conf = ngx_rtmp_get_module_app_conf(s, ngx_rtmp_ingest_module);

    if (conf == NULL || !conf->ingest) {
        return NGX_OK;
    }

    type = h->type == NGX_RTMP_MSG_VIDEO ? FLV_VIDEO
           : h->type == NGX_RTMP_MSG_AUDIO ? FLV_AUDIO : FLV_SCRIPT;

    if (h->type == NGX_RTMP_MSG_AMF3_META && chain->buf->pos < chain->buf->last)
    {
        rest = *chain->buf;                  /* AMF3 marker before AMF0 data */
        rest.pos++;
        first.buf = &rest;
        first.next = chain->next;
        chain = &first;
    }

    p = ngx_rtmp_get_module_ctx(s, ngx_rtmp_ingest_module);

    /* a session that the guard has refused is closing */
    if (p && ngx_rtmp_guard_refusal(s) == NULL) {
        ingest_message(&p->in, type, h->timestamp, chain);
    }

    return NGX_DONE;
}


static ngx_int_t
ngx_rtmp_ingest_publish(ngx_rtmp_session_t *s, ngx_rtmp_publish_t *v)
{
    publisher_t                 *p;
    ngx_rtmp_ingest_app_conf_t  *conf;

    conf = ngx_rtmp_get_module_app_conf(s, ngx_rtmp_ingest_module);

    if (conf == NULL || !conf->ingest) {
        return next_publish(s, v);
    }

    p = publisher_get(s);
    if (p == NULL) {
        return NGX_ERROR;
    }

    /* one question at a time: a client that repeats publish and closeStream
     * must not fill the gate's queue */
    if (ingest_is_busy(&p->in)) {
        return ngx_rtmp_send_status(s, "NetStream.Publish.BadName", "error",
                                    "this connection publishes already");
    }

    p->command = *v;
    p->in.conf = &conf->publisher;
    p->in.app = s->app;
    p->in.name.data = p->command.name;
    p->in.name.len = ngx_strlen(p->command.name);
    p->in.args.data = p->command.args;
    p->in.args.len = ngx_strlen(p->command.args);
    p->in.agent = s->flashver;

    return ingest_publish(&p->in);
}


static ngx_int_t
ngx_rtmp_ingest_close_stream(ngx_rtmp_session_t *s, ngx_rtmp_close_stream_t *v)
{
    int            live;
    char           why[128];
    publisher_t   *p = ngx_rtmp_get_module_ctx(s, ngx_rtmp_ingest_module);
    const u_char  *refusal;

    if (p == NULL) {
        return next_close_stream(s, v);
    }

    refusal = ngx_rtmp_guard_refusal(s);

    if (refusal) {
        *ngx_snprintf((u_char *) why, sizeof(why) - 1, "refused %s", refusal)
            = '\0';
    }

    live = ingest_close(&p->in, refusal ? why : NULL);

    if (s->connection->destroyed) {
        if (p->closing.timer_set) {
            ngx_del_timer(&p->closing);
        }

    } else if (live) {
        (void) ngx_rtmp_send_status(s, "NetStream.Unpublish.Success", "status",
                                    "Stop publishing");
    }

    return next_close_stream(s, v);
}


int
ngx_rtmp_ingest_publishes(ngx_rtmp_session_t *s)
{
    publisher_t  *p = ngx_rtmp_get_module_ctx(s, ngx_rtmp_ingest_module);

    return p && p->in.state != INGEST_IDLE;
}


/* --- configuration --- */

static ngx_int_t
ngx_rtmp_ingest_init_process(ngx_cycle_t *cycle)
{
    ngx_rtmp_conf_ctx_t  *ctx;

    ctx = (ngx_rtmp_conf_ctx_t *) ngx_get_conf(cycle->conf_ctx,
                                               ngx_rtmp_module);

    if (ctx) {                               /* else there is no rtmp{} */
        ingest_pace_start(ctx->main_conf[ngx_rtmp_ingest_module.ctx_index]);
    }

    return NGX_OK;
}


static void *
ngx_rtmp_ingest_create_app_conf(ngx_conf_t *cf)
{
    ngx_rtmp_ingest_app_conf_t  *conf;

    conf = ngx_pcalloc(cf->pool, sizeof(ngx_rtmp_ingest_app_conf_t));
    if (conf == NULL) {
        return NULL;
    }

    conf->ingest = NGX_CONF_UNSET;
    conf->publisher.timeout = NGX_CONF_UNSET_MSEC;
    gate_conf_init(&conf->publisher.gate);

    return conf;
}


static char *
ngx_rtmp_ingest_merge_app_conf(ngx_conf_t *cf, void *parent, void *child)
{
    ngx_rtmp_ingest_app_conf_t  *prev = parent;
    ngx_rtmp_ingest_app_conf_t  *conf = child;

    ngx_conf_merge_value(conf->ingest, prev->ingest, 0);
    ngx_conf_merge_msec_value(conf->publisher.timeout, prev->publisher.timeout,
                              15000);
    gate_conf_merge(&conf->publisher.gate, &prev->publisher.gate);

    return conf->ingest ? gate_require(cf, &conf->publisher.gate, "ingest")
                        : NGX_CONF_OK;
}


/* Adds HANDLER before the wire layer's. */
static ngx_int_t
ingest_handle(ngx_rtmp_core_main_conf_t *cmcf, ngx_uint_t type, int first)
{
    ngx_rtmp_handler_pt  *h;

    h = ngx_array_push(&cmcf->events[type]);
    if (h == NULL) {
        return NGX_ERROR;
    }

    if (first) {
        h = cmcf->events[type].elts;
        ngx_memmove(h + 1, h, (cmcf->events[type].nelts - 1) * sizeof(*h));
    }

    *h = ngx_rtmp_ingest_message;

    return NGX_OK;
}


static ngx_int_t
ngx_rtmp_ingest_postconfiguration(ngx_conf_t *cf)
{
    ngx_rtmp_core_main_conf_t  *cmcf;

    cmcf = ngx_rtmp_conf_get_module_main_conf(cf, ngx_rtmp_core_module);

    /* audio and video go before all other handlers; metadata behind the guard's,
     * which checks it, and before those that the core adds after all modules */
    if (ingest_handle(cmcf, NGX_RTMP_MSG_AUDIO, 1) != NGX_OK
        || ingest_handle(cmcf, NGX_RTMP_MSG_VIDEO, 1) != NGX_OK
        || ingest_handle(cmcf, NGX_RTMP_MSG_AMF_META, 0) != NGX_OK
        || ingest_handle(cmcf, NGX_RTMP_MSG_AMF3_META, 0) != NGX_OK)
    {
        return NGX_ERROR;
    }

    next_publish = ngx_rtmp_publish;
    ngx_rtmp_publish = ngx_rtmp_ingest_publish;

    next_close_stream = ngx_rtmp_close_stream;
    ngx_rtmp_close_stream = ngx_rtmp_ingest_close_stream;

    return NGX_OK;
}
