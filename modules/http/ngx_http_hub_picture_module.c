/*
 * A picture of a stream, a few seconds old:
 *     GET /m/TOKEN/APP/NAME.jpg
 *
 * The module finds the newest key frame in the hub, and a named location has a JPEG made
 * of it.  The frame is the body of that location's request, as an MP4.  The location
 * uses these variables:
 *
 *     $hub_picture_key       for the cache: one picture of a stream for each interval
 *     $hub_picture_stream    APP/NAME
 *     $hub_picture_since     until then (unix seconds) all that was granted on the stream
 *                            is void, and with it older pictures; 0: nothing
 *     $hub_picture_user      the user's number
 *     $hub_picture_size      bytes of the body; 0: it could not be made; empty: the
 *                            stream is offline, and its last picture is asked for
 *     $hub_picture_tag       for the header ETag
 *     $hub_picture_age       how old the key frame is, in ms
 *
 * In any other request they are empty.  Looking at pictures opens no session.
 */

#include "access.h"
#include "answer.h"
#include "budget.h"
#include "picture.h"
#include "stream_path.h"

#define PICTURE_INTERVAL    4000                 /* ms */
#define PICTURE_EXTENSION   (sizeof(".jpg") - 1)
#define PICTURE_BODIES_MAX  (32 * 1024 * 1024)   /* of a worker's requests */


typedef struct {
    ngx_str_t   location;          /* empty: no pictures */
    ngx_msec_t  interval;
} ngx_http_hub_picture_loc_conf_t;

/* What the variables tell, in the request's pool. */
typedef struct {
    ngx_str_t         stream, key, tag, since, user, age;
    uint64_t          uid;
    picture_frame_t   frame;
    ngx_buf_t        *body;        /* NULL: the stream is offline */
    budget_hold_t     hold;
} picture_t;


static ngx_int_t ngx_http_hub_picture_variables(ngx_conf_t *cf);
static ngx_int_t ngx_http_hub_picture_handler(ngx_http_request_t *r);
static ngx_int_t ngx_http_hub_picture_text(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data);
static ngx_int_t ngx_http_hub_picture_size(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data);
static void *ngx_http_hub_picture_create_loc_conf(ngx_conf_t *cf);
static char *ngx_http_hub_picture_merge_loc_conf(ngx_conf_t *cf, void *parent,
    void *child);
static char *ngx_http_hub_picture(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);


static budget_t  bodies;


static ngx_command_t  ngx_http_hub_picture_commands[] = {

    { ngx_string("hub_picture"),
      NGX_HTTP_LOC_CONF|NGX_CONF_TAKE12,
      ngx_http_hub_picture,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

      ngx_null_command
};


static ngx_http_module_t  ngx_http_hub_picture_module_ctx = {
    ngx_http_hub_picture_variables,        /* preconfiguration */
    NULL,                                  /* postconfiguration */
    NULL,                                  /* create main configuration */
    NULL,                                  /* init main configuration */
    NULL,                                  /* create server configuration */
    NULL,                                  /* merge server configuration */
    ngx_http_hub_picture_create_loc_conf,  /* create location configuration */
    ngx_http_hub_picture_merge_loc_conf    /* merge location configuration */
};


ngx_module_t  ngx_http_hub_picture_module = {
    NGX_MODULE_V1,
    &ngx_http_hub_picture_module_ctx,      /* module context */
    ngx_http_hub_picture_commands,         /* module directives */
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


/* --- the variables --- */

static const struct {
    ngx_str_t                   name;
    ngx_http_get_variable_pt    get;
    size_t                      at;      /* of a text in picture_t */
} picture_variables[] = {
    { ngx_string("hub_picture_key"), ngx_http_hub_picture_text, offsetof(picture_t, key) },
    { ngx_string("hub_picture_stream"), ngx_http_hub_picture_text,
      offsetof(picture_t, stream) },
    { ngx_string("hub_picture_since"), ngx_http_hub_picture_text, offsetof(picture_t, since) },
    { ngx_string("hub_picture_user"), ngx_http_hub_picture_text, offsetof(picture_t, user) },
    { ngx_string("hub_picture_tag"), ngx_http_hub_picture_text, offsetof(picture_t, tag) },
    { ngx_string("hub_picture_age"), ngx_http_hub_picture_text, offsetof(picture_t, age) },
    { ngx_string("hub_picture_size"), ngx_http_hub_picture_size, 0 },
};


static ngx_int_t
ngx_http_hub_picture_variables(ngx_conf_t *cf)
{
    size_t                i;
    ngx_str_t             name;
    ngx_http_variable_t  *v;

    for (i = 0; i < sizeof(picture_variables) / sizeof(picture_variables[0]); i++) {
        name = picture_variables[i].name;

        v = ngx_http_add_variable(cf, &name, 0);
        if (v == NULL) {
            return NGX_ERROR;
        }

        v->get_handler = picture_variables[i].get;
        v->data = picture_variables[i].at;
    }

    return NGX_OK;
}


/* Also marks the picture_t of a request: nginx clears the modules' contexts on the way to
 * a named location, but keeps the pool's cleanups. */
static void
picture_cleanup(void *data)
{
    picture_t  *picture = data;

    budget_give(&picture->hold);
}


static picture_t *
picture_of(ngx_http_request_t *r)
{
    ngx_pool_cleanup_t  *cln;

    for (cln = r->pool->cleanup; cln; cln = cln->next) {
        if (cln->handler == picture_cleanup) {
            return cln->data;
        }
    }

    return NULL;
}


static ngx_int_t
ngx_http_hub_picture_text(ngx_http_request_t *r, ngx_http_variable_value_t *v,
    uintptr_t data)
{
    picture_t  *picture = picture_of(r);
    ngx_str_t  *text = picture ? (ngx_str_t *) ((u_char *) picture + data) : NULL;

    if (text == NULL || text->len == 0) {
        v->not_found = 1;
        return NGX_OK;
    }

    v->valid = 1;
    v->no_cacheable = 0;
    v->not_found = 0;
    v->data = text->data;
    v->len = text->len;

    return NGX_OK;
}


/* Fills the body.  When it cannot, the body stays empty. */
static void
picture_fill(ngx_http_request_t *r, picture_t *picture)
{
    size_t      held, size = picture_room(&picture->frame);
    ngx_buf_t  *b = picture->body;

    if (budget_take(&bodies, &picture->hold, picture->uid, size, PICTURE_BODIES_MAX, &held)
        != NGX_OK)
    {
        ngx_log_error(NGX_LOG_WARN, r->connection->log, 0,
                      "no picture of \"%V\": frames on their way take %uz bytes, this one "
                      "%uz", &picture->stream, held, size);
        return;
    }

    b->start = ngx_palloc(r->pool, size);
    if (b->start == NULL) {
        return;
    }

    b->pos = b->last = b->start;
    b->end = b->start + size;

    if (picture_make(&picture->frame, b) != NGX_OK) {
        b->last = b->start;
        return;
    }

    b->sync = 0;
    b->memory = 1;
}


/* Makes the body: nginx takes the variables before it, and only if the cache has no
 * picture.  So a picture that is in the cache costs no copy of a frame. */
static ngx_int_t
ngx_http_hub_picture_size(ngx_http_request_t *r, ngx_http_variable_value_t *v,
    uintptr_t data)
{
    u_char     *p;
    picture_t  *picture = picture_of(r);

    if (picture == NULL || picture->body == NULL) {
        v->not_found = 1;
        return NGX_OK;
    }

    if (picture->body->start == NULL) {
        picture_fill(r, picture);
    }

    p = ngx_pnalloc(r->pool, NGX_SIZE_T_LEN);
    if (p == NULL) {
        return NGX_ERROR;
    }

    v->valid = 1;
    v->no_cacheable = 0;
    v->not_found = 0;
    v->data = p;
    v->len = ngx_sprintf(p, "%uz", (size_t) (picture->body->last - picture->body->pos)) - p;

    return NGX_OK;
}


/* --- the request --- */

static ngx_int_t
picture_split(ngx_http_request_t *r, ngx_str_t *token, ngx_str_t *stream)
{
    stream_path_t  split;

    if (r->uri.len <= PICTURE_EXTENSION
        || ngx_memcmp(r->uri.data + r->uri.len - PICTURE_EXTENSION, ".jpg",
                      PICTURE_EXTENSION)
           != 0
        || !stream_path_read_end(&split, r->uri.data, r->uri.len - PICTURE_EXTENSION,
                                 HUB_NAME_MAX))
    {
        return NGX_DECLINED;
    }

    token->data = (u_char *) split.token;
    token->len = split.token_len;
    stream->data = (u_char *) split.stream;
    stream->len = split.stream_len;

    return NGX_OK;
}


/* Log lines name the stream: the request line holds the token. */
static u_char *
picture_log(ngx_http_request_t *r, ngx_http_request_t *sr, u_char *buf, size_t len)
{
    ngx_str_t  token, stream;

    if (picture_split(r, &token, &stream) != NGX_OK) {
        return buf;
    }

    return ngx_snprintf(buf, len, ", picture of: \"%V\"", &stream);
}


/* FORMAT in the request's pool; the text has at most 3 numbers besides the stream's name. */
static ngx_int_t
picture_print(ngx_http_request_t *r, ngx_str_t *text, const char *format, ...)
{
    va_list  args;
    size_t   max = HUB_NAME_MAX + 3 * NGX_INT64_LEN;

    text->data = ngx_pnalloc(r->pool, max);
    if (text->data == NULL) {
        return NGX_ERROR;
    }

    va_start(args, format);
    text->len = ngx_vslprintf(text->data, text->data + max, format, args) - text->data;
    va_end(args);

    return NGX_OK;
}


static picture_t *
picture_create(ngx_http_request_t *r, const ngx_str_t *stream,
    const access_holder_t *holder)
{
    int64_t              since;
    picture_t           *picture;
    ngx_pool_cleanup_t  *cln = ngx_pool_cleanup_add(r->pool, sizeof(picture_t));

    if (cln == NULL) {
        return NULL;
    }

    picture = cln->data;
    ngx_memzero(picture, sizeof(picture_t));
    cln->handler = picture_cleanup;

    since = hub_revoked_until(hub, 0, hub_name_hash(stream->data, stream->len), 0);
    picture->uid = holder->uid;

    return picture_print(r, &picture->stream, "%V", stream) == NGX_OK
           && picture_print(r, &picture->since, "%L", ngx_max(since, 0)) == NGX_OK
           && picture_print(r, &picture->user, "%uL", holder->uid) == NGX_OK
           ? picture : NULL;
}


/* The interval is one of the stream's own clock: while no newer key frame comes, the same
 * picture is asked for, and no stream can make that clock run faster. */
static ngx_int_t
picture_name_frame(ngx_http_request_t *r, picture_t *picture, ngx_msec_t interval)
{
    const picture_frame_t  *frame = &picture->frame;
    uint64_t                slot = (uint64_t) frame->entry.dts / interval;

    return picture_print(r, &picture->key, "%L:%uL:%V", frame->life, slot,
                         &picture->stream) == NGX_OK
           && picture_print(r, &picture->tag, "\"%xL-%xL\"", frame->life, slot) == NGX_OK
           && picture_print(r, &picture->age, "%uD", picture_age(frame)) == NGX_OK
           ? NGX_OK : NGX_ERROR;
}


static ngx_int_t
picture_is_known(ngx_http_request_t *r, const picture_t *picture)
{
    const ngx_str_t  *tag = &picture->tag, *value;

    if (r->headers_in.if_none_match == NULL || tag->len == 0) {
        return 0;
    }

    value = &r->headers_in.if_none_match->value;       /* W/"…", of a proxy, too */

    return value->len >= tag->len
           && ngx_memcmp(value->data + value->len - tag->len, tag->data, tag->len) == 0;
}


/* Gives the request a body of ours, for the named location. */
static ngx_int_t
picture_set_body(ngx_http_request_t *r, picture_t *picture, int live)
{
    ngx_chain_t              *link;
    ngx_http_request_body_t  *body = ngx_pcalloc(r->pool, sizeof(ngx_http_request_body_t));

    if (body == NULL) {
        return NGX_ERROR;
    }

    r->request_body = body;              /* without bufs: an empty body */

    if (!live) {
        return NGX_OK;
    }

    link = ngx_alloc_chain_link(r->pool);
    picture->body = ngx_calloc_buf(r->pool);

    if (link == NULL || picture->body == NULL) {
        return NGX_ERROR;
    }

    picture->body->sync = 1;             /* skipped, unless it is filled */
    link->buf = picture->body;
    link->next = NULL;
    body->bufs = link;

    return NGX_OK;
}


static ngx_int_t
picture_answer(ngx_http_request_t *r, picture_t *picture,
    ngx_http_hub_picture_loc_conf_t *conf)
{
    ngx_int_t         rc = picture_find(&picture->stream, &picture->frame);
    ngx_table_elt_t  *age;

    if (rc == NGX_AGAIN) {
        return answer_error(r, NGX_HTTP_NOT_FOUND, "the hub has no key frame of \"%V\" "
                            "now", &picture->stream);
    }

    if ((rc == NGX_OK ? picture_name_frame(r, picture, conf->interval)
                      : picture_print(r, &picture->key, "kept:%V:%V", &picture->since,
                                      &picture->stream))
        != NGX_OK)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    if (picture_is_known(r, picture)) {
        age = answer_header(r, "X-Picture-Age", "");
        if (age == NULL) {
            return NGX_HTTP_INTERNAL_SERVER_ERROR;
        }

        age->value = picture->age;
        return NGX_HTTP_NOT_MODIFIED;
    }

    if (picture_set_body(r, picture, rc == NGX_OK) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    return ngx_http_named_location(r, &conf->location);
}


static ngx_int_t
ngx_http_hub_picture_handler(ngx_http_request_t *r)
{
    ngx_int_t                         rc;
    ngx_str_t                         token, stream;
    picture_t                        *picture;
    access_holder_t                   holder;
    ngx_http_hub_picture_loc_conf_t  *conf;

    conf = ngx_http_get_module_loc_conf(r, ngx_http_hub_picture_module);

    if (!(r->method & (NGX_HTTP_GET|NGX_HTTP_HEAD))) {
        return NGX_HTTP_NOT_ALLOWED;
    }

    rc = ngx_http_discard_request_body(r);
    if (rc != NGX_OK) {
        return rc;
    }

    r->log_handler = picture_log;

    if (picture_split(r, &token, &stream) != NGX_OK) {
        return NGX_HTTP_NOT_FOUND;
    }

    rc = access_admit(r, "view", &token, &stream, &holder);
    if (rc != NGX_OK) {
        return rc;
    }

    if (budget_init(&bodies, r->connection->log) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    picture = picture_create(r, &stream, &holder);

    return picture ? picture_answer(r, picture, conf) : NGX_HTTP_INTERNAL_SERVER_ERROR;
}


/* --- configuration --- */

/* @LOCATION [INTERVAL] */
static char *
ngx_http_hub_picture(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_int_t                         interval = PICTURE_INTERVAL;
    ngx_str_t                        *value = cf->args->elts;
    ngx_http_core_loc_conf_t         *clcf;
    ngx_http_hub_picture_loc_conf_t  *c = conf;

    if (c->location.data) {
        return "is duplicate";
    }

    if (value[1].len < 2 || value[1].data[0] != '@') {
        return "is no named location: expected a name such as \"@picture\"";
    }

    if (cf->args->nelts == 3) {
        interval = ngx_parse_time(&value[2], 0);

        if (interval == NGX_ERROR || interval < 1000) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "%V has the interval \"%V\", expected at least 1s",
                               &cmd->name, &value[2]);
            return NGX_CONF_ERROR;
        }
    }

    c->location = value[1];
    c->interval = (ngx_msec_t) interval;

    clcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);
    clcf->handler = ngx_http_hub_picture_handler;

    return NGX_CONF_OK;
}


static void *
ngx_http_hub_picture_create_loc_conf(ngx_conf_t *cf)
{
    return ngx_pcalloc(cf->pool, sizeof(ngx_http_hub_picture_loc_conf_t));
}


static char *
ngx_http_hub_picture_merge_loc_conf(ngx_conf_t *cf, void *parent, void *child)
{
    ngx_http_conf_ctx_t              *ctx = cf->ctx;
    ngx_http_hub_picture_loc_conf_t  *conf = child;

    if (conf->location.data && access_keys(ctx->loc_conf) == NULL) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"hub_picture\" has no \"access_token_keys\": "
                           "without keys nobody may view");
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}
