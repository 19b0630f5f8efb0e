/* The dates of HLS's segments, and of recordings, with publishers of all kinds. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

#include "hub_cut_rig.h"

static const source_t  both = { .fps = 25, .gop = 2000, .rate = 48000 };


/* How far the date of segment I is from the truth, ms: timestamp 0 was made at START. */
static int64_t
date_off(size_t i)
{
    const hub_segment_t  *r = &segments[i].record;

    return r->utc - (int64_t) START - r->start - r->skip;
}


/* An encoder has HELD ms of pictures when it may send. */
static void
publish_late(int64_t held)
{
    int64_t   made, came = 0;
    uint64_t  n = 0;

    cut_publish(&both);

    for (made = 0; made < 30000; made += 40, n++) {
        came = ngx_max(came, ngx_max(made, held) + (int64_t) (n * 7 % 11) * 3);
        cut_time(came);
        assert_int_equal(cut_put(0, n % 50 == 0, made, 0, 300), NGX_OK);
    }
}


static void
test_dates_are_true_after_a_burst(void **state)
{
    size_t  i;

    publish_late(450);
    assert_int_equal(date_off(0), 450);

    for (i = 1; i < nsegments; i++) {
        assert_true(date_off(i) <= date_off(i - 1));
        assert_true(date_off(i) >= date_off(i - 1) - 100);
        assert_true(i < 6 || labs(date_off(i)) <= 20);
    }
}


/* A phone in a tunnel: what it made comes late, at once; its dates stay. */
static void
test_dates_do_not_move_by_late_frames(void **state)
{
    int64_t   made, came = 0;
    size_t    i;
    uint64_t  n = 0;

    cut_publish(&both);

    for (made = 0; made < 60000; made += 40, n++) {
        came = ngx_max(came, (made < 20000 || made > 28000
                              ? made : 28000 + (made - 20000) / 10));
        cut_time(came);
        assert_int_equal(cut_put(0, n % 50 == 0, made, 0, 300), NGX_OK);

        /* a recording that begins now has the same time */
        assert_true(labs(hub_stream_utc(p.writer.ref.stream, made) - (int64_t) START - made)
                    <= 5);
    }

    for (i = 0; i < nsegments; i++) {
        assert_true(labs(date_off(i)) <= 5);
    }
}


/* The server's clock is set by an hour: the next segment says so. */
static void
test_dates_follow_a_clock_that_is_set(void **state)
{
    size_t  n;

    cut_publish(&both);
    cut_play(&both, 0, 20000, 0);
    n = nsegments;
    assert_int_equal(date_off(n - 1), 0);
    cut_wall = 3600000;
    cut_play(&both, 20000, 30000, 0);
    assert_int_equal(date_off(n), 3600000);
    cut_wall = 0;
    cut_play(&both, 30000, 40000, 0);
    assert_int_equal(date_off(nsegments - 1), 0);
}


/* Frames are ahead of time, as in a file that is sent at once.  No date is ambiguous. */
static void
test_dates_of_a_file_that_is_pushed_at_once(void **state)
{
    int64_t   made;
    size_t    i;
    uint64_t  n = 0;

    ragged = 1;
    cut_publish(&both);

    for (made = 0; made < 120000; made += 40, n++) {
        cut_time(made / 10);
        assert_int_equal(cut_put(0, n % 50 == 0, made, 0, 300), NGX_OK);
    }

    for (i = 1; i < nsegments; i++) {
        assert_true(segments[i].record.utc > segments[i - 1].record.utc);
        assert_true(date_off(i) - date_off(i - 1) >= -100);
    }
}


/* The clock of UTC follows the media, and the wall clock only when that is set. */
static void
test_utc_runs_with_the_media(void **state)
{
    size_t    i;
    int64_t   at;
    uint64_t  n = 0;

    cut_publish(&both);

    for (at = 0; at < 30000; at += 40, n++) {    /* frames arrive up to 400 ms late */
        cut_time(at + (int64_t) (n * 7 % 11) * 40);
        assert_int_equal(cut_put(0, n % 50 == 0, at, 0, 300), NGX_OK);
    }

    for (i = 3; i < nsegments; i++) {
        assert_int_equal(segments[i].record.utc - segments[i].record.start,
                         segments[2].record.utc - segments[2].record.start);
    }
}


#define TEST(name)  cmocka_unit_test_setup_teardown(name, cut_begin, cut_end)

int
main(void)
{
    const struct CMUnitTest  tests[] = {
        TEST(test_dates_are_true_after_a_burst),
        TEST(test_dates_do_not_move_by_late_frames),
        TEST(test_dates_follow_a_clock_that_is_set),
        TEST(test_dates_of_a_file_that_is_pushed_at_once),
        TEST(test_utc_runs_with_the_media),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
