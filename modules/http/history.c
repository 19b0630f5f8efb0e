#include "history.h"

#include "answer.h"
#include "../hub/hub.h"

/* ms; the timer keeps an exiting worker alive while a question is open */
#define HISTORY_WAIT  60000

#define HISTORY_OF_USER  64      /* a user's questions that may be open */


static ngx_queue_t  history_asked = { &history_asked, &history_asked };


static void
history_free(history_t *h)
{
    if (h->free) {
        h->free(h);
    }

    history_find_free(h);
    free(h->root);
    free(h);
}


/* The request ends.  A thread that is still busy keeps the question. */
static void
history_cleanup(void *data)
{
    history_t  *h = data;

    if (h->asked) {
        h->request = NULL;

    } else {
        history_free(h);
    }
}


static ngx_uint_t
history_is_recording(const ngx_str_t *stream)
{
    hub_stream_t  *s = hub ? hub_find(hub, stream->data, stream->len) : NULL;

    return s && hub_load(&s->recording.state) != HUB_RECORD_OFF;
}


history_t *
history_create(ngx_http_request_t *r, const ngx_str_t *root,
    const ngx_str_t *stream, uint64_t uid)
{
    history_t           *h;
    ngx_pool_cleanup_t  *cln;

    cln = ngx_pool_cleanup_add(r->pool, 0);
    h = cln ? calloc(1, sizeof(history_t)) : NULL;

    if (h == NULL) {
        return NULL;
    }

    h->request = r;
    h->now = history_now();
    cln->handler = history_cleanup;
    cln->data = h;

    h->uid = uid;
    h->recording = history_is_recording(stream);

    if (history_locate(h, root, stream) != 0) {
        return NULL;
    }

    return h;
}


/* Pool thread. */
static void
history_work(void *data, ngx_log_t *log)
{
    history_t  *h = data;

    if (!h->plain) {
        history_find(h);
    }

    if (h->status == NGX_HTTP_OK && h->work) {
        h->work(h);
    }
}


static void
history_answered(ngx_event_t *ev)
{
    ngx_int_t            rc;
    history_t           *h = ev->data;
    ngx_connection_t    *c;
    ngx_http_request_t  *r = h->request;

    if (!ev->complete) {                     /* the timer fired: set it again */
        ev->timedout = 0;
        ngx_add_timer(ev, HISTORY_WAIT);
        return;
    }

    if (ev->timer_set) {
        ngx_del_timer(ev);
    }

    h->asked = 0;
    ngx_queue_remove(&h->queue);

    if (r == NULL) {
        history_free(h);
        return;
    }

    c = r->connection;
    ngx_http_set_log_request(c->log, r);

    rc = h->status == NGX_HTTP_OK ? h->done(r, h) : history_refuse(r, h);

    ngx_http_finalize_request(r, rc);
    ngx_http_run_posted_requests(c);
}


/* Counts a user's open questions, including those of clients that left. */
static ngx_uint_t
history_waiting(uint64_t uid)
{
    ngx_uint_t    n = 0;
    history_t    *h;
    ngx_queue_t  *q;

    for (q = ngx_queue_head(&history_asked);
         q != ngx_queue_sentinel(&history_asked); q = ngx_queue_next(q))
    {
        h = ngx_queue_data(q, history_t, queue);
        n += h->uid == uid;
    }

    return n;
}


ngx_int_t
history_ask(history_t *h, ngx_thread_pool_t *pool)
{
    ngx_http_request_t  *r = h->request;

    if (h->status == NGX_HTTP_OK && history_waiting(h->uid) >= HISTORY_OF_USER)
    {
        history_fail(h, NGX_HTTP_TOO_MANY_REQUESTS, "%d questions of this user "
                     "about history wait already", HISTORY_OF_USER);
    }

    if (h->status != NGX_HTTP_OK) {
        return history_refuse(r, h);
    }

    h->task.ctx = h;
    h->task.handler = history_work;
    h->task.event.data = h;
    h->task.event.handler = history_answered;
    h->task.event.log = ngx_cycle->log;

    if (ngx_thread_task_post(pool, &h->task) != NGX_OK) {
        return NGX_HTTP_SERVICE_UNAVAILABLE;
    }

    h->asked = 1;
    ngx_queue_insert_tail(&history_asked, &h->queue);
    ngx_add_timer(&h->task.event, HISTORY_WAIT);
    r->main->count++;
    r->read_event_handler = ngx_http_test_reading;
    r->write_event_handler = ngx_http_request_empty_handler;

    return NGX_DONE;
}


ngx_int_t
history_refuse(ngx_http_request_t *r, history_t *h)
{
    ngx_uint_t  level = h->status == NGX_HTTP_INTERNAL_SERVER_ERROR
                        ? NGX_LOG_ERR : NGX_LOG_WARN;

    if (h->status >= NGX_HTTP_TOO_MANY_REQUESTS) {
        ngx_log_error(level, r->connection->log, 0, "history of \"%s\": %s",
                      h->stream, h->why);
    }

    return answer_error(r, h->status, "%s", h->why);
}


ngx_int_t
history_path(ngx_http_request_t *r, const history_t *h, const char *file,
    ngx_str_t *path)
{
    size_t   len;
    u_char  *p;

    len = ngx_strlen(h->root) + ngx_strlen(h->dir) + ngx_strlen(file) + 2;

    p = ngx_pnalloc(r->pool, len + 1);
    if (p == NULL) {
        return NGX_ERROR;
    }

    path->data = p;
    path->len = ngx_sprintf(p, "%s/%s/%s%Z", h->root, h->dir, file) - p - 1;

    return NGX_OK;
}


char *
history_root(ngx_conf_t *cf, ngx_str_t *root)
{
    ngx_str_t  *value = cf->args->elts;

    if (root->data) {
        return "is duplicate";
    }

    *root = value[1];

    if (root->len == 0 || ngx_conf_full_name(cf->cycle, root, 0) != NGX_OK) {
        return "has no folder";
    }

    while (root->len > 1 && root->data[root->len - 1] == '/') {
        root->len--;
    }

    return NGX_CONF_OK;
}
