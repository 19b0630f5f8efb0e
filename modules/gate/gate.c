#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_event.h>
#include <ngx_event_connect.h>
#include <jansson.h>

#include "gate.h"

#define GATE_IN_FLIGHT    64
#define GATE_MAX_ANSWER   8192
#define GATE_MAX_PARAMS   4096

/* FastCGI 1.0, section 8 */
#define FCGI_BEGIN_REQUEST  1
#define FCGI_END_REQUEST    3
#define FCGI_PARAMS         4
#define FCGI_STDIN          5
#define FCGI_STDOUT         6
#define FCGI_RESPONDER      1
#define FCGI_HEADER_LEN     8

struct gate_request_s {
    ngx_queue_t            queue;
    ngx_pool_t            *pool;
    gate_conf_t            conf;
    ngx_peer_connection_t  peer;
    ngx_event_t            start;
    ngx_event_t            timer;
    ngx_log_t              log;
    ngx_buf_t             *out;
    ngx_buf_t             *in;        /* raw records */
    gate_handler_pt        handler;
    void                  *data;
    gate_question_t        asked;
    ngx_str_t              label;     /* the question, for the log */
    unsigned               in_flight:1;
};

static ngx_queue_t  gate_waiting;
static ngx_uint_t   gate_in_flight;

static ngx_int_t gate_connect(gate_request_t *q);
static void gate_write(ngx_event_t *ev);
static void gate_read(ngx_event_t *ev);
static void gate_timed_out(ngx_event_t *ev);
static void gate_finish(gate_request_t *q, gate_answer_t *a);


/* --- building the request --- */

static u_char *
put_record(u_char *p, uint8_t type, size_t length)
{
    *p++ = 1;
    *p++ = type;
    *p++ = 0;
    *p++ = 1;                             /* request id */
    *p++ = (u_char) (length >> 8);
    *p++ = (u_char) length;
    *p++ = 0;
    *p++ = 0;

    return p;
}


static u_char *
put_length(u_char *p, size_t n)
{
    if (n > 127) {
        *p++ = (u_char) (n >> 24 | 0x80);
        *p++ = (u_char) (n >> 16);
        *p++ = (u_char) (n >> 8);
    }

    *p++ = (u_char) n;

    return p;
}


/* Writes one name-value pair, or nothing when it does not fit. */
static u_char *
put_param(u_char *p, u_char *last, const char *name, const ngx_str_t *value)
{
    size_t  n = ngx_strlen(name);

    if (n + value->len + 8 > (size_t) (last - p)) {
        return p;
    }

    p = put_length(p, n);
    p = put_length(p, value->len);
    p = ngx_cpymem(p, name, n);

    return value->len ? ngx_cpymem(p, value->data, value->len) : p;
}


static u_char *
put_number(u_char *p, u_char *last, const char *name, uint64_t n)
{
    u_char     text[NGX_INT64_LEN];
    ngx_str_t  value;

    value.data = text;
    value.len = ngx_sprintf(text, "%uL", n) - text;

    return put_param(p, last, name, &value);
}


static ngx_int_t
gate_build(gate_request_t *q, const gate_question_t *a)
{
    u_char    *p, *params, *last, script[32];
    ngx_str_t  value;

    static const ngx_str_t  get = ngx_string("GET");

    q->out = ngx_create_temp_buf(q->pool, GATE_MAX_PARAMS + 128);
    if (q->out == NULL) {
        return NGX_ERROR;
    }

    p = put_record(q->out->pos, FCGI_BEGIN_REQUEST, 8);
    ngx_memzero(p, 8);
    p[1] = FCGI_RESPONDER;
    p += 8;

    params = p;
    p += FCGI_HEADER_LEN;
    last = p + GATE_MAX_PARAMS;

    value.data = script;
    value.len = ngx_snprintf(script, sizeof(script), "/gate/%V", &a->kind)
                - script;

    p = put_param(p, last, "SCRIPT_NAME", &value);
    p = put_param(p, last, "REQUEST_METHOD", &get);
    p = put_param(p, last, "APP", &a->app);
    p = put_param(p, last, "NAME", &a->name);
    p = put_param(p, last, "ARGS", &a->args);
    p = put_param(p, last, "REMOTE_ADDR", &a->address);
    p = put_param(p, last, "SESSION", &a->session);

    if (a->agent.len) {
        p = put_param(p, last, "AGENT", &a->agent);
    }

    if (a->of.len) {
        p = put_param(p, last, "KIND", &a->of);
        p = put_param(p, last, "REASON", &a->reason);
        p = put_number(p, last, "BYTES", a->bytes);
        p = put_number(p, last, "SECONDS", a->duration / 1000);
    }

    put_record(params, FCGI_PARAMS, p - params - FCGI_HEADER_LEN);
    p = put_record(p, FCGI_PARAMS, 0);
    p = put_record(p, FCGI_STDIN, 0);
    q->out->last = p;

    return NGX_OK;
}


/* --- reading the answer --- */

static void
gate_refuse(gate_request_t *q, const char *reason)
{
    gate_answer_t  a;

    ngx_memzero(&a, sizeof(gate_answer_t));
    ngx_cpystrn((u_char *) a.reason, (u_char *) reason, sizeof(a.reason));

    gate_finish(q, &a);
}


static uint64_t
json_number(json_t *object, const char *name)
{
    json_int_t  v = json_integer_value(json_object_get(object, name));

    return v > 0 ? (uint64_t) v : 0;
}


/* Replaces control characters: the text goes to the client and to the log. */
static void
copy_reason(gate_answer_t *a, const char *text)
{
    size_t  i;

    for (i = 0; text[i] && i < sizeof(a->reason) - 1; i++) {
        a->reason[i] = (u_char) text[i] < 0x20 || text[i] == 0x7f ? '?'
                                                                  : text[i];
    }

    a->reason[i] = '\0';
}


static ngx_int_t
gate_parse_json(const u_char *p, size_t size, gate_answer_t *a)
{
    json_t      *root, *allow;
    const char  *reason;

    root = json_loadb((const char *) p, size, 0, NULL);
    allow = json_object_get(root, "allow");

    if (!json_is_boolean(allow)) {
        json_decref(root);
        return NGX_ERROR;
    }

    a->allow = json_is_true(allow);
    a->record = json_is_true(json_object_get(root, "record"));
    a->uid = json_number(root, "uid");
    a->stream = json_number(root, "stream");
    a->key = json_number(root, "key");
    a->not_before = json_number(root, "not_before");
    a->max_kbps = json_number(root, "max_kbps");
    a->max_viewers = json_number(root, "max_viewers");
    a->max_publishers = json_number(root, "max_publishers");

    reason = json_string_value(json_object_get(root, "reason"));
    if (!a->allow) {
        copy_reason(a, reason ? reason : "refused");
    }

    json_decref(root);

    return NGX_OK;
}


/* Walks over the complete records in B.  With BODY, which is in B, joins the content
 * of STDOUT records there, *SIZE bytes.  Returns 1 when END_REQUEST came. */
static int
gate_walk_records(ngx_buf_t *b, u_char *body, size_t *size)
{
    u_char  *p = b->pos;
    size_t   length, padding;
    uint8_t  type;

    while (b->last - p >= FCGI_HEADER_LEN) {
        type = p[1];
        length = (size_t) p[4] << 8 | p[5];
        padding = p[6];

        if ((size_t) (b->last - p) < FCGI_HEADER_LEN + length + padding) {
            return 0;
        }

        p += FCGI_HEADER_LEN;

        if (body && type == FCGI_STDOUT) {
            ngx_memmove(body + *size, p, length);
            *size += length;
        }

        p += length + padding;

        if (type == FCGI_END_REQUEST) {
            return 1;
        }
    }

    return 0;
}


static void
gate_parse(gate_request_t *q)
{
    size_t         size = 0;
    u_char        *body = q->in->pos, *p;
    gate_answer_t  a;

    ngx_memzero(&a, sizeof(gate_answer_t));

    if (!gate_walk_records(q->in, body, &size)) {
        ngx_log_error(NGX_LOG_ERR, &q->log, 0,
                      "gate: service closed before its answer ended, after %uz "
                      "bytes (%V)", (size_t) (q->in->last - q->in->pos),
                      &q->label);
        gate_refuse(q, "auth service sent an incomplete answer");
        return;
    }

    /* CGI headers, an empty line, the JSON */
    for (p = body; p + 4 <= body + size; p++) {
        if (ngx_memcmp(p, "\r\n\r\n", 4) == 0) {
            size -= p + 4 - body;
            body = p + 4;
            break;
        }
    }

    if (gate_parse_json(body, size, &a) != NGX_OK) {
        ngx_log_error(NGX_LOG_ERR, &q->log, 0,
                      "gate: service answered %uz bytes that are no JSON object "
                      "with a boolean \"allow\" (%V)", size, &q->label);
        gate_refuse(q, "auth service sent an invalid answer");
        return;
    }

    gate_finish(q, &a);
}


static void
gate_read(ngx_event_t *ev)
{
    ssize_t            n;
    ngx_buf_t         *b;
    ngx_connection_t  *c = ev->data;
    gate_request_t    *q = c->data;

    b = q->in;

    for ( ;; ) {
        if (b->last == b->end) {
            ngx_log_error(NGX_LOG_ERR, &q->log, 0,
                          "gate: service answered more than %d bytes (%V)",
                          GATE_MAX_ANSWER, &q->label);
            gate_refuse(q, "auth service sent an invalid answer");
            return;
        }

        n = c->recv(c, b->last, b->end - b->last);

        if (n == NGX_AGAIN) {
            if (ngx_handle_read_event(c->read, 0) != NGX_OK) {
                gate_refuse(q, "auth service unavailable");
            }
            return;
        }

        if (n == NGX_ERROR || n == 0) {
            gate_parse(q);
            return;
        }

        b->last += n;

        if (gate_walk_records(b, NULL, NULL)) {
            gate_parse(q);
            return;
        }
    }
}


static void
gate_write(ngx_event_t *ev)
{
    ssize_t            n;
    ngx_buf_t         *b;
    ngx_connection_t  *c = ev->data;
    gate_request_t    *q = c->data;

    b = q->out;

    while (b->pos < b->last) {
        n = c->send(c, b->pos, b->last - b->pos);

        if (n == NGX_AGAIN) {
            if (ngx_handle_write_event(c->write, 0) != NGX_OK) {
                gate_refuse(q, "auth service unavailable");
            }
            return;
        }

        if (n <= 0) {
            gate_refuse(q, "auth service unavailable");
            return;
        }

        b->pos += n;
    }

    if (c->write->active) {
        ngx_del_event(c->write, NGX_WRITE_EVENT, 0);
    }
}


/* --- life of a request --- */

static ngx_int_t
gate_connect(gate_request_t *q)
{
    ngx_int_t          rc;
    ngx_connection_t  *c;

    q->in_flight = 1;
    gate_in_flight++;

    q->peer.sockaddr = q->conf.service->sockaddr;
    q->peer.socklen = q->conf.service->socklen;
    q->peer.name = &q->conf.service->name;
    q->peer.get = ngx_event_get_peer;
    q->peer.log = &q->log;
    q->peer.log_error = NGX_ERROR_ERR;

    rc = ngx_event_connect_peer(&q->peer);

    if (rc == NGX_ERROR || rc == NGX_BUSY || rc == NGX_DECLINED) {
        return NGX_ERROR;
    }

    c = q->peer.connection;
    c->data = q;
    c->log = &q->log;
    c->read->log = &q->log;
    c->write->log = &q->log;
    c->read->handler = gate_read;
    c->write->handler = gate_write;

    if (rc == NGX_OK) {
        ngx_post_event(c->write, &ngx_posted_events);
    }

    return NGX_OK;
}


static void
gate_start_waiting(void)
{
    ngx_queue_t     *first;
    gate_request_t  *q;

    static ngx_uint_t  busy;

    if (busy) {
        return;                              /* called by gate_refuse() below */
    }

    busy = 1;

    while (gate_in_flight < GATE_IN_FLIGHT && gate_waiting.next
           && !ngx_queue_empty(&gate_waiting))
    {
        first = ngx_queue_head(&gate_waiting);
        q = ngx_queue_data(first, gate_request_t, queue);
        ngx_queue_remove(first);
        q->queue.next = NULL;

        if (gate_connect(q) != NGX_OK) {
            gate_refuse(q, "auth service unavailable");
        }
    }

    busy = 0;
}


/* The service allowed a client that has left: sends "done", or the service would
 * keep the client's session open. */
static void
gate_give_back(gate_request_t *q)
{
    gate_question_t  done = q->asked;

    done.of = done.kind;
    ngx_str_set(&done.kind, "done");
    ngx_str_set(&done.reason, "the client left before the answer");

    (void) gate_ask(&q->conf, &done, NULL, NULL);
}


static void
gate_finish(gate_request_t *q, gate_answer_t *a)
{
    void             *data = q->data;
    ngx_pool_t       *pool = q->pool;
    gate_handler_pt   handler = q->handler;

    if (q->peer.connection) {
        ngx_close_connection(q->peer.connection);
        q->peer.connection = NULL;
    }

    if (q->start.posted) {
        ngx_delete_posted_event(&q->start);
    }

    if (q->timer.timer_set) {
        ngx_del_timer(&q->timer);
    }

    if (q->in_flight) {
        gate_in_flight--;
    }

    if (handler == NULL && a->allow && q->asked.session.len) {
        gate_give_back(q);
    }

    ngx_destroy_pool(pool);

    if (handler) {
        handler(data, a);
    }

    gate_start_waiting();
}


static void
gate_timed_out(ngx_event_t *ev)
{
    gate_request_t  *q = ev->data;

    if (q->queue.next) {
        ngx_queue_remove(&q->queue);
    }

    ngx_log_error(NGX_LOG_ERR, &q->log, 0,
                  "gate: service did not answer within %M ms (%V)",
                  q->conf.timeout, &q->label);
    gate_refuse(q, "auth service did not answer in time");
}


static void
gate_start(ngx_event_t *ev)
{
    gate_request_t  *q = ev->data;

    if (gate_in_flight >= GATE_IN_FLIGHT) {
        ngx_queue_insert_tail(&gate_waiting, &q->queue);
        return;
    }

    if (gate_connect(q) != NGX_OK) {
        gate_refuse(q, "auth service unavailable");
    }
}


/* Copies the fields for gate_give_back(); a "done" needs none. */
static ngx_int_t
gate_remember(gate_request_t *q, const gate_question_t *a)
{
    size_t      i;
    ngx_str_t  *to[] = { &q->asked.kind, &q->asked.app, &q->asked.name,
                         &q->asked.address, &q->asked.session };

    const ngx_str_t  *from[] = { &a->kind, &a->app, &a->name, &a->address,
                                 &a->session };

    for (i = 0; a->of.len == 0 && i < sizeof(to) / sizeof(to[0]); i++) {
        to[i]->len = from[i]->len;
        to[i]->data = ngx_pnalloc(q->pool, from[i]->len + 1);

        if (to[i]->data == NULL) {
            return NGX_ERROR;
        }

        ngx_memcpy(to[i]->data, from[i]->data, from[i]->len);
    }

    return NGX_OK;
}


gate_request_t *
gate_ask(const gate_conf_t *conf,
    const gate_question_t *question, gate_handler_pt handler, void *data)
{
    ngx_pool_t      *pool;
    gate_request_t  *q;

    if (gate_waiting.next == NULL) {
        ngx_queue_init(&gate_waiting);
    }

    pool = ngx_create_pool(1024, ngx_cycle->log);
    if (pool == NULL) {
        return NULL;
    }

    q = ngx_pcalloc(pool, sizeof(gate_request_t));
    if (q == NULL) {
        ngx_destroy_pool(pool);
        return NULL;
    }

    q->pool = pool;
    q->conf = *conf;
    q->handler = handler;
    q->data = data;
    q->log = *ngx_cycle->log;
    q->log.handler = NULL;

    q->in = ngx_create_temp_buf(pool, GATE_MAX_ANSWER);
    q->label.data = ngx_pnalloc(pool, question->kind.len + question->app.len
                                     + question->name.len
                                     + question->address.len + 16);

    if (q->in == NULL || q->label.data == NULL
        || gate_build(q, question) != NGX_OK
        || gate_remember(q, question) != NGX_OK)
    {
        ngx_destroy_pool(pool);
        return NULL;
    }

    q->label.len = ngx_sprintf(q->label.data, "%V %V/%V from %V",
                              &question->kind, &question->app,
                              &question->name, &question->address)
                  - q->label.data;

    q->start.data = q;
    q->start.log = &q->log;
    q->start.handler = gate_start;

    q->timer.data = q;
    q->timer.log = &q->log;
    q->timer.handler = gate_timed_out;

    /* posted, so that the handler is never called within gate_ask(); the timer also
     * keeps an exiting worker alive until its last "done" is sent */
    ngx_post_event(&q->start, &ngx_posted_events);
    ngx_add_timer(&q->timer, conf->timeout);

    return q;
}


void
gate_forget(gate_request_t *request)
{
    request->handler = NULL;
}
