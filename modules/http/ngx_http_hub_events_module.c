/*
 * Live events for the page: server-sent events (HTML standard, 9.2) about the
 * streams that the user may see.  Another module (auth_request) identifies the
 * user and sets variables.
 *
 * A worker with followers looks at the zone's sequence of changes ten times a
 * second; nothing is sent between workers.
 */

#include "events.h"

#define EVENTS_TICK_MS      100
#define EVENTS_STATS_MS     2000
#define EVENTS_SILENCE_MS   4000            /* then send "alive" */
#define EVENTS_STUCK_MS     30000           /* a client must read by then */
#define EVENTS_BEHIND       (256 * 1024)    /* most bytes that wait for it */
#define EVENTS_CHANGES      32              /* read at once */


typedef struct {
    ngx_flag_t                  events;
    ngx_msec_t                  life;
    ngx_http_complex_value_t   *user;
    ngx_http_complex_value_t   *streams;
} ngx_http_hub_events_loc_conf_t;


typedef struct {
    ngx_queue_t          queue;
    ngx_http_request_t  *request;
    hub_client_t         client;
    events_rights_t      rights;
    uint64_t             since;        /* the last change that it has */
    ngx_msec_t           ends_ms;
    ngx_msec_t           sent_ms;
    ngx_msec_t           stuck_ms;     /* since then; 0: all is sent */
    ngx_buf_t           *buf;
    text_t               out;          /* in the output chain */
    text_t               next;         /* to be sent behind it */
    unsigned             gone:1;
} follower_t;


/* This worker's followers.  The timer runs while there are any.  It is not
 * cancelable, so that an exiting worker's next tick ends them all: nginx would
 * log their open sockets as leaks. */
static struct {
    ngx_event_t      event;
    ngx_queue_t      followers;
    uint64_t         seen;             /* the last change that was read */
    ngx_msec_t       stats_ms;         /* when to check next */
    events_stats_t   stats;
    text_t           text;             /* of one change */
} events;


static ngx_int_t ngx_http_hub_events_handler(ngx_http_request_t *r);
static void *ngx_http_hub_events_create_loc_conf(ngx_conf_t *cf);
static char *ngx_http_hub_events_merge_loc_conf(ngx_conf_t *cf, void *parent,
    void *child);
static char *ngx_http_hub_events(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);


static ngx_command_t  ngx_http_hub_events_commands[] = {

    { ngx_string("hub_events"),
      NGX_HTTP_LOC_CONF|NGX_CONF_FLAG,
      ngx_http_hub_events,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_hub_events_loc_conf_t, events),
      NULL },

    { ngx_string("hub_events_user"),
      NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_http_set_complex_value_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_hub_events_loc_conf_t, user),
      NULL },

    { ngx_string("hub_events_streams"),
      NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_http_set_complex_value_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_hub_events_loc_conf_t, streams),
      NULL },

    { ngx_string("hub_events_life"),
      NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_msec_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_hub_events_loc_conf_t, life),
      NULL },

      ngx_null_command
};


static ngx_http_module_t  ngx_http_hub_events_module_ctx = {
    NULL,                                  /* preconfiguration */
    NULL,                                  /* postconfiguration */
    NULL,                                  /* create main configuration */
    NULL,                                  /* init main configuration */
    NULL,                                  /* create server configuration */
    NULL,                                  /* merge server configuration */
    ngx_http_hub_events_create_loc_conf,   /* create location configuration */
    ngx_http_hub_events_merge_loc_conf     /* merge location configuration */
};


ngx_module_t  ngx_http_hub_events_module = {
    NGX_MODULE_V1,
    &ngx_http_hub_events_module_ctx,       /* module context */
    ngx_http_hub_events_commands,          /* module directives */
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


/* --- the end of a follower --- */

/* Idempotent. */
static void
events_forget(follower_t *f)
{
    if (!f->gone) {
        f->gone = 1;
        ngx_queue_remove(&f->queue);
        hub_session_close(hub, &f->client);
    }
}


static void
events_cleanup(void *data)
{
    events_forget(data);
}


/* A cleanup of the pool, not of the request: HTTP/2 frames may outlive it. */
static void
events_free(void *data)
{
    follower_t  *f = data;

    text_free(&f->out);
    text_free(&f->next);
}


static int
events_buffered(const follower_t *f)
{
    ngx_http_request_t  *r = f->request;

    return r->connection->buffered || r->buffered || r->out
           || f->buf->pos < f->buf->last;
}


/* Ends the response properly, or cuts off a client that does not read it. */
static void
events_end(follower_t *f)
{
    ngx_http_request_t  *r = f->request;

    events_forget(f);

    if (r->connection->error || events_buffered(f)) {
        r->connection->error = 1;
        ngx_http_finalize_request(r, NGX_ERROR);

    } else {
        ngx_http_finalize_request(r, ngx_http_send_special(r, NGX_HTTP_LAST));
    }
}


/* For callers outside of the request's own events. */
static void
events_end_now(follower_t *f)
{
    ngx_connection_t  *c = f->request->connection;

    events_end(f);
    ngx_http_run_posted_requests(c);
}


/* hub_end_pt */
static void
events_leave(void *data, const char *why)
{
    follower_t  *f = data;

    ngx_log_error(NGX_LOG_INFO, f->request->connection->log, 0,
                  "hub: events ended: %s", why);
    events_end_now(f);
}


/* --- sending --- */

/* Sends the pending events.  NGX_OK, even when the client does not read just
 * now; NGX_ERROR: the caller must end the follower. */
static ngx_int_t
events_send(follower_t *f)
{
    text_t               sent;
    ngx_buf_t           *b = f->buf;
    ngx_chain_t          out;
    ngx_http_request_t  *r = f->request;

    if (r->connection->error || f->next.failed) {
        return NGX_ERROR;
    }

    if (events_buffered(f)) {
        f->stuck_ms = f->stuck_ms ? f->stuck_ms : ngx_current_msec;

        if (text_size(&f->next) > EVENTS_BEHIND
            || ngx_current_msec - f->stuck_ms > EVENTS_STUCK_MS)
        {
            ngx_log_error(NGX_LOG_INFO, r->connection->log, 0,
                          "hub: events ended: %uz bytes wait for a client that "
                          "reads nothing for %M ms", text_size(&f->next),
                          ngx_current_msec - f->stuck_ms);
            return NGX_ERROR;
        }

        return ngx_handle_write_event(r->connection->write, 0);
    }

    f->stuck_ms = 0;

    if (text_size(&f->next) == 0) {
        return NGX_OK;
    }

    sent = f->out;
    f->out = f->next;
    f->next = sent;
    f->next.last = f->next.start;

    b->start = b->pos = f->out.start;
    b->end = b->last = f->out.last;
    b->memory = 1;
    b->flush = 1;

    out.buf = b;
    out.next = NULL;

    return ngx_http_output_filter(r, &out) == NGX_ERROR ? NGX_ERROR : NGX_OK;
}


static void
events_write_handler(ngx_http_request_t *r)
{
    follower_t  *f = ngx_http_get_module_ctx(r, ngx_http_hub_events_module);

    if ((r->connection->buffered || r->buffered || r->out)
        && ngx_http_output_filter(r, NULL) == NGX_ERROR)
    {
        events_end(f);
        return;
    }

    if (events_send(f) != NGX_OK) {
        events_end(f);
    }
}


/* --- the tick --- */

/* The follower after F, the first if F is NULL; NULL after the last. */
static follower_t *
events_next(follower_t *f)
{
    ngx_queue_t  *q = ngx_queue_next(f ? &f->queue : &events.followers);

    return q == ngx_queue_sentinel(&events.followers)
           ? NULL : ngx_queue_data(q, follower_t, queue);
}


/* The hub overwrote changes that were not read: queues all streams for each
 * follower. */
static void
events_queue_all_streams(void)
{
    snapshot_t  *s;
    follower_t  *f;

    s = snapshot_take(hub, SNAPSHOT_STREAMS);
    if (s == NULL) {
        return;                            /* the next tick tries again */
    }

    for (f = events_next(NULL); f; f = events_next(f)) {
        if (f->since < s->changes) {
            events_write_streams(&f->next, s, &f->rights);
            f->since = s->changes;
        }
    }

    events.seen = s->changes;
    snapshot_free(s);
}


static void
events_queue_change(const hub_change_t *change)
{
    follower_t         *f;
    snapshot_stream_t   row;

    snapshot_stream(hub, change->stream, change->generation, &row);

    events.text.last = events.text.start;
    events_write_stream(&events.text, change, &row);

    for (f = events_next(NULL); f; f = events_next(f)) {
        if (f->since < change->seq) {
            f->since = change->seq;

            if (events_rights_hold(&f->rights, change->id)) {
                text_append(&f->next, events.text.start,
                            text_size(&events.text));
            }
        }
    }

    events.seen = change->seq;
}


static void
events_read_changes(void)
{
    int           i, n;
    hub_change_t  change[EVENTS_CHANGES];

    while ((n = hub_changes(hub, events.seen, change, EVENTS_CHANGES)) > 0) {
        for (i = 0; i < n; i++) {
            events_queue_change(&change[i]);
        }
    }

    if (n < 0) {
        events_queue_all_streams();
    }
}


static void
events_queue_stats(void)
{
    follower_t  *f;

    if ((ngx_msec_int_t) (ngx_current_msec - events.stats_ms) < 0) {
        return;
    }

    events.stats_ms = ngx_current_msec + EVENTS_STATS_MS;

    if (events_stats_update(&events.stats, hub) != 0) {
        return;
    }

    for (f = events_next(NULL); f; f = events_next(f)) {
        events_write_stats(&f->next, &events.stats, &f->rights);
    }
}


/* Sends a follower its pending events, or ends it. */
static void
events_serve(follower_t *f)
{
    ngx_connection_t  *c = f->request->connection;

    if (ngx_exiting || (ngx_msec_int_t) (ngx_current_msec - f->ends_ms) >= 0) {
        events_end_now(f);
        return;
    }

    if (text_size(&f->next)) {
        f->sent_ms = ngx_current_msec;

    } else if (ngx_current_msec - f->sent_ms >= EVENTS_SILENCE_MS) {
        f->sent_ms = ngx_current_msec;
        text_add(&f->next, "event: alive\ndata: {}\n\n");
    }

    if (events_send(f) != NGX_OK) {
        events_end(f);
    }

    ngx_http_run_posted_requests(c);
}


/* Take the head of the queue each time: ending one follower may end others of
 * the same HTTP/2 connection. */
static void
events_tick(ngx_event_t *ev)
{
    ngx_queue_t   rest, *q;

    events_read_changes();
    events_queue_stats();

    ngx_queue_init(&rest);

    if (!ngx_queue_empty(&events.followers)) {
        ngx_queue_add(&rest, &events.followers);
        ngx_queue_init(&events.followers);
    }

    while (!ngx_queue_empty(&rest)) {
        q = ngx_queue_head(&rest);
        ngx_queue_remove(q);
        ngx_queue_insert_tail(&events.followers, q);
        events_serve(ngx_queue_data(q, follower_t, queue));
    }

    if (!ngx_queue_empty(&events.followers)) {
        ngx_add_timer(ev, EVENTS_TICK_MS);
    }
}


/* --- the request --- */

static void
events_start_timer(void)
{
    if (events.event.handler == NULL) {
        events.event.handler = events_tick;
        events.event.data = &events;
        events.event.log = ngx_cycle->log;
        ngx_queue_init(&events.followers);
    }

    if (!events.event.timer_set) {
        events.seen = hub_load(&hub->header->changes);
        events.stats_ms = ngx_current_msec + EVENTS_STATS_MS;
        ngx_add_timer(&events.event, EVENTS_TICK_MS);
    }
}


/* Reads the user and the rights from the variables into IDENTITY and F.  Returns
 * NGX_OK, or the handler's result. */
static ngx_int_t
events_identify(ngx_http_request_t *r, follower_t *f, hub_identity_t *identity)
{
    ngx_str_t                        user, streams;
    ngx_int_t                        uid;
    ngx_http_hub_events_loc_conf_t  *conf;

    conf = ngx_http_get_module_loc_conf(r, ngx_http_hub_events_module);

    if (ngx_http_complex_value(r, conf->user, &user) != NGX_OK
        || ngx_http_complex_value(r, conf->streams, &streams) != NGX_OK)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    uid = ngx_atoi(user.data, user.len);

    if (uid <= 0) {
        ngx_log_error(NGX_LOG_ERR, r->connection->log, 0,
                      "hub_events_user is \"%V\", expected a user's number",
                      &user);
        return NGX_HTTP_FORBIDDEN;
    }

    if (events_rights_read(r->pool, &streams, &f->rights) != 0) {
        ngx_log_error(NGX_LOG_ERR, r->connection->log, 0,
                      "hub_events_streams is \"%V\", expected numbers separated "
                      "by commas, or *", &streams);
        return NGX_HTTP_FORBIDDEN;
    }

    ngx_memzero(identity, sizeof(hub_identity_t));
    identity->protocol = HUB_EVENTS;
    identity->uid = uid;
    identity->issued = r->start_sec;            /* rights are not older than this */
    identity->asked_ms = (int64_t) r->start_sec * 1000 + (int64_t) r->start_msec;
    identity->address = r->connection->addr_text;

    return NGX_OK;
}


static ngx_int_t
events_send_header(ngx_http_request_t *r)
{
    ngx_int_t  rc;

    r->keepalive = 0;
    r->headers_out.status = NGX_HTTP_OK;
    ngx_str_set(&r->headers_out.content_type, "text/event-stream");
    r->headers_out.content_type_len = r->headers_out.content_type.len;

    if (answer_header(r, "Cache-Control", "no-store") == NULL
        || answer_header(r, "X-Accel-Buffering", "no") == NULL)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    rc = ngx_http_send_header(r);
    if (rc == NGX_ERROR || rc > NGX_OK || r->header_only) {
        return rc;
    }

    return ngx_http_send_special(r, NGX_HTTP_FLUSH) == NGX_ERROR ? NGX_ERROR
                                                                 : NGX_OK;
}


/* Queues the current streams and notes their sequence of changes. */
static int
events_queue_streams(follower_t *f)
{
    snapshot_t  *s = snapshot_take(hub, SNAPSHOT_STREAMS);

    if (s == NULL) {
        return -1;
    }

    text_add(&f->next, "retry: 1000\n\n");
    events_write_streams(&f->next, s, &f->rights);
    f->since = s->changes;
    events.stats.send_all = 1;
    snapshot_free(s);

    return 0;
}


static ngx_int_t
events_open(ngx_http_request_t *r, follower_t *f, const hub_identity_t *identity)
{
    enum hub_refusal                 reason;
    ngx_pool_cleanup_t              *freed;
    ngx_http_cleanup_t              *cln;
    ngx_http_hub_events_loc_conf_t  *conf;

    conf = ngx_http_get_module_loc_conf(r, ngx_http_hub_events_module);

    f->request = r;
    f->buf = ngx_calloc_buf(r->pool);
    freed = ngx_pool_cleanup_add(r->pool, 0);
    cln = ngx_http_cleanup_add(r, 0);

    if (f->buf == NULL || freed == NULL || cln == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    freed->handler = events_free;
    freed->data = f;

    events_start_timer();

    reason = hub_session_open(hub, &f->client, identity, NULL, events_leave, f);

    if (reason != HUB_ADMITTED) {
        return answer_refusal(r, "events", NULL, reason);
    }

    ngx_queue_insert_tail(&events.followers, &f->queue);
    cln->handler = events_cleanup;
    cln->data = f;

    f->ends_ms = ngx_current_msec + conf->life;
    f->sent_ms = ngx_current_msec;
    ngx_http_set_ctx(r, f, ngx_http_hub_events_module);

    if (events_queue_streams(f) != 0) {
        events_forget(f);
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_hub_events_handler(ngx_http_request_t *r)
{
    ngx_int_t        rc;
    follower_t      *f;
    hub_identity_t   identity;

    rc = answer_begin(r, NGX_HTTP_GET);
    if (rc != NGX_OK) {
        return rc;
    }

    if (ngx_exiting) {                     /* a new worker takes the retry */
        return NGX_HTTP_SERVICE_UNAVAILABLE;
    }

    f = ngx_pcalloc(r->pool, sizeof(follower_t));
    if (f == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    rc = events_identify(r, f, &identity);
    if (rc != NGX_OK) {
        return rc;
    }

    rc = events_open(r, f, &identity);
    if (rc != NGX_OK || f->client.session == NULL) {
        return rc;                         /* a refusal is answered already */
    }

    rc = events_send_header(r);
    if (rc == NGX_ERROR || rc > NGX_OK || r->header_only) {
        return rc;
    }

    r->read_event_handler = ngx_http_test_reading;
    r->write_event_handler = events_write_handler;
    r->main->count++;

    if (events_send(f) != NGX_OK) {
        events_end(f);
    }

    return NGX_DONE;
}


/* --- configuration --- */

static char *
ngx_http_hub_events(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    char  *rv;

    rv = ngx_conf_set_flag_slot(cf, cmd, conf);

    return rv == NGX_CONF_OK ? answer_at(cf, ngx_http_hub_events_handler) : rv;
}


static void *
ngx_http_hub_events_create_loc_conf(ngx_conf_t *cf)
{
    ngx_http_hub_events_loc_conf_t  *conf;

    conf = ngx_pcalloc(cf->pool, sizeof(ngx_http_hub_events_loc_conf_t));
    if (conf == NULL) {
        return NULL;
    }

    conf->events = NGX_CONF_UNSET;
    conf->life = NGX_CONF_UNSET_MSEC;

    return conf;
}


static char *
ngx_http_hub_events_merge_loc_conf(ngx_conf_t *cf, void *parent, void *child)
{
    ngx_http_hub_events_loc_conf_t  *prev = parent;
    ngx_http_hub_events_loc_conf_t  *conf = child;

    ngx_conf_merge_msec_value(conf->life, prev->life, 600000);

    if (conf->events == 1 && (conf->user == NULL || conf->streams == NULL)) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"hub_events on\" has no %s, expected "
                           "hub_events_user and hub_events_streams beside it",
                           conf->user ? "hub_events_streams"
                                      : "hub_events_user");
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}
