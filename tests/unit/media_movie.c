/* movie.c: times, chunks and edits of clips, read back from the boxes.
 * tests/nginx/clip.test.mjs plays clips with real players. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "movie.h"

#include <stdlib.h>
#include <string.h>

#define MAX    64
#define FRAME  1024


/* --- the input --- */

typedef struct {
    int           file;              /* 1: a file with these tracks begins here */
    mp4_track_t   tracks[2];
    int64_t       join;              /* -1: none */
    uint64_t      video, audio;      /* dts, in their timescales */
    uint32_t      nvideo, naudio;
    int32_t       cts;               /* of every picture */
    uint64_t      at;                /* offset of its samples in the payload */
} step_t;

static const uint8_t  config_a[] = { 1, 2, 3 }, config_b[] = { 1, 2, 4 }, asc[] = { 0x12, 0x10 };

static const mp4_track_t  picture_a = { FLV_CODEC_H264, config_a, 3, 1000, 320, 180, 0 };
static const mp4_track_t  picture_b = { FLV_CODEC_H264, config_b, 3, 1000, 640, 360, 0 };
static const mp4_track_t  sound_44 = { FLV_CODEC_AAC, asc, 2, 44100, 0, 0, 2 };
static const mp4_track_t  sound_48 = { FLV_CODEC_AAC, asc, 2, 48000, 0, 0, 2 };
static const mp4_track_t  nothing;

/* Feeds a fragment: pictures of 40 ms and 100 bytes, the first of them a key frame, and
 * frames of sound with 10 bytes. */
static void feed_one(movie_t *m, const step_t *s)
{
    uint32_t        i;
    mp4_sample_t    video[MAX], audio[MAX];
    mp4_fragment_t  f = { 0 };

    for (i = 0; i < s->nvideo; i++) {
        video[i] = (mp4_sample_t) { 100, 40, s->cts, i == 0 };
    }
    for (i = 0; i < s->naudio; i++) {
        audio[i] = (mp4_sample_t) { 10, FRAME, 0, 0 };
    }

    f.runs[MP4_VIDEO] = (mp4_run_t) { s->video, video, s->nvideo };
    f.runs[MP4_AUDIO] = (mp4_run_t) { s->audio, audio, s->naudio };
    movie_fragment(m, &f, s->at);
}

static void feed(movie_t *m, const step_t *steps, size_t n)
{
    size_t  i;

    for (i = 0; i < n; i++) {
        if (steps[i].file) {
            assert_int_equal(movie_file(m, steps[i].tracks), 0);
        }
        if (steps[i].join >= 0) {
            movie_join(m, steps[i].join);
        }
        feed_one(m, &steps[i]);
    }
}


/* --- the output --- */

typedef struct {
    uint32_t  samples, entry[MAX * 4];
    int64_t   dts[MAX * 4], cts[MAX * 4];
    uint64_t  offset[MAX * 4];
    int       key[MAX * 4];
    int64_t   late, skipped, length;         /* its edits, movie's timescale */
    uint32_t  timescale, entries;
} track_t;

typedef struct {
    movie_t    m;
    uint8_t   *out;                          /* exactly SIZE bytes */
    size_t     size;
    uint32_t   timescale;
    uint64_t   duration, mdat;
    track_t    track[2];
} clip_t;

static uint64_t number(const uint8_t *p, unsigned n)
{
    uint64_t  v = 0;

    while (n--) {
        v = v << 8 | *p++;
    }
    return v;
}

/* The content of the box of TYPE among the boxes in [P, END); NULL when there is none. */
static const uint8_t *find_box(const uint8_t *p, const uint8_t *end, const char *type,
    const uint8_t **stop)
{
    for (; p < end; p += number(p, 4)) {
        assert_true(number(p, 4) >= 8 && p + number(p, 4) <= end);
        if (memcmp(p + 4, type, 4) == 0) {
            *stop = p + number(p, 4);
            return p + 8;
        }
    }
    return NULL;
}

/* The content of a box inside other boxes, by their NAMES from the outside in. */
static const uint8_t *find_path(const uint8_t *p, const uint8_t *end, const uint8_t **stop,
    const char *names)
{
    *stop = end;
    for (; *names; names += 4) {
        p = find_box(p, *stop, names, stop);
        if (p == NULL) {
            return NULL;
        }
    }
    return p;
}

static void read_samples(track_t *t, const uint8_t *stbl, const uint8_t *end)
{
    uint32_t        i, k, chunk, n, run, wide;
    uint64_t        at;
    const uint8_t  *stop, *stsz, *stts, *stsc, *stco, *ctts, *stss;

    stsz = find_box(stbl, end, "stsz", &stop);
    t->samples = (uint32_t) number(stsz + 8, 4);
    assert_true(t->samples <= MAX * 4);
    assert_int_equal(stop - stsz, 12 + 4 * t->samples);

    stts = find_box(stbl, end, "stts", &stop);
    assert_int_equal(stop - stts, 8 + 8 * number(stts + 4, 4));
    for (i = 0, at = 0, n = 0; i < number(stts + 4, 4); i++) {
        for (k = 0; k < number(stts + 8 + 8 * i, 4); k++) {
            t->dts[n++] = (int64_t) at;
            at += number(stts + 12 + 8 * i, 4);
        }
    }
    assert_int_equal(n, t->samples);

    ctts = find_box(stbl, end, "ctts", &stop);
    for (i = 0, n = 0; ctts && i < number(ctts + 4, 4); i++) {
        for (k = 0; k < number(ctts + 8 + 8 * i, 4); k++) {
            t->cts[n++] = (int32_t) number(ctts + 12 + 8 * i, 4);
        }
    }
    assert_true(ctts == NULL || n == t->samples);

    stss = find_box(stbl, end, "stss", &stop);
    for (i = 0; stss && i < number(stss + 4, 4); i++) {
        t->key[number(stss + 8 + 4 * i, 4) - 1] = 1;
    }

    wide = 0;
    stco = find_box(stbl, end, "stco", &stop);
    if (stco == NULL) {
        stco = find_box(stbl, end, "co64", &stop);
        wide = 1;
    }
    assert_int_equal(stop - stco, 8 + (wide ? 8 : 4) * number(stco + 4, 4));

    stsc = find_box(stbl, end, "stsc", &stop);
    assert_int_equal(number(stsc + 8, 4), 1);
    for (chunk = 1, n = 0, run = 0; chunk <= number(stco + 4, 4); chunk++) {
        if (run + 1 < number(stsc + 4, 4) && number(stsc + 8 + 12 * (run + 1), 4) == chunk) {
            run++;
        }
        at = number(stco + 8 + (wide ? 8 : 4) * (chunk - 1), wide ? 8 : 4);
        for (k = 0; k < number(stsc + 12 + 12 * run, 4); k++, n++) {
            assert_true(n < t->samples);
            t->offset[n] = at;
            t->entry[n] = (uint32_t) number(stsc + 16 + 12 * run, 4);
            at += number(stsz + 12 + 4 * n, 4);
        }
    }
    assert_int_equal(n, t->samples);
}

static void read_trak(track_t *t, const uint8_t *trak, const uint8_t *end)
{
    uint32_t        i;
    const uint8_t  *p, *stop;

    p = find_path(trak, end, &stop, "edtselst");
    for (i = 0; i < number(p + 4, 4); i++) {
        if ((int64_t) number(p + 16 + 20 * i, 8) == -1) {
            t->late = (int64_t) number(p + 8 + 20 * i, 8);
        } else {
            t->length = (int64_t) number(p + 8 + 20 * i, 8);
            t->skipped = (int64_t) number(p + 16 + 20 * i, 8);
        }
    }
    p = find_path(trak, end, &stop, "mdiamdhd");
    t->timescale = (uint32_t) number(p + 12, 4);
    p = find_path(trak, end, &stop, "mdiaminfstblstsd");
    t->entries = (uint32_t) number(p + 4, 4);
    p = find_path(trak, end, &stop, "mdiaminfstbl");
    read_samples(t, p, stop);
}

static void read_clip(clip_t *c)
{
    uint32_t        id;
    const uint8_t  *p, *end = c->out + c->size, *stop, *moov, *last, *tkhd;

    moov = find_box(c->out, c->out + c->size - (c->m.wide ? 16 : 8), "moov", &last);
    assert_ptr_equal(last, end - (c->m.wide ? 16 : 8));
    assert_memory_equal(last + 4, "mdat", 4);
    c->mdat = c->m.wide ? number(last + 8, 8) - 16 : number(last, 4) - 8;

    p = find_box(moov, last, "mvhd", &stop);
    c->timescale = (uint32_t) number(p + 12, 4);
    c->duration = number(p + 16, 4);

    for (p = moov; (p = find_box(p, last, "trak", &stop)) != NULL; p = stop) {
        tkhd = find_box(p, stop, "tkhd", &end);
        id = (uint32_t) number(tkhd + 12, 4);
        read_trak(&c->track[id - 1], p, stop);
    }
}

static clip_t *make(const step_t *steps, size_t n, uint64_t payload)
{
    size_t    max;
    clip_t   *c = calloc(1, sizeof(clip_t));
    uint8_t  *out;

    movie_init(&c->m);
    feed(&c->m, steps, n);
    assert_int_equal(movie_end(&c->m), 0);
    max = movie_max(&c->m);
    out = malloc(max);
    c->size = movie_begin(&c->m, out, payload);
    assert_true(c->size > 0 && c->size <= max);
    feed(&c->m, steps, n);
    assert_int_equal(movie_end(&c->m), 0);
    c->out = malloc(c->size);                /* so that ASan detects a read past it */
    memcpy(c->out, out, c->size);
    free(out);
    read_clip(c);
    assert_true(c->mdat == payload);
    return c;
}

static void drop(clip_t *c)
{
    free(c->out);
    free(c);
}

#define COUNT(steps)  (sizeof(steps) / sizeof(steps[0]))
#define BOTH          { picture_a, sound_48 }


/* --- tests --- */

static void both_tracks_keep_their_times_and_places(void **state)
{
    const step_t  steps[] = {
        { 1, BOTH, 0, 5000, 240000, 25, 47, 0, 100 },
        { 0, BOTH, -1, 6000, 240000 + 47 * FRAME, 25, 47, 0, 9000 },
    };
    uint32_t      i;
    clip_t       *c = make(steps, COUNT(steps), 20000);
    track_t      *v = &c->track[0], *a = &c->track[1];

    (void) state;
    assert_int_equal(v->samples, 50);
    assert_int_equal(a->samples, 94);
    assert_int_equal(v->timescale, 1000);
    assert_int_equal(a->timescale, 48000);
    assert_int_equal(c->timescale, 48000);

    for (i = 0; i < 50; i++) {
        assert_int_equal(v->dts[i], 40 * i);
        assert_int_equal(v->key[i], i % 25 == 0);
        assert_true(v->offset[i] == c->size + (i < 25 ? 100 + 100 * i : 9000 + 100 * (i - 25)));
    }
    for (i = 0; i < 94; i++) {
        assert_int_equal(a->dts[i], FRAME * i);
        assert_true(a->offset[i] == c->size + (i < 47 ? 100 + 2500 + 10 * i
                                                      : 9000 + 2500 + 10 * (i - 47)));
    }
    assert_int_equal(v->late + v->skipped + a->late + a->skipped, 0);
    assert_int_equal(a->length, 94 * FRAME > 2 * 48000 ? 2 * 48000 : 94 * FRAME);
    assert_int_equal(c->duration * 1000 / c->timescale, 2000);
    drop(c);
}

/* Sound is cut where the picture begins, in the middle of a frame. */
static void sound_begins_with_the_picture(void **state)
{
    const step_t  early[] = { { 1, BOTH, 0, 1000, 48000 - 3000, 25, 50, 0, 0 } };
    const step_t  late[] = { { 1, BOTH, 0, 1000, 48000 + 700, 25, 40, 0, 0 } };
    clip_t       *c = make(early, 1, 5000);

    (void) state;
    assert_int_equal(c->track[1].samples, 48);            /* 2 end before the picture */
    assert_int_equal(c->track[1].skipped, 3000 - 2 * FRAME);
    assert_true(c->track[1].offset[0] == c->size + 2500 + 20);
    drop(c);

    c = make(late, 1, 5000);
    assert_int_equal(c->track[1].samples, 40);
    assert_int_equal(c->track[1].late, 700);
    assert_int_equal(c->track[1].skipped, 0);
    drop(c);
}

/* With reordered pictures the clip begins when the first one is shown. */
static void pictures_in_another_order(void **state)
{
    const step_t  steps[] = { { 1, BOTH, 0, 0, 0, 25, 50, 80, 0 } };
    clip_t       *c = make(steps, 1, 5000);

    (void) state;
    assert_int_equal(c->track[0].cts[0], 80);
    assert_int_equal(c->track[0].skipped, 80);
    assert_int_equal(c->track[1].samples, 47);            /* 3 frames end before 80 ms */
    assert_int_equal(c->track[1].skipped, 80 * 48 - 3 * FRAME);
    drop(c);
}

/* Sound does not drift over many gaps, as each joint starts from the picture. */
static void gaps_are_left_out(void **state)
{
    step_t    steps[9];
    uint32_t  i, k, n;
    int64_t   off;
    clip_t   *c;
    track_t  *a;

    (void) state;
    memset(steps, 0, sizeof(steps));
    for (i = 0; i < 9; i++) {
        /* 10 pictures, 400 ms; sound begins i ms behind the picture, 18 or 19 frames */
        steps[i] = (step_t) { i == 0, BOTH, i ? 0 : -1, 10000 * i, 48 * (10000 * i + i), 10,
                              18 + i % 2, 0, 2000 * i };
    }
    c = make(steps, 9, 20000);
    a = &c->track[1];
    assert_int_equal(c->track[0].samples, 90);
    for (i = 0; i < 90; i++) {
        assert_int_equal(c->track[0].dts[i], 40 * i);
    }
    for (i = 0; i < a->samples; i++) {
        n = (uint32_t) ((a->offset[i] - c->size) / 2000);                /* its fragment */
        k = (uint32_t) ((a->offset[i] - c->size) % 2000 - 1000) / 10;    /* its index there */
        off = a->dts[i] - (int64_t) (48 * (400 * n + n) + FRAME * k);
        assert_true(off >= -FRAME / 2 && off <= FRAME / 2);
    }
    assert_int_equal(c->duration * 1000 / c->timescale, 3600);
    drop(c);
}

/* A short pause between two files stays: the last picture is shown for that time. */
static void a_pause_stays(void **state)
{
    const step_t  steps[] = {
        { 1, BOTH, 0, 0, 0, 25, 47, 0, 0 },
        { 1, BOTH, 700, 0, 0, 25, 47, 0, 5000 },
    };
    clip_t       *c = make(steps, 2, 10000);

    (void) state;
    assert_int_equal(c->track[0].dts[25], 1700);
    assert_int_equal(c->track[1].dts[47], 1700 * 48);
    assert_int_equal(c->track[0].entries, 1);             /* the same configuration */
    drop(c);
}

static void another_configuration(void **state)
{
    const step_t  steps[] = {
        { 1, { picture_a, sound_44 }, 0, 0, 0, 25, 43, 0, 0 },
        { 1, { picture_b, sound_48 }, 0, 0, 0, 25, 47, 0, 5000 },
        { 1, { picture_a, sound_44 }, 0, 0, 0, 25, 43, 0, 10000 },
    };
    clip_t       *c = make(steps, 3, 15000);
    track_t      *v = &c->track[0], *a = &c->track[1];

    (void) state;
    assert_int_equal(v->entries, 2);
    assert_int_equal(a->entries, 2);
    assert_int_equal(v->entry[24], 1);
    assert_int_equal(v->entry[25], 2);
    assert_int_equal(v->entry[50], 1);
    assert_int_equal(a->timescale, 44100);
    assert_int_equal(a->entry[43], 2);
    assert_int_equal(a->dts[44] - a->dts[43], FRAME * 44100 / 48000);    /* in 1/44100 s */
    drop(c);
}

static void one_track_alone(void **state)
{
    const step_t  video[] = { { 1, { picture_a, nothing }, 0, 300, 0, 25, 0, 0, 0 } };
    const step_t  audio[] = {
        { 1, { nothing, sound_44 }, 0, 0, 5000, 0, 43, 0, 0 },
        { 0, { nothing, sound_44 }, 0, 0, 900000, 0, 43, 0, 600 },       /* behind a gap */
    };
    clip_t       *c = make(video, 1, 3000);

    (void) state;
    assert_int_equal(c->timescale, 1000);
    assert_int_equal(c->duration * 1000 / c->timescale, 1000);
    assert_int_equal(c->track[1].samples, 0);
    drop(c);

    c = make(audio, 2, 3000);
    assert_int_equal(c->track[0].samples, 0);
    assert_int_equal(c->track[1].samples, 86);
    assert_int_equal(c->track[1].dts[43], 43 * FRAME);
    assert_int_equal(c->track[1].late + c->track[1].skipped, 0);
    assert_int_equal(c->duration * 1000 / c->timescale, 86 * FRAME * 1000 / 44100);
    drop(c);
}

static void offsets_beyond_32_bits(void **state)
{
    const step_t  steps[] = {
        { 1, BOTH, 0, 0, 0, 25, 47, 0, 0 },
        { 1, BOTH, 0, 0, 0, 25, 47, 0, 0x200000000 },
    };
    clip_t       *c = make(steps, 2, 0x200010000);

    (void) state;
    assert_true(c->m.wide);
    assert_true(c->track[0].offset[25] == 0x200000000 + c->size);
    assert_true(c->track[1].offset[47] == 0x200000000 + c->size + 2500);
    drop(c);
}

static void what_cannot_be_shown_is_left_out(void **state)
{
    mp4_sample_t    sample[3] = { { 7, 40, 0, 0 }, { 7, 40, 0, 1 }, { 7, 40, 0, 0 } };
    mp4_fragment_t  f = { 0 };
    mp4_track_t     tracks[2] = BOTH;
    movie_t        *m = malloc(sizeof(movie_t));
    uint8_t        *out;
    size_t          size;

    (void) state;
    f.runs[MP4_VIDEO] = (mp4_run_t) { 4000, sample, 3 };
    movie_init(m);
    assert_int_equal(movie_file(m, tracks), 0);
    movie_fragment(m, &f, 50);
    assert_int_equal(movie_end(m), 0);
    assert_int_equal(m->counted[0].samples, 2);
    assert_int_equal(m->counted[0].first, 0);

    /* the second pass differs from the first one */
    out = malloc(movie_max(m));
    size = movie_begin(m, out, 100);
    assert_true(size > 0);
    assert_int_equal(movie_file(m, tracks), 0);
    f.runs[MP4_VIDEO].n = 2;
    movie_fragment(m, &f, 50);
    assert_int_equal(movie_end(m), -1);
    free(out);

    movie_init(m);                           /* no key frame, no clip */
    assert_int_equal(movie_file(m, tracks), 0);
    f.runs[MP4_VIDEO].n = 1;
    movie_fragment(m, &f, 50);
    assert_int_equal(movie_end(m), -1);

    movie_init(m);                           /* a time beyond TIME_MAX */
    assert_int_equal(movie_file(m, tracks), 0);
    f.runs[MP4_VIDEO] = (mp4_run_t) { (uint64_t) 1 << 41, sample, 3 };
    movie_fragment(m, &f, 50);
    assert_int_equal(movie_end(m), -1);
    free(m);
}

static void more_configurations_than_there_is_room(void **state)
{
    int          i;
    movie_t     *m = malloc(sizeof(movie_t));
    mp4_track_t  tracks[2] = { picture_a, nothing };

    (void) state;
    movie_init(m);
    for (i = 0; i < MOVIE_ENTRIES; i++) {
        tracks[0].width = 100 + (uint32_t) i;
        assert_int_equal(movie_file(m, tracks), 0);
    }
    tracks[0].width = 99;
    assert_int_equal(movie_file(m, tracks), -1);
    tracks[0].width = 100;
    assert_int_equal(movie_file(m, tracks), 0);

    tracks[0].timescale = 90000;             /* not MP4_VIDEO_TIMESCALE */
    assert_int_equal(movie_file(m, tracks), -1);
    free(m);
}


int main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(both_tracks_keep_their_times_and_places),
        cmocka_unit_test(sound_begins_with_the_picture),
        cmocka_unit_test(pictures_in_another_order),
        cmocka_unit_test(gaps_are_left_out),
        cmocka_unit_test(a_pause_stays),
        cmocka_unit_test(another_configuration),
        cmocka_unit_test(one_track_alone),
        cmocka_unit_test(offsets_beyond_32_bits),
        cmocka_unit_test(what_cannot_be_shown_is_left_out),
        cmocka_unit_test(more_configurations_than_there_is_room),
    };

    return cmocka_run_group_tests_name("media/movie", tests, NULL, NULL);
}
