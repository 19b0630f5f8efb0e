/*
 * What the hub holds, as JSON, for the auth-service, duoluctl and tests.
 * Meant for a private listener.
 */

#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>
#include <jansson.h>

#include "../hub/hub.h"


static char *ngx_http_hub_status(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);


static ngx_command_t  ngx_http_hub_status_commands[] = {

    { ngx_string("hub_status"),
      NGX_HTTP_LOC_CONF|NGX_CONF_FLAG,
      ngx_http_hub_status,
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


static json_t *
status_zone(hub_t *h)
{
    hub_header_t  *z = h->header;

    return json_pack("{s:s%, s:I, s:i, s:i, s:I}",
                     "name", h->shm_zone->shm.name.data,
                     (int) h->shm_zone->shm.name.len,
                     "size", (json_int_t) z->size,
                     "blocks", (int) z->nblocks,
                     "free", (int) z->nfree,
                     "refused", (json_int_t) z->refused);
}


static json_t *
status_workers(hub_t *h)
{
    json_t        *list = json_array();
    uint32_t       i;
    hub_worker_t  *w;

    for (i = 0; i < HUB_MAX_WORKERS; i++) {
        w = &h->header->workers[i];

        if (hub_load(&w->pid)) {
            json_array_append_new(list, json_pack("{s:i, s:i, s:i}",
                "pid", (int) w->pid, "publishers", (int) w->publishers,
                "viewers", (int) hub_load(&w->viewers)));
        }
    }

    return list;
}


static json_t *
status_stream(hub_t *h, hub_stream_t *s)
{
    int64_t   window = 0;
    uint64_t  first = hub_load(&s->first), head = hub_load(&s->head);

    if (first < head) {
        window = s->dts - hub_entry(h, s, first)->dts;
    }

    return json_pack("{s:s%, s:s, s:s, s:i, s:i, s:I, s:I, s:I, s:I,"
                     " s:s, s:s, s:i, s:i, s:I, s:I}",
        "name", s->name, (int) s->name_len,
        "state", hub_load(&s->state) == HUB_LIVE ? "live" : "grace",
        "session", s->session,
        "publisher_pid", hub_load(&s->state) == HUB_LIVE
                         ? (int) h->header->workers[s->worker].pid : 0,
        "viewers", (int) hub_viewers(s),
        "bytes_in", (json_int_t) s->bytes_in,
        "kbps_in", (json_int_t) s->kbps_in,
        "window_bytes", (json_int_t) (s->end - hub_load(&s->tail)),
        "window_ms", (json_int_t) window,
        "video", flv_codec_name(s->video),
        "audio", flv_codec_name(s->audio),
        "width", (int) s->width,
        "height", (int) s->height,
        "since_ms", (json_int_t) (ngx_current_msec - s->started_ms),
        "dts", (json_int_t) s->dts);
}


static json_t *
status_build(hub_t *h)
{
    json_t    *streams = json_array();
    uint32_t   i;

    for (i = 0; i < h->header->nstreams; i++) {
        if (hub_load(&h->streams[i].state) != HUB_FREE) {
            json_array_append_new(streams, status_stream(h, &h->streams[i]));
        }
    }

    return json_pack("{s:o, s:o, s:o}", "zone", status_zone(h),
                     "workers", status_workers(h), "streams", streams);
}


static ngx_int_t
ngx_http_hub_status_handler(ngx_http_request_t *r)
{
    char         *text;
    json_t       *root;
    ngx_buf_t    *b;
    ngx_int_t     rc;
    ngx_chain_t   out;

    if (!(r->method & NGX_HTTP_GET)) {
        return NGX_HTTP_NOT_ALLOWED;
    }

    rc = ngx_http_discard_request_body(r);
    if (rc != NGX_OK) {
        return rc;
    }

    if (hub == NULL) {
        return NGX_HTTP_SERVICE_UNAVAILABLE;
    }

    ngx_shmtx_lock(&hub->pool->mutex);       /* no stream ends meanwhile */
    root = status_build(hub);
    ngx_shmtx_unlock(&hub->pool->mutex);

    text = json_dumps(root, JSON_COMPACT);
    json_decref(root);

    if (text == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    b = ngx_create_temp_buf(r->pool, ngx_strlen(text));
    if (b) {
        b->last = ngx_cpymem(b->pos, text, ngx_strlen(text));
        b->last_buf = 1;
    }

    free(text);

    if (b == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    r->headers_out.status = NGX_HTTP_OK;
    r->headers_out.content_length_n = b->last - b->pos;
    ngx_str_set(&r->headers_out.content_type, "application/json");
    r->headers_out.content_type_len = r->headers_out.content_type.len;

    rc = ngx_http_send_header(r);
    if (rc == NGX_ERROR || rc > NGX_OK || r->header_only) {
        return rc;
    }

    out.buf = b;
    out.next = NULL;

    return ngx_http_output_filter(r, &out);
}


static char *
ngx_http_hub_status(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_str_t                 *value = cf->args->elts;
    ngx_http_core_loc_conf_t  *clcf;

    if (ngx_strcasecmp(value[1].data, (u_char *) "on") == 0) {
        clcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);
        clcf->handler = ngx_http_hub_status_handler;
        return NGX_CONF_OK;
    }

    if (ngx_strcasecmp(value[1].data, (u_char *) "off") == 0) {
        return NGX_CONF_OK;
    }

    return "is neither \"on\" nor \"off\"";
}
