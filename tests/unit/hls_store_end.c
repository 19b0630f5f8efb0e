/* The store of HLS keeps segments of a stream that breaks off, returns, ends or outruns
 * it, for a while. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "hls_store_rig.h"


/* All that the list of a stream that has ended names is there. */
static void
can_be_read(hls_stream_t *st)
{
    uint32_t      i;
    uint64_t      n;
    hls_bytes_t  *bytes;

    assert_true(st->ended);

    for (n = st->first; n < st->end; n++) {
        for (i = 0; i < hls_segment(st, n)->nparts; i++) {
            assert_int_equal(hls_store_part(st, n, i, &bytes), NGX_OK);
            hls_bytes_give(bytes);
        }
    }
}


/* Nobody asked for a part while the stream lived, which ends without a grace. */
static void
test_a_stream_that_ends_at_once_leaves_a_list_that_can_be_read(void **state)
{
    hls_stream_t         *st;
    const hls_segment_t  *last;

    publish(0, 5000, 2000);
    st = opened();
    end_stream();
    assert_null(hub_find(h, NAME, NAME_LEN));
    assert_int_equal(s->state, HUB_ENDING);

    ngx_current_msec += 1000;                    /* and nobody asks now */
    timer->handler(timer);
    ngx_current_msec += 4000;
    hub_sweep(h, &rig_log);
    assert_int_equal(s->state, HUB_FREE);

    can_be_read(st);
    assert_int_equal(st->end - st->first, 3);
    last = hls_segment(st, st->end - 1);
    assert_in_range(last->ms, 990, 1040);        /* to the last frame */
}


/* The hub keeps the row only where HLS has viewers. */
static void
test_a_stream_that_nobody_watches_is_forgotten_at_once(void **state)
{
    publish(0, 5000, 2000);
    end_stream();
    assert_int_equal(s->state, HUB_FREE);
}


/* Nobody asked for a part while the hub had it. */
static void
test_a_publisher_that_does_not_return_leaves_a_list_that_can_be_read(void **state)
{
    uint32_t              i;
    hls_stream_t         *st;
    const hls_segment_t  *last;

    publish(0, 5000, 2000);
    st = opened();
    hub_close(h, &p.client, &p.writer);
    assert_int_equal(hls_store_read(st), NGX_AGAIN);
    last = hls_segment(st, st->end - 1);
    i = last->nparts;

    ngx_shmtx_lock(&h->pool->mutex);
    hub_stream_end(h, s);
    ngx_shmtx_unlock(&h->pool->mutex);

    assert_int_equal(hls_store_read(st), NGX_OK);
    assert_int_equal(last->nparts, i + 1);       /* the frames behind the last part */
    assert_in_range(last->ms, 990, 1040);
    can_be_read(st);
}


static void
test_a_publisher_that_returns_continues_the_last_part(void **state)
{
    hls_stream_t         *st;
    const hls_segment_t  *segment;

    publish(0, 5000, 2000);
    st = opened();
    hub_close(h, &p.client, &p.writer);
    assert_int_equal(hls_store_read(st), NGX_AGAIN);
    assert_non_null(st->rest.bytes);
    segment = hls_segment(st, st->end - 1);
    assert_int_equal(segment->ms, 0);

    assert_int_equal(rig_publish(h, &p, "live/a", 1), HUB_ADMITTED);
    configure(AVC_720P);
    publish(6000, 8000, 2000);
    assert_int_equal(hls_store_read(st), NGX_OK);
    assert_null(st->rest.bytes);
    assert_in_range(segment->ms, 990, 1040);
}


static void
test_a_stream_that_ends_closes_its_last_segment(void **state)
{
    int64_t               ms = 0;
    uint32_t              i;
    uint64_t              session;
    hls_bytes_t          *bytes;
    hls_stream_t         *st;
    const hls_segment_t  *last;

    publish(0, 5000, 2000);
    st = opened();
    session = st->session;
    assert_int_equal(hls_store_part(st, st->first, 0, &bytes), NGX_OK);
    hls_bytes_give(bytes);

    end_stream();
    assert_int_equal(hls_store_read(st), NGX_OK);
    assert_true(st->ended);
    assert_int_equal(hls_store_read(st), NGX_AGAIN);
    assert_int_equal(st->end - st->first, 3);
    last = hls_segment(st, st->end - 1);

    for (i = 0; i < last->nparts; i++) {
        ms += last->parts[i].ms;
    }

    assert_int_equal(last->ms, ms);
    assert_in_range(ms, 990, 1040);
    can_be_read(st);
    assert_ptr_equal(opened(), st);

    /* another stream of this name has another session */
    at(7000);
    assert_int_equal(rig_publish(h, &p, "live/a", 1), HUB_ADMITTED);
    s = p.writer.ref.stream;
    configure(AVC_720P);
    publish(8000, 11000, 2000);
    st = opened();
    assert_false(st->ended);
    assert_true(st->session != session);
    assert_int_equal(hls_store_open(NAME, NAME_LEN, session, &st), NGX_OK);
    assert_true(st->ended);
    assert_int_equal(hls_store_open(NAME, NAME_LEN, session + 1, &st), NGX_DECLINED);
    assert_int_equal(hls_store_open((const u_char *) "live/b", 6, 0, &st),
                     NGX_DECLINED);
}


/* Its viewers have no sessions any more, so no limit and no kick ends their requests. */
static void
test_an_ended_stream_goes_though_it_is_asked_for(void **state)
{
    uint32_t       seconds;
    hls_stream_t  *st;

    publish(0, 5000, 2000);
    st = opened();
    end_stream();
    (void) hls_store_read(st);

    for (seconds = 0; h->workers[h->worker].hls_streams; seconds++) {
        if (seconds < 10) {
            assert_ptr_equal(opened(), st);
        }
        ngx_current_msec += 1000;
        assert_true(hls_store_open(NAME, NAME_LEN, st->session, &st) == NGX_OK);
        timer->handler(timer);
    }

    assert_in_range(seconds, 10, 12);            /* a list of 4 s, and 3 x 2 s */
}


/* A segment that was removed from the list stays for a while; not for ever. */
static void
test_removed_segments_can_be_asked_for(void **state)
{
    int64_t        ts;
    uint64_t       first;
    hls_bytes_t   *bytes;
    hls_stream_t  *st;

    for (ts = 0; ts < 12000; ts += 500) {
        publish(ts, ts + 500, 2000);
        st = opened();
    }

    for (first = st->first; st->first == first; ts += 500) {
        publish(ts, ts + 500, 2000);
        st = opened();
    }

    assert_int_equal(st->oldest, first);
    assert_int_equal(hls_store_part(st, first, 2, &bytes), NGX_OK);
    hls_bytes_give(bytes);

    for ( ; ts < 24000; ts += 500) {             /* the list is 10 s long */
        publish(ts, ts + 500, 2000);
        st = opened();
    }

    assert_true(st->oldest <= first);
    assert_int_equal(hls_store_part(st, first, 3, &bytes), NGX_OK);
    hls_bytes_give(bytes);

    for ( ; ts < 60000; ts += 500) {
        publish(ts, ts + 500, 2000);
        st = opened();
    }

    assert_true(st->oldest > first);
    assert_int_equal(hls_store_part(st, first, 3, &bytes), NGX_DECLINED);
}


/* The hub overwrites what a worker has not read, or has not made yet. */
static void
test_a_slow_worker_has_no_torn_parts(void **state)
{
    uint64_t       first;
    hls_bytes_t   *bytes;
    hls_stream_t  *st;

    publish(0, 5000, 2000);
    st = opened();
    first = st->first;
    assert_int_equal(hls_store_part(st, first, 0, &bytes), NGX_OK);
    publish(5000, 300000, 2000);

    assert_int_equal(hls_store_part(st, first, 1, &bytes), NGX_DECLINED);
    hls_bytes_give(bytes);

    st = opened();
    st = opened();
    assert_true(st->first > first && st->end > st->first + 2);
    (void) check_times(st);
    assert_int_equal(hls_store_part(st, first, 0, &bytes), NGX_DECLINED);
}


static void
test_it_is_freed_when_nobody_asks(void **state)
{
    hls_bytes_t   *bytes;
    hls_stream_t  *st;

    publish(0, 5000, 2000);
    st = opened();
    assert_int_equal(hls_store_part(st, st->first, 0, &bytes), NGX_OK);
    assert_true(timer->cancelable);              /* an exiting worker may end */

    hls_store_keep(st);
    ngx_current_msec += 60000;
    timer->handler(timer);
    assert_int_equal(h->workers[h->worker].hls_streams, 1);

    hls_store_give(st);
    ngx_current_msec += 6000;
    timer->handler(timer);
    assert_int_equal(h->workers[h->worker].hls_streams, 1);

    ngx_current_msec += 1;
    timer->handler(timer);
    assert_int_equal(h->workers[h->worker].hls_streams, 0);
    assert_int_equal(hls_bytes_held(), sizeof(hls_bytes_t) + bytes->size);

    hls_bytes_give(bytes);                       /* a slow client's */
    assert_int_equal(hls_bytes_held(), 0);
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        store_test(test_a_stream_that_ends_at_once_leaves_a_list_that_can_be_read),
        store_test(test_a_stream_that_nobody_watches_is_forgotten_at_once),
        store_test(test_a_publisher_that_does_not_return_leaves_a_list_that_can_be_read),
        store_test(test_a_publisher_that_returns_continues_the_last_part),
        store_test(test_a_stream_that_ends_closes_its_last_segment),
        store_test(test_an_ended_stream_goes_though_it_is_asked_for),
        store_test(test_removed_segments_can_be_asked_for),
        store_test(test_a_slow_worker_has_no_torn_parts),
        store_test(test_it_is_freed_when_nobody_asks),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
