/*
 * fragment.c: where fragments end, and the times of their frames.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "fragment.h"
#include "mp4_read.h"

#include <string.h>

static fragment_t      f;
static mp4_fragment_t  out;
static mp4_sample_t    samples[2 * FRAGMENT_SAMPLES];


static void begin(int video, uint32_t rate)
{
    mp4_track_t  tracks[2] = { { 0 }, { 0 } };

    tracks[MP4_VIDEO].codec = video ? FLV_CODEC_H264 : FLV_CODEC_NONE;
    tracks[MP4_VIDEO].timescale = MP4_VIDEO_TIMESCALE;
    tracks[MP4_AUDIO].codec = rate ? FLV_CODEC_AAC : FLV_CODEC_NONE;
    tracks[MP4_AUDIO].timescale = rate;
    fragment_init(&f, tracks);
}


static int full(int kind, int64_t dts, int key)
{
    return fragment_full(&f, kind, dts, key, 100);
}


static void add(int kind, int64_t dts, int key)
{
    fragment_add(&f, kind, dts, 0, key, 100);
}


/* Writes the fragment and reads its head. */
static void written(int64_t next)
{
    static uint8_t   head[FRAGMENT_HEAD_MAX];
    static uint32_t  sequence;
    size_t           size = fragment_write(&f, ++sequence, next, head);

    assert_true(size > 8);
    assert_int_equal(mp4_read_fragment(head, size - 8, &out, samples,
                                       2 * FRAGMENT_SAMPLES), 0);
    assert_true(fragment_empty(&f));
}


static uint64_t length(int kind)
{
    uint32_t  i;
    uint64_t  sum = 0;

    for (i = 0; i < out.runs[kind].n; i++) {
        sum += out.runs[kind].samples[i].duration;
    }

    return sum;
}


/* Adds pictures of STEP ms from FROM on until one does not fit, with a key frame every
 * GOP ms.  Returns the dts of that one. */
static int64_t pictures(int64_t from, int64_t step, int64_t gop)
{
    int64_t  dts;

    for (dts = from; !full(MP4_VIDEO, dts, dts % gop == 0); dts += step) {
        add(MP4_VIDEO, dts, dts % gop == 0);
    }

    return dts;
}


static void test_where_a_fragment_ends(void **state)
{
    static const struct {
        int64_t  from, step, gop, end;
    } rows[] = {
        { 0,    40,  2000, 1000 },       /* ends after a second */
        { 1000, 40,  2000, 2000 },
        { 0,    33,  9900, 990 },        /* or earlier, never later */
        { 0,    40,  600,  600 },        /* ends at a key frame */
        { 0,    40,  400,  800 },        /* unless that comes soon after the first */
        { 1960, 40,  2000, 2000 },       /* ends, as it begins without a key frame */
        { 0,    700, 700,  700 },
        { 0,    5000, 5000, 5000 },      /* has one picture of any length */
    };
    size_t  i;

    (void) state;

    for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        begin(1, 0);
        assert_int_equal(pictures(rows[i].from, rows[i].step, rows[i].gop),
                         rows[i].end);
        written(rows[i].end);
        assert_int_equal(out.runs[MP4_VIDEO].dts, rows[i].from);
        assert_int_equal(length(MP4_VIDEO), rows[i].end - rows[i].from);
    }
}


static void test_sound_ends_it_only_without_pictures(void **state)
{
    int64_t  dts;

    (void) state;

    begin(1, 48000);
    add(MP4_VIDEO, 0, 1);
    add(MP4_VIDEO, 960, 0);
    add(MP4_AUDIO, 960, 0);
    assert_false(full(MP4_AUDIO, 1050, 0));      /* a picture may still come */
    assert_true(full(MP4_AUDIO, 1300, 0));

    begin(1, 48000);                             /* no picture at all */
    for (dts = 0; !full(MP4_AUDIO, dts, 0); dts += 20) {
        add(MP4_AUDIO, dts, 0);
    }
    assert_int_equal(dts, 1000);

    begin(0, 48000);
    for (dts = 0; !full(MP4_AUDIO, dts, 1); dts += 20) {
        add(MP4_AUDIO, dts, 1);
    }
    assert_int_equal(dts, 1000);
}


static void test_limits(void **state)
{
    int64_t  dts;

    (void) state;

    begin(1, 0);
    add(MP4_VIDEO, 0, 1);
    assert_true(fragment_full(&f, MP4_VIDEO, 10, 0, FRAGMENT_BYTES));

    begin(1, 0);
    assert_false(fragment_full(&f, MP4_VIDEO, 0, 1, 8 * FRAGMENT_BYTES));

    begin(1, 0);
    for (dts = 0; !full(MP4_VIDEO, dts, 0); dts++) {
        add(MP4_VIDEO, dts, 0);
    }
    assert_int_equal(dts, FRAGMENT_SAMPLES);
    written(dts);
    assert_int_equal(out.runs[MP4_VIDEO].n, FRAGMENT_SAMPLES);
}


/* FLV has times of 23, 23, 24 ms; the frames of sound have 1024 samples each. */
static void test_sound_has_its_even_pace(void **state)
{
    uint32_t  i, n, round;
    uint64_t  at = 0;

    (void) state;

    begin(0, 44100);

    for (round = n = 0; round < 20; round++) {
        for (i = 0; i < 43; i++, n++) {
            add(MP4_AUDIO, (int64_t) n * 1024 * 1000 / 44100, 1);
        }
        written(-1);
        assert_int_equal(out.runs[MP4_AUDIO].dts, at);
        for (i = 0; i < 43; i++) {
            assert_int_equal(out.runs[MP4_AUDIO].samples[i].duration, 1024);
        }
        at += 43 * 1024;
    }
}


/* With a clock that is 0.1 % too fast or too slow, frames stay within the allowed drift
 * of their own times. */
static void test_sound_keeps_to_its_times(void **state)
{
    static const int  permille[] = { 999, 1001 };
    int64_t           dts, at;
    uint32_t          i, k, n;
    uint64_t          end;

    (void) state;

    for (k = 0; k < 2; k++) {
        begin(0, 48000);
        for (n = 0, end = 0; n < 60 * 47; ) {
            for (i = 0; i < 47; i++, n++) {
                add(MP4_AUDIO, (int64_t) n * 1024 * permille[k] / 48000, 1);
            }
            dts = (int64_t) (n - 47) * 1024 * permille[k] / 48000;
            written(-1);
            assert_true(out.runs[MP4_AUDIO].dts >= end);
            end = out.runs[MP4_AUDIO].dts + length(MP4_AUDIO);
            at = (int64_t) out.runs[MP4_AUDIO].dts * 1000 / 48000;
            assert_in_range(at - dts + SOUND_DRIFT + 25, 0,
                            2 * (SOUND_DRIFT + 25));
        }
    }
}


static void test_a_hole_in_sound_stays_one(void **state)
{
    (void) state;

    begin(0, 48000);
    add(MP4_AUDIO, 0, 1);
    add(MP4_AUDIO, 21, 1);
    add(MP4_AUDIO, 500, 1);
    written(-1);
    assert_int_equal(out.runs[MP4_AUDIO].samples[0].duration, 1024);
    assert_int_equal(out.runs[MP4_AUDIO].samples[1].duration,
                     500 * 48 - 1024);
    add(MP4_AUDIO, 2000, 1);
    written(-1);
    assert_int_equal(out.runs[MP4_AUDIO].dts, 2000 * 48);
}


/* A picture that comes before the written end of the last one begins at that end, and is
 * shown at its own time. */
static void test_pictures_never_overlap(void **state)
{
    uint64_t  end;

    (void) state;

    begin(1, 0);
    add(MP4_VIDEO, 0, 1);
    add(MP4_VIDEO, 100, 0);
    written(-1);                                 /* ends at 200 by its pace */
    end = out.runs[MP4_VIDEO].dts + length(MP4_VIDEO);
    assert_int_equal(end, 200);

    add(MP4_VIDEO, 150, 1);
    add(MP4_VIDEO, 150, 0);
    add(MP4_VIDEO, 250, 0);
    written(300);
    assert_int_equal(out.runs[MP4_VIDEO].dts, end);
    assert_int_equal(out.runs[MP4_VIDEO].samples[0].cts, -50);
    assert_int_equal(out.runs[MP4_VIDEO].samples[1].cts, -51);
    assert_int_equal(out.runs[MP4_VIDEO].samples[2].cts, 0);
    assert_int_equal(length(MP4_VIDEO), 100);
}


static void test_resuming_begins_behind_the_last_frames(void **state)
{
    static const int64_t  last[2] = { 960, 980 };

    (void) state;

    begin(1, 44100);
    fragment_resume(&f, last);
    add(MP4_VIDEO, 1000, 1);
    add(MP4_AUDIO, 1003, 0);
    written(1040);
    assert_int_equal(out.runs[MP4_VIDEO].dts, 1000);
    assert_true(out.runs[MP4_AUDIO].dts >= 980 * 44100 / 1000 + 1024);
}


int main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(test_where_a_fragment_ends),
        cmocka_unit_test(test_sound_ends_it_only_without_pictures),
        cmocka_unit_test(test_limits),
        cmocka_unit_test(test_sound_has_its_even_pace),
        cmocka_unit_test(test_sound_keeps_to_its_times),
        cmocka_unit_test(test_a_hole_in_sound_stays_one),
        cmocka_unit_test(test_pictures_never_overlap),
        cmocka_unit_test(test_resuming_begins_behind_the_last_frames),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
