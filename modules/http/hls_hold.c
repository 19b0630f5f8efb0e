#include "hls_hold.h"

#include "answer.h"

#define HOLD_CHECK_MS   200          /* how often the sessions are checked */
#define HOLD_TARGETS    3            /* RFC 8216bis, section 6.2.5.2 */


static ngx_uint_t  hold_count;       /* requests that this worker holds */


static void
leave_groups(hls_request_t *q)
{
    ngx_uint_t    i;
    hls_group_t  *group;

    for (i = 0; i < HLS_GROUPS; i++) {
        group = q->groups[i];
        q->groups[i] = NULL;

        if (group) {
            group->waiting--;
            hls_group_give(group);
        }
    }
}


/* --- streams --- */

/* The store calls it when it frees the stream: nobody has asked for it lately. */
static void
live_free(hls_stream_t *st)
{
    ngx_uint_t   i;
    hls_live_t  *live = st->live;

    for (i = 0; i < HLS_TEXTS; i++) {
        hls_text_free(&live->texts[i]);
    }

    hls_reach_free(live->reach);
    ngx_free(live);
}


hls_live_t *
hls_live(hls_stream_t *st)
{
    hls_live_t  *live = st->live;

    if (live == NULL) {
        live = ngx_calloc(sizeof(hls_live_t), ngx_cycle->log);
        if (live == NULL) {
            return NULL;
        }

        live->st = st;
        ngx_queue_init(&live->held);
        st->live = live;
        st->live_free = live_free;
    }

    return live;
}


/* --- while requests wait --- */

void
hls_hold_end(hls_request_t *q)
{
    hls_live_t  *live = q->live;

    if (live == NULL) {
        return;
    }

    q->live = NULL;
    ngx_queue_remove(&q->queue);
    leave_groups(q);
    hold_count--;

    if (--live->nheld == 0) {
        hub_tick_remove(&live->tick);
        hls_store_give(live->st);
    }
}


/* Answers Q if it need not wait any longer.  CHECK: looks after its session, too. */
static void
hold_try(hls_request_t *q, int check)
{
    ngx_int_t            rc = q->answer(q);
    const char          *why = NULL;
    ngx_http_request_t  *r = q->request;
    ngx_connection_t    *c = r->connection;

    if (rc == NGX_BUSY && check && q->visit.row) {
        why = hub_visit_leaves(&q->visit);
    }

    if (why) {
        ngx_log_error(NGX_LOG_NOTICE, c->log, 0, "viewer ended: %s", why);
        rc = answer_error(r, NGX_HTTP_FORBIDDEN, "%s", why);

    } else if (rc == NGX_BUSY
               && (ngx_msec_int_t) (ngx_current_msec - q->until_ms) >= 0)
    {
        rc = answer_shared_error(r, NGX_HTTP_SERVICE_UNAVAILABLE,
                                 "the stream has not gone on for %d target durations: "
                                 "try again", HOLD_TARGETS);
    }

    if (rc != NGX_BUSY) {
        hls_hold_end(q);
        ngx_http_finalize_request(r, rc);
        ngx_http_run_posted_requests(c);
    }
}


/* An answer may end other requests (HTTP/2), so take the head of the queue each
 * time. */
static void
hold_tick(hub_tick_t *tick)
{
    int           check;
    hls_live_t   *live = ngx_queue_data(&tick->queue, hls_live_t, tick.queue);
    ngx_queue_t   rest, *q;

    (void) hls_store_read(live->st);

    check = ngx_current_msec - live->checked_ms >= HOLD_CHECK_MS;

    if (live->st->changes == live->changes && !check) {
        return;
    }

    live->changes = live->st->changes;

    if (check) {
        live->checked_ms = ngx_current_msec;
    }

    ngx_queue_init(&rest);
    ngx_queue_add(&rest, &live->held);
    ngx_queue_init(&live->held);

    while (!ngx_queue_empty(&rest)) {
        q = ngx_queue_head(&rest);
        ngx_queue_remove(q);
        ngx_queue_insert_tail(&live->held, q);
        hold_try(ngx_queue_data(q, hls_request_t, queue), check);
    }
}


/* Counts Q in its groups.  NGX_OK, or NGX_DONE with *RC for the handler to return. */
static ngx_int_t
hold_enter(hls_request_t *q, const uint64_t id[HLS_GROUPS], ngx_int_t *rc)
{
    ngx_uint_t  i;

    for (i = 0; i < HLS_GROUPS; i++) {
        q->groups[i] = hls_group_take(i, id[i]);

        if (q->groups[i] == NULL) {
            leave_groups(q);
            *rc = NGX_HTTP_INTERNAL_SERVER_ERROR;
            return NGX_DONE;
        }

        q->groups[i]->waiting++;
    }

    return NGX_OK;
}


/* Is there room for Q within LIMIT?  NGX_OK, or NGX_DONE with *RC for the handler to
 * return. */
static ngx_int_t
hold_admit(hls_request_t *q, const uint64_t id[HLS_GROUPS], ngx_uint_t limit,
    ngx_int_t *rc)
{
    ngx_uint_t    i, most;
    hls_group_t  *group;

    if (hold_count >= limit) {
        *rc = answer_error(q->request, NGX_HTTP_SERVICE_UNAVAILABLE,
                           "%ui requests wait for parts of streams: hls_held allows "
                           "no more", hold_count);
        return NGX_DONE;
    }

    for (i = 0; i < HLS_GROUPS; i++) {
        group = hls_group_find(i, id[i]);
        most = i == HLS_OF_VISITOR ? HLS_HELD_BY_VISITOR : (limit + 1) / 2;

        if (group && group->waiting >= most) {
            *rc = answer_error(q->request, NGX_HTTP_TOO_MANY_REQUESTS,
                               "%ui requests of %s wait for parts of streams: no more "
                               "are allowed", group->waiting, hls_group_name(i));
            return NGX_DONE;
        }
    }

    return hold_enter(q, id, rc);
}


ngx_int_t
hls_hold(hls_request_t *q, hls_live_t *live, const hub_flush_t *flush,
    const uint64_t id[HLS_GROUPS], ngx_uint_t limit)
{
    ngx_int_t            rc;
    ngx_http_request_t  *r = q->request;

    if (r->connection->read->pending_eof) {
        return NGX_HTTP_CLIENT_CLOSED_REQUEST;         /* no event will tell it again */
    }

    if (hold_admit(q, id, limit, &rc) != NGX_OK) {
        return rc;
    }

    q->live = live;
    q->until_ms = ngx_current_msec
                  + HOLD_TARGETS * 1000 * (ngx_msec_t) live->st->target_s;
    ngx_queue_insert_tail(&live->held, &q->queue);
    hold_count++;

    if (live->nheld++ == 0) {
        live->changes = live->st->changes;
        live->checked_ms = ngx_current_msec;
        hls_store_keep(live->st);
        hub_tick_add(flush, &live->tick, hold_tick);
    }

    if (!r->discard_body) {
        r->read_event_handler = ngx_http_test_reading;
    }

    r->main->count++;

    return NGX_DONE;
}
