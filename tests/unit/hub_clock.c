/* A stream's clock with publishers whose clock is wrong or whose network is bad. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

#include "../../modules/hub/hub.h"

#define START     1000000          /* ms; the stream's start */
#define VIDEO     0
#define AUDIO     1
#define FRAME     40               /* ms between two frames of a track */

typedef struct {
    hub_stream_t  s;
    hub_writer_t  w;
    int           marks;
    int64_t       behind;          /* the most of all frames */
    int64_t       ahead;
    int64_t       apart;           /* of sound and picture that came together */
    int64_t       most_apart;
    int64_t       dts[2];
} play_t;


static int
begin(void **state)
{
    *state = calloc(1, sizeof(play_t));

    return *state == NULL;
}


static int
end(void **state)
{
    free(*state);

    return 0;
}


/* Plays a frame that arrives AT ms after the start with TIMESTAMP. */
static int64_t
frame(play_t *p, int kind, int64_t at, int64_t timestamp)
{
    int64_t  last = p->s.track[kind].dts, off;
    int      first = p->s.track[kind].wall_ms == 0;

    p->dts[kind] = hub_clock_frame(&p->w, &p->s, kind, (uint32_t) timestamp,
                                   (uint64_t) (START + at));
    assert_true(first || p->dts[kind] >= last);

    off = p->dts[kind] - at;
    p->behind = ngx_max(p->behind, -off);
    p->ahead = ngx_max(p->ahead, off);
    p->marks += p->w.discontinuity;
    p->w.discontinuity = 0;

    return p->dts[kind];
}


/* Plays both tracks from FROM to TO (ms after the start), on time.  Their timestamps
 * begin at SHIFT and run at VIDEO and AUDIO permille of real time. */
static void
both(play_t *p, int64_t from, int64_t to, int64_t shift, int video, int audio)
{
    int64_t  at;

    for (at = from; at < to; at += FRAME) {
        frame(p, VIDEO, at, shift + (at - from) * video / 1000);
        frame(p, AUDIO, at, shift + (at - from) * audio / 1000);
        p->apart = llabs(p->dts[VIDEO] - p->dts[AUDIO]);
        p->most_apart = ngx_max(p->most_apart, p->apart);
    }
}


static void
test_a_true_clock_is_left_alone(void **state)
{
    play_t  *p = *state;

    both(p, 0, 3600000, 77, 1000, 1000);

    assert_int_equal(p->marks, 0);
    assert_int_equal(p->behind, 0);
    assert_int_equal(p->ahead, 0);
}


static void
test_half_speed_keeps_step_with_the_wall(void **state)
{
    play_t  *p = *state;

    both(p, 0, 12000, 0, 500, 500);

    assert_in_range(p->dts[VIDEO], 12000 - 500, 12000);
    assert_in_range(p->apart, 0, FRAME);
    assert_in_range(p->behind, 0, 5000);
    assert_int_equal(p->marks, 1);

    both(p, 12000, 600000, 6000, 500, 500);
    assert_in_range(p->dts[VIDEO], 600000 - 500, 600000);
    assert_int_equal(p->marks, 1);
}


static void
test_a_frozen_clock_keeps_step_with_the_wall(void **state)
{
    play_t  *p = *state;

    both(p, 0, 12000, 0, 0, 0);

    assert_in_range(p->dts[VIDEO], 12000 - 500, 12000);
    assert_in_range(p->apart, 0, FRAME);
    assert_int_equal(p->marks, 1);
}


static void
test_a_clock_that_stood_in_a_pause_is_put_right(void **state)
{
    play_t  *p = *state;

    both(p, 0, 6000, 0, 1000, 1000);
    both(p, 18000, 24000, 6000, 1000, 1000);

    assert_in_range(p->dts[VIDEO], 24000 - 300, 24000);
    assert_in_range(p->dts[AUDIO], 24000 - 300, 24000);
    assert_in_range(p->apart, 0, FRAME);
    assert_int_equal(p->marks, 1);
}


static void
test_one_slow_track_does_not_run_away_from_the_other(void **state)
{
    play_t  *p = *state;

    both(p, 0, 60000, 0, 1000, 500);

    assert_int_equal(p->dts[VIDEO], 60000 - FRAME);
    assert_in_range(p->apart, 0, 300);
    assert_in_range(p->behind, 0, 5000);
    assert_int_equal(p->ahead, 0);
}


static void
test_a_fast_clock_is_held(void **state)
{
    play_t  *p = *state;

    both(p, 0, 120000, 0, 1500, 1500);

    assert_in_range(p->ahead, 2000, 3000 + 1000);
    assert_in_range(p->apart, 0, FRAME);
    assert_int_equal(p->marks, 1);
}


/* A clock that is 100 ppm off is 8.6 s off after a day. */
static void
test_a_day_of_a_slightly_wrong_clock_stays_within_the_tolerance(void **state)
{
    int64_t  at;
    play_t  *p = *state;

    for (at = 0; at < 86400000; at += 1000) {
        frame(p, VIDEO, at, at - at / 10000);
        frame(p, AUDIO, at, at - at / 10000);
    }

    assert_in_range(p->behind, 0, 3000 + 2000);
    assert_in_range(p->marks, 2, 4);
}


/* Plays a link that stalls for PAUSE ms and then delivers the queued frames SPEED times
 * as fast as they were made. */
static void
stall(play_t *p, int64_t pause, int64_t speed)
{
    int64_t  made, at = 0, free_at = 5000 + pause;

    for (made = 0; made < 60000; made += FRAME) {
        at = made;

        if (made >= 5000) {
            at = ngx_max(at, free_at);
            free_at = at + FRAME / speed;
        }

        assert_int_equal(frame(p, VIDEO, at, made), made);
        assert_int_equal(frame(p, AUDIO, at, made), made);
    }

    assert_int_equal(p->marks, 0);
}


static void
test_a_stalled_network_is_no_wrong_clock(void **state)
{
    stall(*state, 10000, 40);
}


static void
test_a_network_that_catches_up_slowly_is_no_wrong_clock(void **state)
{
    stall(*state, 10000, 2);
}


static void
test_lateness_does_not_add_up_over_returns(void **state)
{
    int      i;
    int64_t  at = 0;
    play_t  *p = *state;

    for (i = 0; i < 50; i++) {
        both(p, at, at + 4000, i * 1000, 1000, 1000);
        /* the last frames come late, as the phone leaves the cell */
        frame(p, VIDEO, at + 6000, i * 1000 + 4000);
        at += 10000;
        p->w = (hub_writer_t) { 0 };
    }

    both(p, at, at + 1000, 5, 1000, 1000);
    assert_in_range(p->dts[VIDEO], at + 1000 - FRAME - 100, at + 1000);
}


/* ffmpeg without -re: any number of frames in no time. */
static void
test_a_file_that_is_pushed_at_once_is_held(void **state)
{
    int64_t  made, at = 0;
    play_t  *p = *state;

    for (made = 0; made < 3600000; made += FRAME) {
        at = made / 100;
        frame(p, VIDEO, at, made);
        frame(p, AUDIO, at, made);
    }

    /* its first 2 s may have come late, for all that the clock knows */
    assert_in_range(p->ahead, 2000, 3000 + 2000);
    assert_in_range(llabs(p->dts[VIDEO] - p->dts[AUDIO]), 0, 300);
    assert_in_range(p->marks, 1, 3);
}


/* An encoder queued its pictures for a while, 5 s behind the sound. */
static void
test_a_track_that_was_late_comes_back_to_the_other(void **state)
{
    int64_t  at, late;
    play_t  *p = *state;

    for (at = 0; at < 120000; at += FRAME) {
        late = at < 20000 ? 0 : at < 25000 ? at - 20000
               : at < 40000 ? 5000 : at < 45000 ? 45000 - at : 0;
        frame(p, VIDEO, at, at - late);
        frame(p, AUDIO, at, at);
    }

    assert_in_range(llabs(p->dts[VIDEO] - p->dts[AUDIO]), 0, 300);
    assert_in_range(p->dts[AUDIO], 120000 - 500, 120000 + 3500);
}


/* The publisher's clock is right, so dts must equal TIMESTAMP. */
static void
as_it_is(play_t *p, int kind, int64_t at, int64_t timestamp)
{
    assert_int_equal(frame(p, kind, at, timestamp), timestamp);
}


static void
test_one_fast_track_does_not_run_away_from_the_other(void **state)
{
    play_t  *p = *state;

    both(p, 0, 600000, 0, 1000, 1100);

    assert_int_equal(p->dts[VIDEO], 600000 - FRAME);
    assert_in_range(p->apart, 0, 200);
    assert_in_range(p->most_apart, 0, 600);
    assert_in_range(p->marks, 1, 1);
}


static void
test_fast_pictures_do_not_run_away_from_the_sound(void **state)
{
    play_t  *p = *state;

    both(p, 0, 600000, 0, 1500, 1000);

    /* its first 2 s may have come late, for all that the clock knows */
    assert_in_range(p->dts[AUDIO], 600000 - 500, 600000 + 1000);
    assert_in_range(p->apart, 0, 600);
    assert_in_range(p->marks, 1, 1);
}


/* Both tracks are too fast, one more than the other. */
static void
test_two_fast_tracks_stay_together(void **state)
{
    play_t  *p = *state;

    both(p, 0, 600000, 0, 1050, 1100);

    assert_in_range(p->apart, 0, 200);
    assert_in_range(p->ahead, 2000, 3000 + 1000);
}


/* The sound's clock is 100 ppm fast: 2.9 s after eight hours. */
static void
test_a_crystal_of_its_own_does_not_carry_the_sound_away(void **state)
{
    play_t  *p = *state;

    both(p, 0, 28800000, 0, 1000, 1000);         /* with a right clock first */
    assert_int_equal(p->marks, 0);

    for (int64_t at = 28800000; at < 2 * 28800000; at += FRAME) {
        frame(p, VIDEO, at, at);
        frame(p, AUDIO, at, at + (at - 28800000) / 10000);
        p->apart = ngx_max(p->apart, llabs(p->dts[VIDEO] - p->dts[AUDIO]));
    }

    assert_in_range(p->apart, 0, 250);
    assert_in_range(p->marks, 1, 3);
}


/* The link delays pictures and sound by up to 400 ms, with jitter. */
static void
test_a_fast_track_is_held_over_a_link_that_jitters(void **state)
{
    int64_t  at, came = 0;
    play_t  *p = *state;

    for (at = 0; at < 600000; at += FRAME) {
        came = ngx_max(came + 1, at + (at / FRAME * 7919 % 11) * 40);
        frame(p, VIDEO, came, at);
        frame(p, AUDIO, came, at + at / 10);
    }

    assert_in_range(p->dts[VIDEO], 600000 - 500, 600000 + 500);
    assert_in_range(llabs(p->dts[VIDEO] - p->dts[AUDIO]), 0, 500);
}


/* A still screen: no pictures for 20 s at a time. */
static void
test_pictures_that_pause_hold_no_sound(void **state)
{
    int64_t  at;
    play_t  *p = *state;

    for (at = 0; at < 300000; at += FRAME) {
        as_it_is(p, AUDIO, at, at);
        if (at % 40000 < 20000) {
            as_it_is(p, VIDEO, at + 5, at);
        }
    }

    assert_int_equal(p->marks, 0);
}


/* One picture a second, which is so large that the sound made with it arrives 800 ms
 * before it; the sound begins after 5 s. */
static void
test_sound_that_comes_before_its_picture_is_not_held(void **state)
{
    int64_t  at;
    play_t  *p = *state;

    for (at = 0; at < 300000; at += FRAME) {
        if (at % 1000 == 800) {
            as_it_is(p, VIDEO, at, at - 800);
        }
        if (at >= 5000) {
            as_it_is(p, AUDIO, at, at);
        }
    }

    assert_int_equal(p->marks, 0);
}


/* The sound is sent in bundles of a second. */
static void
test_sound_that_comes_in_bundles_is_not_held(void **state)
{
    int64_t  at, made;
    play_t  *p = *state;

    for (at = 0; at < 300000; at += FRAME) {
        as_it_is(p, VIDEO, at, at);
        for (made = at - 1000; at % 1000 == 0 && made >= 0 && made < at; made += FRAME) {
            as_it_is(p, AUDIO, at, made);
        }
    }

    assert_int_equal(p->marks, 0);
}


/* The uplink is bad at first, then improves: the queued frames come, sound first, as
 * encoders prefer it. */
static void
test_a_link_that_gets_better_keeps_sound_and_picture_together(void **state)
{
    int64_t  at, made[2] = { 0, 0 };
    play_t  *p = *state;

    for (at = 0; at < 120000; at += FRAME) {
        int64_t  late = at < 10000 ? ngx_min(at / 2, 3000) : 0;

        while (made[AUDIO] <= at - late) {
            frame(p, AUDIO, at, made[AUDIO]);
            made[AUDIO] += FRAME;
        }

        late = at < 10000 ? late : ngx_max(3000 - (at - 10000) / 2, 0);

        while (made[VIDEO] <= at - late) {
            frame(p, VIDEO, at, made[VIDEO]);
            made[VIDEO] += FRAME;
        }
    }

    assert_in_range(llabs(p->dts[VIDEO] - p->dts[AUDIO]), 0, FRAME);
}


/* --- when frames were made: s->zero --- */

/* How late the time is at which a frame with DTS was made AT. */
static int64_t
late(const play_t *p, int64_t dts, int64_t at)
{
    return p->s.zero - START + dts - at;
}


static void
test_frames_that_were_held_at_the_start_are_no_delay(void **state)
{
    int64_t  at;
    play_t  *p = *state;

    for (at = 0; at < 400; at += FRAME) {        /* it may not send yet */
        frame(p, VIDEO, 400, at);
    }

    both(p, 400, 20000, 400, 1000, 1000);
    assert_int_equal(late(p, p->dts[VIDEO], 20000 - FRAME), 0);
}


static void
test_a_stall_moves_no_time(void **state)
{
    play_t  *p = *state;

    stall(p, 10000, 2);
    assert_in_range(late(p, 60000, 60000), 0, 5);
}


static void
test_a_delay_that_jitters_moves_no_time(void **state)
{
    int64_t  at, came;
    play_t  *p = *state;

    for (at = 0; at < 600000; at += FRAME) {
        came = at + 35 - (at / FRAME * 7919 % 11) * 3;       /* 5 to 35 ms */
        frame(p, VIDEO, came, at);
        frame(p, AUDIO, came, at);
        assert_true(at < 2000 || llabs(late(p, p->dts[VIDEO], at) - 5) <= 1);
    }
}


/* 200 ppm are 17 s in a day. */
static void
test_the_time_follows_a_clock_that_is_a_little_wrong(void **state)
{
    int      sign;
    int64_t  at;
    play_t  *p = *state;

    for (sign = -1; sign <= 1; sign += 2) {
        *p = (play_t) { 0 };

        for (at = 0; at < 86400000; at += 1000) {
            frame(p, VIDEO, at, at + sign * at / 5000);
            assert_true(llabs(late(p, p->dts[VIDEO], at)) <= 2);
        }
    }
}


/* The next publisher's first frame comes late, and its clock is another one. */
static void
test_another_publisher_has_another_time(void **state)
{
    play_t  *p = *state;

    both(p, 0, 20000, 0, 1000, 1000);
    p->w = (hub_writer_t) { .discontinuity = 1 };
    frame(p, VIDEO, 30300, 7000);                /* it was made at 30000 */
    assert_int_equal(late(p, p->dts[VIDEO], 30300), 0);
    both(p, 30320, 40000, 7320, 1000, 1000);
    assert_int_equal(late(p, p->dts[VIDEO], 40000 - FRAME), 0);

    /* a later frame tells more, not less */
    p->w = (hub_writer_t) { .discontinuity = 1 };
    both(p, 50000, 60000, 0, 1000, 1000);
    assert_int_equal(late(p, p->dts[VIDEO], 60000 - FRAME), 0);
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
#define TEST(name)  cmocka_unit_test_setup_teardown(name, begin, end)
        TEST(test_a_true_clock_is_left_alone),
        TEST(test_half_speed_keeps_step_with_the_wall),
        TEST(test_a_frozen_clock_keeps_step_with_the_wall),
        TEST(test_a_clock_that_stood_in_a_pause_is_put_right),
        TEST(test_one_slow_track_does_not_run_away_from_the_other),
        TEST(test_a_fast_clock_is_held),
        TEST(test_a_day_of_a_slightly_wrong_clock_stays_within_the_tolerance),
        TEST(test_a_stalled_network_is_no_wrong_clock),
        TEST(test_a_network_that_catches_up_slowly_is_no_wrong_clock),
        TEST(test_lateness_does_not_add_up_over_returns),
        TEST(test_a_file_that_is_pushed_at_once_is_held),
        TEST(test_a_track_that_was_late_comes_back_to_the_other),
        TEST(test_one_fast_track_does_not_run_away_from_the_other),
        TEST(test_fast_pictures_do_not_run_away_from_the_sound),
        TEST(test_two_fast_tracks_stay_together),
        TEST(test_a_crystal_of_its_own_does_not_carry_the_sound_away),
        TEST(test_a_fast_track_is_held_over_a_link_that_jitters),
        TEST(test_pictures_that_pause_hold_no_sound),
        TEST(test_sound_that_comes_before_its_picture_is_not_held),
        TEST(test_sound_that_comes_in_bundles_is_not_held),
        TEST(test_a_link_that_gets_better_keeps_sound_and_picture_together),
        TEST(test_frames_that_were_held_at_the_start_are_no_delay),
        TEST(test_a_stall_moves_no_time),
        TEST(test_a_delay_that_jitters_moves_no_time),
        TEST(test_the_time_follows_a_clock_that_is_a_little_wrong),
        TEST(test_another_publisher_has_another_time),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
