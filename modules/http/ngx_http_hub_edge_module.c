/*
 * An edge: an nginx with a cache in front of the server that has the streams.
 *     GET /m/TOKEN/APP/NAME/FILE
 *
 * The edge checks each viewer's token itself, whether its cache has the answer or not,
 * and has a session for the viewer.  It asks the origin with a token of its own, so that
 * the answers of all viewers are one object.  It signs that token with the same keys.
 * Without keys, without a zone for revocations or without a token nothing passes.
 */

#include <ngx_http.h>

#include "access.h"
#include "answer.h"
#include "edge_held.h"
#include "stream_path.h"
#include "viewer.h"
#include "visitor.h"
#include "../hub/hub.h"

/* Requests of one user that a worker passes on to the origin: so many a second, and at
 * once.  A wall of 16 streams that nobody else watches makes a hundred.  Without a bound
 * one viewer could use up what the origin allows the whole edge, by names that the cache
 * does not have. */
#define EDGE_MISSES_S     100
#define EDGE_MISSES_MOST  300
#define EDGE_USERS        1024

/* Requests of one user for one stream that the origin may hold at a time, of the 64
 * that it holds for the edge.  A player has a list, the next part and perhaps some
 * segments; the same requests of others wait here, for that one's answer. */
#define EDGE_HELD_MOST  8

#define EDGE_CHECK_MS  500         /* how often the sessions of requests are checked */

/* The edge's token stays the same for this long, so that the origin sees one viewer. */
#define EDGE_TOKEN_S  300


typedef struct {
    ngx_shm_zone_t  *held;         /* NULL: no location is an edge's */
} ngx_http_hub_edge_main_conf_t;

typedef struct {
    ngx_int_t  user;               /* of the edge's own tokens; 0: off */
} ngx_http_hub_edge_loc_conf_t;

/* A request with the parts of its address, which are in its URI. */
typedef struct {
    ngx_str_t            token, stream;
    ngx_str_t            path;     /* APP/NAME/FILE */
    ngx_str_t            action;   /* what the token allows: "view", or the past, too: "watch" */
    ngx_http_request_t  *request;
    ngx_http_handler_pt  pass;     /* the location's own handler */
    hub_visit_t          visit;    /* its row may be NULL */
    off_t                counted;  /* of connection->sent, by the session */
    ngx_msec_t           checked_ms;
    uint64_t             name_hash;        /* of the stream */
    uint64_t             uid;
    uint64_t             id;       /* of its user and stream, for edge_held.h */
    uint64_t            *place;    /* there; NULL: the origin does not hold it */
    unsigned             passed:1;
    unsigned             ended:1;
    hub_tick_t           tick;
} edge_request_t;

/* Counts a user's recent requests that the cache could not answer.  The user's number
 * gives the place; two users in one place share it. */
typedef struct {
    ngx_msec_t  at;
    uint32_t    misses;            /* that count at this time */
} edge_user_t;

static edge_user_t  edge_users[EDGE_USERS];

static const ngx_str_t  edge_view = ngx_string("view");
static const ngx_str_t  edge_view_and_replay = ngx_string("watch");


static ngx_int_t ngx_http_hub_edge_add_variables(ngx_conf_t *cf);
static ngx_int_t ngx_http_hub_edge_init(ngx_conf_t *cf);
static ngx_int_t ngx_http_hub_edge_init_process(ngx_cycle_t *cycle);
static void *ngx_http_hub_edge_create_main_conf(ngx_conf_t *cf);
static void *ngx_http_hub_edge_create_loc_conf(ngx_conf_t *cf);
static char *ngx_http_hub_edge_merge_loc_conf(ngx_conf_t *cf, void *parent, void *child);


static ngx_conf_num_bounds_t  edge_user_bounds = {
    ngx_conf_check_num_bounds, 1, NGX_MAX_INT_T_VALUE
};


static ngx_command_t  ngx_http_hub_edge_commands[] = {

    { ngx_string("hub_edge"),
      NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_num_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_hub_edge_loc_conf_t, user),
      &edge_user_bounds },

      ngx_null_command
};


static ngx_http_module_t  ngx_http_hub_edge_module_ctx = {
    ngx_http_hub_edge_add_variables,       /* preconfiguration */
    ngx_http_hub_edge_init,                /* postconfiguration */
    ngx_http_hub_edge_create_main_conf,    /* create main configuration */
    NULL,                                  /* init main configuration */
    NULL,                                  /* create server configuration */
    NULL,                                  /* merge server configuration */
    ngx_http_hub_edge_create_loc_conf,     /* create location configuration */
    ngx_http_hub_edge_merge_loc_conf       /* merge location configuration */
};


ngx_module_t  ngx_http_hub_edge_module = {
    NGX_MODULE_V1,
    &ngx_http_hub_edge_module_ctx,         /* module context */
    ngx_http_hub_edge_commands,            /* module directives */
    NGX_HTTP_MODULE,                       /* module type */
    NULL,                                  /* init master */
    NULL,                                  /* init module */
    ngx_http_hub_edge_init_process,        /* init process */
    NULL,                                  /* init thread */
    NULL,                                  /* exit thread */
    NULL,                                  /* exit process */
    NULL,                                  /* exit master */
    NGX_MODULE_V1_PADDING
};


/* --- the request --- */

/* Splits "TOKEN/APP/NAME/FILE" after the location's name.  NGX_DECLINED: it is none. */
static ngx_int_t
edge_split(ngx_http_request_t *r, edge_request_t *edge)
{
    u_char                    *p, *last = r->uri.data + r->uri.len, *slash = last;
    stream_path_t              path;
    ngx_http_core_loc_conf_t  *clcf;

    clcf = ngx_http_get_module_loc_conf(r, ngx_http_core_module);
    p = r->uri.data + ngx_min(clcf->name.len, r->uri.len);

    while (slash > p && *--slash != '/') {
        /* of the last part */
    }

    if (slash + 1 >= last || !stream_path_read(&path, p, slash - p, HUB_NAME_MAX)) {
        return NGX_DECLINED;
    }

    edge->token.data = (u_char *) path.token;
    edge->token.len = path.token_len;
    edge->stream.data = edge->path.data = (u_char *) path.stream;
    edge->stream.len = path.stream_len;
    edge->path.len = last - edge->path.data;

    return NGX_OK;
}


static edge_user_t *
edge_user_place(uint64_t uid)
{
    edge_user_t  *user = &edge_users[uid % EDGE_USERS];
    ngx_msec_t    passed = ngx_current_msec - user->at;
    uint64_t      gone = (uint64_t) passed * EDGE_MISSES_S / 1000;

    if (gone) {
        user->misses -= (uint32_t) ngx_min(user->misses, gone);
        user->at = ngx_current_msec;
    }

    return user;
}


/* The user's requests for this stream, as edge_held.h counts them. */
static uint64_t
edge_held_id(const edge_request_t *edge)
{
    return (edge->name_hash ^ edge->uid) * 0x9e3779b97f4a7c15u;
}


#if (NGX_HTTP_CACHE)

/* Is the request, which was passed on, at the origin, and has no answer?  Also true
 * while its body is read. */
static int
edge_is_held(const ngx_http_request_t *r)
{
    const ngx_http_upstream_t  *u = r->upstream;

    return u && u->headers_in.status_n == 0 && !r->header_sent
           && !(r->cache && r->cache->waiting);
}


static void
edge_count(edge_request_t *edge)
{
    int  is_held = edge_is_held(edge->request);

    if (!is_held) {
        edge->place = edge_held_give(edge->place);

    } else if (edge->place == NULL) {
        edge->place = edge_held_take(edge->id);
    }
}


/* Runs the location's own handler, which looks into the cache at once; so a request that
 * the cache can answer is never counted. */
static ngx_int_t
edge_pass(ngx_http_request_t *r)
{
    ngx_int_t        rc;
    edge_request_t  *edge = ngx_http_get_module_ctx(r, ngx_http_hub_edge_module);

    rc = edge->pass(r);

    if (!edge->ended) {
        edge->passed = 1;
        edge_count(edge);
    }

    return rc;
}


static void
edge_count_sent(edge_request_t *edge)
{
    off_t  sent = edge->request->connection->sent - edge->counted;

    if (edge->visit.row && sent > 0) {
        hub_visit_sent(&edge->visit, (size_t) sent);
        edge->counted += sent;
    }
}


/* Has nginx look at once whether the request, which waits for the answer to another one
 * (proxy_cache_lock), may go on.  A timer wakes it, as nginx's own does. */
static void
edge_wake(ngx_http_cache_t *cache)
{
    if (cache->wait_event.timer_set) {
        ngx_del_timer(&cache->wait_event);       /* else it would count as near enough */
        ngx_add_timer(&cache->wait_event, 0);
    }
}


/* Ends the request if its session was asked to leave; it may be one that waits, or whose
 * client reads slowly.  Is it ended? */
static int
edge_check(edge_request_t *edge)
{
    const char          *why;
    ngx_http_request_t  *r = edge->request;

    if (edge->visit.row == NULL || ngx_current_msec - edge->checked_ms < EDGE_CHECK_MS) {
        return 0;
    }

    edge->checked_ms = ngx_current_msec;
    edge_count_sent(edge);
    why = hub_visit_leaves(&edge->visit);

    if (why == NULL) {
        return 0;
    }

    ngx_log_error(NGX_LOG_NOTICE, r->connection->log, 0, "viewer ended: %s", why);

    if (r->cache && r->cache->waiting) {         /* nginx closes it when it wakes */
        r->keepalive = 0;
        r->cache->wait_time = ngx_current_msec;
        edge_wake(r->cache);
    }

    if (r->upstream && r->upstream->cleanup) {
        r->main->count++;                        /* the upstream's end gives it back */
    }

    answer_take_back(r);

    return 1;
}


/* The request may have its answer, or its turn to fetch it.  nginx would notice that
 * another request has fetched it up to 500 ms later, longer than a part of HLS lasts. */
static void
edge_tick(hub_tick_t *tick)
{
    edge_request_t    *edge = ngx_queue_data(&tick->queue, edge_request_t, tick.queue);
    ngx_http_cache_t  *cache = edge->request->cache;

    if (edge_check(edge)) {
        return;
    }

    if (edge->passed) {
        edge_count(edge);
    }

    if (cache && cache->waiting && !cache->node->updating) {
        edge_wake(cache);
    }
}


static void
edge_cleanup(void *data)
{
    edge_request_t       *edge = data;
    ngx_http_upstream_t  *u = edge->request->upstream;

    edge->ended = 1;
    edge_count_sent(edge);
    edge->place = edge_held_give(edge->place);
    hub_tick_remove(&edge->tick);

    if (u && u->cache_status != NGX_HTTP_CACHE_HIT
        && u->cache_status != NGX_HTTP_CACHE_UPDATING)
    {
        edge_user_place(edge->uid)->misses++;
    }
}


static ngx_int_t
edge_watch(ngx_http_request_t *r, edge_request_t *edge)
{
    ngx_http_cleanup_t  *cln = ngx_http_cleanup_add(r, 0);

    if (cln == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    cln->handler = edge_cleanup;
    cln->data = edge;
    edge->request = r;
    edge->counted = r->connection->sent;
    edge->checked_ms = ngx_current_msec;
    hub_tick_add(viewer_flush(r), &edge->tick, edge_tick);

    if (r->content_handler) {
        edge->pass = r->content_handler;
        r->content_handler = edge_pass;
    }

    return NGX_OK;
}

#endif


/* Ends the request with the result RC of an answer, instead of passing it on. */
static ngx_int_t
edge_answer(ngx_http_request_t *r, ngx_int_t rc)
{
    ngx_http_finalize_request(r, rc);

    return NGX_DONE;
}


static ngx_int_t
edge_refuse(ngx_http_request_t *r, const ngx_str_t *stream, const char *why)
{
    ngx_int_t  status = access_refuse(r, "view", NGX_HTTP_TOO_MANY_REQUESTS, stream, why);

    return edge_answer(r, answer_error(r, status, "%s", why));
}


/* Finds or opens the viewer's session.  Its stream has a slot here, too. */
static ngx_int_t
edge_visit(ngx_http_request_t *r, edge_request_t *edge, const access_holder_t *holder)
{
    uint64_t           visitor;
    hub_stream_t      *s = hub_carry(hub, edge->stream.data, edge->stream.len);
    enum hub_refusal   reason = HUB_NO_ROOM;

    if (s) {
        visitor = visitor_hash(r, edge->token.data, edge->token.len);
        reason = visitor_admit(r, s, edge->name_hash, holder, visitor, &edge->visit);
    }

    return reason == HUB_ADMITTED
           ? NGX_OK : edge_answer(r, answer_refusal(r, "view", &edge->stream, reason));
}


/* May the user pass one more request on to the origin? */
static ngx_int_t
edge_limit(ngx_http_request_t *r, const edge_request_t *edge)
{
    if (edge_user_place(edge->uid)->misses >= EDGE_MISSES_MOST) {
        return edge_refuse(r, &edge->stream,
                           "this user asks for too much that the cache does not have");
    }

    if (edge_held_count(edge->id) >= EDGE_HELD_MOST) {
        return edge_refuse(r, &edge->stream, "this user has as many requests for parts of "
                           "this stream that do not exist yet as one may have");
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_hub_edge_handler(ngx_http_request_t *r)
{
    ngx_int_t                      rc;
    edge_request_t                *edge;
    access_holder_t                holder;
    ngx_http_hub_edge_loc_conf_t  *conf;

    conf = ngx_http_get_module_loc_conf(r, ngx_http_hub_edge_module);

    if (conf->user == 0) {
        return NGX_DECLINED;
    }

    edge = ngx_pcalloc(r->pool, sizeof(edge_request_t));
    if (edge == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    if (edge_split(r, edge) != NGX_OK) {
        return NGX_HTTP_NOT_FOUND;
    }

    rc = access_admit(r, "view", &edge->token, &edge->stream, &holder);
    if (rc != NGX_OK) {
        return rc;
    }

    edge->name_hash = hub_name_hash(edge->stream.data, edge->stream.len);

    rc = edge_visit(r, edge, &holder);
    if (rc != NGX_OK) {
        return rc;
    }

    edge->uid = holder.uid;
    edge->id = edge_held_id(edge);

    rc = edge_limit(r, edge);
    if (rc != NGX_OK) {
        return rc;
    }

    edge->action = holder.replay ? edge_view_and_replay : edge_view;
    ngx_http_set_ctx(r, edge, ngx_http_hub_edge_module);

#if (NGX_HTTP_CACHE)
    rc = edge_watch(r, edge);
#endif

    return rc;
}


/* --- variables; without a token that passed they have no value --- */

static void
edge_set_value(ngx_http_variable_value_t *v, u_char *data, size_t len)
{
    v->data = data;
    v->len = len;
    v->valid = 1;
    v->no_cacheable = 0;
    v->not_found = 0;
}


/* Escaped: the URI may have any bytes, also those that end a line. */
static ngx_int_t
edge_path_variable(ngx_http_request_t *r, ngx_http_variable_value_t *v, uintptr_t data)
{
    u_char                *p;
    size_t                 escapes;
    const edge_request_t  *edge = ngx_http_get_module_ctx(r, ngx_http_hub_edge_module);

    if (edge == NULL) {
        v->not_found = 1;
        return NGX_OK;
    }

    escapes = ngx_escape_uri(NULL, edge->path.data, edge->path.len, NGX_ESCAPE_URI);

    p = ngx_pnalloc(r->pool, edge->path.len + 2 * escapes);
    if (p == NULL) {
        return NGX_ERROR;
    }

    (void) ngx_escape_uri(p, edge->path.data, edge->path.len, NGX_ESCAPE_URI);
    edge_set_value(v, p, edge->path.len + 2 * escapes);

    return NGX_OK;
}


static ngx_int_t
edge_action_variable(ngx_http_request_t *r, ngx_http_variable_value_t *v, uintptr_t data)
{
    const edge_request_t  *edge = ngx_http_get_module_ctx(r, ngx_http_hub_edge_module);

    if (edge == NULL) {
        v->not_found = 1;
        return NGX_OK;
    }

    edge_set_value(v, edge->action.data, edge->action.len);

    return NGX_OK;
}


/* All workers make the same token: for "view", or with DATA for the viewer's action.  A
 * revocation of the stream voids the older ones, also the edge's own. */
static ngx_int_t
edge_token_variable(ngx_http_request_t *r, ngx_http_variable_value_t *v, uintptr_t data)
{
    u_char                        *p;
    int64_t                        until;
    token_claims_t                 claims;
    const ngx_str_t               *action;
    const edge_request_t          *edge;
    ngx_http_hub_edge_loc_conf_t  *conf;

    edge = ngx_http_get_module_ctx(r, ngx_http_hub_edge_module);
    conf = ngx_http_get_module_loc_conf(r, ngx_http_hub_edge_module);

    if (edge == NULL) {
        v->not_found = 1;
        return NGX_OK;
    }

    p = ngx_pnalloc(r->pool, TOKEN_MAX);
    if (p == NULL) {
        return NGX_ERROR;
    }

    ngx_memzero(&claims, sizeof(token_claims_t));
    claims.user = conf->user;
    ngx_memcpy(claims.stream, edge->stream.data, edge->stream.len);
    action = data ? &edge->action : &edge_view;
    ngx_memcpy(claims.action, action->data, action->len);

    until = hub_revoked_until(hub, claims.user, edge->name_hash, 0);
    claims.issued = ngx_max(ngx_time() - ngx_time() % EDGE_TOKEN_S, until + 1);
    claims.expires = claims.issued + 2 * EDGE_TOKEN_S;

    edge_set_value(v, p, access_sign(access_keys(r->loc_conf), &claims, (char *) p));

    return NGX_OK;
}


/* --- configuration --- */

static ngx_int_t
ngx_http_hub_edge_add_variables(ngx_conf_t *cf)
{
    size_t                i;
    ngx_str_t             name;
    ngx_http_variable_t  *v;

    static const struct {
        ngx_str_t                   name;
        ngx_http_get_variable_pt    get;
        uintptr_t                   data;
    }  variables[] = {
        { ngx_string("hub_edge_path"), edge_path_variable, 0 },
        { ngx_string("hub_edge_action"), edge_action_variable, 0 },
        { ngx_string("hub_edge_token"), edge_token_variable, 0 },
        { ngx_string("hub_edge_action_token"), edge_token_variable, 1 }
    };

    for (i = 0; i < sizeof(variables) / sizeof(variables[0]); i++) {
        name = variables[i].name;

        v = ngx_http_add_variable(cf, &name, 0);
        if (v == NULL) {
            return NGX_ERROR;
        }

        v->get_handler = variables[i].get;
        v->data = variables[i].data;
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_hub_edge_init(ngx_conf_t *cf)
{
    return answer_in_phase(cf, NGX_HTTP_ACCESS_PHASE, ngx_http_hub_edge_handler);
}


static ngx_int_t
ngx_http_hub_edge_init_process(ngx_cycle_t *cycle)
{
    const ngx_http_hub_edge_main_conf_t  *conf;

    conf = ngx_http_cycle_get_module_main_conf(cycle, ngx_http_hub_edge_module);

    if (conf && conf->held) {
        edge_held_start(conf->held);
    }

    return NGX_OK;
}


static void *
ngx_http_hub_edge_create_main_conf(ngx_conf_t *cf)
{
    return ngx_pcalloc(cf->pool, sizeof(ngx_http_hub_edge_main_conf_t));
}


static void *
ngx_http_hub_edge_create_loc_conf(ngx_conf_t *cf)
{
    ngx_http_hub_edge_loc_conf_t  *conf;

    conf = ngx_palloc(cf->pool, sizeof(ngx_http_hub_edge_loc_conf_t));

    if (conf) {
        conf->user = NGX_CONF_UNSET;
    }

    return conf;
}


static char *
ngx_http_hub_edge_merge_loc_conf(ngx_conf_t *cf, void *parent, void *child)
{
    ngx_http_conf_ctx_t            *ctx = cf->ctx;
    ngx_http_hub_edge_loc_conf_t   *conf = child;
    ngx_http_hub_edge_main_conf_t  *main;

    main = ngx_http_conf_get_module_main_conf(cf, ngx_http_hub_edge_module);

    if (conf->user == NGX_CONF_UNSET) {
        conf->user = ((ngx_http_hub_edge_loc_conf_t *) parent)->user;
    }

    if (conf->user == NGX_CONF_UNSET) {
        conf->user = 0;
    }

    if (conf->user && access_keys(ctx->loc_conf) == NULL) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"hub_edge\" has no \"access_token_keys\": without keys "
                           "nobody may view");
        return NGX_CONF_ERROR;
    }

    if (conf->user && main->held == NULL) {
        main->held = edge_held_zone(cf, &ngx_http_hub_edge_module);
        if (main->held == NULL) {
            return NGX_CONF_ERROR;
        }
    }

    return NGX_CONF_OK;
}
