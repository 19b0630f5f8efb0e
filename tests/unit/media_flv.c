/* flv.c: heads of tag bodies as phones send them, and the bytes we write. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "flv.h"

#include <string.h>


typedef struct {
    const char      *what;
    size_t           size;
    uint8_t          body[10];
    int              result;
    enum flv_codec   codec;       /* from here on: of FLV_OK only */
    int              key, config, empty;
    int32_t          cts;
    size_t           payload;
} frame_case_t;

static const frame_case_t  video[] = {
    { "AVC header", 6, { 0x17, 0, 0, 0, 0, 1 }, FLV_OK, FLV_CODEC_H264, 1, 1, 0, 0, 5 },
    { "AVC key frame", 9, { 0x17, 1, 0, 0, 0, 0, 0, 0, 1 }, FLV_OK, FLV_CODEC_H264, 1, 0, 0, 0, 5 },
    { "AVC inter frame", 6, { 0x27, 1, 0, 0, 80, 0 }, FLV_OK, FLV_CODEC_H264, 0, 0, 0, 80, 5 },
    { "AVC disposable frame", 6, { 0x37, 1, 0, 1, 0, 0 }, FLV_OK, FLV_CODEC_H264, 0, 0, 0, 256, 5 },
    { "AVC end of sequence", 5, { 0x17, 2, 0, 0, 0 }, FLV_OK, FLV_CODEC_H264, 1, 0, 1, 0, 5 },
    { "AVC packet type 3", 5, { 0x17, 3, 0, 0, 0 }, FLV_UNSUPPORTED, 0, 0, 0, 0, 0, 0 },
    { "AVC packet type 255", 5, { 0x17, 255, 0, 0, 0 }, FLV_UNSUPPORTED, 0, 0, 0, 0, 0, 0 },
    { "AVC of 1 byte", 1, { 0x17 }, FLV_SHORT, 0, 0, 0, 0, 0, 0 },
    { "AVC of 4 bytes", 4, { 0x17, 1, 0, 0 }, FLV_SHORT, 0, 0, 0, 0, 0, 0 },
    { "AVC of its head alone", 5, { 0x27, 1, 0, 0, 0 }, FLV_OK, FLV_CODEC_H264, 0, 0, 0, 0, 5 },
    { "HEVC before FourCC", 6, { 0x1c, 1, 0, 0, 40, 0 }, FLV_OK, FLV_CODEC_HEVC, 1, 0, 0, 40, 5 },
    { "HEVC header before FourCC", 6, { 0x1c, 0, 0, 0, 0, 1 }, FLV_OK, FLV_CODEC_HEVC, 1, 1, 0, 0, 5 },
    { "command frame", 2, { 0x57, 0 }, FLV_OK, FLV_CODEC_NONE, 0, 0, 1, 0, 0 },
    { "command frame of 1 byte", 1, { 0x52 }, FLV_OK, FLV_CODEC_NONE, 0, 0, 1, 0, 0 },
    { "no body", 0, { 0 }, FLV_SHORT, 0, 0, 0, 0, 0, 0 },

    { "hvc1 header", 6, { 0x90, 'h', 'v', 'c', '1', 1 }, FLV_OK, FLV_CODEC_HEVC, 1, 1, 0, 0, 5 },
    { "hvc1 key frame", 9, { 0x91, 'h', 'v', 'c', '1', 0, 0, 33, 0 }, FLV_OK, FLV_CODEC_HEVC, 1, 0, 0, 33, 8 },
    { "hvc1 inter frame", 8, { 0xa1, 'h', 'v', 'c', '1', 0, 0, 0 }, FLV_OK, FLV_CODEC_HEVC, 0, 0, 0, 0, 8 },
    { "hvc1 cut in its offset", 7, { 0xa1, 'h', 'v', 'c', '1', 0, 0 }, FLV_SHORT, 0, 0, 0, 0, 0, 0 },
    { "hvc1 end of sequence", 5, { 0x92, 'h', 'v', 'c', '1' }, FLV_OK, FLV_CODEC_HEVC, 1, 0, 1, 0, 5 },
    { "hvc1 frame without offset", 6, { 0x93, 'h', 'v', 'c', '1', 0 }, FLV_OK, FLV_CODEC_HEVC, 1, 0, 0, 0, 5 },
    { "hvc1 metadata", 6, { 0x94, 'h', 'v', 'c', '1', 2 }, FLV_OK, FLV_CODEC_HEVC, 1, 0, 1, 0, 5 },
    { "hvc1 MPEG-2 TS header", 6, { 0x95, 'h', 'v', 'c', '1', 2 }, FLV_UNSUPPORTED, 0, 0, 0, 0, 0, 0 },
    { "hvc1 packet type 15", 6, { 0x9f, 'h', 'v', 'c', '1', 2 }, FLV_UNSUPPORTED, 0, 0, 0, 0, 0, 0 },
    { "avc1 header", 6, { 0x90, 'a', 'v', 'c', '1', 1 }, FLV_OK, FLV_CODEC_H264, 1, 1, 0, 0, 5 },
    { "avc1 key frame", 9, { 0x91, 'a', 'v', 'c', '1', 0, 0, 1, 0 }, FLV_OK, FLV_CODEC_H264, 1, 0, 0, 1, 8 },
    { "avc1 frame without offset", 6, { 0xa3, 'a', 'v', 'c', '1', 0 }, FLV_OK, FLV_CODEC_H264, 0, 0, 0, 0, 5 },
    { "av01", 6, { 0x91, 'a', 'v', '0', '1', 0 }, FLV_UNSUPPORTED, 0, 0, 0, 0, 0, 0 },
    { "vp09", 6, { 0x91, 'v', 'p', '0', '9', 0 }, FLV_UNSUPPORTED, 0, 0, 0, 0, 0, 0 },
    { "hvc1 in capitals", 6, { 0x93, 'H', 'V', 'C', '1', 0 }, FLV_UNSUPPORTED, 0, 0, 0, 0, 0, 0 },
    { "FourCC cut", 4, { 0x91, 'h', 'v', 'c' }, FLV_SHORT, 0, 0, 0, 0, 0, 0 },
    { "extended head of 1 byte", 1, { 0x90 }, FLV_SHORT, 0, 0, 0, 0, 0, 0 },
};

static const frame_case_t  audio[] = {
    { "AAC header", 4, { 0xaf, 0, 0x12, 0x10 }, FLV_OK, FLV_CODEC_AAC, 0, 1, 0, 0, 2 },
    { "AAC frame", 3, { 0xaf, 1, 0x21 }, FLV_OK, FLV_CODEC_AAC, 0, 0, 0, 0, 2 },
    { "AAC, other rate bits", 3, { 0xa2, 1, 0x21 }, FLV_OK, FLV_CODEC_AAC, 0, 0, 0, 0, 2 },
    { "AAC of its head alone", 2, { 0xaf, 1 }, FLV_OK, FLV_CODEC_AAC, 0, 0, 0, 0, 2 },
    { "AAC packet type 2", 3, { 0xaf, 2, 0 }, FLV_UNSUPPORTED, 0, 0, 0, 0, 0, 0 },
    { "AAC of 1 byte", 1, { 0xaf }, FLV_SHORT, 0, 0, 0, 0, 0, 0 },
    { "no body", 0, { 0 }, FLV_SHORT, 0, 0, 0, 0, 0, 0 },
};


static void check(const frame_case_t *c, int (*parse)(const uint8_t *, size_t, flv_frame_t *))
{
    int          result;
    uint8_t      body[sizeof(c->body)];
    flv_frame_t  frame;

    /* at the end of the array, so that ASan sees a read behind the body */
    memcpy(body + sizeof(body) - c->size, c->body, c->size);
    memset(&frame, 0xff, sizeof(frame));
    result = parse(body + sizeof(body) - c->size, c->size, &frame);

    if (result != c->result) {
        fail_msg("%s: result %d, expected %d", c->what, result, c->result);
    }

    if (result != FLV_OK) {
        return;
    }

    if (frame.codec != c->codec || frame.key != (unsigned) c->key
        || frame.config != (unsigned) c->config || frame.empty != (unsigned) c->empty
        || frame.cts != c->cts || frame.payload != c->payload)
    {
        fail_msg("%s: codec %s key %u config %u empty %u cts %d payload %zu", c->what,
                 flv_codec_name(frame.codec), frame.key, frame.config, frame.empty,
                 frame.cts, frame.payload);
    }
}


static void test_video(void **state)
{
    size_t  i;

    (void) state;

    for (i = 0; i < sizeof(video) / sizeof(video[0]); i++) {
        check(&video[i], flv_parse_video);
    }
}


static void test_audio(void **state)
{
    size_t  i;

    (void) state;

    for (i = 0; i < sizeof(audio) / sizeof(audio[0]); i++) {
        check(&audio[i], flv_parse_audio);
    }
}


/* E.4.3.1: 2 H.263, 3 screen, 4 and 5 VP6, 6 screen 2; 7 and 12 are ours */
static void test_each_video_codec_id(void **state)
{
    int          id, result;
    flv_frame_t  frame;

    (void) state;

    for (id = 0; id < 16; id++) {
        uint8_t  body[] = { (uint8_t) (0x10 | id), 1, 0, 0, 0, 0 };

        result = flv_parse_video(body, sizeof(body), &frame);
        assert_int_equal(result, id == 7 || id == 12 ? FLV_OK : FLV_UNSUPPORTED);
        assert_int_equal(frame.codec_id, id);

        /* which codec it is shows in the first byte: it is named even when short */
        result = flv_parse_video(body, 1, &frame);
        assert_int_equal(result, id == 7 || id == 12 ? FLV_SHORT : FLV_UNSUPPORTED);
        assert_int_equal(frame.codec_id, id);
    }
}


/* E.4.2.1: 2 MP3, 7 and 8 G.711, 11 Speex …; 10 is AAC */
static void test_each_audio_codec_id(void **state)
{
    int          id;
    flv_frame_t  frame;

    (void) state;

    for (id = 0; id < 16; id++) {
        const uint8_t  body[] = { (uint8_t) (id << 4 | 0x0f), 1, 0 };

        assert_int_equal(flv_parse_audio(body, sizeof(body), &frame),
                         id == 10 ? FLV_OK : FLV_UNSUPPORTED);
        assert_int_equal(frame.codec_id, id);
    }
}


static void test_frame_types(void **state)
{
    int          type;
    flv_frame_t  frame;

    (void) state;

    for (type = 0; type < 8; type++) {
        const uint8_t  plain[] = { (uint8_t) (type << 4 | 7), 1, 0, 0, 0, 0 };
        const uint8_t  extended[] = { (uint8_t) (0x80 | type << 4 | 3),
                                      'h', 'v', 'c', '1', 0 };

        assert_int_equal(flv_parse_video(plain, sizeof(plain), &frame), FLV_OK);
        assert_int_equal(frame.key, type == 1);
        assert_int_equal(frame.empty, type == 5);      /* a command, no picture */

        assert_int_equal(flv_parse_video(extended, sizeof(extended), &frame), FLV_OK);
        assert_int_equal(frame.key, type == 1);
    }
}


static void test_composition_offset_sign(void **state)
{
    static const struct {
        uint8_t  wire[3];
        int32_t  cts;
    }  cases[] = {
        { { 0, 0, 0 }, 0 },
        { { 0, 0, 1 }, 1 },
        { { 0x01, 0x02, 0x03 }, 0x010203 },
        { { 0x7f, 0xff, 0xff }, 8388607 },
        { { 0x80, 0, 0 }, -8388608 },
        { { 0xff, 0xff, 0xff }, -1 },
        { { 0xff, 0xff, 0xd8 }, -40 },
    };

    size_t       i;
    flv_frame_t  frame;

    (void) state;

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const uint8_t  *w = cases[i].wire;
        const uint8_t   plain[] = { 0x27, 1, w[0], w[1], w[2], 0 };
        const uint8_t   extended[] = { 0xa1, 'h', 'v', 'c', '1', w[0], w[1], w[2], 0 };

        assert_int_equal(flv_parse_video(plain, sizeof(plain), &frame), FLV_OK);
        assert_int_equal(frame.cts, cases[i].cts);
        assert_int_equal(flv_parse_video(extended, sizeof(extended), &frame), FLV_OK);
        assert_int_equal(frame.cts, cases[i].cts);
    }
}


static void test_file_header(void **state)
{
    static const struct {
        int      audio, video;
        uint8_t  flags;
    }  cases[] = { { 1, 1, 5 }, { 1, 0, 4 }, { 0, 1, 1 }, { 0, 0, 0 }, { 7, 7, 5 } };

    size_t   i;
    uint8_t  out[FLV_HEADER_SIZE];

    (void) state;

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const uint8_t  want[] = { 'F', 'L', 'V', 1, cases[i].flags, 0, 0, 0, 9, 0, 0, 0, 0 };

        assert_int_equal(flv_write_header(out, cases[i].audio, cases[i].video),
                         FLV_HEADER_SIZE);
        assert_memory_equal(out, want, sizeof(want));
    }
}


static void test_tag_header(void **state)
{
    static const struct {
        uint8_t   type;
        size_t    size;
        uint32_t  timestamp;
        uint8_t   want[FLV_TAG_HEADER_SIZE];
    }  cases[] = {
        { FLV_AUDIO, 0, 0, { 8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0 } },
        { FLV_VIDEO, 0x010203, 0x00112233,
          { 9, 1, 2, 3, 0x11, 0x22, 0x33, 0, 0, 0, 0 } },
        /* the fourth byte of a time comes last: E.4.1, TimestampExtended */
        { FLV_VIDEO, FLV_MAX_BODY, 0xaabbccdd,
          { 9, 0xff, 0xff, 0xff, 0xbb, 0xcc, 0xdd, 0xaa, 0, 0, 0 } },
        { FLV_SCRIPT, 1, 0x01000000, { 18, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0 } },
    };

    size_t   i;
    uint8_t  out[FLV_TAG_HEADER_SIZE];

    (void) state;

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        assert_int_equal(flv_write_tag_header(out, cases[i].type, cases[i].size,
                                              cases[i].timestamp),
                         FLV_TAG_HEADER_SIZE);
        assert_memory_equal(out, cases[i].want, sizeof(out));
    }
}


static void test_back_pointer(void **state)
{
    static const struct {
        size_t   size;
        uint8_t  want[FLV_BACK_SIZE];
    }  cases[] = {
        { 0, { 0, 0, 0, 11 } },
        { 245, { 0, 0, 1, 0 } },
        { 0x010203, { 0, 1, 2, 14 } },
        { FLV_MAX_BODY, { 1, 0, 0, 10 } },
    };

    size_t   i;
    uint8_t  out[FLV_BACK_SIZE];

    (void) state;

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        assert_int_equal(flv_write_back(out, cases[i].size), FLV_BACK_SIZE);
        assert_memory_equal(out, cases[i].want, sizeof(out));
    }
}


static void test_codec_names(void **state)
{
    (void) state;

    assert_string_equal(flv_codec_name(FLV_CODEC_H264), "h264");
    assert_string_equal(flv_codec_name(FLV_CODEC_HEVC), "hevc");
    assert_string_equal(flv_codec_name(FLV_CODEC_AAC), "aac");
    assert_string_equal(flv_codec_name(FLV_CODEC_NONE), "none");
    assert_string_equal(flv_codec_name((enum flv_codec) 99), "none");
}


int main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(test_video),
        cmocka_unit_test(test_audio),
        cmocka_unit_test(test_each_video_codec_id),
        cmocka_unit_test(test_each_audio_codec_id),
        cmocka_unit_test(test_frame_types),
        cmocka_unit_test(test_composition_offset_sign),
        cmocka_unit_test(test_file_header),
        cmocka_unit_test(test_tag_header),
        cmocka_unit_test(test_back_pointer),
        cmocka_unit_test(test_codec_names),
    };

    return cmocka_run_group_tests_name("media_flv", tests, NULL, NULL);
}
