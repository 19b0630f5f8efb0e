/*
 * flv_file.c: onMetaData byte by byte, the choice of key frames, and the end of the
 * last whole tag in a torn file.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "flv_file.h"
#include "record.h"

#define FILE_MAX  65536

static const char  avc_header[] = "1700000000"
    "014d401fffe10019674d401feca02802dd80880000030008000003019078c18cb001000568ebe3cb20";
static const char  hevc_header[] = "9068766331"
    "01016000000090000000000078f000fcfdf8f800000f03a00001001840010c01ffff01600000030090000003"
    "0000030078959409a10001002b420101016000000300900000030000030078a003c0801107cb965654a4c2f0"
    "168080000003008000000c84a2000100064401c073c189";


/* --- onMetaData --- */

/* Returns the value of the property NAME behind AT. */
static const uint8_t *find_property(const uint8_t *at, const uint8_t *last,
    const char *name)
{
    size_t  len = strlen(name);

    for ( ; at + 2 + len < last; at++) {
        if (at[0] == 0 && at[1] == len && memcmp(at + 2, name, len) == 0) {
            return at + 2 + len;
        }
    }

    fail_msg("no property %s", name);

    return NULL;
}


static double number(const uint8_t *value)
{
    int       i;
    double    found;
    uint64_t  bits = 0;

    assert_int_equal(value[0], 0);
    for (i = 1; i <= 8; i++) {
        bits = bits << 8 | value[i];
    }
    memcpy(&found, &bits, sizeof(found));

    return found;
}


static uint32_t count(const uint8_t *array)
{
    assert_int_equal(array[0], 10);

    return (uint32_t) array[1] << 24 | (uint32_t) array[2] << 16
           | (uint32_t) array[3] << 8 | array[4];
}


/* The strings of the filler end exactly at the end of the tag. */
static void check_filler(const uint8_t *meta)
{
    uint32_t        n;
    const uint8_t  *last = meta + FLV_META_SIZE - FLV_BACK_SIZE - 3;
    const uint8_t  *p = find_property(meta, last, "filler");

    for (n = count(p), p += 5; n > 0; n--) {
        size_t  len = (size_t) p[1] << 8 | p[2];

        assert_int_equal(p[0], 2);
        assert_true(len < 1024);
        p += 3 + len;
        assert_true(p <= last);
    }

    assert_ptr_equal(p, last);
    assert_memory_equal(p, "\0\0\11", 3);
}


static void test_meta(void **state)
{
    uint32_t        i;
    uint8_t         out[FLV_META_SIZE], header[RECORD_MAX];
    const uint8_t  *last = out + sizeof(out), *keys;
    flv_file_t      file;
    flv_meta_t      read;
    flv_key_t       key;
    uint32_t        numbers[] = { 0, 1, 2, 700, FLV_KEYS_MAX - 1, FLV_KEYS_MAX };
    size_t          k, size;

    (void) state;

    for (k = 0; k < sizeof(numbers) / sizeof(numbers[0]); k++) {
        flv_file_init(&file);
        size = from_hex(avc_header, header);
        flv_meta_header(&file.meta, FLV_VIDEO, header, size);
        size = from_hex("af001210", header);
        flv_meta_header(&file.meta, FLV_AUDIO, header, size);
        file.meta.duration = 3600123;
        file.meta.size = 5000000000;
        file.meta.session = 1795403212345;
        file.meta.last = UINT32_MAX;

        for (i = 0; i < numbers[k]; i++) {
            flv_keys_add(&file.keys, i * 2000, (uint64_t) i << 24);
        }

        assert_int_equal(flv_write_meta(out, &file), FLV_META_SIZE);
        assert_int_equal(out[0], FLV_SCRIPT);
        assert_true(number(find_property(out, last, "duration")) == 3600.123);
        assert_true(number(find_property(out, last, "filesize")) == 5e9);
        assert_true(number(find_property(out, last, "videocodecid")) == 7);
        assert_true(number(find_property(out, last, "width")) == 1280);
        assert_true(number(find_property(out, last, "height")) == 720);
        assert_true(number(find_property(out, last, "audiosamplerate")) == 44100);
        assert_memory_equal(find_property(out, last, "stereo"), "\1\1", 2);

        keys = find_property(out, last, "times");
        assert_int_equal(count(keys), numbers[k]);
        for (i = 0; i < numbers[k]; i++) {
            assert_true(number(keys + 5 + 9 * i) == i * 2.0);
        }

        keys = find_property(keys + 5 + 9 * numbers[k], last, "filepositions");
        assert_int_equal(count(keys), numbers[k]);
        for (i = 0; i < numbers[k]; i++) {
            assert_true(number(keys + 5 + 9 * i) == (double) i * (1 << 24));
        }

        for (i = 0; i < numbers[k]; i += 1 + numbers[k] / 7) {
            assert_int_equal(flv_read_key(out, i * 2000 + 1999, &key), 0);
            assert_true(key.time == i * 2000 && key.position == (uint64_t) i << 24);
        }
        if (numbers[k] == 0) {
            assert_int_equal(flv_read_key(out, UINT32_MAX, &key), -1);
        } else {
            assert_int_equal(flv_read_key(out, UINT32_MAX, &key), 0);
            assert_int_equal(key.time, (numbers[k] - 1) * 2000);
        }

        check_filler(out);
        assert_int_equal(flv_read_meta(out, &read), 0);
        assert_true(read.duration == 3600123 && read.size == 5000000000
                    && read.session == 1795403212345);
    }
}


static void test_meta_of_headers(void **state)
{
    size_t      size;
    uint8_t     header[RECORD_MAX];
    flv_meta_t  meta;

    (void) state;

    memset(&meta, 0, sizeof(meta));
    size = from_hex(hevc_header, header);
    flv_meta_header(&meta, FLV_VIDEO, header, size);
    assert_int_equal(meta.video, 0x68766331);
    assert_int_equal(meta.width, 1920);

    header[0] = 0x1c;                    /* the form before Enhanced RTMP */
    header[1] = 0;
    flv_meta_header(&meta, FLV_VIDEO, header, size);
    assert_int_equal(meta.video, 12);

    /* a frame and nonsense set nothing */
    memset(&meta, 0, sizeof(meta));
    header[1] = 1;
    flv_meta_header(&meta, FLV_VIDEO, header, size);
    flv_meta_header(&meta, FLV_AUDIO, header, size);
    flv_meta_header(&meta, FLV_VIDEO, header, 0);
    assert_int_equal(meta.video + meta.audio + meta.width, 0);
}


static void test_meta_of_others(void **state)
{
    size_t      i;
    uint8_t     out[FLV_META_SIZE];
    flv_file_t  file;
    flv_meta_t  read;

    (void) state;

    flv_file_init(&file);

    /* flv_read_meta() checks each byte of header, name and ECMA array */
    for (i = 0; i < FLV_TAG_HEADER_SIZE + 14; i++) {
        (void) flv_write_meta(out, &file);
        out[i] ^= 0x40;
        assert_int_equal(flv_read_meta(out, &read), -1);
    }

    /* a NaN, or a time that is too large */
    (void) flv_write_meta(out, &file);
    memset((uint8_t *) find_property(out, out + sizeof(out), "session") + 1, 0x7f, 8);
    assert_int_equal(flv_read_meta(out, &read), -1);
    memset((uint8_t *) find_property(out, out + sizeof(out), "session") + 1, 0xff, 8);
    assert_int_equal(flv_read_meta(out, &read), -1);
}


/* --- key frames --- */

static void test_keys_are_spread_evenly(void **state)
{
    uint32_t    n, i;
    flv_file_t  file;

    (void) state;

    flv_file_init(&file);

    for (n = 0; n < 10 * FLV_KEYS_MAX; n++) {
        flv_keys_add(&file.keys, n, 100 * (uint64_t) n);

        assert_true(file.keys.n <= FLV_KEYS_MAX);
        assert_true(n < FLV_KEYS_MAX || file.keys.n >= FLV_KEYS_MAX / 2);
        for (i = 0; i < file.keys.n; i += 97) {
            assert_int_equal(file.keys.key[i].time, i * file.keys.step);
            assert_int_equal(file.keys.key[i].position, 100 * i * file.keys.step);
        }
    }

    assert_int_equal(file.keys.step, 16);

    flv_keys_cut(&file.keys, 100 * 1600);
    assert_int_equal(file.keys.n, 100);
    assert_int_equal(file.keys.key[99].time, 99 * 16);
    flv_keys_cut(&file.keys, 0);
    assert_int_equal(file.keys.n, 0);
    flv_keys_cut(&file.keys, 0);
}


/* --- tags --- */

typedef struct {
    uint8_t   data[FILE_MAX];
    size_t    size, whole[64];           /* the end of the Nth tag */
    int       n;
} file_t;


static void put_tag(file_t *f, uint8_t type, uint32_t time, const char *hex,
    size_t more)
{
    uint8_t  *p = f->data + f->size, body[RECORD_MAX];
    size_t    size = from_hex(hex, body);

    (void) flv_write_tag_header(p, type, size + more, time);
    memcpy(p + FLV_TAG_HEADER_SIZE, body, size);
    memset(p + FLV_TAG_HEADER_SIZE + size, 0x55, more);
    (void) flv_write_back(p + FLV_TAG_HEADER_SIZE + size + more, size + more);
    f->size += FLV_TAG_OVERHEAD + size + more;
    f->whole[f->n++] = f->size;
}


static void make_file(file_t *f)
{
    memset(f, 0, sizeof(*f));
    put_tag(f, FLV_VIDEO, 0, avc_header, 0);
    put_tag(f, FLV_AUDIO, 0, "af001210", 0);
    put_tag(f, FLV_VIDEO, 0, "1701000000", 900);
    put_tag(f, FLV_AUDIO, 12, "af01", 100);
    put_tag(f, FLV_VIDEO, 40, "2701000000", 300);
    put_tag(f, FLV_AUDIO, 35, "af01", 100);
    put_tag(f, FLV_VIDEO, 0x01000050, "1701000028", 900);    /* a long gap */
    put_tag(f, FLV_VIDEO, 0x01000078, "2701000000", 300);
    put_tag(f, FLV_VIDEO, 0x01000080, "1702000000", 0);      /* ends the sequence */
}


static void test_walk(void **state)
{
    file_t      f;
    size_t      need;
    flv_file_t  file;
    flv_walk_t  w;

    (void) state;

    make_file(&f);
    flv_walk_init(&w, 1000, &file);
    assert_int_equal(flv_walk_end(&w), 0);
    assert_int_equal(flv_walk(&w, f.data, f.size, &need), f.size);

    assert_int_equal(w.at, 1000 + f.size);
    assert_int_equal(w.dts[0], 0x01000078);
    assert_int_equal(w.dts[1], 35);
    assert_int_equal(flv_walk_end(&w), 0x01000078 + 40);
    assert_int_equal(file.meta.video, 7);
    assert_int_equal(file.meta.rate, 44100);
    assert_int_equal(file.meta.last, 0x01000078);
    assert_int_equal(file.keys.n, 2);
    assert_int_equal(file.keys.key[0].position, 1000 + f.whole[1]);
    assert_int_equal(file.keys.key[1].position, 1000 + f.whole[5]);
    assert_int_equal(file.keys.key[1].time, 0x01000050);
}


/* The walk over a cut file ends behind its last whole tag, in reads of any size. */
static void test_walk_of_cut_files(void **state)
{
    int         last;
    file_t      f;
    size_t      n, need, part, done;
    uint8_t    *memory, *copy;
    flv_file_t  file;
    flv_walk_t  w;

    (void) state;

    make_file(&f);

    for (n = 0; n <= f.size; n++) {
        for (last = 0; last < f.n && f.whole[last] <= n; last++) { /* void */ }

        copy = exact_copy(f.data, n, &memory);
        flv_walk_init(&w, 0, &file);
        assert_int_equal(flv_walk(&w, copy, n, &need), last ? f.whole[last - 1] : 0);
        assert_true(need > n - w.at);
        free(memory);
    }

    for (part = 16; part < 1200; part += 37) {
        flv_walk_init(&w, 0, &file);

        for (need = part; w.at < f.size; ) {
            n = need > part ? need : part;
            n = n < f.size - w.at ? n : f.size - w.at;
            done = flv_walk(&w, f.data + w.at, n, &need);
            assert_true(done > 0 || need > n);
        }

        assert_int_equal(file.keys.n, 2);
        assert_int_equal(flv_walk_end(&w), 0x01000078 + 40);
    }
}


static void test_walk_of_damaged_files(void **state)
{
    static const struct {
        const char  *what;
        long         at;                 /* from the start of the third tag */
        uint8_t      value;
    }  cases[] = {
        { "type", 0, 0 }, { "encrypted type", 0, 0x29 }, { "stream id", 10, 1 },
        { "size", 3, 0x8b }, { "back-pointer", 11 + 905 + 3, 0 },
    };
    size_t      i, need;
    file_t      f;
    flv_file_t  file;
    flv_walk_t  w;

    (void) state;

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        make_file(&f);
        f.data[(long) f.whole[1] + cases[i].at] = cases[i].value;
        flv_walk_init(&w, 0, &file);

        if (flv_walk(&w, f.data, f.size, &need) != f.whole[1] || need != 0) {
            fail_msg("%s: it stops at %zu, not %zu", cases[i].what, (size_t) w.at,
                     f.whole[1]);
        }
    }
}


int main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(test_meta),
        cmocka_unit_test(test_meta_of_headers),
        cmocka_unit_test(test_meta_of_others),
        cmocka_unit_test(test_keys_are_spread_evenly),
        cmocka_unit_test(test_walk),
        cmocka_unit_test(test_walk_of_cut_files),
        cmocka_unit_test(test_walk_of_damaged_files),
    };

    return cmocka_run_group_tests_name("media_flv_file", tests, NULL, NULL);
}
