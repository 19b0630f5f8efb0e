/*
 * Play over RTMP out of the hub.
 */

#include "wire.h"
#include "ingest.h"

#define PLAY_CLOSE_MS  1000            /* lets the status reach the client */


static ngx_int_t ngx_rtmp_hub_play_postconfiguration(ngx_conf_t *cf);

static ngx_rtmp_play_pt          next_play;
static ngx_rtmp_close_stream_pt  next_close_stream;


typedef struct {
    ngx_rtmp_session_t  *session;
    ngx_event_t          timer;
} player_t;


static ngx_rtmp_module_t  ngx_rtmp_hub_play_module_ctx = {
    NULL,                                   /* preconfiguration */
    ngx_rtmp_hub_play_postconfiguration,    /* postconfiguration */
    NULL,                                   /* create main configuration */
    NULL,                                   /* init main configuration */
    NULL,                                   /* create server configuration */
    NULL,                                   /* merge server configuration */
    NULL,                                   /* create app configuration */
    NULL                                    /* merge app configuration */
};


ngx_module_t  ngx_rtmp_hub_play_module = {
    NGX_MODULE_V1,
    &ngx_rtmp_hub_play_module_ctx,          /* module context */
    NULL,                                   /* module directives */
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


static void
player_close_now(ngx_event_t *ev)
{
    player_t  *p = ev->data;

    ngx_rtmp_finalize_session(p->session);
}


static ngx_int_t
ngx_rtmp_hub_play(ngx_rtmp_session_t *s, ngx_rtmp_play_t *v)
{
    player_t                    *p;
    ngx_rtmp_ingest_app_conf_t  *conf;

    conf = ngx_rtmp_get_module_app_conf(s, ngx_rtmp_ingest_module);

    if (conf == NULL || !conf->ingest) {
        return next_play(s, v);
    }

    if (ngx_rtmp_get_module_ctx(s, ngx_rtmp_hub_play_module)
        || ngx_rtmp_get_module_ctx(s, ngx_rtmp_ingest_module))
    {
        return NGX_OK;
    }

    p = ngx_pcalloc(s->connection->pool, sizeof(player_t));
    if (p == NULL) {
        return NGX_ERROR;
    }

    ngx_log_error(NGX_LOG_WARN, s->connection->log, 0,
                  "play in \"%V\" refused: streams are played over HTTP", &s->app);
    p->session = s;
    p->timer.data = p;
    p->timer.log = s->connection->log;
    p->timer.handler = player_close_now;
    ngx_rtmp_set_ctx(s, p, ngx_rtmp_hub_play_module);
    ngx_add_timer(&p->timer, PLAY_CLOSE_MS);

    return ngx_rtmp_send_status(s, "NetStream.Play.StreamNotFound", "error",
                                "streams are played over HTTP, not RTMP");
}


static ngx_int_t
ngx_rtmp_hub_play_close_stream(ngx_rtmp_session_t *s,
    ngx_rtmp_close_stream_t *v)
{
    player_t  *p = ngx_rtmp_get_module_ctx(s, ngx_rtmp_hub_play_module);

    if (p && p->timer.timer_set && s->connection->destroyed) {
        ngx_del_timer(&p->timer);
    }

    return next_close_stream(s, v);
}


static ngx_int_t
ngx_rtmp_hub_play_postconfiguration(ngx_conf_t *cf)
{
    next_play = ngx_rtmp_play;
    ngx_rtmp_play = ngx_rtmp_hub_play;

    next_close_stream = ngx_rtmp_close_stream;
    ngx_rtmp_close_stream = ngx_rtmp_hub_play_close_stream;

    return NGX_OK;
}
