/*
 * The hub's state as JSON, for the auth-service, duoluctl and tests: all
 * streams and all sessions.  Meant for a private listener.
 */

#include "answer.h"
#include "snapshot.h"


static char *ngx_http_hub_status(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
static char *ngx_http_hub_sessions(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);


static ngx_command_t  ngx_http_hub_status_commands[] = {

    { ngx_string("hub_status"),
      NGX_HTTP_LOC_CONF|NGX_CONF_FLAG,
      ngx_http_hub_status,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("hub_sessions"),
      NGX_HTTP_LOC_CONF|NGX_CONF_FLAG,
      ngx_http_hub_sessions,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

      ngx_null_command
};


static ngx_http_module_t  ngx_http_hub_status_module_ctx = {
    NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL
};


ngx_module_t  ngx_http_hub_status_module = {
    NGX_MODULE_V1,
    &ngx_http_hub_status_module_ctx,       /* module context */
    ngx_http_hub_status_commands,          /* module directives */
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


static const char *
status_comma(ngx_uint_t *count)
{
    return (*count)++ ? "," : "";
}


/* --- streams --- */

static void
status_zone(text_t *t, const hub_t *h, const snapshot_t *s)
{
    ngx_uint_t  i, n = 0;

    text_add(t, "{\"name\":");
    text_add_json(t, h->shm_zone->shm.name.data, h->shm_zone->shm.name.len);
    text_add(t, ",\"size\":%uL,\"blocks\":%uD,\"free\":%uD,\"sessions\":%uD,"
             "\"sessions_max\":%uD,\"workers_max\":%uD,\"refused\":{",
             s->size, s->nblocks, s->nfree, s->nsessions, s->sessions_max,
             s->workers_max);

    for (i = HUB_ADMITTED + 1; i < HUB_REFUSALS; i++) {
        text_add(t, "%s\"%s\":%uL", status_comma(&n), hub_refusal_name(i),
                 s->refused[i]);
    }

    text_add(t, "}}");
}


static uint32_t
status_publishers(const snapshot_t *s, const hub_worker_t *w)
{
    uint32_t  i, n = 0;

    for (i = 0; i < s->nstreams; i++) {
        n += s->streams[i].publisher_pid == w->pid;
    }

    return n;
}


static void
status_workers(text_t *t, const snapshot_t *s)
{
    ngx_uint_t           i, n = 0;
    const hub_worker_t  *w;

    for (i = 0; i < s->nworkers; i++) {
        w = &s->workers[i];

        if (w->pid) {
            text_add(t, "%s{\"pid\":%uD,\"publishers\":%uD,\"viewers\":%uD,"
                     "\"sessions\":%uD}", status_comma(&n), w->pid,
                     status_publishers(s, w), w->viewers, w->sessions);
        }
    }
}


static const char *
status_state(const snapshot_stream_t *s)
{
    return s->state == HUB_LIVE ? "live" : s->state == HUB_GRACE ? "grace" : "carried";
}


static void
status_stream(text_t *t, const snapshot_stream_t *s)
{
    text_add(t, "{\"name\":");
    text_add_json(t, s->name, s->name_len);
    text_add(t, ",\"id\":%uL,\"uid\":%uL,\"state\":\"%s\",\"session\":\"%uL\","
             "\"publisher_pid\":%uD,\"address\":", s->id, s->uid,
             status_state(s), s->session, s->publisher_pid);
    text_add_json(t, s->address, ngx_strlen(s->address));
    text_add(t, ",\"viewers\":%uD,\"viewers_by\":{\"flv\":%uD,\"ws\":%uD,"
             "\"rtmp\":%uD,\"hls\":%uD}", s->viewers, s->by[HUB_FLV],
             s->by[HUB_WS], s->by[HUB_RTMP], s->by[HUB_HLS]);
    text_add(t, ",\"bytes_in\":%uL,\"kbps_in\":%uD,\"bytes_out\":%uL,"
             "\"kbps_out\":%uD,\"window_bytes\":%uL,\"window_ms\":%uL,"
             "\"max_kbps\":%uD,\"max_viewers\":%uD", s->bytes_in, s->kbps_in,
             s->bytes_out, s->kbps_out, s->window_bytes, s->window_ms,
             s->max_kbps, s->max_viewers);
    text_add(t, ",\"video\":\"%s\",\"audio\":\"%s\",\"width\":%ud,"
             "\"height\":%ud,\"fps\":%uD.%03uD,\"gop_ms\":%uD,"
             "\"gop_outgrown\":%s,\"gaps\":%uD,"
             "\"since_ms\":%uL,\"dts\":%L", flv_codec_name(s->video),
             flv_codec_name(s->audio), (unsigned) s->width,
             (unsigned) s->height, s->fps_milli / 1000, s->fps_milli % 1000,
             s->gop_ms, s->outgrown ? "true" : "false", s->gaps, s->since_ms, s->dts);
    text_add(t, ",\"recording\":{\"state\":\"%s\",\"session\":\"%uL\","
             "\"bytes\":%uL,\"gaps\":%uD}}",
             hub_record_name(s->recording.state), s->recording.session,
             s->recording.bytes, s->recording.gaps);
}


static ngx_int_t
ngx_http_hub_status_handler(ngx_http_request_t *r)
{
    text_t       t = { NULL, NULL, NULL, 0 };
    uint32_t     i;
    ngx_int_t    rc;
    ngx_uint_t   n = 0;
    snapshot_t  *s;

    rc = answer_begin(r, NGX_HTTP_GET);
    if (rc != NGX_OK) {
        return rc;
    }

    s = snapshot_take(hub, SNAPSHOT_SESSIONS);
    if (s == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    text_add(&t, "{\"zone\":");
    status_zone(&t, hub, s);
    text_add(&t, ",\"workers\":[");
    status_workers(&t, s);
    text_add(&t, "],\"streams\":[");

    for (i = 0; i < s->nstreams; i++) {
        if (s->streams[i].state != HUB_FREE) {
            text_add(&t, "%s", status_comma(&n));
            status_stream(&t, &s->streams[i]);
        }
    }

    text_add(&t, "]}");
    snapshot_free(s);

    return answer_send(r, NGX_HTTP_OK, ANSWER_JSON, &t);
}


/* --- sessions --- */

static void
status_session(text_t *t, const snapshot_t *s, const hub_session_t *row)
{
    const snapshot_stream_t  *stream = snapshot_stream_of(s, row);

    text_add(t, "{\"id\":\"%uL\",\"kind\":\"%s\",\"protocol\":\"%s\","
             "\"stream\":", row->id,
             hub_protocol_kind(row->protocol), hub_protocol_name(row->protocol));
    text_add_json(t, stream ? stream->name : (u_char *) "",
                  stream ? stream->name_len : 0);
    text_add(t, ",\"uid\":%uL,\"key\":%uL,\"address\":", row->uid,
             hub_session_key(row));
    text_add_json(t, row->address, ngx_strlen(row->address));
    text_add(t, ",\"age_ms\":%uL,\"bytes\":%uL,\"late_ms\":%uD,"
             "\"worker\":%uD}",
             (uint64_t) ngx_current_msec - row->started_ms, row->bytes,
             (uint32_t) row->late * 10,
             row->worker == HUB_ANY_WORKER ? 0 : s->workers[row->worker].pid);
}


static ngx_int_t
ngx_http_hub_sessions_handler(ngx_http_request_t *r)
{
    text_t       t = { NULL, NULL, NULL, 0 };
    uint32_t     i;
    ngx_int_t    rc;
    ngx_uint_t   n = 0;
    snapshot_t  *s;

    rc = answer_begin(r, NGX_HTTP_GET);
    if (rc != NGX_OK) {
        return rc;
    }

    s = snapshot_take(hub, SNAPSHOT_SESSIONS);
    if (s == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    text_add(&t, "{\"sessions\":[");

    for (i = 0; i < s->nsessions; i++) {
        text_add(&t, "%s", status_comma(&n));
        status_session(&t, s, &s->sessions[i]);
    }

    text_add(&t, "]}");
    snapshot_free(s);

    return answer_send(r, NGX_HTTP_OK, ANSWER_JSON, &t);
}


/* --- configuration --- */

static char *
ngx_http_hub_status(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    return answer_at(cf, ngx_http_hub_status_handler);
}


static char *
ngx_http_hub_sessions(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    return answer_at(cf, ngx_http_hub_sessions_handler);
}
