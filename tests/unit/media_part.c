/*
 * part.c: parts of HLS, their frames' places and times, also across parts.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "mp4_read.h"
#include "part.h"

#include <string.h>

#define RATE  48000

static part_t          p;
static part_state_t    state;
static mp4_track_t     tracks[2];
static mp4_fragment_t  out;
static mp4_sample_t    samples[PART_FRAMES];


static void begin_stream(int video, uint32_t rate, int64_t start)
{
    memset(tracks, 0, sizeof(tracks));
    tracks[MP4_VIDEO].codec = video ? FLV_CODEC_H264 : FLV_CODEC_NONE;
    tracks[MP4_VIDEO].timescale = MP4_VIDEO_TIMESCALE;
    tracks[MP4_AUDIO].codec = rate ? FLV_CODEC_AAC : FLV_CODEC_NONE;
    tracks[MP4_AUDIO].timescale = rate;

    part_state_init(&state, start, 0, 0, 0);
}


static void begin(void)
{
    part_begin(&p, tracks, &state);
}


static void picture(int64_t dts, int32_t cts, int key, uint32_t size)
{
    assert_int_equal(part_add(&p, MP4_VIDEO, dts, cts, key, size, 7), 0);
}


static void sound(int64_t dts)
{
    assert_int_equal(part_add(&p, MP4_AUDIO, dts, 0, 0, 100, 8), 0);
}


/* Ends the part and reads its head; checks that the frames fill it. */
static void end(int64_t next, int is_picture)
{
    uint32_t   i, n;
    size_t     at, size;
    static uint32_t  sequence;

    size = part_end(&p, ++sequence, next, is_picture, &state);

    assert_true(size >= p.head_size && p.head_size > 8);
    assert_int_equal(mp4_read_fragment(p.head, p.head_size - 8, &out, samples,
                                       PART_FRAMES), 0);
    assert_int_equal(out.sequence, sequence);
    assert_int_equal(out.data, size - p.head_size);
    assert_int_equal(out.runs[0].n + out.runs[1].n, p.n);

    for (at = p.head_size, n = 0; n < p.n; n++) {
        for (i = 0; i < p.n && (p.frames[i].at != at || p.frames[i].size == 0); i++) {
            /* void */
        }
        assert_true(i < p.n);                    /* one frame begins here */
        assert_int_equal(p.frames[i].kind,
                         n < out.runs[0].n ? MP4_VIDEO : MP4_AUDIO);
        assert_int_equal(p.frames[i].from, p.frames[i].kind == MP4_VIDEO ? 7 : 8);
        at += p.frames[i].size;
    }

    assert_int_equal(at, size);
}


static uint64_t run_end(int kind)
{
    uint32_t  i;
    uint64_t  at = out.runs[kind].dts;

    for (i = 0; i < out.runs[kind].n; i++) {
        at += out.runs[kind].samples[i].duration;
    }

    return at;
}


static void test_pictures_come_before_sound(void **unused)
{
    (void) unused;

    begin_stream(1, RATE, 0);
    begin();
    sound(0);
    picture(0, 0, 1, 5000);
    sound(21);
    picture(40, 0, 0, 300);
    end(80, 1);

    assert_int_equal(p.frames[1].at, p.head_size);
    assert_int_equal(p.frames[3].at, p.head_size + 5000);
    assert_int_equal(p.frames[0].at, p.head_size + 5300);
    assert_int_equal(p.frames[2].at, p.head_size + 5400);
    assert_true(samples[0].key && !samples[1].key);
    assert_int_equal(run_end(MP4_VIDEO), 80);
    assert_int_equal(run_end(MP4_AUDIO), 2048);
}


static void test_b_frames_keep_their_offsets(void **unused)
{
    static const int32_t  cts[] = { 80, 160, 40, 0, 40, 160, 40, 0 };
    uint32_t              i;

    (void) unused;

    begin_stream(1, 0, 0);

    for (i = 0; i < 8; i++) {
        if (i % 4 == 0) {
            begin();
        }
        picture(40 * i, cts[i], i == 0, 100 + i);
        if (i % 4 == 3) {
            end(40 * (i + 1), 1);
            assert_int_equal(out.runs[MP4_VIDEO].dts, 40 * (i - 3));
            assert_int_equal(samples[0].cts, cts[i - 3]);
            assert_int_equal(samples[1].cts, cts[i - 2]);
            assert_int_equal(samples[3].cts, cts[i]);
            assert_int_equal(samples[3].duration, 40);
        }
    }
}


/* Milliseconds are uneven, a frame of sound has 1024 ticks.  Times beyond 32 bits. */
static void test_each_part_begins_where_the_last_one_ended(void **unused)
{
    int64_t   start = (int64_t) 1 << 33, dts, at;
    uint32_t  part, n = 0;
    uint64_t  picture_end, sound_end;

    (void) unused;

    begin_stream(1, RATE, start);
    picture_end = (uint64_t) start;
    sound_end = (uint64_t) start * RATE / 1000;

    for (part = 0; part < 500; part++) {
        begin();
        for (dts = start + 333 * part; dts < start + 333 * (part + 1); dts += 37) {
            picture(dts, 0, part % 6 == 0 && dts % 333 == 0, 100);
        }
        for ( ; (at = start + (int64_t) n * 1024 * 1000 / RATE)
                < start + 333 * (part + 1); n++)
        {
            sound(at);
        }
        end(start + 333 * (part + 1), 1);

        assert_int_equal(out.runs[MP4_VIDEO].dts, picture_end);
        assert_int_equal(out.runs[MP4_AUDIO].dts, sound_end);
        picture_end = run_end(MP4_VIDEO);
        sound_end = run_end(MP4_AUDIO);
        assert_int_equal(picture_end, start + 333 * (part + 1));
    }

    assert_int_equal(sound_end, (uint64_t) start * RATE / 1000 + n * 1024);
}


static void test_sound_alone_and_pictures_alone(void **unused)
{
    int64_t  dts;

    (void) unused;

    begin_stream(0, 44100, 0);
    begin();
    for (dts = 0; dts < 300; dts += 23) {
        sound(dts);
    }
    assert_int_equal(part_add(&p, MP4_VIDEO, 0, 0, 1, 100, 7), -1);
    end(322, 0);
    assert_int_equal(out.runs[MP4_VIDEO].n, 0);
    assert_int_equal(out.runs[MP4_AUDIO].n, 14);

    begin_stream(1, 0, 0);
    begin();
    picture(0, 0, 1, 100);
    assert_int_equal(part_add(&p, MP4_AUDIO, 0, 0, 0, 100, 8), -1);
    end(40, 1);
    assert_int_equal(out.runs[MP4_AUDIO].n, 0);
    assert_int_equal(samples[0].duration, 40);
}


/* The pictures pause while the sound goes on. */
static void test_a_part_may_lack_a_track(void **unused)
{
    uint64_t  ended;

    (void) unused;

    begin_stream(1, RATE, 0);
    begin();
    picture(0, 0, 1, 100);
    picture(40, 0, 0, 100);
    sound(0);
    end(120, 0);                                 /* sound begins the next part */
    ended = run_end(MP4_VIDEO);
    assert_int_equal(ended, 80);                 /* by the pictures' pace */

    begin();
    sound(120);
    sound(141);
    end(400, 1);
    assert_int_equal(out.runs[MP4_VIDEO].n, 0);

    begin();
    picture(400, 0, 0, 100);
    end(-1, 0);
    assert_int_equal(out.runs[MP4_VIDEO].dts, 400);
    assert_int_equal(out.runs[MP4_AUDIO].n, 0);

    begin();                                     /* nothing at all */
    assert_int_equal(part_end(&p, 1, 500, 1, &state), 24 + 8);
    assert_int_equal(p.n, 0);
}


/* The next picture comes after the sound that begins the next part. */
static void test_a_picture_before_sound_lasts_its_step(void **unused)
{
    (void) unused;

    begin_stream(1, RATE, 0);
    begin();
    picture(0, 0, 1, 100);
    sound(0);
    picture(66, 0, 0, 100);
    end(70, 0);
    assert_int_equal(samples[1].duration, 66);
    assert_int_equal(run_end(MP4_VIDEO), 132);

    begin();
    sound(70);
    picture(133, 0, 0, 100);
    end(140, 0);
    assert_int_equal(out.runs[MP4_VIDEO].dts, 133);
    assert_int_equal(run_end(MP4_VIDEO), 200);
}


/* A picture that comes before the end of the last part's is shown at its time, but is
 * not decoded before that. */
static void test_a_guessed_end_moves_pictures_little(void **unused)
{
    (void) unused;

    begin_stream(1, RATE, 0);
    begin();
    picture(0, 0, 1, 100);
    picture(40, 0, 0, 100);
    end(100, 0);
    assert_int_equal(run_end(MP4_VIDEO), 80);

    begin();
    picture(50, 20, 0, 100);
    picture(110, 20, 0, 100);
    end(150, 1);
    assert_int_equal(out.runs[MP4_VIDEO].dts, 50);
    assert_int_equal(samples[0].cts, 20);
    assert_int_equal(samples[0].duration, 60);

    /* one picture a second, also when it is the first one of a segment */
    part_state_init(&state, 1110, 1000, 0, 0);
    begin();
    picture(1110, 0, 1, 100);
    end(1200, 0);
    assert_int_equal(samples[0].duration, 1000);

    begin_stream(1, RATE, 0);
    begin();
    picture(110, 0, 1, 100);
    end(200, 0);
    begin();
    picture(1110, 0, 0, 100);
    end(1200, 0);
    assert_int_equal(samples[0].duration, 1000);
}


/* A worker makes a part of the middle alone, with the bytes that others have. */
static void test_a_part_depends_only_on_its_state(void **unused)
{
    uint32_t               i, round;
    size_t                 head_size;
    part_state_t           before;
    static uint8_t         head[FRAGMENT_HEAD_MAX];

    (void) unused;

    begin_stream(1, 44100, 0);

    for (i = 0; i < 50; i++) {
        before = state;

        for (round = 0; round < 2; round++) {
            state = before;
            begin();
            picture(333 * i, 0, 0, 100);
            sound(333 * i + 5);
            sound(333 * i + 28 + i % 3);
            picture(333 * i + 150, 0, 0, 100);
            (void) part_end(&p, i, 333 * (i + 1), i % 2, &state);

            if (round == 0) {
                head_size = p.head_size;
                memcpy(head, p.head, head_size);
            }
        }

        assert_int_equal(p.head_size, head_size);
        assert_memory_equal(p.head, head, head_size);
    }
}


static void test_the_end_is_that_of_the_track_that_lasts_longer(void **unused)
{
    (void) unused;

    begin_stream(1, RATE, 0);
    begin();
    picture(0, 0, 1, 100);
    picture(40, 0, 0, 100);
    sound(0);
    end(-1, 0);
    assert_int_equal(part_state_end(&state, RATE), 80);

    begin();
    sound(1000);
    end(-1, 0);
    assert_in_range(part_state_end(&state, RATE), 1020, 1024);
    assert_int_equal(part_state_end(&state, 0), 80);     /* without a track of sound */
}


static void test_frames_beyond_its_room_are_left_out(void **unused)
{
    int  i;

    (void) unused;

    begin_stream(1, RATE, 0);
    begin();

    for (i = 0; i < FRAGMENT_SAMPLES; i++) {
        picture(0, 0, 0, 1);
        sound(0);
    }

    assert_int_equal(part_add(&p, MP4_VIDEO, 0, 0, 0, 1, 7), -1);
    assert_int_equal(part_add(&p, MP4_AUDIO, 0, 0, 0, 1, 8), -1);
    end(1, 1);
    assert_int_equal(p.n, PART_FRAMES);
}


int main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(test_pictures_come_before_sound),
        cmocka_unit_test(test_b_frames_keep_their_offsets),
        cmocka_unit_test(test_each_part_begins_where_the_last_one_ended),
        cmocka_unit_test(test_sound_alone_and_pictures_alone),
        cmocka_unit_test(test_a_part_may_lack_a_track),
        cmocka_unit_test(test_a_picture_before_sound_lasts_its_step),
        cmocka_unit_test(test_a_guessed_end_moves_pictures_little),
        cmocka_unit_test(test_a_part_depends_only_on_its_state),
        cmocka_unit_test(test_the_end_is_that_of_the_track_that_lasts_longer),
        cmocka_unit_test(test_frames_beyond_its_room_are_left_out),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
