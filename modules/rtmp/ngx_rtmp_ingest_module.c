/*
 * Ingest: takes publishers off nginx-rtmp's wire, asks the gate, and appends
 * what they send to the hub.  The wire layer's own live, record and notify
 * stay off, so it is up to us to answer publish.
 */

#include <ngx_sha1.h>

#include "wire.h"
#include "../gate/gate.h"
#include "../ingest/ingest.h"
#include "../rules/text.h"

#define INGEST_CLOSE_MS   1000         /* lets the status reach the client */


static ngx_int_t ngx_rtmp_ingest_postconfiguration(ngx_conf_t *cf);
static void *ngx_rtmp_ingest_create_app_conf(ngx_conf_t *cf);
static char *ngx_rtmp_ingest_merge_app_conf(ngx_conf_t *cf, void *parent,
    void *child);
static char *ngx_rtmp_ingest_gate(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);

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
      offsetof(ngx_rtmp_ingest_app_conf_t, ingest_timeout),
      NULL },

    { ngx_string("gate"),
      NGX_RTMP_MAIN_CONF|NGX_RTMP_SRV_CONF|NGX_RTMP_APP_CONF|NGX_CONF_TAKE1,
      ngx_rtmp_ingest_gate,
      NGX_RTMP_APP_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("gate_timeout"),
      NGX_RTMP_MAIN_CONF|NGX_RTMP_SRV_CONF|NGX_RTMP_APP_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_msec_slot,
      NGX_RTMP_APP_CONF_OFFSET,
      offsetof(ngx_rtmp_ingest_app_conf_t, gate_timeout),
      NULL },

      ngx_null_command
};


static ngx_rtmp_module_t  ngx_rtmp_ingest_module_ctx = {
    NULL,                                   /* preconfiguration */
    ngx_rtmp_ingest_postconfiguration,      /* postconfiguration */
    NULL,                                   /* create main configuration */
    NULL,                                   /* init main configuration */
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
    NULL,                                   /* init process */
    NULL,                                   /* init thread */
    NULL,                                   /* exit thread */
    NULL,                                   /* exit process */
    NULL,                                   /* exit master */
    NGX_MODULE_V1_PADDING
};


/* --- ending a publisher --- */

static void
ingest_close_now(ngx_event_t *ev)
{
    ingest_t  *in = ev->data;

    ngx_rtmp_finalize_session(in->session);
}


/* Whoever the gate has let in it is told about, live or not. */
static void
ingest_report(ingest_t *in)
{
    gate_question_t              q;
    ngx_rtmp_ingest_app_conf_t  *conf;

    conf = ngx_rtmp_get_module_app_conf(in->session, ngx_rtmp_ingest_module);

    ngx_memzero(&q, sizeof(gate_question_t));
    ngx_str_set(&q.kind, "done");
    ngx_str_set(&q.of, "publish");
    q.app = in->session->app;
    q.name = in->name;
    q.address = in->session->connection->addr_text;
    q.session = in->id;
    q.reason.data = (u_char *) (in->why[0] ? in->why : "closed by the client");
    q.reason.len = ngx_strlen(q.reason.data);
    q.bytes = in->bytes;
    q.duration = in->started_ms ? ngx_current_msec - in->started_ms : 0;

    in->admitted = 0;
    (void) gate_ask(conf->gate, conf->gate_timeout, &q, NULL, NULL);
}


static void
ingest_drop_held(ingest_t *in)
{
    if (in->held_pool) {
        ngx_destroy_pool(in->held_pool);
        in->held_pool = NULL;
        in->held = NULL;
    }
}


/* Lets go of hub, gate and held frames; may be called in any state. */
static void
ingest_release(ingest_t *in)
{
    if (in->request) {
        gate_forget(in->request);
        in->request = NULL;
    }

    if (in->state == INGEST_LIVE) {
        hub_close(hub, &in->client, &in->writer);
    }

    if (in->admitted) {
        ingest_report(in);
    }

    ingest_drop_held(in);

    if (in->timer.timer_set) {
        ngx_del_timer(&in->timer);
    }

    in->state = INGEST_IDLE;
}


/* One line: how a publisher ended, and what of it was passed over. */
static void
ingest_log_end(ingest_t *in, ngx_uint_t level, const char *why)
{
    u_char               skipped[64];
    ngx_rtmp_session_t  *s = in->session;

    skipped[0] = '\0';

    if (in->skipped) {
        ngx_sprintf(skipped, ", after %uL message%s passed over%Z",
                    in->skipped, in->skipped == 1 ? " was" : "s were");
    }

    ngx_log_error(level, s->connection->log, 0, "publish %V/%V %s: %s%s",
                  &s->app, &in->name,
                  in->state == INGEST_LIVE ? "ended" : "refused", why, skipped);
}


void
ingest_end(ingest_t *in, ngx_uint_t level, const char *code, const char *why)
{
    ngx_rtmp_session_t  *s = in->session;

    ngx_cpystrn((u_char *) in->why, (u_char *) why, sizeof(in->why));
    ingest_log_end(in, level, in->why);

    ingest_release(in);
    in->state = INGEST_REFUSED;

    if (ngx_rtmp_send_status(s, (char *) code, "error", in->why) != NGX_OK) {
        ngx_rtmp_finalize_session(s);
        return;
    }

    in->timer.handler = ingest_close_now;
    ngx_add_timer(&in->timer, INGEST_CLOSE_MS);
}


static void
ingest_refuse(ingest_t *in, const char *why)
{
    ingest_end(in, NGX_LOG_WARN, "NetStream.Publish.BadName", why);
}


/* --- messages --- */

static ngx_int_t
ingest_message(ngx_rtmp_session_t *s, ngx_rtmp_header_t *h, ngx_chain_t *chain)
{
    uint8_t                      type;
    ngx_buf_t                    rest;
    ngx_chain_t                  first;
    ingest_t                    *in;
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

    in = ngx_rtmp_get_module_ctx(s, ngx_rtmp_ingest_module);

    if (ngx_rtmp_guard_refusal(s)) {
        return NGX_DONE;                     /* it is closing */
    }

    if (in && in->state == INGEST_LIVE) {
        ingest_frame(in, type, h->timestamp, chain);

        if (in->writer.kept_ms && !in->clock_told) {
            in->clock_told = 1;
            ngx_log_error(NGX_LOG_WARN, s->connection->log, 0,
                          "publish %V/%V: the publisher's clock does not keep "
                          "step with time, its frames are put to when they come",
                          &s->app, &in->name);
        }

    } else if (in && in->state == INGEST_ASKING) {
        ingest_hold(in, type, h->timestamp, chain);
    }

    return NGX_DONE;
}


/* --- publish --- */

static void
ingest_watch(ngx_event_t *ev)
{
    u_char                       why[sizeof(((ingest_t *) 0)->why)], *p;
    ngx_msec_t                   idle;
    const char                  *reason;
    ingest_t                    *in = ev->data;
    ngx_rtmp_ingest_app_conf_t  *conf;

    conf = ngx_rtmp_get_module_app_conf(in->session, ngx_rtmp_ingest_module);
    idle = ngx_current_msec - in->media_ms;

    if (idle < conf->ingest_timeout) {
        ngx_add_timer(ev, conf->ingest_timeout - idle);
        return;
    }

    reason = !in->uncarried ? NULL
             : in->track[0].why ? in->track[0].why
             : in->track[1].why ? in->track[1].why
             : in->skipped ? in->skip_why : NULL;

    p = ngx_snprintf(why, sizeof(why) - 1,
                     reason ? "no media for %M ms that can be carried: %s"
                            : "no media for %M ms", idle, reason);
    *p = '\0';
    ingest_end(in, NGX_LOG_WARN, "NetStream.Publish.Failed", (char *) why);
}


/* The value of key= in ARGS, or all of them, decoded to OUT as the service
 * decodes it.  Returns its end. */
static u_char *
ingest_key(u_char *args, u_char *out)
{
    u_char  *key = args;
    size_t   len;

    while (*key && ngx_strncmp(key, "key=", 4) != 0) {
        key += strcspn((char *) key, "&");
        key += *key == '&';
    }

    key = *key ? key + 4 : args;
    len = key == args ? ngx_strlen(args) : strcspn((char *) key, "&");
    ngx_unescape_uri(&out, &key, len, 0);

    return out;
}


/* Tells one publisher's right from another's, and so who may take a live
 * stream over: SHA-1 of the gate's number of the key, or of the key. */
static void
ingest_owner(ingest_t *in, u_char owner[20])
{
    u_char      *end, text[NGX_RTMP_MAX_ARGS];
    ngx_sha1_t   sha1;

    end = in->who.key ? ngx_sprintf(text, "number %uL", in->who.key)
                      : ingest_key(in->publish.args, text);

    ngx_sha1_init(&sha1);
    ngx_sha1_update(&sha1, text, end - text);
    ngx_sha1_final(owner, &sha1);
}


/* The hub asks the publisher to leave. */
static void
ingest_leave(void *data, const char *why)
{
    ingest_end(data, NGX_LOG_NOTICE, "NetStream.Publish.BadName", why);
}


static void
ingest_start(ingest_t *in)
{
    enum hub_refusal             reason;
    u_char                       full[HUB_NAME_MAX + 1], owner[20];
    size_t                       len;
    ngx_rtmp_session_t          *s = in->session;
    ngx_rtmp_ingest_app_conf_t  *conf;

    conf = ngx_rtmp_get_module_app_conf(s, ngx_rtmp_ingest_module);

    len = ngx_snprintf(full, HUB_NAME_MAX, "%V/%V", &s->app, &in->name) - full;
    ingest_owner(in, owner);

    reason = hub_open(hub, full, len, owner, &in->who, &in->client,
                      ingest_leave, in, &in->writer);

    if (reason != HUB_ADMITTED) {
        ingest_refuse(in, hub_refusal_text(reason));
        return;
    }

    in->state = INGEST_LIVE;
    in->started_ms = in->media_ms = ngx_current_msec;
    in->timer.handler = ingest_watch;
    ngx_add_timer(&in->timer, conf->ingest_timeout);

    ngx_log_error(NGX_LOG_NOTICE, s->connection->log, 0,
                  "publish %V/%V %s", &s->app, &in->name,
                  in->writer.returned ? "returned" : "started");

    if (ngx_rtmp_send_stream_begin(s, NGX_RTMP_MSID) != NGX_OK
        || ngx_rtmp_send_status(s, "NetStream.Publish.Start", "status",
                                "Start publishing") != NGX_OK)
    {
        ngx_rtmp_finalize_session(s);
        return;
    }

    ingest_flush_held(in);
}


static void
ingest_answered(void *data, const gate_answer_t *answer)
{
    ingest_t  *in = data;

    in->request = NULL;
    in->admitted = answer->allow;

    if (in->session->connection->destroyed || in->state != INGEST_ASKING) {
        ingest_release(in);                  /* closed meanwhile */
        return;
    }

    if (!answer->allow) {
        hub_refuse(hub, HUB_DENIED);
        ingest_refuse(in, answer->reason);
        return;
    }

    in->who.uid = answer->uid;
    in->who.key = answer->key;
    in->who.stream = answer->stream;
    in->who.record = answer->record;
    in->who.max_kbps = (uint32_t) answer->max_kbps;
    in->who.max_viewers = (uint32_t) answer->max_viewers;
    in->who.max_publishers = (uint32_t) answer->max_publishers;

    /* access, relay and exec rules of the wire layer come after ours */
    if (next_publish(in->session, &in->publish) != NGX_OK) {
        ingest_refuse(in, "refused by another rule of nginx.conf");
        return;
    }

    ingest_start(in);
}


static ingest_t *
ingest_get(ngx_rtmp_session_t *s)
{
    ingest_t  *in = ngx_rtmp_get_module_ctx(s, ngx_rtmp_ingest_module);

    if (in) {
        return in;
    }

    in = ngx_pcalloc(s->connection->pool, sizeof(ingest_t));
    if (in == NULL) {
        return NULL;
    }

    in->session = s;
    in->timer.data = in;
    in->timer.log = s->connection->log;
    ngx_rtmp_set_ctx(s, in, ngx_rtmp_ingest_module);

    return in;
}


static ngx_int_t
ingest_ask(ingest_t *in, ngx_rtmp_ingest_app_conf_t *conf)
{
    gate_question_t      q;
    ngx_rtmp_session_t  *s = in->session;

    ngx_memzero(&in->who, sizeof(hub_identity_t));
    in->who.protocol = HUB_PUBLISH;
    in->who.id = hub_session_id(hub);
    in->who.issued = ngx_time();
    in->who.address = s->connection->addr_text;
    in->id.data = in->id_text;
    in->id.len = ngx_sprintf(in->id_text, "%uL", in->who.id) - in->id_text;

    ngx_memzero(&q, sizeof(gate_question_t));
    ngx_str_set(&q.kind, "publish");
    q.app = s->app;
    q.name = in->name;
    q.args.data = in->publish.args;
    q.args.len = ngx_strlen(in->publish.args);
    q.address = s->connection->addr_text;
    q.session = in->id;

    in->held_pool = ngx_create_pool(16384, s->connection->log);
    if (in->held_pool == NULL) {
        return NGX_ERROR;
    }

    in->state = INGEST_ASKING;
    in->request = gate_ask(conf->gate, conf->gate_timeout, &q, ingest_answered,
                           in);

    return in->request ? NGX_OK : NGX_ERROR;
}


static ngx_int_t
ngx_rtmp_ingest_publish(ngx_rtmp_session_t *s, ngx_rtmp_publish_t *v)
{
    ingest_t                    *in;
    const char                  *bad;
    ngx_rtmp_ingest_app_conf_t  *conf;

    conf = ngx_rtmp_get_module_app_conf(s, ngx_rtmp_ingest_module);

    if (conf == NULL || !conf->ingest) {
        return next_publish(s, v);
    }

    in = ingest_get(s);
    if (in == NULL) {
        return NGX_ERROR;
    }

    /* one question at a time: publish and closeStream over and over would
     * put any number of them in the gate's queue */
    if (in->state != INGEST_IDLE || in->request) {
        return ngx_rtmp_send_status(s, "NetStream.Publish.BadName", "error",
                                    "this connection publishes already");
    }

    in->publish = *v;
    in->name.data = in->publish.name;
    in->name.len = ngx_strlen(in->publish.name);
    in->why[0] = '\0';
    in->bytes = 0;
    in->started_ms = 0;
    in->held_bytes = 0;
    in->clock_told = 0;
    in->held_full = in->sets_due = in->uncarried = 0;
    in->sets_size = 0;
    in->skipped = 0;
    in->prefix = 4;                          /* until a header says it */
    ngx_memzero(in->track, sizeof(in->track));

    bad = stream_name_bad((const char *) v->name, ngx_strlen(v->name));
    if (bad) {
        ngx_str_set(&in->name, "(bad name)");
        ingest_refuse(in, bad);
        return NGX_OK;
    }

    if (hub == NULL) {
        ingest_refuse(in, "server has no hub_zone");
        return NGX_OK;
    }

    return ingest_ask(in, conf);
}


static ngx_int_t
ngx_rtmp_ingest_close_stream(ngx_rtmp_session_t *s, ngx_rtmp_close_stream_t *v)
{
    int            live;
    ingest_t      *in = ngx_rtmp_get_module_ctx(s, ngx_rtmp_ingest_module);
    const u_char  *refusal;

    if (in == NULL) {
        return next_close_stream(s, v);
    }

    live = in->state == INGEST_LIVE;

    if (live && in->why[0] == '\0') {
        refusal = ngx_rtmp_guard_refusal(s);

        if (refusal) {
            *ngx_snprintf((u_char *) in->why, sizeof(in->why) - 1,
                          "refused %s", refusal) = '\0';
        }

        ingest_log_end(in, refusal ? NGX_LOG_WARN : NGX_LOG_NOTICE,
                       refusal ? in->why : "closed by the client");
    }

    if (in->request && !s->connection->destroyed) {
        in->state = INGEST_IDLE;             /* its answer is still awaited */
        ingest_drop_held(in);

    } else if (in->state != INGEST_REFUSED || s->connection->destroyed) {
        ingest_release(in);
    }

    if (live && !s->connection->destroyed) {
        (void) ngx_rtmp_send_status(s, "NetStream.Unpublish.Success", "status",
                                    "Stop publishing");
    }

    return next_close_stream(s, v);
}


/* --- configuration --- */

static char *
ngx_rtmp_ingest_gate(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_url_t                    u;
    ngx_str_t                   *value = cf->args->elts;
    ngx_rtmp_ingest_app_conf_t  *c = conf;

    if (c->gate != NGX_CONF_UNSET_PTR) {
        return "is duplicate";
    }

    ngx_memzero(&u, sizeof(ngx_url_t));
    u.url = value[1];

    if (ngx_parse_url(cf->pool, &u) != NGX_OK || u.naddrs == 0
        || (u.family != AF_UNIX && u.no_port))
    {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "gate is \"%V\", expected unix:/path/to/socket or "
                           "address:port%s%s", &value[1], u.err ? ": " : "",
                           u.err ? u.err : "");
        return NGX_CONF_ERROR;
    }

    c->gate = u.addrs;

    return NGX_CONF_OK;
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
    conf->gate = NGX_CONF_UNSET_PTR;
    conf->gate_timeout = NGX_CONF_UNSET_MSEC;
    conf->ingest_timeout = NGX_CONF_UNSET_MSEC;

    return conf;
}


static char *
ngx_rtmp_ingest_merge_app_conf(ngx_conf_t *cf, void *parent, void *child)
{
    ngx_rtmp_ingest_app_conf_t  *prev = parent;
    ngx_rtmp_ingest_app_conf_t  *conf = child;

    ngx_conf_merge_value(conf->ingest, prev->ingest, 0);
    ngx_conf_merge_ptr_value(conf->gate, prev->gate, NULL);
    ngx_conf_merge_msec_value(conf->gate_timeout, prev->gate_timeout, 5000);
    ngx_conf_merge_msec_value(conf->ingest_timeout, prev->ingest_timeout,
                              15000);

    if (conf->ingest && conf->gate == NULL) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"ingest on\" has no \"gate\": say whom to ask, "
                           "gate unix:/path/to/socket");
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}


/* Puts HANDLER before those of the wire layer. */
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

    *h = ingest_message;

    return NGX_OK;
}


static ngx_int_t
ngx_rtmp_ingest_postconfiguration(ngx_conf_t *cf)
{
    ngx_rtmp_core_main_conf_t  *cmcf;

    cmcf = ngx_rtmp_conf_get_module_main_conf(cf, ngx_rtmp_core_module);

    /* media first of all; metadata behind the guard, which was first there,
     * and before the core, which adds its own handlers after all modules */
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
