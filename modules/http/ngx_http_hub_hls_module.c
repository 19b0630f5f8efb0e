/*
 * HLS and low-latency HLS out of the hub (hls.md):
 *     GET /m/TOKEN/APP/NAME/index.m3u8      and the files that it leads to
 *
 * The module takes the requests for its own files, and leaves all others to the
 * location's handler, so that a location may have `hub_flv`, too.
 */

#include "access.h"
#include "answer.h"
#include "hls_answer.h"
#include "viewer.h"
#include "visitor.h"

#define HLS_PARTS_OF_PATH  4           /* TOKEN/APP/NAME/FILE */


typedef struct {
    size_t      cache;
    ngx_int_t   held;
} ngx_http_hub_hls_main_conf_t;

typedef struct {
    ngx_flag_t     hls;
    hls_history_t  history;
} ngx_http_hub_hls_loc_conf_t;


static ngx_int_t ngx_http_hub_hls_handler(ngx_http_request_t *r);
static ngx_int_t ngx_http_hub_hls_init(ngx_conf_t *cf);
static char *ngx_http_hub_hls_history(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
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

    { ngx_string("hls_history"),
      NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_http_hub_hls_history,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("hls_history_threads"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_str_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_hub_hls_loc_conf_t, history.threads),
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
    u_char                    *slash;
    ngx_str_t                  path = r->uri;
    ngx_uint_t                 i;
    ngx_http_core_loc_conf_t  *clcf;

    clcf = ngx_http_get_module_loc_conf(r, ngx_http_core_module);
    n = ngx_min(clcf->name.len, path.len);

#if (NGX_PCRE)
    if (clcf->regex) {
        slash = path.data + path.len;

        for (i = 0; slash && i < HLS_PARTS_OF_PATH; i++) {
            slash = memrchr(path.data, '/', slash - path.data);
        }

        n = slash ? slash + 1 - path.data : 0;
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


/* --- the request --- */

static void
hls_cleanup(void *data)
{
    hls_ask_t  *ask = data;

    hls_hold_end(&ask->hold);
    hls_sending_end(&ask->sending);
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
    ngx_http_hub_hls_loc_conf_t  *conf;

    if (cln == NULL) {
        return NULL;
    }

    ask = cln->data;
    ngx_memzero(ask, sizeof(hls_ask_t));
    ask->hold.request = r;
    ask->hold.answer = hls_answer;
    ask->name = *name;

    conf = ngx_http_get_module_loc_conf(r, ngx_http_hub_hls_module);
    if (conf->history.root.data && holder->replay) {
        ask->history = &conf->history;
    }

    sending = &ask->sending;
    sending->request = r;
    sending->visit = &ask->hold.visit;
    sending->id[HLS_OF_VISITOR] = visitor_hash(r, name->path.token, name->path.token_len);
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
    hub_stream_t    *s = hub_find(hub, name->data, name->len);
    hls_sending_t   *sending = &ask->sending;
    access_holder_t  holder = { .uid = sending->id[HLS_OF_USER],
                                .issued = sending->issued };

    return s ? visitor_admit(ask->hold.request, s, sending->stream, &holder,
                             sending->id[HLS_OF_VISITOR], &ask->hold.visit)
             : HUB_ADMITTED;
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
        return hls_answer_gone(ask, rc);
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

    if ((name.file == HLS_LIST || name.file == HLS_INDEX)
        && !hls_query_read(&ask->query, r->args.data, r->args.len, why))
    {
        return answer_error(r, NGX_HTTP_BAD_REQUEST, "%s", why);
    }

    if (name.file == HLS_INDEX) {
        ask->query.has_msn = ask->query.has_part = 0;    /* they are for the other list */
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


static char *
ngx_http_hub_hls_history(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_hub_hls_loc_conf_t  *c = conf;

    return history_root(cf, &c->history.root);
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

    conf->hls = NGX_CONF_UNSET;              /* its history is none */

    return conf;
}


static char *
ngx_http_hub_hls_merge_loc_conf(ngx_conf_t *cf, void *parent, void *child)
{
    ngx_http_conf_ctx_t          *ctx = cf->ctx;
    ngx_http_hub_hls_loc_conf_t  *prev = parent;
    ngx_http_hub_hls_loc_conf_t  *conf = child;

    if (conf->hls == NGX_CONF_UNSET) {
        conf->hls = 0;                       /* not inherited, as hub_flv */
    }

    ngx_conf_merge_str_value(conf->history.threads, prev->history.threads, "default");

    if (conf->hls && access_keys(ctx->loc_conf) == NULL) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"hls on\" has no \"access_token_keys\": without keys "
                           "nobody may view");
        return NGX_CONF_ERROR;
    }

    if (conf->history.root.data == NULL) {
        return NGX_CONF_OK;                  /* not inherited either */
    }

    if (!conf->hls) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"hls_history\" is without \"hls on\" in its location");
        return NGX_CONF_ERROR;
    }

    conf->history.pool = ngx_thread_pool_add(cf, &conf->history.threads);

    return conf->history.pool ? NGX_CONF_OK : NGX_CONF_ERROR;
}
