/* mp4_read.c: it reads files that mp4.c writes, and refuses cut or damaged ones without
 * a read past their end.  The test builds files by hand, so that writer and reader
 * cannot share a mistake. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "mp4_read.h"

#include <stdlib.h>
#include <string.h>

#define ROOM      1024
#define SAMPLES   16


/* --- a file by hand --- */

typedef struct {
    uint8_t  data[ROOM];
    size_t   size;
} file_t;

static void put(file_t *f, unsigned n, uint64_t v)
{
    while (n--) {
        assert_true(f->size < ROOM);
        f->data[f->size++] = (uint8_t) (v >> (8 * n));
    }
}

static void put_text(file_t *f, const char *text)
{
    while (*text) {
        put(f, 1, (uint8_t) *text++);
    }
}

static size_t begin(file_t *f, const char *type)
{
    put(f, 4, 0);
    put_text(f, type);
    return f->size - 8;
}

static void end(file_t *f, size_t at)
{
    size_t  i, size = f->size - at;

    for (i = 0; i < 4; i++) {
        f->data[at + i] = (uint8_t) (size >> (24 - 8 * i));
    }
}

static void zeros(file_t *f, size_t n)
{
    while (n--) {
        put(f, 1, 0);
    }
}

static void put_esds(file_t *f)
{
    static const uint8_t  descriptors[] = {
        0, 0, 0, 0,
        3, 0x80, 0x80, 0x80, 25, 0, 2, 0,
        4, 17, 0x40, 0x15, 0, 0, 0, 0, 0, 0xfa, 0, 0, 0, 0xfa, 0,
        5, 2, 0x11, 0x90,
        6, 1, 2
    };
    size_t  i, at = begin(f, "esds");

    for (i = 0; i < sizeof(descriptors); i++) {
        put(f, 1, descriptors[i]);
    }
    end(f, at);
}

static void put_entry(file_t *f, const char *type)
{
    size_t  at = begin(f, type), config;

    zeros(f, 6);
    put(f, 2, 1);

    if (strcmp(type, "mp4a") == 0) {
        zeros(f, 8);
        put(f, 2, 2);
        put(f, 2, 16);
        zeros(f, 4);
        put(f, 4, 48000u << 16);
        put_esds(f);

    } else {
        zeros(f, 16);
        put(f, 2, 1280);
        put(f, 2, 720);
        zeros(f, 50);
        config = begin(f, strcmp(type, "hvc1") == 0 ? "hvcC" : "avcC");
        put_text(f, "record");
        end(f, config);
    }

    end(f, at);
}

static void put_trak(file_t *f, uint32_t id, uint32_t timescale, const char *type)
{
    size_t  trak = begin(f, "trak"), at, mdia, minf, stbl;

    at = begin(f, "tkhd");
    put(f, 4, 3);
    zeros(f, 8);
    put(f, 4, id);
    zeros(f, 68);
    end(f, at);
    mdia = begin(f, "mdia");
    at = begin(f, "mdhd");
    zeros(f, 12);
    put(f, 4, timescale);
    zeros(f, 8);
    end(f, at);
    minf = begin(f, "minf");
    stbl = begin(f, "stbl");
    at = begin(f, "stsd");
    put(f, 4, 0);
    put(f, 4, 1);
    put_entry(f, type);
    end(f, at);
    end(f, stbl);
    end(f, minf);
    end(f, mdia);
    end(f, trak);
}

/* ftyp and moov; VIDEO and AUDIO name the sample entries, NULL: no track. */
static void put_init(file_t *f, const char *video, const char *audio)
{
    size_t  at = begin(f, "ftyp"), moov, mvex;

    put_text(f, "iso6");
    put(f, 4, 0);
    end(f, at);
    moov = begin(f, "moov");
    at = begin(f, "mvhd");
    zeros(f, 100);
    end(f, at);

    if (video) {
        put_trak(f, 1, 1000, video);
    }
    if (audio) {
        put_trak(f, 2, 48000, audio);
    }

    mvex = begin(f, "mvex");
    at = begin(f, "mehd");
    put(f, 4, 1u << 24);
    put(f, 8, 0);
    end(f, at);
    end(f, mvex);
    end(f, moov);
}


/* --- boxes --- */

static void box_heads(void **state)
{
    static const struct {
        const char  *what;
        size_t       size;
        uint8_t      head[16];
        int          rc;
        uint32_t     bytes;
        uint64_t     of;
    } cases[] = {
        { "plain", 8, { 0, 0, 0, 12, 'm', 'd', 'a', 't' }, 0, 8, 12 },
        { "empty", 8, { 0, 0, 0, 8, 'm', 'd', 'a', 't' }, 0, 8, 8 },
        { "large", 16, { 0, 0, 0, 1, 'm', 'd', 'a', 't', 0, 0, 0, 1, 0, 0, 0, 2 },
          0, 16, 0x100000002 },
        { "large that fits", 16, { 0, 0, 0, 1, 'm', 'd', 'a', 't', 0, 0, 0, 0, 0, 0, 0, 16 },
          0, 16, 16 },
        { "large, too small", 16, { 0, 0, 0, 1, 'm', 'd', 'a', 't', 0, 0, 0, 0, 0, 0, 0, 15 },
          -1, 0, 0 },
        { "large, cut", 15, { 0, 0, 0, 1, 'm', 'd', 'a', 't', 0, 0, 0, 0, 0, 0, 0 }, 1, 0, 0 },
        { "up to the end of the file", 8, { 0, 0, 0, 0, 'm', 'd', 'a', 't' }, -1, 0, 0 },
        { "too small", 8, { 0, 0, 0, 7, 'm', 'd', 'a', 't' }, -1, 0, 0 },
        { "cut", 7, { 0, 0, 0, 12, 'm', 'd', 'a' }, 1, 0, 0 },
        { "nothing", 0, { 0 }, 1, 0, 0 },
    };
    size_t     i;
    uint8_t   *heap;
    mp4_box_t  box;

    (void) state;

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        print_message("# %s\n", cases[i].what);
        heap = malloc(cases[i].size + !cases[i].size);
        memcpy(heap, cases[i].head, cases[i].size);
        assert_int_equal(mp4_read_box(heap, cases[i].size, &box), cases[i].rc);
        if (cases[i].rc == 0) {
            assert_int_equal(box.type, MP4_BOX('m', 'd', 'a', 't'));
            assert_int_equal(box.head, cases[i].bytes);
            assert_true(box.size == cases[i].of);
        }
        free(heap);
    }
}


/* --- the init segment --- */

static void init_of_both_tracks(void **state)
{
    file_t       f = { { 0 }, 0 };
    size_t       at;
    mp4_init_t   init;
    static const uint8_t  asc[] = { 0x11, 0x90 };

    (void) state;
    put_init(&f, "avc1", "mp4a");
    put_text(&f, "and what follows");
    at = f.size - 16;

    assert_int_equal(mp4_read_init(f.data, f.size, &init), 0);
    assert_int_equal(init.size, at);
    assert_int_equal(init.duration_at, at - 8);

    assert_int_equal(init.tracks[MP4_VIDEO].codec, FLV_CODEC_H264);
    assert_int_equal(init.tracks[MP4_VIDEO].timescale, 1000);
    assert_int_equal(init.tracks[MP4_VIDEO].width, 1280);
    assert_int_equal(init.tracks[MP4_VIDEO].height, 720);
    assert_int_equal(init.tracks[MP4_VIDEO].config_size, 6);
    assert_memory_equal(init.tracks[MP4_VIDEO].config, "record", 6);

    assert_int_equal(init.tracks[MP4_AUDIO].codec, FLV_CODEC_AAC);
    assert_int_equal(init.tracks[MP4_AUDIO].timescale, 48000);
    assert_int_equal(init.tracks[MP4_AUDIO].channels, 2);
    assert_int_equal(init.tracks[MP4_AUDIO].config_size, sizeof(asc));
    assert_memory_equal(init.tracks[MP4_AUDIO].config, asc, sizeof(asc));
}

static void init_of_one_track(void **state)
{
    file_t      hevc = { { 0 }, 0 }, sound = { { 0 }, 0 }, none = { { 0 }, 0 };
    file_t      other = { { 0 }, 0 };
    mp4_init_t  init;

    (void) state;
    put_init(&hevc, "hvc1", NULL);
    assert_int_equal(mp4_read_init(hevc.data, hevc.size, &init), 0);
    assert_int_equal(init.tracks[MP4_VIDEO].codec, FLV_CODEC_HEVC);
    assert_int_equal(init.tracks[MP4_AUDIO].codec, FLV_CODEC_NONE);

    put_init(&sound, NULL, "mp4a");
    assert_int_equal(mp4_read_init(sound.data, sound.size, &init), 0);
    assert_int_equal(init.tracks[MP4_VIDEO].codec, FLV_CODEC_NONE);
    assert_int_equal(init.tracks[MP4_AUDIO].codec, FLV_CODEC_AAC);

    put_init(&none, NULL, NULL);
    assert_int_equal(mp4_read_init(none.data, none.size, &init), -1);

    put_init(&other, "av01", "mp4a");
    assert_int_equal(mp4_read_init(other.data, other.size, &init), -1);
}

/* Reads a copy that ends where its memory ends, so that ASan detects a read past it. */
static void init_cut_anywhere_is_too_short(void **state)
{
    file_t      f = { { 0 }, 0 };
    size_t      n;
    uint8_t    *heap;
    mp4_init_t  init;

    (void) state;
    put_init(&f, "avc1", "mp4a");

    for (n = 0; n < f.size; n++) {
        heap = malloc(n + !n);
        memcpy(heap, f.data, n);
        assert_int_equal(mp4_read_init(heap, n, &init), 1);
        free(heap);
    }
}

static size_t find(const file_t *f, const char *type)
{
    size_t  i;

    for (i = 4; i + 4 <= f->size; i++) {
        if (memcmp(f->data + i, type, 4) == 0) {
            return i - 4;
        }
    }

    fail_msg("no box '%s'", type);
    return 0;
}

/* Every box of the init segment with every kind of wrong size. */
static void init_with_a_damaged_size(void **state)
{
    static const char *const  types[] = {
        "mvhd", "trak", "tkhd", "mdia", "mdhd", "minf", "stbl", "stsd", "avc1",
        "avcC", "mvex", "mehd"
    };
    static const uint32_t  sizes[] = { 0, 1, 2, 7, 8, 9, 0x7fffffff, 0xffffffff };
    size_t      i, k, n, at;
    file_t      f = { { 0 }, 0 }, bad;
    uint8_t    *heap;
    mp4_init_t  init;

    (void) state;
    put_init(&f, "avc1", "mp4a");

    for (i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
        for (k = 0; k < sizeof(sizes) / sizeof(sizes[0]); k++) {
            bad = f;
            at = find(&f, types[i]);
            for (n = 0; n < 4; n++) {
                bad.data[at + n] = (uint8_t) (sizes[k] >> (24 - 8 * n));
            }
            heap = malloc(bad.size);
            memcpy(heap, bad.data, bad.size);
            assert_int_equal(mp4_read_init(heap, bad.size, &init), -1);
            free(heap);
        }
    }

    /* the outer boxes: one beyond INIT_LIMIT, and another first box */
    bad = f;
    bad.data[find(&f, "moov")] = 1;
    assert_int_equal(mp4_read_init(bad.data, bad.size, &init), -1);
    bad = f;
    bad.data[4] = 'x';
    assert_int_equal(mp4_read_init(bad.data, bad.size, &init), -1);
}

static void init_of_no_file_of_ours(void **state)
{
    file_t      f = { { 0 }, 0 }, bad, twice = { { 0 }, 0 };
    size_t      moov, at;
    mp4_init_t  init;

    (void) state;
    put_init(&f, "avc1", NULL);

    bad = f;
    bad.data[find(&f, "tkhd") + 23] = 3;                  /* track 3 */
    assert_int_equal(mp4_read_init(bad.data, bad.size, &init), -1);

    bad = f;
    memset(bad.data + find(&f, "mdhd") + 20, 0, 4);       /* timescale 0 */
    assert_int_equal(mp4_read_init(bad.data, bad.size, &init), -1);

    bad = f;
    bad.data[find(&f, "mehd") + 8] = 0;                   /* 32 bits of duration */
    assert_int_equal(mp4_read_init(bad.data, bad.size, &init), -1);

    at = begin(&twice, "ftyp");
    end(&twice, at);
    moov = begin(&twice, "moov");
    put_trak(&twice, 1, 1000, "avc1");
    put_trak(&twice, 1, 1000, "avc1");
    end(&twice, moov);
    assert_int_equal(mp4_read_init(twice.data, twice.size, &init), -1);
}


/* --- fragments --- */

#define KEY    0x02000000
#define OTHER  0x01010000

/* Puts a moof with two video frames, the second of which is shown first, and with three
 * frames of sound that use defaults. */
static void put_moof(file_t *f)
{
    size_t  moof = begin(f, "moof"), at, traf, video, audio, i;

    at = begin(f, "mfhd");
    put(f, 4, 0);
    put(f, 4, 7);
    end(f, at);

    traf = begin(f, "traf");
    at = begin(f, "tfhd");
    put(f, 4, 0x020000);
    put(f, 4, 1);
    end(f, at);
    at = begin(f, "tfdt");
    put(f, 4, 1u << 24);
    put(f, 8, 0x100000000);
    end(f, at);
    at = begin(f, "trun");
    put(f, 4, 1u << 24 | 0xf01);
    put(f, 4, 2);
    video = f->size;
    put(f, 4, 0);
    put(f, 4, 40);
    put(f, 4, 500);
    put(f, 4, KEY);
    put(f, 4, 80);
    put(f, 4, 41);
    put(f, 4, 60);
    put(f, 4, OTHER);
    put(f, 4, (uint32_t) -40);
    end(f, at);
    end(f, traf);

    traf = begin(f, "traf");
    at = begin(f, "tfhd");
    put(f, 4, 0x020008);
    put(f, 4, 2);
    put(f, 4, 1024);
    end(f, at);
    at = begin(f, "tfdt");
    put(f, 4, 0);
    put(f, 4, 48000);
    end(f, at);
    at = begin(f, "trun");
    put(f, 4, 0x201);
    put(f, 4, 3);
    audio = f->size;
    put(f, 4, 0);
    put(f, 4, 10);
    put(f, 4, 11);
    put(f, 4, 12);
    end(f, at);
    end(f, traf);
    end(f, moof);

    for (i = 0; i < 4; i++) {
        f->data[video + i] = (uint8_t) ((f->size + 8) >> (24 - 8 * i));
        f->data[audio + i] = (uint8_t) ((f->size + 8 + 560) >> (24 - 8 * i));
    }
}

static void fragment_of_both_tracks(void **state)
{
    file_t           f = { { 0 }, 0 };
    mp4_sample_t     sample[SAMPLES];
    mp4_fragment_t   fragment;
    const mp4_run_t *run;

    (void) state;
    put_moof(&f);
    assert_int_equal(mp4_read_fragment(f.data, f.size, &fragment, sample, 5), 0);
    assert_int_equal(fragment.sequence, 7);
    assert_int_equal(fragment.data, 593);

    run = &fragment.runs[MP4_VIDEO];
    assert_true(run->dts == 0x100000000);
    assert_int_equal(run->n, 2);
    assert_ptr_equal(run->samples, sample);
    assert_int_equal(run->samples[0].duration, 40);
    assert_int_equal(run->samples[0].size, 500);
    assert_int_equal(run->samples[0].cts, 80);
    assert_int_equal(run->samples[0].key, 1);
    assert_int_equal(run->samples[1].duration, 41);
    assert_int_equal(run->samples[1].size, 60);
    assert_int_equal(run->samples[1].cts, -40);
    assert_int_equal(run->samples[1].key, 0);

    run = &fragment.runs[MP4_AUDIO];
    assert_true(run->dts == 48000);
    assert_int_equal(run->n, 3);
    assert_ptr_equal(run->samples, sample + 2);
    assert_int_equal(run->samples[2].size, 12);
    assert_int_equal(run->samples[2].duration, 1024);
    assert_int_equal(run->samples[2].cts, 0);
    assert_int_equal(run->samples[2].key, 0);
}

static void fragment_with_more_samples_than_there_is_room(void **state)
{
    file_t          f = { { 0 }, 0 };
    size_t          max;
    mp4_sample_t   *sample;
    mp4_fragment_t  fragment;

    (void) state;
    put_moof(&f);

    for (max = 0; max < 5; max++) {
        sample = malloc(max * sizeof(mp4_sample_t) + !max);
        assert_int_equal(mp4_read_fragment(f.data, f.size, &fragment, sample, max), -1);
        free(sample);
    }
}

static void fragment_cut_anywhere(void **state)
{
    file_t          f = { { 0 }, 0 };
    size_t          n;
    uint8_t        *heap;
    mp4_sample_t    sample[SAMPLES];
    mp4_fragment_t  fragment;

    (void) state;
    put_moof(&f);

    for (n = 0; n < f.size; n++) {
        heap = malloc(n + !n);
        memcpy(heap, f.data, n);
        assert_int_equal(mp4_read_fragment(heap, n, &fragment, sample, SAMPLES), -1);
        free(heap);
    }

    put(&f, 1, 0);                                        /* and one byte more */
    assert_int_equal(mp4_read_fragment(f.data, f.size, &fragment, sample, SAMPLES), -1);
}

/* Sets each 32-bit word to values that break arithmetic; sizes in an accepted fragment
 * must still add up. */
static void fragment_with_any_word_damaged(void **state)
{
    static const uint32_t  words[] = { 0, 1, 7, 8, 0x7fffffff, 0x80000000, 0xffffffff };
    size_t           i, k, n;
    file_t           f = { { 0 }, 0 }, bad;
    uint8_t         *heap;
    uint64_t         data;
    unsigned         t;
    mp4_sample_t     sample[SAMPLES];
    mp4_fragment_t   fragment;

    (void) state;
    put_moof(&f);
    heap = malloc(f.size);

    for (i = 0; i + 4 <= f.size; i++) {
        for (k = 0; k < sizeof(words) / sizeof(words[0]); k++) {
            bad = f;
            for (n = 0; n < 4; n++) {
                bad.data[i + n] = (uint8_t) (words[k] >> (24 - 8 * n));
            }
            memcpy(heap, bad.data, bad.size);
            if (mp4_read_fragment(heap, bad.size, &fragment, sample, SAMPLES) != 0) {
                continue;
            }
            for (t = 0, data = 0; t < 2; t++) {
                for (n = 0; n < fragment.runs[t].n; n++) {
                    data += fragment.runs[t].samples[n].size;
                }
            }
            assert_true(data == fragment.data);
            assert_true(fragment.runs[0].n + fragment.runs[1].n <= 5);
        }
    }

    free(heap);
}

static void fragment_of_another_writer(void **state)
{
    static const struct {
        const char  *what, *box;
        size_t       at;                                  /* in it */
        uint8_t      byte;
    } cases[] = {
        { "base-data-offset", "tfhd", 11, 1 },
        { "data offset of the video", "trun", 19, 0 },
        { "version 2 of trun", "trun", 8, 2 },
        { "version 2 of tfdt", "tfdt", 8, 2 },
        { "time beyond 2^62", "tfdt", 12, 0x7f },
        { "track 3", "tfhd", 15, 3 },
        { "the sound's track twice", "tfhd", 15, 2 },
        { "no size of samples", "trun", 10, 0x0d },
        { "no flags of samples", "trun", 10, 0x0b },
        { "not a moof", "moof", 4, 'x' },
        { "no mfhd", "mfhd", 4, 'x' },
        { "no tfhd", "tfhd", 4, 'x' },
        { "no tfdt", "tfdt", 4, 'x' },
        { "no trun", "trun", 4, 'x' },
    };
    size_t          i;
    file_t          f = { { 0 }, 0 }, bad;
    mp4_sample_t    sample[SAMPLES];
    mp4_fragment_t  fragment;

    (void) state;
    put_moof(&f);

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        print_message("# %s\n", cases[i].what);
        bad = f;
        bad.data[find(&f, cases[i].box) + cases[i].at] = cases[i].byte;
        assert_int_equal(mp4_read_fragment(bad.data, bad.size, &fragment, sample, SAMPLES), -1);
    }
}


int main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(box_heads),
        cmocka_unit_test(init_of_both_tracks),
        cmocka_unit_test(init_of_one_track),
        cmocka_unit_test(init_cut_anywhere_is_too_short),
        cmocka_unit_test(init_with_a_damaged_size),
        cmocka_unit_test(init_of_no_file_of_ours),
        cmocka_unit_test(fragment_of_both_tracks),
        cmocka_unit_test(fragment_with_more_samples_than_there_is_room),
        cmocka_unit_test(fragment_cut_anywhere),
        cmocka_unit_test(fragment_with_any_word_damaged),
        cmocka_unit_test(fragment_of_another_writer),
    };

    return cmocka_run_group_tests_name("media/mp4_read", tests, NULL, NULL);
}
