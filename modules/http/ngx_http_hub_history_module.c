/*
 * History over HTTP:
 *     GET /m/TOKEN/rec/APP/NAME/index.m3u8?from=&to=
 *     GET /m/TOKEN/rec/APP/NAME/spans.json?from=&to=
 *     GET /m/TOKEN/rec/APP/NAME/DAY/TIME.mp4           or .flv
 *     GET /m/TOKEN/rec/APP/NAME/DAY/TIME.OFFSET-SIZE.m4s
 *     GET /m/TOKEN/rec/APP/NAME/clip.mp4?from=&to=
 *     GET /m/TOKEN/rec/APP/NAME/thumb.jpg?at=
 *
 * The module parses a URI from its end, so it works in any location.
 */

#include "access.h"
#include "answer.h"
#include "clip.h"
#include "growing.h"
#include "history_playlist.h"
#include "pieces.h"
#include "segment.h"
#include "thumb.h"
#include "../hub/hub.h"

#define HISTORY_DEFAULT_MS  (24 * 3600 * 1000)
#define DAY_MS              86400000
#define HISTORY_PACE_MS     60000
#define HISTORY_SETTLED_S   60       /* a file unchanged for so long is final */


typedef struct {
    ngx_str_t           root;
    ngx_str_t           threads;
    ngx_str_t           thumbs;      /* a named location; empty: no thumbnails */
    ngx_thread_pool_t  *pool;
    size_t              lists;       /* bytes */
    clip_limits_t       clips;
    replay_pace_t       pace;
} ngx_http_hub_history_loc_conf_t;

/* The parts of the URI. */
typedef struct {
    ngx_str_t   token;
    ngx_str_t   stream;              /* APP/NAME */
    ngx_str_t   file;                /* DAY/TIME.EXT, or one of the names below */
    access_holder_t  holder;         /* of a valid token */
} history_uri_t;

typedef ngx_int_t (*history_answer_pt)(ngx_http_request_t *r,
    ngx_http_hub_history_loc_conf_t *conf, history_uri_t *uri);


static ngx_int_t ngx_http_hub_history_handler(ngx_http_request_t *r);
static void *ngx_http_hub_history_create_loc_conf(ngx_conf_t *cf);
static char *ngx_http_hub_history_merge_loc_conf(ngx_conf_t *cf, void *parent,
    void *child);
static char *ngx_http_hub_history(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
static char *ngx_http_hub_history_thumbs(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
static char *ngx_http_hub_history_clips(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
static char *ngx_http_hub_history_rate(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);


static ngx_command_t  ngx_http_hub_history_commands[] = {

    { ngx_string("hub_history"),
      NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_http_hub_history,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("hub_history_threads"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_str_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_hub_history_loc_conf_t, threads),
      NULL },

    { ngx_string("hub_history_thumbs"),
      NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_http_hub_history_thumbs,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("hub_history_lists"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_size_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_hub_history_loc_conf_t, lists),
      NULL },

    { ngx_string("hub_history_clip_max"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_msec_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_hub_history_loc_conf_t, clips.longest),
      NULL },

    { ngx_string("hub_history_clips"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE12,
      ngx_http_hub_history_clips,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("hub_history_heads"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_size_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_hub_history_loc_conf_t, clips.heads),
      NULL },

    { ngx_string("hub_history_rate"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE12,
      ngx_http_hub_history_rate,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

      ngx_null_command
};


static ngx_http_module_t  ngx_http_hub_history_module_ctx = {
    history_thumb_variables,               /* preconfiguration */
    NULL,                                  /* postconfiguration */
    NULL,                                  /* create main configuration */
    NULL,                                  /* init main configuration */
    NULL,                                  /* create server configuration */
    NULL,                                  /* merge server configuration */
    ngx_http_hub_history_create_loc_conf,  /* create location configuration */
    ngx_http_hub_history_merge_loc_conf    /* merge location configuration */
};


ngx_module_t  ngx_http_hub_history_module = {
    NGX_MODULE_V1,
    &ngx_http_hub_history_module_ctx,      /* module context */
    ngx_http_hub_history_commands,         /* module directives */
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


/* --- the URI --- */

/* Cuts the last part and its slash off *PATH and returns it.  Empty: none. */
static ngx_str_t
cut_last(ngx_str_t *path)
{
    size_t     n = path->len;
    ngx_str_t  part;

    while (n > 0 && path->data[n - 1] != '/') {
        n--;
    }

    part.data = path->data + n;
    part.len = path->len - n;
    path->len = n > 0 ? n - 1 : 0;

    return part;
}


static int
is_media(const ngx_str_t *file)
{
    const char  *text = (const char *) file->data;

    return rec_path_utc(text, file->len, "mp4") != -1
           || rec_path_utc(text, file->len, "flv") != -1;
}


/* Splits …/TOKEN/rec/APP/NAME/FILE.  Returns NGX_OK, or NGX_DECLINED. */
static ngx_int_t
split_uri(ngx_http_request_t *r, history_uri_t *uri)
{
    u_char          *end = r->uri.data + r->uri.len;
    ngx_str_t        path = r->uri, app, name, rec, day, shorter;
    segment_name_t   segment;

    uri->file = cut_last(&path);
    shorter = path;
    day = cut_last(&shorter);

    if (day.len) {
        day.len = end - day.data;            /* DAY/TIME.EXT */
        if (is_media(&day) || segment_name(&segment, &day) == 0) {
            uri->file = day;
            path = shorter;
        }
    }

    name = cut_last(&path);
    app = cut_last(&path);
    rec = cut_last(&path);
    uri->token = cut_last(&path);

    if (name.len == 0 || app.len == 0 || uri->token.len == 0 || rec.len != 3
        || ngx_memcmp(rec.data, "rec", 3) != 0)
    {
        return NGX_DECLINED;
    }

    uri->stream.data = app.data;
    uri->stream.len = name.data + name.len - app.data;

    /* too long for a name, it may be a token: refuse it, or the log shows it */
    if (uri->stream.len > HUB_NAME_MAX || uri->file.len > HUB_NAME_MAX) {
        return NGX_DECLINED;
    }

    return NGX_OK;
}


/* Log lines name the stream: the request line holds the token. */
static u_char *
history_log(ngx_http_request_t *r, ngx_http_request_t *sr, u_char *buf,
    size_t len)
{
    history_uri_t  uri;

    if (split_uri(r, &uri) != NGX_OK) {
        return buf;
    }

    return ngx_snprintf(buf, len, ", history of: \"%V\", file: \"%V\"",
                        &uri.stream, &uri.file);
}


/* --- arguments --- */

/* Reads the time NAME.  NGX_DECLINED: it is not given; NGX_DONE: it is invalid,
 * the handler returns *RC. */
static ngx_int_t
read_time(ngx_http_request_t *r, const char *name, int64_t *utc, ngx_int_t *rc)
{
    u_char     *p, *src;
    ngx_str_t   value;

    if (ngx_http_arg(r, (u_char *) name, ngx_strlen(name), &value) != NGX_OK) {
        return NGX_DECLINED;
    }

    src = value.data;
    p = ngx_pnalloc(r->pool, value.len + 1);
    if (p == NULL) {
        *rc = NGX_HTTP_INTERNAL_SERVER_ERROR;
        return NGX_DONE;
    }

    value.data = p;
    ngx_unescape_uri(&p, &src, value.len, 0);
    value.len = p - value.data;

    *utc = utc_read((char *) value.data, value.len);
    if (*utc != -1) {
        return NGX_OK;
    }

    *rc = answer_error(r, NGX_HTTP_BAD_REQUEST, "%s is \"%V\": expected a time "
                       "as 2026-11-23T14:00:00Z, or ms or seconds since 1970",
                       name, &value);

    return NGX_DONE;
}


/* Fills the span of H.  *OPEN: no end was given.  NGX_OK, or NGX_DONE: the
 * handler returns *RC. */
static ngx_int_t
read_span(ngx_http_request_t *r, history_t *h, int *open, ngx_int_t *rc)
{
    ngx_int_t  from, to;

    to = read_time(r, "to", &h->to, rc);
    from = to == NGX_DONE ? NGX_DONE : read_time(r, "from", &h->from, rc);

    if (from == NGX_DONE) {
        return NGX_DONE;
    }

    *open = to == NGX_DECLINED;

    if (*open) {
        h->to = history_now();
    }

    if (from == NGX_DECLINED) {
        h->from = ngx_max(h->to - HISTORY_DEFAULT_MS, 0);

        if (*open && h->recording) {
            /* players poll the list: keep its beginning for a day */
            h->from -= h->from % DAY_MS;
        }
    }

    if (h->from > h->to) {
        *rc = answer_error(r, NGX_HTTP_BAD_REQUEST, "from is %L and to is %L: "
                           "expected an end behind the beginning", h->from,
                           h->to);
        return NGX_DONE;
    }

    return NGX_OK;
}


/* --- answers --- */

/* A question whose answer has nothing of the time that the token does not show. */
static history_t *
create_question(ngx_http_request_t *r, ngx_http_hub_history_loc_conf_t *conf,
    history_uri_t *uri)
{
    history_t  *h = history_create(r, &conf->root, &uri->stream, uri->holder.uid);

    if (h) {
        h->link = uri->holder.link;
        h->least = uri->holder.from;
        h->most = uri->holder.to;
    }

    return h;
}


static int
is_clip(const ngx_str_t *file)
{
    return file->len == sizeof("clip.mp4") - 1
           && ngx_memcmp(file->data, "clip.mp4", file->len) == 0;
}


/* index.m3u8, spans.json, and clip.mp4: a span of the stream. */
static ngx_int_t
answer_span(ngx_http_request_t *r, ngx_http_hub_history_loc_conf_t *conf,
    history_uri_t *uri)
{
    int         open, clip = is_clip(&uri->file);
    ngx_int_t   rc;
    replay_t   *replay;
    history_t  *h = create_question(r, conf, uri);

    if (h == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    if (read_span(r, h, &open, &rc) != NGX_OK) {
        return rc;
    }

    rc = access_within(r, &uri->holder, &uri->stream, h->from, h->to);
    if (rc != NGX_OK) {
        return rc;
    }

    replay = replay_open(r, clip ? HUB_REPLAY : HUB_LIST, &uri->stream,
                         &uri->holder, &conf->pace, &rc);
    if (replay == NULL) {
        return rc;
    }

    if (clip) {
        return history_clip(r, h, conf->pool, &conf->clips, replay);
    }

    return uri->file.data[0] == 's'
           ? history_spans(r, h, conf->pool, conf->lists)
           : history_playlist(r, h, conf->pool, conf->lists, open);
}


static ngx_int_t
answer_thumb(ngx_http_request_t *r, ngx_http_hub_history_loc_conf_t *conf,
    history_uri_t *uri)
{
    ngx_int_t   at, rc;
    history_t  *h;

    if (conf->thumbs.data == NULL) {
        return NGX_HTTP_NOT_FOUND;
    }

    h = create_question(r, conf, uri);
    if (h == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    at = read_time(r, "at", &h->to, &rc);

    if (at == NGX_DONE) {
        return rc;
    }

    if (at == NGX_DECLINED) {
        h->to = history_now();
    }

    rc = access_within(r, &uri->holder, &uri->stream, h->to, h->to);
    if (rc != NGX_OK) {
        return rc;
    }

    return history_thumb(r, h, conf->pool, &conf->thumbs, at == NGX_DECLINED);
}


static ngx_int_t
answer_segment(ngx_http_request_t *r, ngx_http_hub_history_loc_conf_t *conf,
    history_uri_t *uri)
{
    ngx_int_t        rc;
    replay_t        *replay;
    history_t       *h = history_create(r, &conf->root, &uri->stream,
                                        uri->holder.uid);
    segment_name_t   name;

    if (h == NULL || segment_name(&name, &uri->file) != 0) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    replay = replay_open(r, HUB_FILE, &uri->stream, &uri->holder, &conf->pace,
                         &rc);

    return replay ? history_segment(r, h, conf->pool, &name, replay) : rc;
}


/* Opens PATH, without following links behind its first ROOT bytes. */
static ngx_int_t
open_media(ngx_http_request_t *r, ngx_str_t *path, size_t root,
    ngx_open_file_info_t *of)
{
    ngx_http_core_loc_conf_t  *clcf;

    clcf = ngx_http_get_module_loc_conf(r, ngx_http_core_module);

    ngx_memzero(of, sizeof(ngx_open_file_info_t));
    of->read_ahead = clcf->read_ahead;
    of->directio = clcf->directio;
    of->valid = clcf->open_file_cache_valid;
    of->min_uses = clcf->open_file_cache_min_uses;
    of->errors = clcf->open_file_cache_errors;
    of->events = clcf->open_file_cache_events;
    of->disable_symlinks = NGX_DISABLE_SYMLINKS_ON;
    of->disable_symlinks_from = root;

    if (ngx_open_cached_file(clcf->open_file_cache, path, of, r->pool)
        == NGX_OK)
    {
        return of->is_file ? NGX_OK : NGX_HTTP_NOT_FOUND;
    }

    if (of->err == 0) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    if (of->err == NGX_ENOENT || of->err == NGX_ENOTDIR
        || of->err == NGX_ELOOP || of->err == NGX_EMLINK)
    {
        return NGX_HTTP_NOT_FOUND;
    }

    ngx_log_error(NGX_LOG_ERR, r->connection->log, of->err,
                  "%s \"%V\" failed", of->failed, path);

    return NGX_HTTP_INTERNAL_SERVER_ERROR;
}


/* Headers of a closed file: it never changes again. */
static ngx_int_t
set_closed(ngx_http_request_t *r, ngx_open_file_info_t *of)
{
    int  settled = ngx_time() - of->mtime > HISTORY_SETTLED_S;

    r->headers_out.last_modified_time = of->mtime;

    return ngx_http_set_etag(r) == NGX_OK
           && answer_header(r, "Cache-Control",
                            settled ? "private, max-age=31536000, immutable"
                                    : "private, no-cache")
           ? NGX_OK : NGX_ERROR;
}


static ngx_int_t
set_media_headers(ngx_http_request_t *r, ngx_open_file_info_t *of, int flv,
    int growing)
{
    r->headers_out.status = NGX_HTTP_OK;
    r->headers_out.content_length_n = of->size;
    ngx_str_set(&r->headers_out.content_type, "video/mp4");
    if (flv) {
        ngx_str_set(&r->headers_out.content_type, "video/x-flv");
    }
    r->headers_out.content_type_len = r->headers_out.content_type.len;
    r->allow_ranges = 1;

    return growing ? growing_headers(r, of->fd) : set_closed(r, of);
}


static ngx_int_t
answer_media(ngx_http_request_t *r, ngx_http_hub_history_loc_conf_t *conf,
    history_uri_t *uri)
{
    int                   growing;
    char                  dir[REC_DIR_MAX];
    ngx_int_t             rc;
    ngx_str_t             path;
    pieces_t              body = { .r = r };
    replay_t             *replay;
    ngx_file_t           *file;
    ngx_open_file_info_t  of;

    if (rec_path_dir(dir, (char *) uri->stream.data, uri->stream.len) == 0) {
        return NGX_HTTP_NOT_FOUND;
    }

    path.len = conf->root.len + ngx_strlen(dir) + uri->file.len + 2;
    path.data = ngx_pnalloc(r->pool, path.len + 1);

    if (path.data == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    (void) ngx_sprintf(path.data, "%V/%s/%V%Z", &conf->root, dir, &uri->file);

    growing = growing_file(&path, conf->root.len); /* before opening: no race */

    rc = open_media(r, &path, conf->root.len, &of);
    if (rc != NGX_OK) {
        return rc;
    }

    replay = replay_open(r, HUB_FILE, &uri->stream, &uri->holder, &conf->pace,
                         &rc);
    if (replay == NULL) {
        return rc;
    }

    file = pieces_file(&body, &path, of.fd);

    if (file == NULL || replay_watch_file(replay, of.fd) != NGX_OK
        || set_media_headers(r, &of, path.data[path.len - 1] == 'v', growing)
           != NGX_OK)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    file->directio = of.is_directio;
    pieces_bytes(&body, file, 0, (uint64_t) of.size);

    return pieces_send(&body);
}


/* --- the request --- */

static history_answer_pt
find_answer(const ngx_str_t *file)
{
    static const struct {
        const char         *name;
        history_answer_pt   answer;
    }  names[] = {
        { "index.m3u8", answer_span },
        { "spans.json", answer_span },
        { "clip.mp4", answer_span },
        { "thumb.jpg", answer_thumb },
    };

    ngx_uint_t      i;
    segment_name_t  segment;

    for (i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (file->len == ngx_strlen(names[i].name)
            && ngx_memcmp(file->data, names[i].name, file->len) == 0)
        {
            return names[i].answer;
        }
    }

    if (segment_name(&segment, file) == 0) {
        return answer_segment;
    }

    return is_media(file) ? answer_media : NULL;
}


static ngx_int_t
ngx_http_hub_history_handler(ngx_http_request_t *r)
{
    ngx_int_t                         rc;
    history_uri_t                     uri;
    history_answer_pt                 answer;
    ngx_http_hub_history_loc_conf_t  *conf;

    conf = ngx_http_get_module_loc_conf(r, ngx_http_hub_history_module);

    if (!(r->method & (NGX_HTTP_GET|NGX_HTTP_HEAD))) {
        return NGX_HTTP_NOT_ALLOWED;
    }

    rc = ngx_http_discard_request_body(r);
    if (rc != NGX_OK) {
        return rc;
    }

    r->log_handler = history_log;

    if (split_uri(r, &uri) != NGX_OK) {
        return NGX_HTTP_NOT_FOUND;
    }

    answer = find_answer(&uri.file);

    /* only these two ask whether the token shows this time: all others need the whole right */
    rc = access_admit(r, is_clip(&uri.file) || answer == answer_thumb ? "clip" : "replay",
                      &uri.token, &uri.stream, &uri.holder);
    if (rc != NGX_OK) {
        return rc;
    }

    return answer ? answer(r, conf, &uri) : NGX_HTTP_NOT_FOUND;
}


/* --- configuration --- */

static char *
ngx_http_hub_history(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_core_loc_conf_t         *clcf;
    ngx_http_hub_history_loc_conf_t  *c = conf;

    clcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);
    clcf->handler = ngx_http_hub_history_handler;

    return history_root(cf, &c->root);
}


static char *
ngx_http_hub_history_thumbs(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_str_t                        *value = cf->args->elts;
    ngx_http_hub_history_loc_conf_t  *c = conf;

    if (c->thumbs.data) {
        return "is duplicate";
    }

    if (value[1].len < 2 || value[1].data[0] != '@') {
        return "is no named location: expected a name such as \"@thumb\"";
    }

    c->thumbs = value[1];

    return NGX_CONF_OK;
}


/* NUMBER [of a user] */
static char *
ngx_http_hub_history_clips(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_int_t                        *number;
    ngx_str_t                        *value = cf->args->elts;
    ngx_uint_t                        i;
    ngx_http_hub_history_loc_conf_t  *c = conf;

    if (c->clips.at_once != NGX_CONF_UNSET) {
        return "is duplicate";
    }

    c->clips.of_user = 0;

    for (i = 1; i < cf->args->nelts; i++) {
        number = i == 1 ? &c->clips.at_once : &c->clips.of_user;
        *number = ngx_atoi(value[i].data, value[i].len);

        if (*number < 1) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "%V has \"%V\", expected a number above 0",
                               &cmd->name, &value[i]);
            return NGX_CONF_ERROR;
        }
    }

    if (c->clips.of_user == 0) {
        c->clips.of_user = (c->clips.at_once + 3) / 4;
    }

    return NGX_CONF_OK;
}


/* SIZE [TIME] */
static char *
ngx_http_hub_history_rate(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ssize_t                           rate;
    ngx_int_t                         time = HISTORY_PACE_MS;
    ngx_str_t                        *value = cf->args->elts;
    ngx_http_hub_history_loc_conf_t  *c = conf;

    if (c->pace.time != NGX_CONF_UNSET_MSEC) {
        return "is duplicate";
    }

    rate = ngx_parse_size(&value[1]);

    if (rate == NGX_ERROR) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "%V is \"%V\", expected bytes a second", &cmd->name,
                           &value[1]);
        return NGX_CONF_ERROR;
    }

    if (cf->args->nelts == 3) {
        time = ngx_parse_time(&value[2], 0);

        if (time == NGX_ERROR || time < 1000) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "%V is measured in \"%V\", expected at least 1s",
                               &cmd->name, &value[2]);
            return NGX_CONF_ERROR;
        }
    }

    c->pace.rate = (size_t) rate;
    c->pace.time = (ngx_msec_t) time;

    return NGX_CONF_OK;
}


static void *
ngx_http_hub_history_create_loc_conf(ngx_conf_t *cf)
{
    ngx_http_hub_history_loc_conf_t  *conf;

    conf = ngx_pcalloc(cf->pool, sizeof(ngx_http_hub_history_loc_conf_t));
    if (conf == NULL) {
        return NULL;
    }

    /* its strings are null, its pool is none */
    conf->lists = NGX_CONF_UNSET_SIZE;
    conf->clips.longest = NGX_CONF_UNSET_MSEC;
    conf->clips.at_once = NGX_CONF_UNSET;
    conf->clips.of_user = NGX_CONF_UNSET;
    conf->clips.heads = NGX_CONF_UNSET_SIZE;
    conf->pace.rate = NGX_CONF_UNSET_SIZE;
    conf->pace.time = NGX_CONF_UNSET_MSEC;

    return conf;
}


static char *
ngx_http_hub_history_merge_loc_conf(ngx_conf_t *cf, void *parent, void *child)
{
    ngx_http_hub_history_loc_conf_t  *prev = parent;
    ngx_http_hub_history_loc_conf_t  *conf = child;
    ngx_http_conf_ctx_t              *ctx;

    ngx_conf_merge_str_value(conf->threads, prev->threads, "default");
    ngx_conf_merge_size_value(conf->lists, prev->lists, 64 * 1024 * 1024);
    ngx_conf_merge_msec_value(conf->clips.longest, prev->clips.longest,
                              6 * 3600 * 1000);
    ngx_conf_merge_value(conf->clips.at_once, prev->clips.at_once, 16);
    ngx_conf_merge_value(conf->clips.of_user, prev->clips.of_user, 4);
    ngx_conf_merge_size_value(conf->clips.heads, prev->clips.heads,
                              256 * 1024 * 1024);
    ngx_conf_merge_size_value(conf->pace.rate, prev->pace.rate, 1024);
    ngx_conf_merge_msec_value(conf->pace.time, prev->pace.time,
                              HISTORY_PACE_MS);

    if (conf->root.data == NULL) {
        return NGX_CONF_OK;                  /* not inherited: see handler */
    }

    ctx = cf->ctx;

    if (access_keys(ctx->loc_conf) == NULL) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"hub_history\" has no \"access_token_keys\": "
                           "without keys nobody may replay");
        return NGX_CONF_ERROR;
    }

    conf->pool = ngx_thread_pool_add(cf, &conf->threads);

    return conf->pool ? NGX_CONF_OK : NGX_CONF_ERROR;
}
