/*
 * Plays the hub's streams over RTMP: commands, the gate, and the end of a
 * player.
 */

#include "publish.h"
#include "play.h"
#include "../rules/text.h"

#define PLAY_CLOSE_MS  1000            /* lets the status reach the client */


static ngx_int_t ngx_rtmp_hub_play_postconfiguration(ngx_conf_t *cf);
static void *ngx_rtmp_hub_play_create_app_conf(ngx_conf_t *cf);
static char *ngx_rtmp_hub_play_merge_app_conf(ngx_conf_t *cf, void *parent,
    void *child);

static ngx_rtmp_publish_pt       next_publish;
static ngx_rtmp_play_pt          next_play;
static ngx_rtmp_pause_pt         next_pause;
static ngx_rtmp_seek_pt          next_seek;
static ngx_rtmp_close_stream_pt  next_close_stream;


typedef struct {
    ngx_flag_t   play;
    hub_flush_t  flush;
    ngx_msec_t   lag;
    ngx_msec_t   keepalive;        /* 0: none */
} ngx_rtmp_hub_play_app_conf_t;


static ngx_command_t  ngx_rtmp_hub_play_commands[] = {

    { ngx_string("hub_play"),
      NGX_RTMP_MAIN_CONF|NGX_RTMP_SRV_CONF|NGX_RTMP_APP_CONF|NGX_CONF_FLAG,
      ngx_conf_set_flag_slot,
      NGX_RTMP_APP_CONF_OFFSET,
      offsetof(ngx_rtmp_hub_play_app_conf_t, play),
      NULL },

    { ngx_string("play_flush"),
      NGX_RTMP_MAIN_CONF|NGX_RTMP_SRV_CONF|NGX_RTMP_APP_CONF|NGX_CONF_TAKE12,
      hub_flush_slot,
      NGX_RTMP_APP_CONF_OFFSET,
      offsetof(ngx_rtmp_hub_play_app_conf_t, flush),
      NULL },

    { ngx_string("play_lag"),
      NGX_RTMP_MAIN_CONF|NGX_RTMP_SRV_CONF|NGX_RTMP_APP_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_msec_slot,
      NGX_RTMP_APP_CONF_OFFSET,
      offsetof(ngx_rtmp_hub_play_app_conf_t, lag),
      NULL },

    { ngx_string("play_keepalive"),
      NGX_RTMP_MAIN_CONF|NGX_RTMP_SRV_CONF|NGX_RTMP_APP_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_msec_slot,
      NGX_RTMP_APP_CONF_OFFSET,
      offsetof(ngx_rtmp_hub_play_app_conf_t, keepalive),
      NULL },

      ngx_null_command
};


static ngx_rtmp_module_t  ngx_rtmp_hub_play_module_ctx = {
    NULL,                                   /* preconfiguration */
    ngx_rtmp_hub_play_postconfiguration,    /* postconfiguration */
    NULL,                                   /* create main configuration */
    NULL,                                   /* init main configuration */
    NULL,                                   /* create server configuration */
    NULL,                                   /* merge server configuration */
    ngx_rtmp_hub_play_create_app_conf,      /* create app configuration */
    ngx_rtmp_hub_play_merge_app_conf        /* merge app configuration */
};


ngx_module_t  ngx_rtmp_hub_play_module = {
    NGX_MODULE_V1,
    &ngx_rtmp_hub_play_module_ctx,          /* module context */
    ngx_rtmp_hub_play_commands,             /* module directives */
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


/* --- the gate's questions --- */

/* The client may put the token behind the stream's name or behind the
 * application's: nginx-rtmp cuts each at 255 bytes. */
static void
player_make_question(player_t *p, gate_question_t *q, u_char id[NGX_INT64_LEN])
{
    ngx_rtmp_session_t  *s = p->session;

    ngx_memzero(q, sizeof(gate_question_t));
    ngx_str_set(&q->kind, "play");
    q->app = s->app;
    q->name = p->name;
    q->args = s->args;
    q->address = s->connection->addr_text;
    q->session.data = id;
    q->session.len = ngx_sprintf(id, "%uL", p->identity.id) - id;

    if (p->command && p->command->args[0]) {
        q->args.data = p->command->args;
        q->args.len = ngx_strlen(p->command->args);
    }
}


static const char *
player_reason(const player_t *p)
{
    const u_char  *refusal = ngx_rtmp_guard_refusal(p->session);

    return p->why ? p->why
                  : refusal ? (const char *) refusal : "closed by the client";
}


/* Tells the gate that a player it had allowed has ended, even if the player
 * never went live. */
static void
player_report(player_t *p)
{
    u_char                       id[NGX_INT64_LEN];
    gate_question_t              q;
    ngx_rtmp_ingest_app_conf_t  *conf;

    conf = ngx_rtmp_get_module_app_conf(p->session, ngx_rtmp_ingest_module);

    player_make_question(p, &q, id);
    ngx_str_set(&q.kind, "done");
    ngx_str_set(&q.of, "play");
    ngx_str_null(&q.args);
    q.reason.data = (u_char *) player_reason(p);
    q.reason.len = ngx_strlen(q.reason.data);
    q.bytes = p->bytes;
    q.duration = p->started_ms ? ngx_current_msec - p->started_ms : 0;

    p->admitted = 0;

    (void) gate_ask(&conf->publisher.gate, &q, NULL, NULL);
}


/* --- the end of a player --- */

/* Releases the player's session in the hub and its question to the gate.  May be
 * called in any state. */
static void
player_release(player_t *p)
{
    if (p->request) {
        gate_forget(p->request);
        p->request = NULL;
    }

    if (p->command) {
        ngx_free(p->command);
        p->command = NULL;
    }

    if (p->state == PLAYER_LIVE) {
        hub_tick_remove(&p->tick);
        hub_session_close(hub, &p->client);
    }

    if (p->admitted) {
        player_report(p);
    }

    if (p->timer.timer_set) {
        ngx_del_timer(&p->timer);
    }

    p->state = PLAYER_IDLE;
}


/* Ends the connection.  If the last bytes may be torn, or their message will not
 * be completed, discards what the kernel has not sent yet. */
static void
player_abort(player_t *p)
{
    if (p->torn || p->out) {
        hub_socket_take_back(p->session->connection);
    }

    ngx_rtmp_finalize_session(p->session);
}


static void
player_close_now(ngx_event_t *ev)
{
    player_t  *p = ev->data;

    ngx_rtmp_finalize_session(p->session);
}


/* Sends the client CODE and WHY, and closes a second later. */
static void
player_end(player_t *p, char *severity, char *code, const char *why)
{
    int                  live = p->state == PLAYER_LIVE;
    ngx_uint_t           level = live ? NGX_LOG_INFO : NGX_LOG_WARN;
    ngx_rtmp_session_t  *s = p->session;

    ngx_log_error(level, s->connection->log, 0, "play %V/%V %s: %s", &s->app,
                  &p->name, live ? "ended" : "refused", why);

    if (p->admitted) {
        p->why = why;                        /* for player_report() */
    }

    if (live && player_detach(p) != NGX_OK) {
        player_abort(p);
        return;
    }

    player_release(p);
    p->state = PLAYER_ENDED;

    if ((live && ngx_rtmp_send_stream_eof(s, NGX_RTMP_MSID) != NGX_OK)
        || ngx_rtmp_send_status(s, code, severity, (char *) why) != NGX_OK)
    {
        ngx_rtmp_finalize_session(s);
        return;
    }

    p->timer.handler = player_close_now;
    ngx_add_timer(&p->timer, PLAY_CLOSE_MS);
}


static void
player_not_found(player_t *p, const char *why)
{
    player_end(p, "error", "NetStream.Play.StreamNotFound", why);
}


/* After an error status within media librtmp reads for ever, so end the stream
 * regularly. */
static void
player_leave(void *data, const char *why)
{
    player_end(data, "status", "NetStream.Play.UnpublishNotify", why);
}


/* --- events --- */

static void
player_flush(player_t *p)
{
    switch (player_send(p)) {

    case NGX_DONE:
        player_leave(p, "the stream has ended");
        break;

    case NGX_ERROR:
        player_abort(p);
        break;
    }
}


/* Sends a ping after a silence, since proxies and routers cut silent connections.
 * Unlike the wire layer's own ping, it needs no answer. */
static ngx_int_t
player_keep_alive(player_t *p)
{
    ngx_rtmp_hub_play_app_conf_t  *conf;

    conf = ngx_rtmp_get_module_app_conf(p->session, ngx_rtmp_hub_play_module);

    if (conf->keepalive == 0
        || (uint32_t) ngx_current_msec - p->sent_ms < conf->keepalive)
    {
        return NGX_OK;
    }

    p->sent_ms = (uint32_t) ngx_current_msec;

    return ngx_rtmp_send_ping_request(p->session,
                                      (uint32_t) ngx_current_msec);
}


static void
player_tick(hub_tick_t *tick)
{
    player_t  *p = ngx_queue_data(&tick->queue, player_t, tick.queue);

    if (p->session->connection->destroyed) {
        return;
    }

    if (player_check_lag(p) != NGX_OK) {
        player_abort(p);
        return;
    }

    if (p->blocked) {
        return;
    }

    if (player_keep_alive(p) != NGX_OK) {
        player_abort(p);

    } else if (!p->session->connection->destroyed) {
        player_flush(p);
    }
}


static void
player_write_event(ngx_event_t *wev)
{
    player_t            *p;
    ngx_connection_t    *c = wev->data;
    ngx_rtmp_session_t  *s = c->data;

    if (c->destroyed) {
        return;
    }

    p = ngx_rtmp_get_module_ctx(s, ngx_rtmp_hub_play_module);

    if (wev->timedout) {
        p->why = "it did not read in time";
        p->write(wev);
        return;
    }

    player_flush(p);
}


/* The wire layer counts its own ping as activity, so it would never end a client
 * that does not answer.  Undo that.  Sent media still count (player_count()). */
static void
player_ping(ngx_event_t *ev)
{
    player_t            *p;
    ngx_connection_t    *c = ev->data;
    ngx_rtmp_session_t  *s = c->data;

    p = ngx_rtmp_get_module_ctx(s, ngx_rtmp_hub_play_module);
    p->ping(ev);

    if (!c->destroyed && s->ping_active) {
        s->ping_reset = 0;
    }
}


/* --- play --- */

/* Installs our handlers in front of the wire layer's.  Idempotent. */
static void
player_take_events(player_t *p)
{
    ngx_rtmp_session_t  *s = p->session;

    if (p->write == NULL) {
        p->write = s->connection->write->handler;
        s->connection->write->handler = player_write_event;
        p->ping = s->ping_evt.handler;
        s->ping_evt.handler = player_ping;
    }

    (void) ngx_tcp_nodelay(s->connection);
    hub_socket_bound(s->connection, 1);
}


static void
player_start(player_t *p)
{
    u_char                         full[HUB_NAME_MAX + 1];
    size_t                         len;
    enum hub_refusal               reason;
    ngx_rtmp_hub_play_app_conf_t  *conf;

    conf = ngx_rtmp_get_module_app_conf(p->session, ngx_rtmp_hub_play_module);

    len = ngx_snprintf(full, HUB_NAME_MAX, "%V/%V", &p->session->app, &p->name)
          - full;

    if (hub_reader_open(hub, full, len, &p->reader) != NGX_OK) {
        player_not_found(p, "not live");
        return;
    }

    reason = hub_session_open(hub, &p->client, &p->identity, p->reader.ref.stream,
                              player_leave, p);
    if (reason != HUB_ADMITTED) {
        player_end(p, "error", "NetStream.Play.Failed",
                   hub_refusal_text(reason));
        return;
    }

    p->state = PLAYER_LIVE;
    p->started_ms = ngx_current_msec;
    p->lag = conf->lag;
    hub_tick_add(&conf->flush, &p->tick, player_tick);
    player_take_events(p);

    ngx_log_error(NGX_LOG_INFO, p->session->connection->log, 0,
                  "play %V/%V started", &p->session->app, &p->name);

    if (player_greet(p) != NGX_OK) {
        player_abort(p);
        return;
    }

    player_flush(p);
}


static void
player_answered(void *data, const gate_answer_t *answer)
{
    player_t          *p = data;
    ngx_int_t          rc;
    ngx_connection_t  *c = p->session->connection;

    p->request = NULL;
    p->admitted = answer->allow;

    if (p->state != PLAYER_ASKING) {         /* it closed the stream meanwhile */
        player_release(p);
        return;
    }

    if (c->destroyed) {
        return;
    }

    if (ngx_rtmp_guard_refusal(p->session)) {
        player_release(p);
        return;
    }

    if (!answer->allow) {
        hub_refuse(hub, HUB_DENIED);
        player_not_found(p, answer->reason);
        return;
    }

    p->identity.issued = gate_issued(answer, p->identity.issued);
    p->identity.uid = answer->uid;

    /* the wire layer's access rules apply, too */
    rc = next_play(p->session, p->command);

    if (c->destroyed || p->state != PLAYER_ASKING) {
        return;
    }

    ngx_free(p->command);
    p->command = NULL;

    if (rc != NGX_OK) {
        player_not_found(p, "refused by another rule of nginx.conf");
        return;
    }

    player_start(p);
}


static player_t *
player_get(ngx_rtmp_session_t *s)
{
    player_t  *p = ngx_rtmp_get_module_ctx(s, ngx_rtmp_hub_play_module);

    if (p) {
        return p;
    }

    /* pmemalign: the rest of a player nearly fills the pool's first 4 KB, and one
     * byte more would take another 4 KB */
    p = ngx_pmemalign(s->connection->pool, sizeof(player_t), PLAYER_ALIGNMENT);
    if (p == NULL) {
        return NULL;
    }

    ngx_memzero(p, sizeof(player_t));

    p->session = s;
    p->timer.data = p;
    p->timer.log = s->connection->log;
    ngx_rtmp_set_ctx(s, p, ngx_rtmp_hub_play_module);

    return p;
}


static ngx_int_t
player_ask(player_t *p, const ngx_rtmp_play_t *v)
{
    u_char                       id[NGX_INT64_LEN];
    gate_question_t              q;
    ngx_rtmp_ingest_app_conf_t  *conf;

    conf = ngx_rtmp_get_module_app_conf(p->session, ngx_rtmp_ingest_module);

    p->command = ngx_alloc(sizeof(ngx_rtmp_play_t), p->session->connection->log);
    if (p->command == NULL) {
        return NGX_ERROR;
    }

    *p->command = *v;
    p->identity.protocol = HUB_RTMP;
    p->identity.id = hub_session_id(hub);
    p->identity.issued = ngx_time();
    p->identity.address = p->session->connection->addr_text;
    p->state = PLAYER_ASKING;

    player_make_question(p, &q, id);
    p->request = gate_ask(&conf->publisher.gate, &q, player_answered, p);

    return p->request ? NGX_OK : NGX_ERROR;
}


/* The connection may have played before: resets what was counted then. */
static void
player_reset(player_t *p, const u_char *name)
{
    p->name.data = p->name_text;
    p->name.len = ngx_cpystrn(p->name_text, (u_char *) name,
                              sizeof(p->name_text)) - p->name_text;
    p->why = NULL;
    p->bytes = 0;
    p->started_ms = 0;
    p->mute = 0;
    p->paused = p->joined = 0;
    ngx_memzero(&p->way, sizeof(p->way));
}


static ngx_int_t
ngx_rtmp_hub_play(ngx_rtmp_session_t *s, ngx_rtmp_play_t *v)
{
    player_t                      *p;
    const char                    *bad;
    ngx_rtmp_hub_play_app_conf_t  *conf;
    ngx_rtmp_ingest_app_conf_t    *ingest;

    conf = ngx_rtmp_get_module_app_conf(s, ngx_rtmp_hub_play_module);
    ingest = ngx_rtmp_get_module_app_conf(s, ngx_rtmp_ingest_module);

    if (conf == NULL || (!conf->play && !ingest->ingest)) {
        return next_play(s, v);
    }

    p = player_get(s);
    if (p == NULL) {
        return NGX_ERROR;
    }

    if (p->state != PLAYER_IDLE || p->own || p->request
        || ngx_rtmp_ingest_publishes(s))
    {
        return ngx_rtmp_send_status(s, "NetStream.Play.Failed", "error",
                                    "this connection plays or publishes "
                                    "already");
    }

    bad = stream_name_bad((const char *) v->name, ngx_strlen(v->name));
    player_reset(p, bad ? (u_char *) "(bad name)" : v->name);

    if (!conf->play) {
        bad = "streams of this application are not played over RTMP";

    } else if (hub == NULL) {
        bad = "server has no hub_zone";
    }

    if (bad) {
        player_not_found(p, bad);
        return NGX_OK;
    }

    return player_ask(p, v);
}


/* --- other commands --- */

/* Skips to the newest key frame, unless the player is past it: then it continues
 * where it paused, since its time must not go back. */
static void
player_resume(player_t *p)
{
    hub_reader_t  *r = &p->reader;

    if (r->joined && p->out == 0
        && hub_load(&r->ref.stream->key_plus_one) > r->index + 1)
    {
        r->joined = 0;
    }
}


static ngx_int_t
ngx_rtmp_hub_play_pause(ngx_rtmp_session_t *s, ngx_rtmp_pause_t *v)
{
    player_t  *p = ngx_rtmp_get_module_ctx(s, ngx_rtmp_hub_play_module);

    if (p == NULL || p->state != PLAYER_LIVE) {
        return next_pause(s, v);
    }

    if (p->paused && !v->pause) {
        player_resume(p);
    }

    p->paused = v->pause != 0;

    if (ngx_rtmp_send_status(s, v->pause ? "NetStream.Pause.Notify"
                                         : "NetStream.Unpause.Notify",
                             "status", v->pause ? "Paused" : "Unpaused")
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (!p->paused && !p->blocked) {
        player_flush(p);
    }

    return NGX_OK;
}


/* A live stream can't seek, but a player that asks drops all media until it gets
 * this answer. */
static ngx_int_t
ngx_rtmp_hub_play_seek(ngx_rtmp_session_t *s, ngx_rtmp_seek_t *v)
{
    player_t  *p = ngx_rtmp_get_module_ctx(s, ngx_rtmp_hub_play_module);

    if (p == NULL || p->state != PLAYER_LIVE) {
        return next_seek(s, v);
    }

    return ngx_rtmp_send_status(s, "NetStream.Seek.Notify", "status",
                                "A live stream cannot seek, it goes on");
}


/* receiveAudio and receiveVideo: transaction, null, flag. */
static ngx_int_t
ngx_rtmp_hub_play_receive(ngx_rtmp_session_t *s, ngx_chain_t *in,
    unsigned mute)
{
    player_t  *p = ngx_rtmp_get_module_ctx(s, ngx_rtmp_hub_play_module);

    static uint8_t  on;

    static ngx_rtmp_amf_elt_t  elts[] = {
        { NGX_RTMP_AMF_NUMBER, ngx_null_string, NULL, 0 },
        { NGX_RTMP_AMF_NULL, ngx_null_string, NULL, 0 },
        { NGX_RTMP_AMF_BOOLEAN, ngx_null_string, &on, 0 },
    };

    on = 1;

    if (ngx_rtmp_receive_amf(s, in, elts, sizeof(elts) / sizeof(elts[0]))
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (p == NULL || p->state != PLAYER_LIVE) {
        return NGX_OK;
    }

    if (!on) {
        p->mute |= mute;

    } else if (p->mute & mute) {
        p->mute &= ~mute;
        p->mute |= mute & PLAYER_NO_VIDEO ? PLAYER_NO_INTER : 0;
    }

    return NGX_OK;
}


static ngx_int_t
ngx_rtmp_hub_play_receive_audio(ngx_rtmp_session_t *s, ngx_rtmp_header_t *h,
    ngx_chain_t *in)
{
    return ngx_rtmp_hub_play_receive(s, in, PLAYER_NO_AUDIO);
}


static ngx_int_t
ngx_rtmp_hub_play_receive_video(ngx_rtmp_session_t *s, ngx_rtmp_header_t *h,
    ngx_chain_t *in)
{
    return ngx_rtmp_hub_play_receive(s, in, PLAYER_NO_VIDEO);
}


static ngx_int_t
ngx_rtmp_hub_play_publish(ngx_rtmp_session_t *s, ngx_rtmp_publish_t *v)
{
    player_t  *p = ngx_rtmp_get_module_ctx(s, ngx_rtmp_hub_play_module);

    if (p && p->state != PLAYER_IDLE) {
        return ngx_rtmp_send_status(s, "NetStream.Publish.BadName", "error",
                                    "this connection plays already");
    }

    return next_publish(s, v);
}


static ngx_int_t
ngx_rtmp_hub_play_close_stream(ngx_rtmp_session_t *s,
    ngx_rtmp_close_stream_t *v)
{
    player_t          *p;
    ngx_connection_t  *c = s->connection;

    p = ngx_rtmp_get_module_ctx(s, ngx_rtmp_hub_play_module);

    if (p == NULL) {
        return next_close_stream(s, v);
    }

    if (p->state == PLAYER_LIVE) {
        ngx_log_error(NGX_LOG_INFO, c->log, 0, "play %V/%V ended: %s",
                      &s->app, &p->name,
                      player_reason(p));

        if (!c->destroyed && player_detach(p) != NGX_OK) {
            player_abort(p);
        }
    }

    if (p->state == PLAYER_ASKING && !c->destroyed) {
        p->state = PLAYER_IDLE;              /* keep the question: a new play must
                                                wait for its answer */

    } else if (c->destroyed
               || (p->state != PLAYER_ENDED && p->request == NULL))
    {
        player_release(p);
    }

    if (c->destroyed) {
        player_free_own(p);
    }

    return next_close_stream(s, v);
}


/* --- configuration --- */

static void *
ngx_rtmp_hub_play_create_app_conf(ngx_conf_t *cf)
{
    ngx_rtmp_hub_play_app_conf_t  *conf;

    conf = ngx_pcalloc(cf->pool, sizeof(ngx_rtmp_hub_play_app_conf_t));
    if (conf == NULL) {
        return NULL;
    }

    conf->play = NGX_CONF_UNSET;
    conf->lag = NGX_CONF_UNSET_MSEC;
    conf->keepalive = NGX_CONF_UNSET_MSEC;
    hub_flush_unset(&conf->flush);

    return conf;
}


static char *
ngx_rtmp_hub_play_merge_app_conf(ngx_conf_t *cf, void *parent, void *child)
{
    ngx_rtmp_ingest_app_conf_t    *ingest;
    ngx_rtmp_hub_play_app_conf_t  *prev = parent;
    ngx_rtmp_hub_play_app_conf_t  *conf = child;

    ngx_conf_merge_value(conf->play, prev->play, 0);
    ngx_conf_merge_msec_value(conf->lag, prev->lag, 5000);
    ngx_conf_merge_msec_value(conf->keepalive, prev->keepalive, 10000);
    hub_flush_merge(&conf->flush, &prev->flush);

    /* that module is merged before this one */
    ingest = ngx_rtmp_conf_get_module_app_conf(cf, ngx_rtmp_ingest_module);

    return conf->play ? gate_require(cf, &ingest->publisher.gate, "hub_play")
                      : NGX_CONF_OK;
}


static ngx_int_t
ngx_rtmp_hub_play_postconfiguration(ngx_conf_t *cf)
{
    ngx_rtmp_amf_handler_t     *h;
    ngx_rtmp_core_main_conf_t  *cmcf;

    cmcf = ngx_rtmp_conf_get_module_main_conf(cf, ngx_rtmp_core_module);

    h = ngx_array_push_n(&cmcf->amf, 2);
    if (h == NULL) {
        return NGX_ERROR;
    }

    ngx_str_set(&h[0].name, "receiveAudio");
    h[0].handler = ngx_rtmp_hub_play_receive_audio;
    ngx_str_set(&h[1].name, "receiveVideo");
    h[1].handler = ngx_rtmp_hub_play_receive_video;

    next_publish = ngx_rtmp_publish;
    ngx_rtmp_publish = ngx_rtmp_hub_play_publish;

    next_play = ngx_rtmp_play;
    ngx_rtmp_play = ngx_rtmp_hub_play;

    next_pause = ngx_rtmp_pause;
    ngx_rtmp_pause = ngx_rtmp_hub_play_pause;

    next_seek = ngx_rtmp_seek;
    ngx_rtmp_seek = ngx_rtmp_hub_play_seek;

    next_close_stream = ngx_rtmp_close_stream;
    ngx_rtmp_close_stream = ngx_rtmp_hub_play_close_stream;

    return NGX_OK;
}
