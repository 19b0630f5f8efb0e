/*
 * mp4.c: mp4_read.c, which shares no code with it, reads its files back.
 * mp4.test.mjs checks real encodings against the standard.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "mp4_read.h"
#include "record.h"

#define SAMPLES   600

static const char  avc_720p[] =
    "014d401fffe10019674d401feca02802dd80880000030008000003019078c18cb001000568ebe3cb20";
static const char  hevc_1080p[] =
    "01016000000090000000000078f000fcfdf8f800000f03a00001001840010c01ffff01600000030090000003"
    "0000030078959409a10001002b420101016000000300900000030000030078a003c0801107cb965654a4c2f0"
    "168080000003008000000c84a2000100064401c073c189";

typedef struct {
    uint8_t      record[2][RECORD_MAX];
    mp4_track_t  tracks[2];
} movie_t;


static void make_movie(movie_t *m, enum flv_codec video, enum flv_codec audio)
{
    size_t  size;

    memset(m, 0, sizeof(*m));

    if (video) {
        size = from_hex(video == FLV_CODEC_H264 ? avc_720p : hevc_1080p,
                        m->record[MP4_VIDEO]);
        assert_int_equal(mp4_track(&m->tracks[MP4_VIDEO], video,
                                   m->record[MP4_VIDEO], size), 0);
    }

    if (audio) {
        size = from_hex("1210", m->record[MP4_AUDIO]);
        assert_int_equal(mp4_track(&m->tracks[MP4_AUDIO], audio,
                                   m->record[MP4_AUDIO], size), 0);
    }
}


static void test_tracks(void **state)
{
    movie_t      m;
    mp4_track_t  track;

    (void) state;

    make_movie(&m, FLV_CODEC_H264, FLV_CODEC_AAC);
    assert_int_equal(m.tracks[0].timescale, 1000);
    assert_int_equal(m.tracks[0].width, 1280);
    assert_int_equal(m.tracks[0].height, 720);
    assert_ptr_equal(m.tracks[0].config, m.record[0]);
    assert_int_equal(m.tracks[1].timescale, 44100);
    assert_int_equal(m.tracks[1].channels, 2);
    assert_int_equal(m.tracks[1].config_size, 2);

    make_movie(&m, FLV_CODEC_HEVC, FLV_CODEC_NONE);
    assert_int_equal(m.tracks[0].width, 1920);
    assert_int_equal(m.tracks[0].height, 1080);

    /* a record of one codec is invalid for another */
    memset(&track, 0xff, sizeof(track));
    assert_int_equal(mp4_track(&track, FLV_CODEC_H264, m.record[0], 100), -1);
    assert_int_equal(track.codec, FLV_CODEC_NONE);
    assert_null(track.config);
    assert_int_equal(mp4_track(&track, FLV_CODEC_NONE, m.record[0], 100), -1);
    assert_int_equal(mp4_track(&track, FLV_CODEC_AAC, m.record[0], 0), -1);
    assert_int_equal(track.timescale, 0);
}


static void check_init(const movie_t *m)
{
    int          i;
    size_t       max, size, n, at, again;
    uint8_t     *out;
    mp4_init_t   init;

    max = MP4_INIT_MAX(m->tracks[0].config_size + m->tracks[1].config_size);
    out = malloc(max);
    assert_non_null(out);

    size = mp4_write_init(out, max, m->tracks, &at);
    assert_true(size > 0 && at < size);
    for (i = 0; i < 8; i++) {
        assert_int_equal(out[at + i], 0);
    }

    assert_int_equal(mp4_read_init(out, size, &init), 0);
    assert_int_equal(init.size, size);
    assert_int_equal(init.duration_at, at);

    for (i = 0; i < 2; i++) {
        const mp4_track_t  *was = &m->tracks[i], *is = &init.tracks[i];

        assert_int_equal(is->codec, was->codec);
        assert_int_equal(is->timescale, was->timescale);
        assert_int_equal(is->width, was->width);
        assert_int_equal(is->height, was->height);
        assert_int_equal(is->channels, was->channels);
        assert_int_equal(is->config_size, was->config_size);
        if (was->config_size) {
            assert_memory_equal(is->config, was->config, was->config_size);
        }
    }

    free(out);

    /* writes never exceed memory that is too small */
    for (n = 0; n <= size; n++) {
        out = malloc(n ? n : 1);
        assert_non_null(out);
        assert_int_equal(mp4_write_init(out, n, m->tracks, &again),
                         n < size ? 0 : size);
        free(out);
    }
}


static void test_init(void **state)
{
    static const enum flv_codec  codecs[][2] = {
        { FLV_CODEC_H264, FLV_CODEC_AAC }, { FLV_CODEC_HEVC, FLV_CODEC_AAC },
        { FLV_CODEC_H264, FLV_CODEC_NONE }, { FLV_CODEC_NONE, FLV_CODEC_AAC },
    };
    size_t   i;
    movie_t  m;

    (void) state;

    for (i = 0; i < sizeof(codecs) / sizeof(codecs[0]); i++) {
        make_movie(&m, codecs[i][0], codecs[i][1]);
        check_init(&m);
    }
}


/* Large values that no encoder sends, but records can have. */
static void test_init_of_large_values(void **state)
{
    movie_t  m;

    (void) state;

    make_movie(&m, FLV_CODEC_H264, FLV_CODEC_AAC);
    m.tracks[0].width = m.tracks[0].height = 16384;
    m.tracks[1].timescale = 192000;      /* no 16.16 in the sample entry */
    m.tracks[1].channels = 24;
    check_init(&m);
}


/* --- fragments --- */

typedef struct {
    const char  *what;
    uint32_t     n[2];
    uint64_t     dts;
    uint32_t     keys;                   /* 0 none, 1 first, 2 all, 3 the third,
                                            4 all but the first */
    int          even, shifted, same;    /* durations, cts, sizes */
    size_t       size;                   /* of moof and mdat's header; 0: any */
} fragment_case_t;

/* moof 8, mfhd 16, mdat 8; traf 8, tfhd 16 and 4 a default, tfdt 20, trun 20 */
#define HEAD  (8 + 16 + 8)
#define RUN   (8 + 16 + 20 + 20)

static const fragment_case_t  cases[] = {
    { "pictures of uneven length", { 30, 0 }, 0, 1, 0, 0, 0, HEAD + RUN + 4 + 4 + 30 * 8 },
    { "of even length", { 30, 0 }, 5000, 1, 1, 0, 0, HEAD + RUN + 8 + 4 + 30 * 4 },
    { "without a key frame", { 30, 0 }, 5000, 0, 1, 0, 0, HEAD + RUN + 8 + 30 * 4 },
    { "of key frames alone", { 30, 0 }, 5000, 2, 1, 0, 0, HEAD + RUN + 8 + 30 * 4 },
    { "a key frame in the middle", { 30, 0 }, 5000, 3, 1, 0, 0, HEAD + RUN + 4 + 30 * 8 },
    { "all but the first are keys", { 30, 0 }, 5000, 4, 1, 0, 0, HEAD + RUN + 8 + 4 + 30 * 4 },
    { "B-frames", { 30, 0 }, 5000, 1, 1, 1, 0, HEAD + RUN + 8 + 4 + 30 * 8 },
    { "everything differs", { 30, 0 }, 5000, 3, 0, 1, 0, HEAD + RUN + 30 * 16 },
    { "all of one size", { 30, 0 }, 5000, 1, 1, 0, 1, HEAD + RUN + 12 + 4 },
    { "one picture", { 1, 0 }, 1, 1, 0, 0, 0, HEAD + RUN + 12 },
    { "one B-frame", { 1, 0 }, 1, 0, 0, 1, 0, HEAD + RUN + 12 + 4 },
    { "two pictures", { 2, 0 }, 1, 1, 0, 0, 0, HEAD + RUN + 4 + 4 + 2 * 8 },
    { "sound", { 0, 43 }, 441000, 0, 1, 0, 0, HEAD + RUN + 4 + 43 * 4 },
    { "one frame of sound", { 0, 1 }, 0, 0, 1, 0, 0, HEAD + RUN + 8 },
    { "both", { 30, 43 }, UINT32_MAX + 1ull, 1, 0, 1, 0, 0 },
    { "late", { 3, 5 }, INT64_MAX / 4, 1, 0, 1, 0, 0 },
    { "many", { SAMPLES, SAMPLES }, 7, 3, 0, 1, 0, 0 },
};


static void make_runs(const fragment_case_t *c, mp4_sample_t samples[2][SAMPLES],
    mp4_run_t runs[2])
{
    int       kind;
    uint32_t  i, key;

    memset(samples, 0, 2 * SAMPLES * sizeof(mp4_sample_t));

    for (kind = 0; kind < 2; kind++) {
        runs[kind].dts = c->dts + (unsigned) kind;
        runs[kind].samples = samples[kind];
        runs[kind].n = c->n[kind];

        for (i = 0; i < c->n[kind]; i++) {
            mp4_sample_t  *s = &samples[kind][i];

            key = c->keys == 1 ? i == 0 : c->keys == 2 ? 1 : c->keys == 3 ? i == 2
                  : c->keys == 4 ? i > 0 : 0;
            s->key = kind == MP4_VIDEO ? key : 0;
            s->size = c->same ? 900 : 100 + 7 * i;
            s->duration = kind == MP4_AUDIO ? 1024 : c->even ? 40 : 33 + i % 2;
            s->cts = kind == MP4_VIDEO && c->shifted ? (int32_t) (i % 3) * 40 - 20 : 0;
        }
    }
}


static void check_run(const char *what, const mp4_run_t *was,
    const mp4_run_t *is)
{
    uint32_t  i;

    if (is->n != was->n || (was->n && is->dts != was->dts)) {
        fail_msg("%s: %u samples from %llu", what, is->n,
                 (unsigned long long) is->dts);
    }

    for (i = 0; i < was->n; i++) {
        const mp4_sample_t  *a = &was->samples[i], *b = &is->samples[i];

        if (a->size != b->size || a->duration != b->duration
            || a->cts != b->cts || !a->key != !b->key)
        {
            fail_msg("%s: sample %u: size %u duration %u cts %d key %u", what, i,
                     b->size, b->duration, b->cts, b->key);
        }
    }
}


static void check_fragment(const fragment_case_t *c)
{
    static mp4_sample_t  samples[2][SAMPLES], found[2 * SAMPLES];

    size_t          max, size, n;
    uint8_t        *out;
    mp4_run_t       runs[2];
    mp4_fragment_t  fragment;

    make_runs(c, samples, runs);
    max = MP4_FRAGMENT_MAX(runs[0].n + runs[1].n);
    out = malloc(max);
    assert_non_null(out);

    size = mp4_write_fragment(out, max, 17, runs);

    if (size == 0 || (c->size && size != c->size)) {
        fail_msg("%s: %zu bytes, expected %zu", c->what, size, c->size);
    }

    if (mp4_read_fragment(out, size - 8, &fragment, found, 2 * SAMPLES) != 0) {
        fail_msg("%s: mp4_read.c refuses it", c->what);
    }

    assert_int_equal(fragment.sequence, 17);
    check_run(c->what, &runs[0], &fragment.runs[0]);
    check_run(c->what, &runs[1], &fragment.runs[1]);

    n = (size_t) out[size - 8] << 24 | (size_t) out[size - 7] << 16
        | (size_t) out[size - 6] << 8 | out[size - 5];
    assert_int_equal(n, 8 + fragment.data);
    assert_memory_equal(out + size - 4, "mdat", 4);
    free(out);

    for (n = 0; n <= size; n += n + 64 < size && size > 2000 ? 61 : 1) {
        out = malloc(n ? n : 1);
        assert_non_null(out);
        assert_int_equal(mp4_write_fragment(out, n, 17, runs), n < size ? 0 : size);
        free(out);
    }
}


static void test_fragments(void **state)
{
    size_t  i;

    (void) state;

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        check_fragment(&cases[i]);
    }
}


/* An offset into the data is a signed 32-bit number. */
static void test_fragment_of_two_gigabytes(void **state)
{
    uint8_t       out[512];
    mp4_sample_t  samples[2] = { { 0x40000000, 1, 0, 1 }, { 0x3ffff000, 1, 0, 0 } };
    mp4_run_t     runs[2] = { { 0, samples, 2 }, { 0, NULL, 0 } };

    (void) state;

    assert_true(mp4_write_fragment(out, sizeof(out), 1, runs) > 0);
    samples[1].size = 0x40000000;
    assert_int_equal(mp4_write_fragment(out, sizeof(out), 1, runs), 0);
    samples[0].size = samples[1].size = UINT32_MAX;
    assert_int_equal(mp4_write_fragment(out, sizeof(out), 1, runs), 0);
}


int main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(test_tracks),
        cmocka_unit_test(test_init),
        cmocka_unit_test(test_init_of_large_values),
        cmocka_unit_test(test_fragments),
        cmocka_unit_test(test_fragment_of_two_gigabytes),
    };

    return cmocka_run_group_tests_name("media_mp4", tests, NULL, NULL);
}
