/*
 * HLS and low-latency HLS out of the hub (hls.md):
 *     GET /m/TOKEN/APP/NAME/index.m3u8      and the files that it leads to
 *
 * The module takes the requests for its own files, and leaves all others to the
 * location's handler, so that a location may have `hub_flv`, too.
 */

#include <ngx_md5.h>

#include "access.h"
#include "answer.h"
#include "hls_hold.h"
#include "viewer.h"
#include "../media/mp4_codec.h"

#define HLS_PARTS_OF_PATH  4           /* TOKEN/APP/NAME/FILE */
#define HLS_AGE_TARGETS    6           /* of an answer to a delivery directive */


typedef struct {
    size_t      cache;
    ngx_int_t   held;
} ngx_http_hub_hls_main_conf_t;

typedef struct {
    ngx_flag_t  hls;
} ngx_http_hub_hls_loc_conf_t;

/* A request for a file of a stream. */
typedef struct {
    hls_request_t    hold;             /* the first: what hls_hold() knows of it */
    hls_live_t      *live;
    hls_name_t       name;
    hls_query_t      query;
    hls_sending_t    sending;
} hls_ask_t;


static ngx_int_t ngx_http_hub_hls_handler(ngx_http_request_t *r);
static ngx_int_t ngx_http_hub_hls_init(ngx_conf_t *cf);
static void *ngx_http_hub_hls_create_main_conf(ngx_conf_t *cf);
static char *ngx_http_hub_hls_init_main_conf(ngx_conf_t *cf, void *conf);
static void *ngx_http_hub_hls_create_loc_conf(ngx_conf_t *cf);
static char *ngx_http_hub_hls_merge_loc_conf(ngx_conf_t *cf, void *parent,
    void *child);
static ngx_int_t ngx_http_hub_hls_init_process(ngx_cycle_t *cycle);


static ngx_conf_num_bounds_t  hls_held_bounds = {
    ngx_conf_check_num_bounds, 1, 1000000
};


static ngx_command_t  ngx_http_hub_hls_commands[] = {

    { ngx_string("hls"),
      NGX_HTTP_LOC_CONF|NGX_CONF_FLAG,
      ngx_conf_set_flag_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_hub_hls_loc_conf_t, hls),
      NULL },

    { ngx_string("hls_cache"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_size_slot,
      NGX_HTTP_MAIN_CONF_OFFSET,
      offsetof(ngx_http_hub_hls_main_conf_t, cache),
      NULL },

    { ngx_string("hls_held"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_num_slot,
      NGX_HTTP_MAIN_CONF_OFFSET,
      offsetof(ngx_http_hub_hls_main_conf_t, held),
      &hls_held_bounds },

      ngx_null_command
};


static ngx_http_module_t  ngx_http_hub_hls_module_ctx = {
    NULL,                                  /* preconfiguration */
    ngx_http_hub_hls_init,                 /* postconfiguration */
    ngx_http_hub_hls_create_main_conf,     /* create main configuration */
    ngx_http_hub_hls_init_main_conf,       /* init main configuration */
    NULL,                                  /* create server configuration */
    NULL,                                  /* merge server configuration */
    ngx_http_hub_hls_create_loc_conf,      /* create location configuration */
    ngx_http_hub_hls_merge_loc_conf        /* merge location configuration */
};


ngx_module_t  ngx_http_hub_hls_module = {
    NGX_MODULE_V1,
    &ngx_http_hub_hls_module_ctx,          /* module context */
    ngx_http_hub_hls_commands,             /* module directives */
    NGX_HTTP_MODULE,                       /* module type */
    NULL,                                  /* init master */
    NULL,                                  /* init module */
    ngx_http_hub_hls_init_process,         /* init process */
    NULL,                                  /* init thread */
    NULL,                                  /* exit thread */
    NULL,                                  /* exit process */
    NULL,                                  /* exit master */
    NGX_MODULE_V1_PADDING
};


/* --- the URI --- */

/* The part of the URI that hls_name_read() reads: below a prefix location, else the
 * last parts. */
static ngx_str_t
hls_path(ngx_http_request_t *r)
{
    size_t                     n;
    ngx_str_t                  path = r->uri;
    ngx_uint_t                 slashes = 0;
    ngx_http_core_loc_conf_t  *clcf;

    clcf = ngx_http_get_module_loc_conf(r, ngx_http_core_module);
    n = ngx_min(clcf->name.len, path.len);

#if (NGX_PCRE)
    if (clcf->regex) {
        for (n = path.len; n > 0; n--) {
            slashes += path.data[n - 1] == '/';

            if (slashes == HLS_PARTS_OF_PATH) {
                break;
            }
        }
    }
#endif

    path.data += n;
    path.len -= n;

    return path;
}


static int
hls_read_uri(ngx_http_request_t *r, hls_name_t *name)
{
    ngx_str_t  path = hls_path(r);

    return hls_name_read(name, path.data, path.len, HUB_NAME_MAX);
}


static ngx_str_t
hls_stream_name(const hls_name_t *name)
{
    ngx_str_t  stream;

    stream.data = (u_char *) name->path.stream;
    stream.len = name->path.stream_len;

    return stream;
}


/* Log lines name the stream: the request line holds the token. */
static u_char *
hls_log(ngx_http_request_t *r, ngx_http_request_t *sr, u_char *buf, size_t len)
{
    ngx_str_t   stream;
    hls_name_t  name;

    if (!hls_read_uri(r, &name)) {
        return buf;
    }

    stream = hls_stream_name(&name);

    return ngx_snprintf(buf, len, ", stream: \"%V\"", &stream);
}


/* --- bytes of the store --- */

/* The file's name in the URI. */
static ngx_str_t
hls_file_name(ngx_http_request_t *r)
{
    ngx_str_t  file = r->uri;

    while (file.len && file.data[file.len - 1] != '/') {
        file.len--;
    }

    file.data += file.len;
    file.len = r->uri.len - file.len;

    return file;
}


/* Sends the N BYTES of the store, whose answer was RC. */
static ngx_int_t
hls_answer_bytes(hls_ask_t *ask, ngx_int_t rc, hls_bytes_t **bytes, ngx_uint_t n)
{
    ngx_str_t            file;
    ngx_http_request_t  *r = ask->hold.request;

    file = hls_file_name(r);

    switch (rc) {

    case NGX_OK:
        return hls_send_media(&ask->sending, &file, bytes, n);

    case NGX_AGAIN:
    case NGX_DECLINED:
        return answer_error(r, NGX_HTTP_NOT_FOUND, "there is no \"%V\": it never was, "
                            "is not complete, or is too old", &file);

    case NGX_BUSY:
        return answer_error(r, NGX_HTTP_SERVICE_UNAVAILABLE, "answers that are being "
                            "sent take as much memory as hls_cache allows: try again");

    default:
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }
}


/* --- playlists --- */

/* RFC 8216bis, appendix B.1: the answer to a delivery directive never changes its
 * meaning, so a cache may keep it for long; others last half a target duration. */
static ngx_uint_t
hls_list_age(const hls_stream_t *st, const hls_query_t *query)
{
    return query->has_msn ? HLS_AGE_TARGETS * st->target_s
                          : ngx_max(st->target_s / 2, 1);
}


static ngx_int_t
hls_answer_list(hls_ask_t *ask)
{
    text_t         written = { NULL, NULL, NULL, 0 };
    hls_text_t    *text;
    hls_stream_t  *st = ask->live->st;
    enum hls_form  form = hls_playlist_form(st, &ask->query);

    text = &ask->live->texts[form];

    if (text->plain == NULL || text->changes != st->changes) {
        hls_playlist_write(&written, st, form);

        if (hls_text_set(text, &written, st->changes) != NGX_OK) {
            return hls_answer_bytes(ask, NGX_BUSY, NULL, 0);
        }
    }

    return hls_send_text(&ask->sending, text, hls_list_age(st, &ask->query));
}


/* The codecs of the newest headers, for CODECS. */
static void
hls_write_codecs(const hls_stream_t *st, char out[2 * MP4_CODEC_MAX])
{
    char              *p = out;
    mp4_track_t        tracks[2];
    const hub_init_t  *init = NULL;

    if (st->end > st->first) {
        init = hls_store_headers(st, hls_segment(st, st->end - 1)->record.init);
    }

    if (init) {
        hls_store_tracks(init, tracks);
        p += mp4_codec_name(p, &tracks[MP4_VIDEO]);

        if (p > out) {
            *p++ = ',';
        }

        p += mp4_codec_name(p, &tracks[MP4_AUDIO]);

        if (p > out && p[-1] == ',') {
            p--;
        }
    }

    *p = '\0';
}


static ngx_int_t
hls_answer_index(hls_ask_t *ask)
{
    char                 codecs[2 * MP4_CODEC_MAX];
    text_t               written = { NULL, NULL, NULL, 0 };
    hls_text_t          *text = &ask->live->texts[HLS_TEXT_INDEX];
    hls_stream_t        *st = ask->live->st;
    hls_rendition_t      rendition;
    const hub_stream_t  *s = st->reader.ref.stream;

    if (text->plain == NULL || text->changes != st->changes) {
        hls_write_codecs(st, codecs);
        rendition.codecs = codecs;
        rendition.width = s->width;
        rendition.height = s->height;
        rendition.fps_milli = s->fps_milli;
        rendition.kbps = s->kbps_in;

        hls_playlist_index(&written, st, &rendition);

        if (hls_text_set(text, &written, st->changes) != NGX_OK) {
            return hls_answer_bytes(ask, NGX_BUSY, NULL, 0);
        }
    }

    return hls_send_text(&ask->sending, text, ngx_max(st->target_s / 2, 1));
}


/* Waits while the list is not as the query wants it. */
static ngx_int_t
hls_answer_playlist(hls_ask_t *ask)
{
    char  why[HLS_WHY_MAX];

    switch (hls_playlist_ready(ask->live->st, &ask->query, why)) {

    case HLS_WAIT:
        return NGX_BUSY;

    case HLS_REFUSED:
        return answer_error(ask->hold.request, NGX_HTTP_BAD_REQUEST, "%s", why);

    default:
        return ask->name.file == HLS_LIST ? hls_answer_list(ask)
                                          : hls_answer_index(ask);
    }
}


/* --- media --- */

static ngx_int_t
hls_answer_segment(hls_ask_t *ask)
{
    ngx_int_t       rc = NGX_DECLINED;
    ngx_uint_t      n = 0;
    hls_bytes_t   **bytes = NULL;
    hls_stream_t   *st = ask->live->st;

    if (hls_store_has(st, ask->name.number)) {
        n = hls_segment(st, ask->name.number)->nparts;
        bytes = ngx_palloc(ask->hold.request->pool, (n + 1) * sizeof(hls_bytes_t *));
        rc = bytes ? hls_store_segment(st, ask->name.number, bytes) : NGX_ERROR;
    }

    return hls_answer_bytes(ask, rc, bytes, n);
}


static ngx_int_t
hls_answer_one(hls_ask_t *ask)
{
    ngx_int_t       rc = NGX_DECLINED;
    hls_bytes_t   **bytes;
    hls_stream_t   *st = ask->live->st;

    bytes = ngx_palloc(ask->hold.request->pool, sizeof(hls_bytes_t *));

    if (bytes == NULL) {
        rc = NGX_ERROR;

    } else if (ask->name.file == HLS_PART && ask->name.part <= UINT32_MAX) {
        rc = hls_store_part(st, ask->name.number, (uint32_t) ask->name.part, bytes);

    } else if (ask->name.file == HLS_INIT && ask->name.number <= UINT32_MAX) {
        rc = hls_store_init(st, (uint32_t) ask->name.number, bytes);
    }

    return hls_answer_bytes(ask, rc, bytes, 1);
}


/* Waits for the part that the list hints at. */
static ngx_int_t
hls_answer_part(hls_ask_t *ask)
{
    switch (hls_part_ready(ask->live->st, ask->name.number, ask->name.part)) {

    case HLS_WAIT:
        return NGX_BUSY;

    case HLS_REFUSED:
        return hls_answer_bytes(ask, NGX_DECLINED, NULL, 0);

    default:
        return hls_answer_one(ask);
    }
}


static ngx_int_t
hls_answer(hls_request_t *q)
{
    hls_ask_t  *ask = (hls_ask_t *) q;

    switch (ask->name.file) {

    case HLS_SEGMENT:
        return hls_answer_segment(ask);

    case HLS_PART:
        return hls_answer_part(ask);

    case HLS_INIT:
        return hls_answer_one(ask);

    default:
        return hls_answer_playlist(ask);
    }
}


/* --- the request --- */

static void
hls_cleanup(void *data)
{
    hls_ask_t  *ask = data;

    hls_hold_end(&ask->hold);
    hls_sending_end(&ask->sending);
}


/* A hash of the viewer that requests come from: token, address and User-Agent. */
static uint64_t
hls_visitor(ngx_http_request_t *r, const hls_name_t *name)
{
    u_char            digest[16];
    uint64_t          visitor;
    ngx_md5_t         md5;
    ngx_str_t        *address = &r->connection->addr_text;
    ngx_table_elt_t  *agent = r->headers_in.user_agent;

    ngx_md5_init(&md5);
    ngx_md5_update(&md5, name->path.token, name->path.token_len);
    ngx_md5_update(&md5, " ", 1);
    ngx_md5_update(&md5, address->data, address->len);
    ngx_md5_update(&md5, " ", 1);

    if (agent) {
        ngx_md5_update(&md5, agent->value.data, agent->value.len);
    }

    ngx_md5_final(digest, &md5);
    ngx_memcpy(&visitor, digest, sizeof(uint64_t));

    return visitor;
}


/* NULL: there is no memory. */
static hls_ask_t *
hls_create_ask(ngx_http_request_t *r, const hls_name_t *name,
    const access_holder_t *holder)
{
    hls_ask_t           *ask;
    ngx_str_t            stream = hls_stream_name(name);
    hls_sending_t       *sending;
    ngx_http_cleanup_t  *cln = ngx_http_cleanup_add(r, sizeof(hls_ask_t));

    if (cln == NULL) {
        return NULL;
    }

    ask = cln->data;
    ngx_memzero(ask, sizeof(hls_ask_t));
    ask->hold.request = r;
    ask->hold.answer = hls_answer;
    ask->name = *name;

    sending = &ask->sending;
    sending->request = r;
    sending->visit = &ask->hold.visit;
    sending->id[HLS_OF_VISITOR] = hls_visitor(r, name);
    sending->id[HLS_OF_USER] = holder->uid;
    sending->id[HLS_OF_ADDRESS] = hub_origin(&r->connection->addr_text);
    sending->stream = hub_name_hash(stream.data, stream.len);
    sending->issued = holder->issued;
    sending->counted = r->connection->sent;

    cln->handler = hls_cleanup;

    return ask;
}


/* Finds or opens the viewer's session.  After the stream's end there is none, and the
 * token alone decides. */
static enum hub_refusal
hls_admit(hls_ask_t *ask, ngx_str_t *name)
{
    hub_stream_t        *s = hub_find(hub, name->data, name->len);
    hub_identity_t       identity;
    ngx_http_request_t  *r = ask->hold.request;

    if (s == NULL) {
        return HUB_ADMITTED;
    }

    ngx_memzero(&identity, sizeof(hub_identity_t));
    identity.protocol = HUB_HLS;
    identity.uid = ask->sending.id[HLS_OF_USER];
    identity.issued = ask->sending.issued;
    identity.address = r->connection->addr_text;
    identity.name_hash = ask->sending.stream;

    return hub_visit(hub, &identity, s, ask->sending.id[HLS_OF_VISITOR],
                     &ask->hold.visit);
}


/* Waits for the answer. */
static ngx_int_t
hls_wait(hls_ask_t *ask)
{
    ngx_http_request_t            *r = ask->hold.request;
    ngx_http_hub_hls_main_conf_t  *conf;

    conf = ngx_http_get_module_main_conf(r, ngx_http_hub_hls_module);

    return hls_hold(&ask->hold, ask->live, viewer_flush(r), ask->sending.id,
                    (ngx_uint_t) conf->held);
}


static ngx_int_t
hls_start(hls_ask_t *ask)
{
    int                  list = ask->name.file == HLS_INDEX
                                || ask->name.file == HLS_LIST;
    ngx_int_t            rc;
    ngx_str_t            name = hls_stream_name(&ask->name);
    hls_stream_t        *st;
    enum hub_refusal     reason;
    ngx_http_request_t  *r = ask->hold.request;

    reason = hls_admit(ask, &name);
    if (reason != HUB_ADMITTED) {
        return answer_refusal(r, "view", &name, reason);
    }

    rc = hls_store_open(name.data, name.len, list ? 0 : ask->name.session, &st);

    if (rc == NGX_DECLINED && list) {
        return access_refuse(r, "view", NGX_HTTP_NOT_FOUND, &name, "not live");
    }

    if (rc == NGX_DECLINED) {
        return hls_answer_bytes(ask, rc, NULL, 0);
    }

    ask->live = rc == NGX_OK ? hls_live(st) : NULL;

    if (ask->live == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    rc = hls_answer(&ask->hold);

    return rc == NGX_BUSY ? hls_wait(ask) : rc;
}


static ngx_int_t
ngx_http_hub_hls_handler(ngx_http_request_t *r)
{
    char              why[HLS_WHY_MAX];
    hls_ask_t        *ask;
    ngx_int_t         rc;
    ngx_str_t         token, stream;
    hls_name_t        name;
    access_holder_t   holder;

    if (hls_send_cors(r) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    if (r->method == NGX_HTTP_OPTIONS) {
        return hls_send_preflight(r);
    }

    if (!(r->method & (NGX_HTTP_GET|NGX_HTTP_HEAD))) {
        return NGX_HTTP_NOT_ALLOWED;
    }

    rc = ngx_http_discard_request_body(r);
    if (rc != NGX_OK) {
        return rc;
    }

    r->log_handler = hls_log;

    if (!hls_read_uri(r, &name)) {
        return NGX_HTTP_NOT_FOUND;
    }

    token.data = (u_char *) name.path.token;
    token.len = name.path.token_len;
    stream = hls_stream_name(&name);

    rc = access_admit(r, "view", &token, &stream, &holder);
    if (rc != NGX_OK) {
        return rc;
    }

    ask = hls_create_ask(r, &name, &holder);
    if (ask == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    if (name.file == HLS_NO_FILE) {
        return hls_answer_bytes(ask, NGX_DECLINED, NULL, 0);
    }

    if (name.file == HLS_LIST
        && !hls_query_read(&ask->query, r->args.data, r->args.len, why))
    {
        return answer_error(r, NGX_HTTP_BAD_REQUEST, "%s", why);
    }

    return hls_start(ask);
}


/* Takes the request from the location's own handler, if it is for a file of a stream. */
static ngx_int_t
ngx_http_hub_hls_choose(ngx_http_request_t *r)
{
    hls_name_t                    name;
    ngx_http_hub_hls_loc_conf_t  *conf;

    conf = ngx_http_get_module_loc_conf(r, ngx_http_hub_hls_module);

    if (conf->hls
        && (r->content_handler == NULL
            || (hls_read_uri(r, &name)
                && (name.file != HLS_NO_FILE || name.path.token_len))))
    {
        r->content_handler = ngx_http_hub_hls_handler;
    }

    return NGX_DECLINED;
}


/* --- configuration --- */

static ngx_int_t
ngx_http_hub_hls_init(ngx_conf_t *cf)
{
    return answer_in_phase(cf, NGX_HTTP_PRECONTENT_PHASE, ngx_http_hub_hls_choose);
}


static ngx_int_t
ngx_http_hub_hls_init_process(ngx_cycle_t *cycle)
{
    ngx_http_hub_hls_main_conf_t  *conf;

    conf = ngx_http_cycle_get_module_main_conf(cycle, ngx_http_hub_hls_module);

    if (conf) {
        hls_bytes_limit(conf->cache);
    }

    return NGX_OK;
}


static void *
ngx_http_hub_hls_create_main_conf(ngx_conf_t *cf)
{
    ngx_http_hub_hls_main_conf_t  *conf;

    conf = ngx_pcalloc(cf->pool, sizeof(ngx_http_hub_hls_main_conf_t));
    if (conf == NULL) {
        return NULL;
    }

    conf->cache = NGX_CONF_UNSET_SIZE;
    conf->held = NGX_CONF_UNSET;

    return conf;
}


static char *
ngx_http_hub_hls_init_main_conf(ngx_conf_t *cf, void *conf)
{
    ngx_http_hub_hls_main_conf_t  *c = conf;

    ngx_conf_init_size_value(c->cache, HLS_BYTES_MAX);
    ngx_conf_init_value(c->held, 16384);

    return NGX_CONF_OK;
}


static void *
ngx_http_hub_hls_create_loc_conf(ngx_conf_t *cf)
{
    ngx_http_hub_hls_loc_conf_t  *conf;

    conf = ngx_pcalloc(cf->pool, sizeof(ngx_http_hub_hls_loc_conf_t));
    if (conf == NULL) {
        return NULL;
    }

    conf->hls = NGX_CONF_UNSET;

    return conf;
}


static char *
ngx_http_hub_hls_merge_loc_conf(ngx_conf_t *cf, void *parent, void *child)
{
    ngx_http_conf_ctx_t          *ctx = cf->ctx;
    ngx_http_hub_hls_loc_conf_t  *conf = child;

    if (conf->hls == NGX_CONF_UNSET) {
        conf->hls = 0;                       /* not inherited, as hub_flv */
    }

    if (conf->hls && access_keys(ctx->loc_conf) == NULL) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"hls on\" has no \"access_token_keys\": without keys "
                           "nobody may view");
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}
