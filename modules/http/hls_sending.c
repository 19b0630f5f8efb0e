#include "hls_sending.h"

#include "answer.h"
#include "history_find.h"

#define SENDING_CHECK_MS  1000
#define SENDING_SHARE     4            /* of hls_cache: a quarter */
#define SENDING_LEAST     2            /* files of its size, before one is refused */
#define SENDING_BUCKETS   4096
#define SENDING_RECORDED  65536        /* so much counts a recording's open file and heads */


/* A file that is sent to a user or an address. */
struct hls_pin_s {
    ngx_queue_t   queue;               /* of its bucket */
    hls_group_t  *group;
    const void   *first;               /* the file is these bytes and what follows: */
    ngx_uint_t    n;                   /* so many parts; 0: it is a recorded one, of this
                                          answer */
    size_t        size;
    ngx_uint_t    answers;
};


static ngx_queue_t  sending_pins[SENDING_BUCKETS];

/* This worker's answers.  The timer runs while there are any. */
static struct {
    ngx_event_t       event;
    ngx_connection_t  dummy;           /* debug logs read its fd */
    ngx_queue_t       all;
} sending;


/* --- pins --- */

static ngx_queue_t *
pin_bucket(const hls_group_t *group, const void *first)
{
    uint64_t    hash = (uintptr_t) first >> 4 ^ group->id ^ group->id >> 32;
    ngx_uint_t  i;

    if (sending_pins[0].next == NULL) {
        for (i = 0; i < SENDING_BUCKETS; i++) {
            ngx_queue_init(&sending_pins[i]);
        }
    }

    return &sending_pins[(hash ^ hash >> 12) % SENDING_BUCKETS];
}


static hls_pin_t *
find_pin(const hls_group_t *group, const void *first, ngx_uint_t n)
{
    hls_pin_t    *pin;
    ngx_queue_t  *q, *bucket = pin_bucket(group, first);

    for (q = ngx_queue_head(bucket); q != ngx_queue_sentinel(bucket);
         q = ngx_queue_next(q))
    {
        pin = ngx_queue_data(q, hls_pin_t, queue);

        if (pin->group == group && pin->first == first && pin->n == n) {
            return pin;
        }
    }

    return NULL;
}


static size_t
sum_bytes(hls_bytes_t **bytes, ngx_uint_t n)
{
    size_t      size = n ? 0 : SENDING_RECORDED;
    ngx_uint_t  i;

    for (i = 0; i < n; i++) {
        size += bytes[i]->size;
    }

    return size;
}


/* Of the file that S sends.  NULL: there is no memory. */
static hls_pin_t *
take_pin(const hls_sending_t *s, enum hls_group kind, hls_bytes_t **bytes, ngx_uint_t n)
{
    hls_pin_t    *pin;
    const void   *first = n ? (const void *) bytes[0] : s;
    hls_group_t  *group = hls_group_take(kind, s->id[kind]);

    if (group == NULL) {
        return NULL;
    }

    pin = find_pin(group, first, n);

    if (pin == NULL) {
        pin = ngx_calloc(sizeof(hls_pin_t), ngx_cycle->log);
        if (pin == NULL) {
            hls_group_give(group);
            return NULL;
        }

        pin->group = group;
        pin->first = first;
        pin->n = n;
        pin->size = sum_bytes(bytes, n);
        group->sending += pin->size;
        ngx_queue_insert_tail(pin_bucket(group, first), &pin->queue);
    }

    pin->answers++;

    return pin;
}


static void
give_pin(hls_pin_t *pin)
{
    hls_group_t  *group = pin->group;

    if (--pin->answers == 0) {
        group->sending -= pin->size;
        ngx_queue_remove(&pin->queue);
        ngx_free(pin);
    }

    hls_group_give(group);
}


/* --- shares --- */

/* The most bytes that may be on their way to a group when a file of SIZE joins them: a
 * viewer on a slow link may ask for a segment before it has received the last one. */
static size_t
sending_share(size_t size)
{
    size_t  most = hls_bytes_most();

    return ngx_max(most / SENDING_SHARE, ngx_min(SENDING_LEAST * size, most / 2));
}


ngx_int_t
hls_sending_admit(hls_sending_t *s, hls_bytes_t **bytes, ngx_uint_t n, ngx_int_t *rc)
{
    size_t        size;
    ngx_uint_t    i;
    hls_group_t  *group;

    for (i = HLS_OF_USER; i < HLS_GROUPS; i++) {
        group = hls_group_find(i, s->id[i]);

        if (group == NULL || group->sending == 0
            || (n && find_pin(group, bytes[0], n)))
        {
            continue;
        }

        size = sum_bytes(bytes, n);

        if (group->sending + size > sending_share(size)) {
            *rc = answer_error(s->request, NGX_HTTP_TOO_MANY_REQUESTS,
                               "%uz bytes are being sent to %s, which reads slowly, and "
                               "this file has %uz: read the others first",
                               group->sending, hls_group_name(i), size);
            return NGX_DONE;
        }
    }

    return NGX_OK;
}


/* --- while they last --- */

static void
count_sent(hls_sending_t *s)
{
    off_t  sent = s->request->connection->sent - s->counted;

    if (s->visit->row && sent > 0) {
        hub_visit_sent(s->visit, (size_t) sent);
        s->counted += sent;
    }
}


/* Why the answer must end, or NULL.  A session ends with its stream; then the token
 * alone decides. */
static const char *
end_reason(hls_sending_t *s)
{
    const char  *why = s->visit->row ? hub_visit_leaves(s->visit) : NULL;

    if (s->fd && history_is_deleted(s->fd)) {
        return "the recording was deleted";
    }

    if (s->visit->row == NULL || !hub_visit_lasts(s->visit)) {
        why = hub_revoked(hub, s->id[HLS_OF_USER], s->stream, 0, s->issued)
              ? hub_kick_text(HUB_REVOKED) : NULL;
    }

    return why;
}


/* The end of one may end others (HTTP/2), so take the head of the queue each time. */
static void
check_all(ngx_event_t *ev)
{
    const char     *why;
    ngx_queue_t     rest, *q;
    hls_sending_t  *s;

    ngx_queue_init(&rest);
    if (!ngx_queue_empty(&sending.all)) {
        ngx_queue_add(&rest, &sending.all);
        ngx_queue_init(&sending.all);
    }

    while (!ngx_queue_empty(&rest)) {
        q = ngx_queue_head(&rest);
        ngx_queue_remove(q);
        ngx_queue_insert_tail(&sending.all, q);
        s = ngx_queue_data(q, hls_sending_t, queue);

        count_sent(s);
        why = end_reason(s);

        if (why) {
            ngx_log_error(NGX_LOG_NOTICE, s->request->connection->log, 0,
                          "viewer ended: %s", why);
            answer_take_back(s->request);
        }
    }

    if (!ngx_queue_empty(&sending.all)) {
        ngx_add_timer(ev, SENDING_CHECK_MS);
    }
}


static void
start_timer(void)
{
    if (sending.event.handler == NULL) {
        sending.dummy.fd = (ngx_socket_t) -1;
        sending.event.handler = check_all;
        sending.event.data = &sending.dummy;
        sending.event.log = ngx_cycle->log;
        sending.event.cancelable = 1;
        ngx_queue_init(&sending.all);
    }

    if (!sending.event.timer_set) {
        ngx_add_timer(&sending.event, SENDING_CHECK_MS);
    }
}


ngx_int_t
hls_sending_begin(hls_sending_t *s, hls_bytes_t **bytes, ngx_uint_t n)
{
    ngx_uint_t  i;

    for (i = HLS_OF_USER; i < HLS_GROUPS; i++) {
        s->pins[i] = take_pin(s, i, bytes, n);

        if (s->pins[i] == NULL) {
            return NGX_ERROR;
        }
    }

    start_timer();
    ngx_queue_insert_tail(&sending.all, &s->queue);
    s->listed = 1;

    return NGX_OK;
}


void
hls_sending_end(hls_sending_t *s)
{
    count_sent(s);

    if (s->listed) {
        ngx_queue_remove(&s->queue);
        s->listed = 0;
    }
}


void
hls_sending_free(hls_sending_t *s)
{
    ngx_uint_t  i;

    for (i = 0; i < HLS_GROUPS; i++) {
        if (s->pins[i]) {
            give_pin(s->pins[i]);
            s->pins[i] = NULL;
        }
    }
}
