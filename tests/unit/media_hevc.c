/*
 * hevc.c: the picture size of real records, cut ones and nonsense.
 *
 * ffmpeg and libx265 made the records named x265; their SEI were removed.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "hevc.h"
#include "record.h"

#define RECORD_HEAD  23

typedef struct {
    const char  *what;
    const char  *hex;
    uint8_t      profile, level;
    uint32_t     width, height;
} record_t;

static const record_t  records[] = {
    { "x265, 1080p",
      "01016000000090000000000078f000fcfdf8f800000f03a00001001840010c01ffff01600000030090000003"
      "0000030078959409a10001002b420101016000000300900000030000030078a003c0801107cb965654a4c2f0"
      "168080000003008000000c84a2000100064401c073c189", 1, 120, 1920, 1080 },
    { "x265, cropped",
      "0101600000009000000000003cf000fcfdf8f800000f03a00001001840010c01ffff01600000030090000003"
      "000003003c959409a10001002c42010101600000030090000003000003003ca00a880c1c44d965654a4c2f01"
      "6808000003000800000300c840a2000100064401c073c189", 1, 60, 322, 182 },
    { "x265, upright",
      "01016000000090000000000078f000fcfdf8f800000f03a00001001840010c01ffff01600000030090000003"
      "0000030078959409a10001002b420101016000000300900000030000030078a00220801e072f965654a4c2f0"
      "168080000003008000000c84a2000100064401c073c189", 1, 120, 1080, 1920 },
    { "x265, UHD, 10 bits",
      "01022000000090000000000096f000fcfdfafa00000f03a00001001840010c01ffff02200000030090000003"
      "0000030096959409a10001002b420101022000000300900000030000030096a001e020021c4d965654a4c2f0"
      "168080000003008000000c84a2000100064401c073c189", 2, 150, 3840, 2160 },
    { "x265, 4:2:2",
      "0104080000009d08000000003cf000fcfef8f800000f03a00001001740010c01ffff0408000003009d080000"
      "0300003c959409a10001002b4201010408000003009d0800000300003cb00d880f1c44f965654a4c2f016808"
      "000003000800000300c840a2000100064401c073c189", 4, 60, 418, 234 },
    { "x265, 4:4:4",
      "0104080000009e08000000001ef000fcfff8f800000f03a00001001740010c01ffff0408000003009e080000"
      "0300001e959409a10001002a4201010408000003009e0800000300001e9002840c3e7cb2b2a5261780b40400"
      "00030004000003006420a2000100084401c07318301890", 4, 30, 160, 90 },
    { "x265, grey",
      "0104080000009fc8000000001ef000fcfcf8f800000f03a00001001740010c01ffff0408000003009fc80000"
      "0300001e959409a1000100284201010408000003009fc800000300001ec0508187cf965654a4c2f016c08000"
      "0003008000000c84a2000100064401c073c189", 4, 30, 160, 90 },
    { "x265, two temporal layers",
      "0101600000009000000000003cf000fcfdf8f800001303a00001001c40010c02ffff01600000030090000003"
      "000003003c00009594aca048a10001002e42010201600000030090000003000003003c0000a00d080f165959"
      "4aca94985e02d0100000030010000003019080a2000100064401c073c189", 1, 60, 416, 240 },
};


static int parse(const uint8_t *record, size_t size, hevc_config_t *config)
{
    int       result;
    uint8_t  *memory, *copy = exact_copy(record, size, &memory);

    memset(config, 0xff, sizeof(*config));
    result = hevc_parse_config(copy, size, config);
    free(memory);

    return result;
}


/* The end of the SPS in a record with one VPS before it. */
static size_t sps_end(const uint8_t *record, size_t *length_at)
{
    size_t    at = RECORD_HEAD;
    unsigned  i;

    for (i = 0; i < 2; i++) {
        *length_at = at + 3;
        at += 5 + (size_t) (record[at + 3] << 8 | record[at + 4]);
    }

    return at;
}


static void test_real_records(void **state)
{
    size_t         i, size;
    uint8_t        record[RECORD_MAX];
    hevc_config_t  config;

    (void) state;

    for (i = 0; i < sizeof(records) / sizeof(records[0]); i++) {
        const record_t  *r = &records[i];

        size = from_hex(r->hex, record);

        if (parse(record, size, &config) != 0) {
            fail_msg("%s: refused", r->what);
        }

        if (config.profile != r->profile || config.level != r->level
            || config.width != r->width || config.height != r->height)
        {
            fail_msg("%s: profile %u level %u, %ux%u", r->what, config.profile,
                     config.level, config.width, config.height);
        }
    }
}


static void test_records_cut_at_every_byte(void **state)
{
    size_t         i, n, size, end, length_at;
    uint8_t        record[RECORD_MAX];
    hevc_config_t  config;

    (void) state;

    for (i = 0; i < sizeof(records) / sizeof(records[0]); i++) {
        size = from_hex(records[i].hex, record);
        end = sps_end(record, &length_at);
        assert_true(end < size);

        for (n = 0; n < size; n++) {
            if (parse(record, n, &config) != (n >= end ? 0 : -1)) {
                fail_msg("%s: cut to %zu of %zu bytes: %s", records[i].what, n,
                         size, n >= end ? "refused" : "accepted");
            }
        }
    }
}


/* Cut with a length to match, the SPS itself ends early: refused, or, behind
 * the last field we need, the same size as of the whole. */
static void test_sps_cut_at_every_byte(void **state)
{
    size_t         i, n, whole, length_at, accepted = 0, refused = 0;
    uint8_t        record[RECORD_MAX];
    hevc_config_t  config;

    (void) state;

    for (i = 0; i < sizeof(records) / sizeof(records[0]); i++) {
        (void) from_hex(records[i].hex, record);
        whole = sps_end(record, &length_at) - length_at - 2;

        for (n = 0; n < whole; n++) {
            record[length_at + 1] = (uint8_t) n;

            if (parse(record, length_at + 2 + n, &config) == 0) {
                accepted++;
                assert_int_equal(config.width, records[i].width);
                assert_int_equal(config.height, records[i].height);
            } else {
                refused++;
            }
        }
    }

    assert_true(accepted > 0 && refused > 0);
}


/* --- records made here --- */

typedef struct {
    uint32_t  sub_layers;                /* minus 1 */
    uint32_t  present;                   /* its 16 bits of flags */
    uint32_t  chroma, separate;
    uint32_t  width, height;
    int       window;
    uint32_t  crop[4];                   /* left, right, top, bottom */
} sps_t;


static void put_sps(record_writer_t *w, const sps_t *s)
{
    unsigned  i;

    put_bits(w, 0, 4);
    put_bits(w, s->sub_layers, 3);
    put_bits(w, 1, 1);

    for (i = 0; i < 12; i++) {           /* profile, tier and level */
        put_bits(w, 0x55, 8);
    }

    if (s->sub_layers) {
        put_bits(w, s->present, 16);
        for (i = 0; i < s->sub_layers; i++) {
            put_bits(w, 0, s->present >> (15 - 2 * i) & 1 ? 31 : 0);
            put_bits(w, 0, s->present >> (15 - 2 * i) & 1 ? 31 : 0);
            put_bits(w, 0, s->present >> (15 - 2 * i) & 1 ? 26 : 0);
            put_bits(w, 0, s->present >> (14 - 2 * i) & 1 ? 8 : 0);
        }
    }

    put_ue(w, 0);
    put_ue(w, s->chroma);
    if (s->chroma == 3) {
        put_bits(w, s->separate, 1);
    }
    put_ue(w, s->width);
    put_ue(w, s->height);
    put_bits(w, s->window != 0, 1);
    for (i = 0; s->window && i < 4; i++) {
        put_ue(w, s->crop[i]);
    }
    put_bits(w, 1, 1);
}


/* Puts a NAL unit of TYPE and LAYER in an array of its own; escapes it. */
static size_t put_nal(uint8_t *out, unsigned type, unsigned layer,
    const record_writer_t *w)
{
    size_t  i, n = 5, zeros = 0, size = (w->bits + 7) / 8;

    out[0] = (uint8_t) (0x80 | type);
    out[1] = 0;
    out[2] = 1;
    out[n++] = (uint8_t) (type << 1 | layer >> 5);
    out[n++] = (uint8_t) (layer << 3 | 1);

    for (i = 0; i < size; i++) {
        if (zeros >= 2 && w->data[i] <= 3) {
            out[n++] = 3;
            zeros = 0;
        }
        zeros = w->data[i] == 0 ? zeros + 1 : 0;
        out[n++] = w->data[i];
    }

    out[3] = (uint8_t) ((n - 5) >> 8);
    out[4] = (uint8_t) (n - 5);

    return n;
}


static size_t begin_record(uint8_t *record, unsigned arrays)
{
    memset(record, 0, RECORD_HEAD);
    record[0] = 1;
    record[1] = 0x21;
    record[12] = 93;
    record[22] = (uint8_t) arrays;

    return RECORD_HEAD;
}


static void test_sizes(void **state)
{
    static const struct {
        const char  *what;
        sps_t        sps;
        uint32_t     width, height;      /* 0: refused */
    }  cases[] = {
        { "no window", { 0, 0, 1, 0, 640, 360, 0, { 0 } }, 640, 360 },
        { "4:2:0", { 0, 0, 1, 0, 1920, 1088, 1, { 1, 2, 1, 3 } }, 1914, 1080 },
        { "4:2:2", { 0, 0, 2, 0, 1920, 1088, 1, { 1, 2, 1, 3 } }, 1914, 1084 },
        { "4:4:4", { 0, 0, 3, 0, 1920, 1088, 1, { 1, 2, 1, 3 } }, 1917, 1084 },
        { "4:4:4 in separate planes", { 0, 0, 3, 1, 64, 64, 1, { 1, 0, 1, 0 } }, 63, 63 },
        { "grey", { 0, 0, 0, 0, 64, 64, 1, { 1, 0, 0, 1 } }, 63, 63 },
        { "six sub-layers, all said", { 6, 0xfff0, 1, 0, 64, 64, 0, { 0 } }, 64, 64 },
        { "six sub-layers, levels said", { 6, 0x5550, 1, 0, 64, 64, 0, { 0 } }, 64, 64 },
        { "six sub-layers, profiles said", { 6, 0xaaa0, 1, 0, 64, 64, 0, { 0 } }, 64, 64 },
        { "one sub-layer, reserved bits set", { 1, 0xffff, 1, 0, 64, 64, 0, { 0 } }, 64, 64 },
        { "seven sub-layers", { 7, 0, 1, 0, 64, 64, 0, { 0 } }, 0, 0 },
        { "largest", { 0, 0, 1, 0, 16384, 16384, 0, { 0 } }, 16384, 16384 },
        { "too wide", { 0, 0, 1, 0, 16385, 64, 0, { 0 } }, 0, 0 },
        { "too high", { 0, 0, 1, 0, 64, 16385, 0, { 0 } }, 0, 0 },
        { "no width", { 0, 0, 1, 0, 0, 64, 0, { 0 } }, 0, 0 },
        { "no height", { 0, 0, 1, 0, 64, 0, 0, { 0 } }, 0, 0 },
        { "all cut away", { 0, 0, 1, 0, 64, 64, 1, { 16, 16, 0, 0 } }, 0, 0 },
        { "all but two", { 0, 0, 1, 0, 64, 64, 1, { 16, 15, 0, 0 } }, 2, 64 },
        { "windows that wrap", { 0, 0, 1, 0, 64, 64, 1, { 0x80000000, 0x80000000, 0, 0 } }, 0, 0 },
        { "largest windows", { 0, 0, 1, 0, 64, 64, 1, { 0, 0, 0xfffffffe, 0xfffffffe } }, 0, 0 },
        { "chroma 4", { 0, 0, 4, 0, 64, 64, 0, { 0 } }, 0, 0 },
    };

    int            rc;
    size_t         i, size;
    uint8_t        record[2 * RECORD_MAX];
    hevc_config_t  config;

    (void) state;

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        record_writer_t  w = { { 0 }, 0 };

        put_sps(&w, &cases[i].sps);
        size = begin_record(record, 1);
        size += put_nal(record + size, 33, 0, &w);
        rc = parse(record, size, &config);

        if (rc != (cases[i].width ? 0 : -1)
            || (rc == 0 && (config.width != cases[i].width
                            || config.height != cases[i].height)))
        {
            fail_msg("%s: %d, %ux%u", cases[i].what, rc, config.width,
                     config.height);
        }
    }
}


/* The parser uses only an SPS of the base layer, in any position. */
static void test_other_units(void **state)
{
    static const sps_t  other = { 0, 0, 1, 0, 32, 32, 0, { 0 } };
    static const sps_t  base = { 0, 0, 1, 0, 640, 360, 0, { 0 } };

    size_t           size;
    uint8_t          record[4 * RECORD_MAX];
    hevc_config_t    config;
    record_writer_t  w1 = { { 0 }, 0 }, w2 = { { 0 }, 0 };

    (void) state;

    put_sps(&w1, &other);
    put_sps(&w2, &base);
    size = begin_record(record, 3);
    size += put_nal(record + size, 39, 0, &w1);
    size += put_nal(record + size, 33, 1, &w1);
    size += put_nal(record + size, 33, 0, &w2);

    assert_int_equal(parse(record, size, &config), 0);
    assert_int_equal(config.width, 640);
    assert_int_equal(config.profile, 1);
    assert_int_equal(config.level, 93);

    record[22] = 2;
    assert_int_equal(parse(record, size, &config), -1);
    assert_int_equal(config.width, 0);

    record[22] = 3;
    record[0] = 2;
    assert_int_equal(parse(record, size, &config), -1);
}


/* An array may claim 65535 units without a byte. */
static void test_empty_units(void **state)
{
    size_t         i, size;
    uint8_t       *record = calloc(1, RECORD_HEAD + 3 + 2 * 65535);
    hevc_config_t  config;

    (void) state;

    assert_non_null(record);
    size = begin_record(record, 1);
    record[size++] = 33;
    record[size++] = 0xff;
    record[size++] = 0xff;

    for (i = 0; i < 3; i++) {
        assert_int_equal(hevc_parse_config(record, size + i, &config), -1);
    }

    assert_int_equal(hevc_parse_config(record, size + 2 * 65535, &config), -1);
    free(record);
}


/* The units of a record's arrays as they stand in a frame. */
static size_t row_of(const uint8_t *record, uint8_t *row)
{
    size_t    at = RECORD_HEAD, length, used = 0;
    unsigned  arrays, nals;

    for (arrays = record[22]; arrays > 0; arrays--) {
        nals = (unsigned) record[at + 1] << 8 | record[at + 2];
        at += 3;
        for ( ; nals > 0; nals--) {
            length = (size_t) record[at] << 8 | record[at + 1];
            row[used] = row[used + 1] = 0;
            memcpy(row + used + 2, record + at, 2 + length);
            used += 4 + length;
            at += 2 + length;
        }
    }

    return used;
}


/* The parameter sets of a record make the same record, except for its frame rate, which
 * is left out. */
static void test_made_records(void **state)
{
    size_t   n, size, used, max;
    uint8_t  record[RECORD_MAX], row[RECORD_MAX], out[RECORD_MAX];

    (void) state;

    for (n = 0; n < sizeof(records) / sizeof(records[0]); n++) {
        size = from_hex(records[n].hex, record);
        used = row_of(record, row);
        memcpy(row + used, "\0\0\0\2\x26\1", 6);

        if (hevc_make_config(row, used + 6, 4, out, sizeof(out)) != size
            || memcmp(out, record, size) != 0)
        {
            fail_msg("%s: another record", records[n].what);
        }

        for (max = 0; max < size; max++) {
            assert_int_equal(hevc_make_config(row, used, 4, out, max), 0);
        }

        for (max = 0; max < used; max++) {
            assert_int_equal(hevc_make_config(row, max, 4, out, sizeof(out)), 0);
        }
    }
}


/* An array of units of another type, before, between and behind the parameter sets, is
 * left out; a record without one stays as it is. */
static void test_trimmed_records(void **state)
{
    static const uint8_t  sei[] = { 0xa7, 0, 2, 0, 3, 0x4e, 1, 5, 0, 2, 0x4e, 1 };
    uint8_t  record[1024], with[1024], out[1024];
    size_t   size = from_hex(records[0].hex, record), at, n, place;

    (void) state;

    assert_int_equal(hevc_trim_config(record, size, out, sizeof(out)), size);
    assert_memory_equal(out, record, size);
    assert_int_equal(hevc_trim_config(record, size, out, size - 1), 0);
    assert_int_equal(hevc_trim_config(record, size, out, RECORD_HEAD - 1), 0);

    for (place = 0, at = RECORD_HEAD; place <= 3; place++) {
        memcpy(with, record, at);
        memcpy(with + at, sei, sizeof(sei));
        memcpy(with + at + sizeof(sei), record + at, size - at);
        with[RECORD_HEAD - 1] = 4;

        assert_int_equal(hevc_trim_config(with, size + sizeof(sei), out, size), size);
        assert_memory_equal(out, record, size);

        for (n = 0; n < size + sizeof(sei); n++) {
            assert_int_equal(hevc_trim_config(with, n, out, sizeof(out)), 0);
        }

        at += place < 3 ? 5 + ((size_t) record[at + 3] << 8 | record[at + 4]) : 0;
    }
}


static void test_irap(void **state)
{
    unsigned  type;
    uint8_t   row[] = { 0, 0, 0, 2, 70, 1, 0, 0, 0, 2, 0, 1 };    /* a delimiter first */

    (void) state;

    for (type = 0; type < 64; type++) {
        row[10] = (uint8_t) (type << 1);
        assert_int_equal(hevc_has_irap(row, sizeof(row), 4), type >= 16 && type <= 21);
        assert_int_equal(hevc_has_irap(row, 6, 4), 0);
        assert_int_equal(hevc_has_irap(row, 10, 4), 0);
    }
}


int main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(test_made_records),
        cmocka_unit_test(test_irap),
        cmocka_unit_test(test_trimmed_records),
        cmocka_unit_test(test_real_records),
        cmocka_unit_test(test_records_cut_at_every_byte),
        cmocka_unit_test(test_sps_cut_at_every_byte),
        cmocka_unit_test(test_sizes),
        cmocka_unit_test(test_other_units),
        cmocka_unit_test(test_empty_units),
    };

    return cmocka_run_group_tests_name("media_hevc", tests, NULL, NULL);
}
