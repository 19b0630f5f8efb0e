/* The parts of HLS that the store makes, and their bytes, in this worker and another. */

#define _GNU_SOURCE

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "hls_store_rig.h"


static void
test_parts_are_complete_with_the_next_frame(void **state)
{
    hls_bytes_t    *bytes;
    hls_stream_t   *st;
    hls_segment_t  *segment;

    assert_int_equal(hls_store_open(NAME, NAME_LEN, 0, &st), NGX_OK);
    assert_true(st->first == st->end && !st->ended);
    assert_int_equal(st->target_s, 2);
    assert_int_equal(hls_store_read(st), NGX_AGAIN);

    publish(0, 320, 2000);
    assert_int_equal(hls_store_read(st), NGX_OK);
    assert_int_equal(st->end - st->first, 1);
    segment = &st->segments[st->first % HUB_SEGMENTS];
    assert_int_equal(segment->nparts, 0);
    assert_int_equal(hls_store_part(st, st->first, 0, &bytes), NGX_AGAIN);
    assert_int_equal(hls_store_part(st, st->first, 1, &bytes), NGX_DECLINED);
    assert_int_equal(hls_store_read(st), NGX_AGAIN);

    publish(320, 2200, 2000);
    assert_int_equal(hls_store_read(st), NGX_OK);
    assert_int_equal(st->end - st->first, 2);
    assert_int_equal(segment->ms, 2000);
    assert_true(segment->nparts >= 6 && segment->parts[0].key
                && !segment->parts[1].key);
    assert_int_equal(hls_store_segment(st, st->first + 1, &bytes), NGX_AGAIN);
    assert_int_equal(hls_store_part(st, st->first, segment->nparts, &bytes),
                     NGX_DECLINED);
    assert_int_equal(hls_store_part(st, st->first - 1, 0, &bytes), NGX_DECLINED);
    (void) check_times(st);
}


static void
test_a_part_is_made_once_and_only_when_asked_for(void **state)
{
    uint64_t       frames;
    hls_bytes_t   *bytes[16], *again;
    hls_stream_t  *st;

    publish(0, 3000, 2000);
    st = opened();
    assert_int_equal(h->header->hls_parts, 0);
    assert_int_equal(hls_bytes_held(), 0);
    assert_int_equal(h->workers[h->worker].hls_streams, 1);

    assert_int_equal(hls_store_segment(st, st->first, bytes), NGX_OK);
    frames = h->header->hls_frames;
    assert_int_equal(h->header->hls_parts, hls_segment(st, st->first)->nparts);
    assert_int_equal(frames, 50 + 87);           /* pictures, and sound of 2 s */

    assert_int_equal(hls_store_part(st, st->first, 1, &again), NGX_OK);
    assert_ptr_equal(again, bytes[1]);
    assert_int_equal(h->header->hls_frames, frames);
    assert_int_equal(h->workers[h->worker].hls_bytes, hls_bytes_held());

    for (uint32_t i = 0; i < hls_segment(st, st->first)->nparts; i++) {
        hls_bytes_give(bytes[i]);
    }
    hls_bytes_give(again);
}


static void
test_a_worker_that_begins_late_has_the_same_bytes(void **state)
{
    int64_t        ts;
    list_t         seen;
    hls_stream_t  *st;

    fork_other();

    for (ts = 0; ts < 30000; ts += 250) {
        publish(ts, ts + 250, 2000);
        st = opened();
        if (ts % 1000 == 0) {
            read_list(&seen);
        }
    }

    (void) check_times(st);
    compare_other();
}


static void
test_the_same_with_odd_pictures_and_holes(void **state)
{
    int64_t  ts;

    fork_other();
    (void) opened();

    for (ts = 0; ts < 36000; ts += 500) {
        if (ts >= 8000 && ts < 9000) {           /* pictures pause */
            for (int64_t a = ts; a < ts + 500; a += 23) {
                sound(a);
            }
        } else if (ts == 14000) {                /* a tunnel, and then all at once */
            ts += 4000;
            publish(ts, ts + 500, 2000);
        } else {
            publish(ts, ts + 500, ts < 24000 ? 2000 : 9000);
        }
        (void) opened();
    }

    compare_other();
}


static void
test_new_headers_begin_a_segment_with_another_init(void **state)
{
    uint64_t       n, anew = 0;
    hls_bytes_t   *bytes, *before = NULL;
    mp4_track_t    tracks[2];
    hls_stream_t  *st;
    static char    other_avc[sizeof(AVC_720P)];

    fork_other();
    publish(0, 6000, 2000);
    st = opened();
    assert_int_equal(hls_store_init(st, hls_segment(st, st->first)->record.init,
                                    &before), NGX_OK);
    hls_store_tracks(hls_store_headers(st, hls_segment(st, st->first)->record.init),
                     tracks);
    assert_int_equal(tracks[MP4_VIDEO].width, 1280);
    assert_int_equal(tracks[MP4_AUDIO].timescale, RATE);

    memcpy(other_avc, AVC_720P, sizeof(AVC_720P));
    other_avc[7] = '1';                          /* another level */
    configure(other_avc);
    publish(6000, 12000, 2000);
    st = opened();

    for (n = st->first; n < st->end; n++) {
        if (hls_segment(st, n)->record.anew) {
            anew++;
            assert_int_equal(hls_store_init(st, hls_segment(st, n)->record.init, &bytes),
                             NGX_OK);
            assert_true(bytes->size == before->size
                        && memcmp(bytes->data, before->data, bytes->size) != 0);
            assert_null(memmem(bytes->data, bytes->size, "mehd", 4));
            hls_bytes_give(bytes);
        }
    }

    assert_int_equal(anew, 1);
    assert_int_equal(hls_store_init(st, 77, &bytes), NGX_DECLINED);
    assert_int_equal(hls_store_init(st, HLS_NO_INIT, &bytes), NGX_DECLINED);
    hls_bytes_give(before);
    compare_other();
}


/* Sound before the first picture of a publisher that returned is in no part. */
static void
test_frames_that_are_left_out(void **state)
{
    list_t         list;
    int64_t        ts;
    uint64_t       i, frames = 0, hidden = 0;
    hub_entry_t   *e;
    hls_stream_t  *st;

    fork_other();
    publish(0, 6500, 2000);
    hub_close(h, &p.client, &p.writer);
    at(7000);
    assert_int_equal(rig_publish(h, &p, "live/a", 1), HUB_ADMITTED);
    configure(AVC_720P);

    for (ts = 7000; ts < 8000; ts += 20) {
        sound(ts);
    }

    publish(8000, 14000, 2000);
    st = opened();
    read_list(&list);

    for (i = hls_segment(st, st->first)->record.index; i < st->growing.index; i++) {
        e = hub_entry(h, s, i);
        hidden += (e->flags & HUB_HIDDEN) != 0;
        frames += (e->flags & (HUB_HIDDEN|HUB_CONFIG)) == 0;
    }

    assert_int_equal(hidden, 50);
    assert_int_equal(list.frames, frames);
    compare_other();
}


/* Each segment has other headers; all can be had for as long as it can be asked for. */
static void
test_headers_of_all_segments_are_known(void **state)
{
    char           avc[sizeof(AVC_720P)];
    int64_t        ts;
    uint64_t       n;
    hls_bytes_t   *bytes;
    hls_stream_t  *st;

    memcpy(avc, AVC_720P, sizeof(avc));

    for (ts = 0; ts < 60000; ts += 1000) {
        avc[7] = "0123456789"[ts / 1000 % 10];
        configure(avc);
        publish(ts, ts + 1000, 1000);
        st = opened();

        for (n = st->oldest; n < st->end; n++) {
            assert_int_equal(hls_store_init(st, hls_segment(st, n)->record.init, &bytes),
                             NGX_OK);
            hls_bytes_give(bytes);
        }
    }

    assert_true(st->first - st->oldest > 8);
    assert_true(st->end - st->first > 8);
    assert_int_equal(hls_store_init(st, 0, &bytes), NGX_DECLINED);
}


static void
test_a_full_cache_frees_what_nobody_holds(void **state)
{
    uint32_t       i, n;
    uint64_t       first, sum, frames = 0, made;
    hls_bytes_t   *held[16], *bytes;
    hls_stream_t  *st;

    publish(0, 12000, 2000);
    st = opened();
    first = st->first;
    sum = hash_segment(st, first, &frames);
    hls_bytes_limit(hls_bytes_held() + 20000);   /* room for one segment */

    assert_int_equal(hls_store_segment(st, first + 1, held), NGX_OK);
    assert_null(hls_segment(st, first)->parts[0].bytes);
    assert_true(hls_bytes_held() < 200000);

    n = hls_segment(st, first + 1)->nparts;      /* they stay while they are held */
    (void) hash_segment(st, first + 2, &frames);

    for (i = 0; i < n; i++) {
        assert_ptr_equal(hls_segment(st, first + 1)->parts[i].bytes, held[i]);
        assert_memory_equal(held[i]->data + 4, "moof", 4);
    }

    hls_bytes_limit(hls_bytes_held());
    assert_int_equal(hls_store_segment(st, first + 3, &held[8]), NGX_BUSY);

    for (i = 0; i < n; i++) {
        hls_bytes_give(held[i]);
    }

    made = h->header->hls_parts;
    assert_int_equal(hash_segment(st, first, &frames), sum);
    assert_int_equal(h->header->hls_parts, made + hls_segment(st, first)->nparts);

    hls_bytes_limit(1000);                       /* less than a part */
    assert_int_equal(hls_store_part(st, first + 3, 0, &bytes), NGX_BUSY);
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        store_test(test_parts_are_complete_with_the_next_frame),
        store_test(test_a_part_is_made_once_and_only_when_asked_for),
        store_test(test_a_worker_that_begins_late_has_the_same_bytes),
        store_test(test_the_same_with_odd_pictures_and_holes),
        store_test(test_new_headers_begin_a_segment_with_another_init),
        store_test(test_frames_that_are_left_out),
        store_test(test_headers_of_all_segments_are_known),
        store_test(test_a_full_cache_frees_what_nobody_holds),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
