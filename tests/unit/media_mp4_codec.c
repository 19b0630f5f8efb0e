/*
 * mp4_codec.c: the names of codecs.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "mp4_codec.h"

#include <string.h>


static void test_names(void **state)
{
    static const struct {
        enum flv_codec  codec;
        uint8_t         record[16];
        size_t          size;
        const char     *name;
    } rows[] = {
        { FLV_CODEC_H264, { 1, 0x64, 0, 0x1f }, 4, "avc1.64001f" },
        { FLV_CODEC_H264, { 1, 0x42, 0xc0, 0x0d }, 4, "avc1.42c00d" },
        { FLV_CODEC_H264, { 1, 0x42, 0xc0 }, 3, "" },

        /* Main, 3.1; the same with tier High; with two constraints; in a space */
        { FLV_CODEC_HEVC, { 1, 0x01, 0x60, 0, 0, 0, 0x90, 0, 0, 0, 0, 0, 93 }, 13,
          "hvc1.1.6.L93.90" },
        { FLV_CODEC_HEVC, { 1, 0x22, 0x20, 0, 0, 0, 0xb0, 0, 0, 0, 0, 0, 150 }, 13,
          "hvc1.2.4.H150.B0" },
        { FLV_CODEC_HEVC, { 1, 0x04, 0x08, 0, 0, 0, 0xb0, 0, 0x08, 0, 0, 0, 120 },
          13, "hvc1.4.10.L120.B0.0.8" },
        { FLV_CODEC_HEVC, { 1, 0x41, 0x60, 0, 0, 0x80, 0, 0, 0, 0, 0, 0, 93 }, 13,
          "hvc1.A1.1000006.L93" },
        { FLV_CODEC_HEVC, { 1, 0x01, 0x60, 0, 0, 0, 0x90, 0, 0, 0, 0, 0 }, 12, "" },

        { FLV_CODEC_AAC, { 0x11, 0x90 }, 2, "mp4a.40.2" },
        { FLV_CODEC_AAC, { 0x2b, 0x09, 0x88, 0 }, 4, "mp4a.40.5" },    /* HE-AAC */
        { FLV_CODEC_AAC, { 0x11 }, 1, "" },
        { FLV_CODEC_NONE, { 0 }, 0, "" },
    };
    size_t       i;
    char         name[MP4_CODEC_MAX];
    mp4_track_t  track;

    (void) state;

    for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        memset(&track, 0, sizeof(track));
        track.codec = rows[i].codec;
        track.config = rows[i].record;
        track.config_size = rows[i].size;

        assert_int_equal(mp4_codec_name(name, &track), strlen(rows[i].name));
        assert_string_equal(name, rows[i].name);
    }
}


int main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(test_names),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
