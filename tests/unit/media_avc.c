/*
 * avc.c: the picture size of real sequence headers, cut ones and nonsense.
 *
 * ffmpeg and libx264 made the records named x264.  x264 writes no scaling lists, so
 * records with lists were written bit by bit, and their size compared with
 * ffprobe's.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "avc.h"
#include "record.h"

typedef struct {
    const char  *what;
    const char  *hex;
    uint8_t      profile, level;
    uint32_t     width, height;
} record_t;

static const record_t  records[] = {
    { "x264, baseline", "0142c00dffe100186742c00dd90141fb011000000300100000030320f142a4800100056"
      "8cb83cb20", 66, 13, 320, 240 },
    { "x264, main", "014d401fffe10019674d401feca02802dd80880000030008000003019078c18cb001000568eb"
      "e3cb20", 77, 31, 1280, 720 },
    { "x264, 1080p is 1088 cropped", "01640028ffe1001b67640028acd940780227e5c0440000030004000003"
      "00c83c60c65801000668ebe3cb22c0fdf8f800", 100, 40, 1920, 1080 },
    { "x264, 1080i", "01640028ffe1001a67640028acd94078044fde0220000003002000000643e2c5b2c001000668f"
      "ba3cb22c0fdf8f800", 100, 40, 1920, 1080 },
    { "x264, 576i", "014d401effe10018674d401eeca05a126c0440000003004000000c87c50a658001000568fba3c"
      "b20", 77, 30, 720, 576 },
    { "x264, a phone upright", "01640028ffe1001b67640028acd9404403c797c044000003000400000300c83c60"
      "c65801000668ebe3cb22c0fdf8f800", 100, 40, 1080, 1920 },
    { "x264, one macroblock", "0164000affe100176764000aacd95ec044000003000400000300c83c48965801000"
      "668ebe3cb22c0fdf8f800", 100, 10, 16, 16 },
    { "x264, 4:2:0 cropped by one unit", "0142c01effe100196742c01eda0280bfa9b0110000030010000003"
      "00320f162ea001000468ce0fc8", 66, 30, 638, 358 },
    { "x264, UHD", "0142c033ffe100196742c033da00f0010fb011000000300100000030320f1832a001000468ce0f"
      "c8", 66, 51, 3840, 2160 },
    { "x264, 4096x2304", "0142c033ffe100186742c033da004000486c0440000003004000000c83c60ca801000468"
      "ce0fc8", 66, 51, 4096, 2304 },
    { "x264, 10 bits", "016e001fffe1001b676e001fa6cd9405005bfac044000003000400000300c83c60c6580100"
      "0668ebe3cb22c0fdfafa00", 110, 31, 1280, 718 },
    { "x264, 4:2:2", "017a0028ffe1001b677a0028bcd940780227a8bc0440000003004000000c83c60c6580010006"
      "68ebe3cb22c0fef8f800", 122, 40, 1918, 1078 },
    { "x264, 4:4:4 of odd height", "01f4001fffe1001c67f4001f919b281b07fc5c218088000003000800000301"
      "9078c18cb001000668ebe3c44844fff8f800", 244, 31, 854, 481 },
    { "x264, grey", "0164000dffe1001a6764000df36505421e3e3f016c800000030080000019078a14cb01000668eb"
      "e3cb22c0fcf8f800", 100, 13, 322, 242 },
    { "scaling lists, 1080p",
      "01640028ffe1003b67640028ad8412492492492484610492492492494209249249249284124924924925"
      "22492492492492481dc892492492492492077b280f0044fca8", 100, 40, 1920, 1080 },
    { "scaling lists, 4:4:4 has twelve",
      "01f40028ffe1006167f4002891b0824924924924908c2092492492492841249249249250824924924924"
      "a44924924924924903b91249249249249240ee44924924924924903b91249249249249240ee449249249"
      "24924903b91249249249249240ef650360ff8b8410", 244, 40, 854, 481 },
    { "picture order count type 1",
      "01640028ffe1003b67640028ad8412492492492484610492492492494209249249249284124924924925"
      "22492492492492481dc8924924924924920774da65014016e4", 100, 40, 1280, 720 },
};


/* Parses a copy that ends where its memory ends, so that ASan detects a read past it. */
static int parse(const uint8_t *record, size_t size, avc_config_t *config)
{
    int       result;
    uint8_t  *memory, *copy = exact_copy(record, size, &memory);

    memset(config, 0xff, sizeof(*config));
    result = avc_parse_config(copy, size, config);
    free(memory);

    return result;
}


static void test_real_records(void **state)
{
    size_t        i, size;
    uint8_t       record[RECORD_MAX];
    avc_config_t  config;

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


/* A record that is cut before the end of its SPS has no whole SPS. */
static void test_records_cut_at_every_byte(void **state)
{
    size_t        i, n, size;
    uint8_t       record[RECORD_MAX];
    avc_config_t  config;

    (void) state;

    for (i = 0; i < sizeof(records) / sizeof(records[0]); i++) {
        size = from_hex(records[i].hex, record);

        for (n = 0; n < size; n++) {
            int  whole = n >= 8u + (record[6] << 8 | record[7]);

            if (parse(record, n, &config) != (whole ? 0 : -1)) {
                fail_msg("%s: cut to %zu bytes: %s", records[i].what, n,
                         whole ? "refused" : "accepted");
            }
        }
    }
}


/* The SPS is cut and its length matches: the parser refuses it or, if the cut is behind
 * the last needed field, finds the same size as in the whole SPS. */
static void test_sps_cut_at_every_byte(void **state)
{
    size_t        i, n, size, accepted = 0;
    uint8_t       record[RECORD_MAX];
    avc_config_t  config;

    (void) state;

    for (i = 0; i < sizeof(records) / sizeof(records[0]); i++) {
        size = (from_hex(records[i].hex, record), (size_t) record[7]);

        for (n = 0; n < size; n++) {
            record[7] = (uint8_t) n;

            if (parse(record, 8 + n, &config) == 0) {
                accepted++;
                assert_int_equal(config.width, records[i].width);
                assert_int_equal(config.height, records[i].height);

            } else {
                assert_int_equal(config.width, 0);
                assert_int_equal(config.height, 0);
            }
        }
    }

    assert_true(accepted > 0);           /* x264's VUI lies behind the crop */
}


/* --- records made here --- */

typedef struct {
    uint8_t   profile;
    uint32_t  chroma;                    /* high profiles only */
    uint32_t  mbs_x, map_units;          /* minus 1, as on the wire */
    int       interlaced;
    uint32_t  crop[4];                   /* left, right, top, bottom */
} sps_t;

static void begin_sps(record_writer_t *w, const sps_t *s)
{
    static const uint8_t  head[] = { 1, 0, 0, 40, 0xff, 0xe1, 0, 0, 0x67 };

    memset(w, 0, sizeof(*w));
    memcpy(w->data, head, sizeof(head));
    w->data[1] = s->profile;
    w->bits = 8 * sizeof(head);
    put_bits(w, s->profile, 8);
    put_bits(w, 0xff28, 16);             /* without zeros that need escaping */
    put_ue(w, 0);

    if (s->profile == 100 || s->profile == 244) {
        put_ue(w, s->chroma);
        if (s->chroma == 3) {
            put_bits(w, 0, 1);
        }
        put_ue(w, 0);
        put_ue(w, 0);
        put_bits(w, 0, 1);
    }
}


static void end_sps(record_writer_t *w, const sps_t *s)
{
    unsigned  i;

    if (s->profile == 100 || s->profile == 244) {
        put_bits(w, 0, 1);               /* no scaling matrix */
    }

    put_ue(w, 0);
    put_ue(w, 2);
    put_ue(w, 1);
    put_bits(w, 0, 1);
    put_ue(w, s->mbs_x);
    put_ue(w, s->map_units);
    put_bits(w, s->interlaced ? 1 : 3, 2);   /* 0 then mb_adaptive, or 1 and 8x8 */
    if (s->interlaced) {
        put_bits(w, 1, 1);
    }
    put_bits(w, 1, 1);
    for (i = 0; i < 4; i++) {
        put_ue(w, s->crop[i]);
    }
    put_bits(w, 1, 2);
}


/* Escapes the SPS (7.3.1) and parses the record. */
static int parse_written(record_writer_t *w, avc_config_t *config)
{
    size_t    i, n = 9, size = (w->bits + 7) / 8, zeros = 0;
    uint8_t   record[2 * RECORD_MAX];

    memcpy(record, w->data, 9);

    for (i = 9; i < size; i++) {
        uint8_t  c = w->data[i];

        if (zeros >= 2 && c <= 3) {
            record[n++] = 3;
            zeros = 0;
        }
        zeros = c == 0 ? zeros + 1 : 0;
        record[n++] = c;
    }

    record[6] = (uint8_t) ((n - 8) >> 8);
    record[7] = (uint8_t) (n - 8);

    return parse(record, n, config);
}


static void test_sizes(void **state)
{
    static const struct {
        const char  *what;
        sps_t        sps;
        uint32_t     width, height;      /* 0: refused */
    }  cases[] = {
        { "4:2:0", { 66, 1, 119, 67, 0, { 0, 0, 0, 4 } }, 1920, 1080 },
        { "cropped on all sides", { 66, 1, 119, 67, 0, { 1, 2, 3, 4 } }, 1914, 1074 },
        { "interlaced, crop units of four", { 77, 1, 119, 33, 1, { 0, 0, 0, 2 } }, 1920, 1080 },
        { "grey, crop units of one", { 100, 0, 1, 1, 0, { 1, 0, 0, 1 } }, 31, 31 },
        { "4:2:2, upright units of one", { 100, 2, 1, 1, 0, { 1, 0, 0, 1 } }, 30, 31 },
        { "4:4:4, units of one", { 244, 3, 1, 1, 0, { 1, 0, 0, 1 } }, 31, 31 },
        { "largest", { 66, 1, 1023, 1023, 0, { 0, 0, 0, 0 } }, 16384, 16384 },
        { "largest interlaced", { 77, 1, 1023, 511, 1, { 0, 0, 0, 0 } }, 16384, 16384 },
        { "too wide", { 66, 1, 1024, 10, 0, { 0, 0, 0, 0 } }, 0, 0 },
        { "too high", { 66, 1, 10, 1024, 0, { 0, 0, 0, 0 } }, 0, 0 },
        { "too high, interlaced", { 77, 1, 10, 512, 1, { 0, 0, 0, 0 } }, 0, 0 },
        { "width wraps", { 66, 1, 0xfffffffe, 10, 0, { 0, 0, 0, 0 } }, 0, 0 },
        { "height wraps", { 66, 1, 10, 0xfffffffe, 0, { 0, 0, 0, 0 } }, 0, 0 },
        { "cropped to nothing", { 66, 1, 0, 0, 0, { 4, 4, 0, 0 } }, 0, 0 },
        { "cropped to two columns", { 66, 1, 0, 0, 0, { 4, 3, 0, 0 } }, 2, 16 },
        { "cropped beyond", { 66, 1, 0, 0, 0, { 0, 0, 100, 0 } }, 0, 0 },
        { "crops wrap in their sum", { 66, 1, 1, 1, 0, { 0xfffffffe, 2, 0, 0 } }, 0, 0 },
        { "crops wrap doubled", { 66, 1, 1, 1, 0, { 0, 0, 0x80000000, 0 } }, 0, 0 },
        { "chroma format 4", { 100, 4, 1, 1, 0, { 0, 0, 0, 0 } }, 0, 0 },
        { "chroma format wraps", { 100, 0xfffffffe, 1, 1, 0, { 0, 0, 0, 0 } }, 0, 0 },
    };

    int           result;
    size_t        i;
    record_writer_t  w;
    avc_config_t  config;

    (void) state;

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        begin_sps(&w, &cases[i].sps);
        end_sps(&w, &cases[i].sps);
        result = parse_written(&w, &config);

        if (result != (cases[i].width ? 0 : -1) || config.width != cases[i].width
            || config.height != cases[i].height)
        {
            fail_msg("%s: result %d, %ux%u", cases[i].what, result, config.width,
                     config.height);
        }
    }
}


/* A delta beyond -128..127 violates 7.4.2.1.1.1; one near 2^31 overflowed the sum. */
static void test_hostile_scaling_list(void **state)
{
    static const uint32_t  deltas[] = { 0xfffffffd, 0xfffffffc, 511, 512 };

    unsigned      i, k;
    record_writer_t  w;
    sps_t         sps = { 100, 1, 9, 9, 0, { 0, 0, 0, 0 } };
    avc_config_t  config;

    (void) state;

    for (i = 0; i < sizeof(deltas) / sizeof(deltas[0]); i++) {
        begin_sps(&w, &sps);
        put_bits(&w, 3, 2);              /* a matrix, and its first list */
        for (k = 0; k < 16; k++) {
            put_ue(&w, deltas[i]);
        }
        put_bits(&w, 0, 7);
        (void) parse_written(&w, &config);
        assert_true(config.width <= 16384 && config.height <= 16384);
    }
}


static void test_hostile_order_count_cycle(void **state)
{
    record_writer_t  w;
    sps_t         sps = { 66, 1, 9, 9, 0, { 0, 0, 0, 0 } };
    avc_config_t  config;

    (void) state;

    begin_sps(&w, &sps);
    put_ue(&w, 0);
    put_ue(&w, 1);                       /* pic_order_cnt_type */
    put_bits(&w, 7, 3);
    put_ue(&w, 0xfffffffe);              /* the number of offsets */
    assert_int_equal(parse_written(&w, &config), -1);
}


static void test_not_a_record(void **state)
{
    static const struct {
        const char  *what;
        const char  *hex;
    }  cases[] = {
        { "nothing", "" },
        { "one byte", "01" },
        { "version 0", "0042c01effe100196742c01eda0280bfa9b011000000300100000030" },
        { "version 2", "0242c01effe100196742c01eda0280bfa9b011000000300100000030" },
        { "no SPS", "0142c01effe000196742c01eda0280bfa9b011000000300100000030" },
        { "an empty SPS", "0142c01effe10000" },
        { "an SPS of three bytes", "0142c01effe100036742c0" },
        { "an SPS longer than the record", "0142c01effe1ffff6742c01eda0280bfa9b0" },
        { "a PPS in its place", "0142c01effe1000468ce0fc8" },
        { "Annex B", "000000016742c01eda0280bfa9b0110000" },
        { "all zeros", "0100000000e1000867000000000000000000" },
        { "all ones", "01ffffffffff0008ffffffffffffffff" },
    };

    size_t        i, size;
    uint8_t       record[RECORD_MAX];
    avc_config_t  config;

    (void) state;

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        size = from_hex(cases[i].hex, record);

        if (parse(record, size, &config) != -1) {
            fail_msg("%s: accepted as %ux%u", cases[i].what, config.width, config.height);
        }
    }
}


/* The first 512 bytes of an SPS are enough, the rest is VUI. */
static void test_long_sps(void **state)
{
    size_t        size;
    uint8_t       head[RECORD_MAX], *record = malloc(70000);
    avc_config_t  config;

    (void) state;
    assert_non_null(record);

    size = from_hex(records[1].hex, head);
    memset(record, 0x55, 70000);
    memcpy(record, head, size);
    record[6] = record[7] = 0xff;

    assert_int_equal(avc_parse_config(record, 8 + 65535, &config), 0);
    assert_int_equal(config.width, 1280);
    assert_int_equal(config.height, 720);
    free(record);
}


static void test_parameter_sets(void **state)
{
    size_t   n, size, sps, pps, used;
    uint8_t  record[RECORD_MAX], out[RECORD_MAX];

    (void) state;

    for (n = 0; n < sizeof(records) / sizeof(records[0]); n++) {
        size = from_hex(records[n].hex, record);
        sps = (size_t) record[6] << 8 | record[7];

        if (size < 8 + sps + 3) {                  /* written without a PPS */
            continue;
        }

        pps = (size_t) record[8 + sps + 1] << 8 | record[8 + sps + 2];
        used = avc_parameter_sets(record, size, out, sizeof(out));
        assert_int_equal(used, 4 + sps + 4 + pps);
        assert_int_equal(out[2] << 8 | out[3], sps);
        assert_memory_equal(out + 4, record + 8, sps);
        assert_int_equal(out[4 + sps + 2] << 8 | out[4 + sps + 3], pps);
        assert_memory_equal(out + 8 + sps, record + 8 + sps + 3, pps);

        /* too little room, and a record cut anywhere */
        assert_int_equal(avc_parameter_sets(record, size, out, used), used);
        assert_int_equal(avc_parameter_sets(record, size, out, used - 1), 0);

        for (size = 0; size < 8 + sps + 3 + pps; size++) {
            assert_int_equal(avc_parameter_sets(record, size, out, sizeof(out)), 0);
        }

        record[4] = 0xfc;                          /* lengths of one byte */
        assert_int_equal(avc_parameter_sets(record, 8 + sps + 3 + pps, out, sizeof(out)),
                         1 + sps + 1 + pps);
    }
}


/* The parameter sets of a record make the same record. */
static void test_made_records(void **state)
{
    size_t   n, size, used, max;
    uint8_t  record[RECORD_MAX], row[RECORD_MAX], out[RECORD_MAX];

    (void) state;

    for (n = 0; n < sizeof(records) / sizeof(records[0]); n++) {
        size = from_hex(records[n].hex, record);
        used = avc_parameter_sets(record, size, row, sizeof(row) - 8);

        if (used == 0) {                           /* written without a PPS */
            continue;
        }

        memcpy(row + used, "\0\0\0\2\x65\x88", 6);
        used += 6;
        assert_int_equal(avc_make_config(row, used, 4, out, sizeof(out)), size);
        assert_memory_equal(out, record, size);

        for (max = 0; max < size; max++) {
            if (avc_make_config(row, used, 4, out, max) != 0) {
                fail_msg("%s: written to %zu bytes", records[n].what, max);
            }
        }

        /* cut in its sets: no record; cut in the slice behind them: the same record */
        for (max = 0; max < used - 6; max++) {
            assert_int_equal(avc_make_config(row, max, 4, out, sizeof(out)), 0);
        }
        assert_int_equal(avc_make_config(row, used - 6, 4, out, sizeof(out)), size);
    }
}


static void test_rows_without_sets(void **state)
{
    static const struct {
        const char  *what, *hex;
        unsigned     prefix;
    }  cases[] = {
        { "nothing", "", 4 },
        { "an IDR picture alone", "000000026588", 4 },
        { "SPS without PPS", "000000196742c01eda0280bfa9b01100000300100000030032" "0f162ea0", 4 },
        { "PPS without SPS", "0000000468ce0fc8", 4 },
        { "sets behind the slice", "0000000265880000000468ce0fc8", 4 },
        { "an SPS of nonsense", "000000046700000000000000" "0468ce0fc8", 4 },
        { "a short SPS", "000000026742" "0000000468ce0fc8", 4 },
        { "start codes as lengths", "0000000167420000000168ce0fc8", 4 },
    };

    size_t   i, size;
    uint8_t  row[RECORD_MAX], out[RECORD_MAX];

    (void) state;

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        size = from_hex(cases[i].hex, row);

        if (avc_make_config(row, size, cases[i].prefix, out, sizeof(out)) != 0) {
            fail_msg("%s: a record", cases[i].what);
        }
    }
}


static void test_idr(void **state)
{
    static const struct {
        const char  *hex;
        unsigned     prefix;
        int          idr;
    }  cases[] = {
        { "", 4, 0 },
        { "000000026588", 4, 1 },
        { "00000002419a", 4, 0 },
        { "0000000209f0000000026588", 4, 1 },             /* a delimiter first */
        { "00000003068005000000026588", 4, 1 },           /* SEI first */
        { "00000002419a000000026588", 4, 0 },             /* the first slice decides */
        { "0000000001", 4, 0 },
        { "000000ff65", 4, 1 },                           /* cut behind its type */
        { "000000ff06", 4, 0 },
        { "00026588", 2, 1 },
        { "0000000109f0000000016588", 0, 1 },
        { "00000001" "09f0000001" "419a", 0, 0 },
    };

    size_t   i, size;
    uint8_t  row[RECORD_MAX];

    (void) state;

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        size = from_hex(cases[i].hex, row);

        if (avc_has_idr(row, size, cases[i].prefix) != cases[i].idr) {
            fail_msg("%s: expected %d", cases[i].hex, cases[i].idr);
        }
    }
}


int main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(test_real_records),
        cmocka_unit_test(test_records_cut_at_every_byte),
        cmocka_unit_test(test_sps_cut_at_every_byte),
        cmocka_unit_test(test_sizes),
        cmocka_unit_test(test_parameter_sets),
        cmocka_unit_test(test_hostile_scaling_list),
        cmocka_unit_test(test_hostile_order_count_cycle),
        cmocka_unit_test(test_not_a_record),
        cmocka_unit_test(test_long_sps),
        cmocka_unit_test(test_made_records),
        cmocka_unit_test(test_rows_without_sets),
        cmocka_unit_test(test_idr),
    };

    return cmocka_run_group_tests_name("media_avc", tests, NULL, NULL);
}
