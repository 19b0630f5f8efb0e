/*
 * The hub's numbers for Prometheus: text format 0.0.4.  Labels have fixed sets of
 * values, so the number of series does not depend on the number of streams, users
 * or workers.  Counters live in the zone: they survive a reload and the death of a
 * worker, and start at 0 with the zone.
 */

#include "answer.h"
#include "snapshot.h"

#define METRICS_TYPE  "text/plain; version=0.0.4; charset=utf-8"


static char *ngx_http_hub_metrics(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);


static ngx_command_t  ngx_http_hub_metrics_commands[] = {

    { ngx_string("hub_metrics"),
      NGX_HTTP_LOC_CONF|NGX_CONF_FLAG,
      ngx_http_hub_metrics,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

      ngx_null_command
};


static ngx_http_module_t  ngx_http_hub_metrics_module_ctx = {
    NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL
};


ngx_module_t  ngx_http_hub_metrics_module = {
    NGX_MODULE_V1,
    &ngx_http_hub_metrics_module_ctx,      /* module context */
    ngx_http_hub_metrics_commands,         /* module directives */
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


static void
metrics_name(text_t *t, const char *name, const char *type, const char *help)
{
    text_add(t, "# HELP duolu_%s %s\n# TYPE duolu_%s %s\n", name, help, name,
             type);
}


static void
metrics_one(text_t *t, const char *name, const char *type, const char *help,
    uint64_t value)
{
    metrics_name(t, name, type, help);
    text_add(t, "duolu_%s %uL\n", name, value);
}


static void
metrics_streams(text_t *t, const snapshot_t *s)
{
    uint32_t  i, live = 0, grace = 0, carried = 0, outgrown = 0;
    uint64_t  window = 0;

    for (i = 0; i < s->nstreams; i++) {
        live += s->streams[i].state == HUB_LIVE;
        grace += s->streams[i].state == HUB_GRACE;
        carried += s->streams[i].state == HUB_CARRIED;
        outgrown += s->streams[i].outgrown;
        window += s->streams[i].window_bytes;
    }

    metrics_name(t, "streams", "gauge", "Streams, by state.");
    text_add(t, "duolu_streams{state=\"live\"} %uD\n"
                "duolu_streams{state=\"grace\"} %uD\n"
                "duolu_streams{state=\"carried\"} %uD\n", live, grace, carried);
    metrics_one(t, "streams_max", "gauge", "Streams that the zone has room for.",
                s->streams_max);
    metrics_one(t, "streams_outgrown", "gauge",
                "Streams whose GOP exceeds the window: a new viewer gets "
                "only sound until the next key frame.", outgrown);
    metrics_one(t, "window_bytes", "gauge",
                "Media that the windows of all streams hold.", window);
    metrics_one(t, "zone_size_bytes", "gauge", "Shared memory of the hub.",
                s->size);
    metrics_one(t, "zone_free_bytes", "gauge",
                "Shared memory that no stream holds.",
                (uint64_t) s->nfree * HUB_BLOCK_SIZE);
    metrics_one(t, "stream_changes_total", "counter",
                "Times that a stream went live, to grace, ended or changed headers.",
                s->changes);
}


/* One sample for each kind of session. */
static void
metrics_protocols(text_t *t, const char *name, const uint64_t *value)
{
    ngx_uint_t  i;

    for (i = 0; i < HUB_PROTOCOLS; i++) {
        text_add(t, "duolu_%s{kind=\"%s\",protocol=\"%s\"} %uL\n", name,
                 hub_protocol_kind(i), hub_protocol_name(i), value[i]);
    }
}


static void
metrics_sessions(text_t *t, const snapshot_t *s)
{
    uint64_t    by[HUB_PROTOCOLS];
    ngx_uint_t  i;

    for (i = 0; i < HUB_PROTOCOLS; i++) {
        by[i] = s->by[i];
    }

    metrics_name(t, "sessions", "gauge", "Open sessions, by protocol.");
    metrics_protocols(t, "sessions", by);
    metrics_one(t, "sessions_max", "gauge",
                "Sessions that the zone has room for.", s->sessions_max);
    metrics_name(t, "sessions_admitted_total", "counter",
                 "Sessions that began, by protocol.");
    metrics_protocols(t, "sessions_admitted_total", s->admitted);

    metrics_name(t, "refused_total", "counter",
                 "Publishers and viewers that were refused or ended, by reason.");

    for (i = HUB_ADMITTED + 1; i < HUB_REFUSALS; i++) {
        text_add(t, "duolu_refused_total{reason=\"%s\"} %uL\n",
                 hub_refusal_name(i), s->refused[i]);
    }

    metrics_one(t, "received_bytes_total", "counter",
                "Media received from publishers.", s->bytes_in);
    metrics_one(t, "sent_bytes_total", "counter", "Bytes sent to viewers.",
                s->bytes_out);
}


static void
metrics_recordings(text_t *t, const snapshot_t *s)
{
    uint32_t  i, by[HUB_RECORD_FAILED + 1] = { 0 };

    for (i = 0; i < s->nstreams; i++) {
        if (s->streams[i].state != HUB_FREE) {
            by[s->streams[i].recording.state]++;
        }
    }

    metrics_one(t, "recordings", "gauge", "Streams that are being recorded.",
                by[HUB_RECORD_ON]);
    metrics_name(t, "recording_stopped", "gauge",
                 "Streams not recorded because the disk is full or failed.");
    text_add(t, "duolu_recording_stopped{reason=\"full\"} %uD\n"
                "duolu_recording_stopped{reason=\"failed\"} %uD\n",
             by[HUB_RECORD_FULL], by[HUB_RECORD_FAILED]);
    metrics_one(t, "recorded_bytes_total", "counter",
                "Bytes written to recordings.", s->recorded);
    metrics_one(t, "recording_gaps_total", "counter",
                "Gaps in recordings: the disk was too slow, or headers changed "
                "too often.",
                s->record_gaps);
}


static void
metrics_hls(text_t *t, const snapshot_t *s)
{
    uint32_t  i;
    uint64_t  streams = 0, bytes = 0;

    for (i = 0; i < s->nworkers; i++) {
        streams += s->workers[i].hls_streams;
        bytes += s->workers[i].hls_bytes;
    }

    metrics_one(t, "hls_streams", "gauge",
                "Streams with HLS viewers, counted in each worker.", streams);
    metrics_one(t, "hls_bytes", "gauge",
                "Memory that the workers hold for HLS viewers.", bytes);
    metrics_one(t, "hls_parts_total", "counter",
                "Parts of HLS segments that were made, in all workers.",
                s->hls_parts);
    metrics_one(t, "hls_frames_total", "counter", "Frames in these parts.",
                s->hls_frames);
}


static void
metrics_workers(text_t *t, const snapshot_t *s)
{
    uint32_t  i, n = 0;

    for (i = 0; i < s->nworkers; i++) {
        n += s->workers[i].pid != 0;
    }

    metrics_one(t, "workers", "gauge",
                "nginx workers that serve the hub, including those that a reload "
                "is replacing.",
                n);
    metrics_one(t, "workers_max", "gauge",
                "nginx workers that the zone has a slot for.", s->workers_max);
}


static ngx_int_t
ngx_http_hub_metrics_handler(ngx_http_request_t *r)
{
    text_t       t = { NULL, NULL, NULL, 0 };
    ngx_int_t    rc;
    snapshot_t  *s;

    rc = answer_begin(r, NGX_HTTP_GET);
    if (rc != NGX_OK) {
        return rc;
    }

    s = snapshot_take(hub, SNAPSHOT_SESSIONS);
    if (s == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    metrics_streams(&t, s);
    metrics_sessions(&t, s);
    metrics_recordings(&t, s);
    metrics_hls(&t, s);
    metrics_workers(&t, s);
    snapshot_free(s);

    return answer_send(r, NGX_HTTP_OK, METRICS_TYPE, &t);
}


static char *
ngx_http_hub_metrics(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    return answer_at(cf, ngx_http_hub_metrics_handler);
}
