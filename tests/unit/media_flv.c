/* flv.c: the heads of tag bodies as phones send them, and the heads that it writes. */

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
    uint8_t          body[32];
    int              result;
    enum flv_codec   codec;       /* the fields from here on matter for FLV_OK only */
    int              key, config, empty;
    int32_t          cts;
    size_t           payload;
    size_t           end;
    int              fancy, other;
} frame_case_t;

#define AVC1  'a', 'v', 'c', '1'
#define HVC1  'h', 'v', 'c', '1'
#define MP4A  'm', 'p', '4', 'a'

static const frame_case_t  video[] = {
    { "AVC header", 6, { 0x17, 0, 0, 0, 0, 1 }, FLV_OK, FLV_CODEC_H264, 1, 1, 0, 0, 5, 0, 0, 0 },
    { "AVC key frame", 9, { 0x17, 1, 0, 0, 0, 0, 0, 0, 1 },
      FLV_OK, FLV_CODEC_H264, 1, 0, 0, 0, 5, 0, 0, 0 },
    { "AVC inter frame", 6, { 0x27, 1, 0, 0, 80, 0 },
      FLV_OK, FLV_CODEC_H264, 0, 0, 0, 80, 5, 0, 0, 0 },
    { "AVC disposable frame", 6, { 0x37, 1, 0, 1, 0, 0 },
      FLV_OK, FLV_CODEC_H264, 0, 0, 0, 256, 5, 0, 0, 0 },
    { "AVC end of sequence", 5, { 0x17, 2, 0, 0, 0 },
      FLV_OK, FLV_CODEC_H264, 1, 0, 1, 0, 5, 0, 0, 0 },
    { "AVC packet type 3", 5, { 0x17, 3, 0, 0, 0 }, FLV_UNSUPPORTED, 0, 0, 0, 0, 0, 0, 0, 0, 0 },
    { "AVC packet type 255", 5, { 0x17, 255, 0, 0, 0 },
      FLV_UNSUPPORTED, 0, 0, 0, 0, 0, 0, 0, 0, 0 },
    { "AVC of 1 byte", 1, { 0x17 }, FLV_SHORT, 0, 0, 0, 0, 0, 0, 0, 0, 0 },
    { "AVC of 4 bytes", 4, { 0x17, 1, 0, 0 }, FLV_SHORT, 0, 0, 0, 0, 0, 0, 0, 0, 0 },
    { "AVC of its head alone", 5, { 0x27, 1, 0, 0, 0 },
      FLV_OK, FLV_CODEC_H264, 0, 0, 0, 0, 5, 0, 0, 0 },
    { "HEVC before FourCC", 6, { 0x1c, 1, 0, 0, 40, 0 },
      FLV_OK, FLV_CODEC_HEVC, 1, 0, 0, 40, 5, 0, 0, 0 },
    { "HEVC header before FourCC", 6, { 0x1c, 0, 0, 0, 0, 1 },
      FLV_OK, FLV_CODEC_HEVC, 1, 1, 0, 0, 5, 0, 0, 0 },
    { "command frame", 2, { 0x57, 0 }, FLV_OK, FLV_CODEC_NONE, 0, 0, 1, 0, 0, 0, 0, 0 },
    { "command frame of 1 byte", 1, { 0x52 }, FLV_OK, FLV_CODEC_NONE, 0, 0, 1, 0, 0, 0, 0, 0 },
    { "no body", 0, { 0 }, FLV_SHORT, 0, 0, 0, 0, 0, 0, 0, 0, 0 },

    { "hvc1 header", 6, { 0x90, 'h', 'v', 'c', '1', 1 },
      FLV_OK, FLV_CODEC_HEVC, 1, 1, 0, 0, 5, 0, 0, 0 },
    { "hvc1 key frame", 9, { 0x91, 'h', 'v', 'c', '1', 0, 0, 33, 0 },
      FLV_OK, FLV_CODEC_HEVC, 1, 0, 0, 33, 8, 0, 0, 0 },
    { "hvc1 inter frame", 8, { 0xa1, 'h', 'v', 'c', '1', 0, 0, 0 },
      FLV_OK, FLV_CODEC_HEVC, 0, 0, 0, 0, 8, 0, 0, 0 },
    { "hvc1 cut in its offset", 7, { 0xa1, 'h', 'v', 'c', '1', 0, 0 },
      FLV_SHORT, 0, 0, 0, 0, 0, 0, 0, 0, 0 },
    { "hvc1 end of sequence", 5, { 0x92, 'h', 'v', 'c', '1' },
      FLV_OK, FLV_CODEC_HEVC, 1, 0, 1, 0, 5, 0, 0, 0 },
    { "hvc1 frame without offset", 6, { 0x93, 'h', 'v', 'c', '1', 0 },
      FLV_OK, FLV_CODEC_HEVC, 1, 0, 0, 0, 5, 0, 0, 0 },
    { "hvc1 metadata", 6, { 0x94, 'h', 'v', 'c', '1', 2 },
      FLV_OK, FLV_CODEC_HEVC, 1, 0, 1, 0, 5, 0, 0, 0 },
    { "hvc1 MPEG-2 TS header", 6, { 0x95, 'h', 'v', 'c', '1', 2 },
      FLV_UNSUPPORTED, 0, 0, 0, 0, 0, 0, 0, 0, 0 },
    { "hvc1 packet type 15", 6, { 0x9f, 'h', 'v', 'c', '1', 2 },
      FLV_UNSUPPORTED, 0, 0, 0, 0, 0, 0, 0, 0, 0 },
    { "avc1 header", 6, { 0x90, 'a', 'v', 'c', '1', 1 },
      FLV_OK, FLV_CODEC_H264, 1, 1, 0, 0, 5, 0, 1, 0 },
    { "avc1 key frame", 9, { 0x91, 'a', 'v', 'c', '1', 0, 0, 1, 0 },
      FLV_OK, FLV_CODEC_H264, 1, 0, 0, 1, 8, 0, 1, 0 },
    { "avc1 frame without offset", 6, { 0xa3, 'a', 'v', 'c', '1', 0 },
      FLV_OK, FLV_CODEC_H264, 0, 0, 0, 0, 5, 0, 1, 0 },

    /* Enhanced RTMP v2: ModEx, with a length up to 256 and above */
    { "ModEx of 3 bytes, frame without offset", 12, { 0xa7, 2, 0, 1, 0, 0x03, AVC1, 1, 2 },
      FLV_OK, FLV_CODEC_H264, 0, 0, 0, 0, 10, 0, 1, 0 },
    { "ModEx of 1 byte, header", 9, { 0x97, 0, 9, 0x00, HVC1, 1 },
      FLV_OK, FLV_CODEC_HEVC, 1, 1, 0, 0, 8, 0, 1, 0 },
    { "ModEx twice", 15, { 0x97, 0, 9, 0x07, 1, 9, 9, 0x01, HVC1, 0, 0, 7 },
      FLV_OK, FLV_CODEC_HEVC, 1, 0, 0, 7, 15, 0, 1, 0 },
    { "ModEx whose length is in 16 bits", 12, { 0xa7, 255, 0, 1, 9, 9, 0x03, AVC1, 1 },
      FLV_OK, FLV_CODEC_H264, 0, 0, 0, 0, 11, 0, 1, 0 },
    { "ModEx cut in its length", 1, { 0xa7 }, FLV_SHORT, 0, 0, 0, 0, 0, 0, 0, 0, 0 },
    { "ModEx cut in its long length", 3, { 0xa7, 255, 0 }, FLV_SHORT, 0, 0, 0, 0, 0, 0, 0, 0, 0 },
    { "ModEx cut in its data", 5, { 0xa7, 2, 0, 1, 0 }, FLV_SHORT, 0, 0, 0, 0, 0, 0, 0, 0, 0 },
    { "ModEx of 65536 bytes that are not there", 32, { 0xa7, 255, 255, 255, 0 },
      FLV_SHORT, 0, 0, 0, 0, 0, 0, 0, 0, 0 },
    { "ModEx cut in the FourCC", 9, { 0xa7, 2, 0, 1, 0, 0x03, 'a', 'v', 'c' },
      FLV_SHORT, 0, 0, 0, 0, 0, 0, 0, 0, 0 },
    { "command frame, extended", 2, { 0xd0, 0 }, FLV_OK, FLV_CODEC_NONE, 0, 0, 1, 0, 0, 0, 0, 0 },
    { "command frame of 1 byte, extended", 1, { 0xd0 },
      FLV_OK, FLV_CODEC_NONE, 0, 0, 1, 0, 0, 0, 0, 0 },

    /* and tracks: one, many with one codec, many with their own codecs */
    { "one track, 0", 9, { 0xa6, 0x03, AVC1, 0, 1, 2 },
      FLV_OK, FLV_CODEC_H264, 0, 0, 0, 0, 7, 0, 1, 0 },
    { "one track, 0, with an offset", 11, { 0x96, 0x01, HVC1, 0, 0, 0, 9, 1 },
      FLV_OK, FLV_CODEC_HEVC, 1, 0, 0, 9, 10, 0, 1, 0 },
    { "one track, 1", 9, { 0xa6, 0x03, AVC1, 1, 1, 2 },
      FLV_OTHER_TRACK, 0, 0, 0, 0, 0, 0, 0, 0, 1 },
    { "one track, 255, of any codec", 9, { 0xa6, 0x03, 'a', 'v', '0', '1', 255, 1, 2 },
      FLV_OTHER_TRACK, 0, 0, 0, 0, 0, 0, 0, 0, 255 },
    { "one track, cut before its number", 6, { 0xa6, 0x03, AVC1 },
      FLV_SHORT, 0, 0, 0, 0, 0, 0, 0, 0, 0 },
    { "tracks cut before their kind", 1, { 0xa6 }, FLV_SHORT, 0, 0, 0, 0, 0, 0, 0, 0, 0 },
    { "tracks of no known kind", 9, { 0xa6, 0x33, AVC1, 0, 1, 2 },
      FLV_UNSUPPORTED, 0, 0, 0, 0, 0, 0, 0, 0, 0 },
    { "many tracks, 0 first", 18, { 0xa6, 0x13, AVC1, 0, 0, 0, 2, 8, 8, 3, 0, 0, 2, 9, 9 },
      FLV_OK, FLV_CODEC_H264, 0, 0, 0, 0, 10, 12, 1, 3 },
    { "many tracks, 0 last", 18, { 0xa6, 0x13, AVC1, 3, 0, 0, 2, 9, 9, 0, 0, 0, 2, 8, 8 },
      FLV_OK, FLV_CODEC_H264, 0, 0, 0, 0, 16, 18, 1, 3 },
    { "many tracks, an offset beyond its track", 16,
      { 0xa6, 0x11, AVC1, 0, 0, 0, 2, 0, 0, 1, 0, 0, 0 },
      FLV_SHORT, 0, 0, 0, 0, 0, 0, 0, 0, 1 },
    { "many tracks, one longer than the body", 12, { 0xa6, 0x13, AVC1, 0, 0, 0, 3, 8, 8 },
      FLV_SHORT, 0, 0, 0, 0, 0, 0, 0, 0, 0 },
    { "many tracks, cut in a length", 9, { 0xa6, 0x13, AVC1, 0, 0, 0 },
      FLV_SHORT, 0, 0, 0, 0, 0, 0, 0, 0, 0 },
    { "many tracks, none of them 0", 16, { 0xa6, 0x13, AVC1, 2, 0, 0, 1, 9, 1, 0, 0, 1, 9 },
      FLV_OTHER_TRACK, 0, 0, 0, 0, 0, 0, 0, 0, 2 },
    { "many codecs, 0 last", 20,
      { 0xa6, 0x23, 'a', 'v', '0', '1', 1, 0, 0, 1, 9, HVC1, 0, 0, 0, 1, 8 },
      FLV_OK, FLV_CODEC_HEVC, 0, 0, 0, 0, 19, 20, 1, 1 },
    { "many codecs, 0 is not carried", 11, { 0xa6, 0x23, 'a', 'v', '0', '1', 0, 0, 0, 1, 9 },
      FLV_UNSUPPORTED, 0, 0, 0, 0, 0, 0, 0, 0, 0 },
    { "many codecs, cut in a FourCC", 5, { 0xa6, 0x23, 'a', 'v', 'c' },
      FLV_SHORT, 0, 0, 0, 0, 0, 0, 0, 0, 0 },
    { "av01", 6, { 0x91, 'a', 'v', '0', '1', 0 }, FLV_UNSUPPORTED, 0, 0, 0, 0, 0, 0, 0, 0, 0 },
    { "vp09", 6, { 0x91, 'v', 'p', '0', '9', 0 }, FLV_UNSUPPORTED, 0, 0, 0, 0, 0, 0, 0, 0, 0 },
    { "hvc1 in capitals", 6, { 0x93, 'H', 'V', 'C', '1', 0 },
      FLV_UNSUPPORTED, 0, 0, 0, 0, 0, 0, 0, 0, 0 },
    { "FourCC cut", 4, { 0x91, 'h', 'v', 'c' }, FLV_SHORT, 0, 0, 0, 0, 0, 0, 0, 0, 0 },
    { "extended head of 1 byte", 1, { 0x90 }, FLV_SHORT, 0, 0, 0, 0, 0, 0, 0, 0, 0 },
};

static const frame_case_t  audio[] = {
    { "AAC header", 4, { 0xaf, 0, 0x12, 0x10 }, FLV_OK, FLV_CODEC_AAC, 0, 1, 0, 0, 2, 0, 0, 0 },
    { "AAC frame", 3, { 0xaf, 1, 0x21 }, FLV_OK, FLV_CODEC_AAC, 0, 0, 0, 0, 2, 0, 0, 0 },
    { "AAC, other rate bits", 3, { 0xa2, 1, 0x21 }, FLV_OK, FLV_CODEC_AAC, 0, 0, 0, 0, 2, 0, 0, 0 },
    { "AAC of its head alone", 2, { 0xaf, 1 }, FLV_OK, FLV_CODEC_AAC, 0, 0, 0, 0, 2, 0, 0, 0 },
    { "AAC packet type 2", 3, { 0xaf, 2, 0 }, FLV_UNSUPPORTED, 0, 0, 0, 0, 0, 0, 0, 0, 0 },
    { "mp4a header", 7, { 0x90, MP4A, 0x12, 0x10 }, FLV_OK, FLV_CODEC_AAC, 0, 1, 0, 0, 5, 0, 1, 0 },
    { "mp4a frame", 6, { 0x91, MP4A, 0x21 }, FLV_OK, FLV_CODEC_AAC, 0, 0, 0, 0, 5, 0, 1, 0 },
    { "mp4a end of sequence", 5, { 0x92, MP4A }, FLV_OK, FLV_CODEC_AAC, 0, 0, 1, 0, 5, 0, 1, 0 },
    { "mp4a packet type 3", 6, { 0x93, MP4A, 0 }, FLV_UNSUPPORTED, 0, 0, 0, 0, 0, 0, 0, 0, 0 },
    { "mp4a channels", 7, { 0x94, MP4A, 1, 2 }, FLV_OK, FLV_CODEC_AAC, 0, 0, 1, 0, 5, 0, 1, 0 },
    { "mp4a, track 1", 8, { 0x95, 0x01, MP4A, 1, 0x21 },
      FLV_OTHER_TRACK, 0, 0, 0, 0, 0, 0, 0, 0, 1 },
    { "mp4a, track 0", 8, { 0x95, 0x01, MP4A, 0, 0x21 },
      FLV_OK, FLV_CODEC_AAC, 0, 0, 0, 0, 7, 0, 1, 0 },
    { "mp4a behind ModEx", 10, { 0x97, 2, 0, 1, 0, 0x01, MP4A },
      FLV_OK, FLV_CODEC_AAC, 0, 0, 0, 0, 10, 0, 1, 0 },
    { "Opus", 6, { 0x91, 'O', 'p', 'u', 's', 1 }, FLV_UNSUPPORTED, 0, 0, 0, 0, 0, 0, 0, 0, 0 },
    { "mp4a FourCC cut", 4, { 0x91, 'm', 'p', '4' }, FLV_SHORT, 0, 0, 0, 0, 0, 0, 0, 0, 0 },
    { "AAC of 1 byte", 1, { 0xaf }, FLV_SHORT, 0, 0, 0, 0, 0, 0, 0, 0, 0 },
    { "no body", 0, { 0 }, FLV_SHORT, 0, 0, 0, 0, 0, 0, 0, 0, 0 },
};


static void check(const frame_case_t *c, int (*parse)(const uint8_t *, size_t, flv_frame_t *))
{
    int          result;
    uint8_t      body[sizeof(c->body)];
    flv_frame_t  frame;

    /* at the end of the array, so that ASan detects a read past the body */
    memcpy(body + sizeof(body) - c->size, c->body, c->size);
    memset(&frame, 0xff, sizeof(frame));
    result = parse(body + sizeof(body) - c->size, c->size, &frame);

    if (result != c->result) {
        fail_msg("%s: result %d, expected %d", c->what, result, c->result);
    }

    if (frame.other != c->other) {
        fail_msg("%s: track %u besides, expected %d", c->what, frame.other, c->other);
    }

    if (result != FLV_OK) {
        return;
    }

    if (frame.codec != c->codec || frame.key != (unsigned) c->key
        || frame.config != (unsigned) c->config || frame.empty != (unsigned) c->empty
        || frame.cts != c->cts || frame.payload != c->payload || frame.end != c->end
        || frame.fancy != (unsigned) c->fancy)
    {
        fail_msg("%s: codec %s key %u config %u empty %u cts %d payload %zu to %zu fancy %u",
                 c->what, flv_codec_name(frame.codec), frame.key, frame.config, frame.empty,
                 frame.cts, frame.payload, frame.end, frame.fancy);
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


/* E.4.3.1: 2 H.263, 3 screen, 4 and 5 VP6, 6 screen 2; 7 and 12 are carried */
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

        /* the first byte names the codec, also when the body is too short */
        result = flv_parse_video(body, 1, &frame);
        assert_int_equal(result, id == 7 || id == 12 ? FLV_SHORT : FLV_UNSUPPORTED);
        assert_int_equal(frame.codec_id, id);
    }
}


/* E.4.2.1: 2 MP3, 7 and 8 G.711, 11 Speex …; 10 is AAC, 9 a FourCC's */
static void test_each_audio_codec_id(void **state)
{
    int          id;
    flv_frame_t  frame;

    (void) state;

    for (id = 0; id < 16; id++) {
        const uint8_t  body[] = { (uint8_t) (id << 4 | 0x0f), 1, 0 };

        assert_int_equal(flv_parse_audio(body, sizeof(body), &frame),
                         id == 10 ? FLV_OK : id == 9 ? FLV_SHORT : FLV_UNSUPPORTED);
        assert_int_equal(frame.codec_id, id);
        assert_true(flv_codec_id_name(FLV_AUDIO, (uint8_t) id) != NULL || id == 9 || id > 11);
    }
}


/* A head of flv_write_plain() reads as the same frame, and is not fancy. */
static void test_plain_heads(void **state)
{
    static const frame_case_t  *const tables[] = { video, audio };
    static const size_t         sizes[] = { sizeof(video) / sizeof(video[0]),
                                            sizeof(audio) / sizeof(audio[0]) };

    size_t       t, i, n;
    uint8_t      out[FLV_PLAIN_MAX];
    flv_frame_t  frame, again;

    (void) state;

    for (t = 0; t < 2; t++) {
        for (i = 0; i < sizes[t]; i++) {
            int  (*parse)(const uint8_t *, size_t, flv_frame_t *) = t ? flv_parse_audio
                                                                      : flv_parse_video;

            if (tables[t][i].result != FLV_OK || tables[t][i].empty) {
                continue;
            }

            assert_int_equal(parse(tables[t][i].body, tables[t][i].size, &frame), FLV_OK);
            n = flv_write_plain(out, &frame);
            assert_true(n <= sizeof(out));
            assert_int_equal(parse(out, n, &again), FLV_OK);
            assert_int_equal(again.payload, n);
            assert_int_equal(again.end, 0);

            if (again.codec != frame.codec || again.key != frame.key || again.config != frame.config
                || again.cts != (frame.config ? again.cts : frame.cts) || again.empty
                || again.fourcc != (frame.codec == FLV_CODEC_HEVC ? frame.fourcc : 0)
                || again.fancy)
            {
                fail_msg("%s: codec %s key %u config %u cts %d", tables[t][i].what,
                         flv_codec_name(again.codec), again.key, again.config, again.cts);
            }
        }
    }
}


static void test_names(void **state)
{
    static const uint8_t  av1[] = { 0x90, 'a', 'v', '0', '1', 0 };
    static const uint8_t  opus[] = { 0x95, 0x01, 'O', 'p', 'u', 's', 0, 0 };
    static const uint8_t  avc[] = { 0x17, 3, 0, 0, 0 };

    flv_frame_t  frame;

    (void) state;

    assert_int_equal(flv_parse_video(av1, sizeof(av1), &frame), FLV_UNSUPPORTED);
    assert_int_equal(frame.codec, FLV_CODEC_NONE);
    assert_int_equal(frame.fourcc, 0x61763031);
    assert_string_equal(flv_packet_name(FLV_VIDEO, &frame), "SequenceStart");

    assert_int_equal(flv_parse_audio(opus, sizeof(opus), &frame), FLV_UNSUPPORTED);
    assert_int_equal(frame.fourcc, 0x4f707573);
    assert_string_equal(flv_packet_name(FLV_AUDIO, &frame), "CodedFrames");

    assert_int_equal(flv_parse_video(avc, sizeof(avc), &frame), FLV_UNSUPPORTED);
    assert_int_equal(frame.codec, FLV_CODEC_H264);
    assert_null(flv_packet_name(FLV_VIDEO, &frame));
    assert_string_equal(flv_codec_id_name(FLV_VIDEO, frame.codec_id), "H.264");
}


static void test_has_tracks(void **state)
{
    static const uint8_t  video_tracks[] = { 0xa6, 0x03 }, audio_tracks[] = { 0x95, 0x01 };
    static const uint8_t  behind[] = { 0xa7, 0, 9, 0x06, 0x13 };
    static const uint8_t  video_plain[] = { 0x26, 0x03 }, audio_frame[] = { 0x91, 'm' };

    (void) state;

    assert_true(flv_has_tracks(FLV_VIDEO, video_tracks, 2));
    assert_true(flv_has_tracks(FLV_VIDEO, video_tracks, 1));
    assert_true(flv_has_tracks(FLV_AUDIO, audio_tracks, 2));
    assert_true(flv_has_tracks(FLV_VIDEO, behind, 5));
    assert_false(flv_has_tracks(FLV_VIDEO, behind, 3));
    assert_false(flv_has_tracks(FLV_VIDEO, video_plain, 2));
    assert_false(flv_has_tracks(FLV_VIDEO, audio_tracks, 0));
    assert_false(flv_has_tracks(FLV_AUDIO, audio_frame, 2));
    assert_false(flv_has_tracks(FLV_AUDIO, video_tracks, 2));
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
        /* the highest byte of a time comes last: E.4.1, TimestampExtended */
        { FLV_VIDEO, FLV_MAX_BODY, 0xaabbccdd,
          { 9, 0xff, 0xff, 0xff, 0xbb, 0xcc, 0xdd, 0xaa, 0, 0, 0 } },
        { FLV_SCRIPT, 1, 0x01000000, { 18, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0 } },
    };

    size_t     i;
    uint8_t    out[FLV_TAG_HEADER_SIZE];
    flv_tag_t  tag;

    (void) state;

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        assert_int_equal(flv_write_tag_header(out, cases[i].type, cases[i].size,
                                              cases[i].timestamp),
                         FLV_TAG_HEADER_SIZE);
        assert_memory_equal(out, cases[i].want, sizeof(out));

        assert_int_equal(flv_read_tag_header(out, &tag), 0);
        assert_int_equal(tag.type, cases[i].type);
        assert_int_equal(tag.size, cases[i].size);
        assert_int_equal(tag.time, cases[i].timestamp);
    }

    out[10] = 1;                             /* a stream id */
    assert_int_equal(flv_read_tag_header(out, &tag), -1);
    out[10] = 0;
    out[0] = 7;                              /* an unknown type */
    assert_int_equal(flv_read_tag_header(out, &tag), -1);
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
        assert_int_equal(flv_read_back(out), cases[i].size);
    }

    assert_int_equal(flv_read_back((uint8_t[]) { 0, 0, 0, 10 }), -1);
    assert_int_equal(flv_read_back((uint8_t[]) { 1, 0, 0, 11 }), -1);
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
        cmocka_unit_test(test_plain_heads),
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_has_tracks),
        cmocka_unit_test(test_frame_types),
        cmocka_unit_test(test_composition_offset_sign),
        cmocka_unit_test(test_file_header),
        cmocka_unit_test(test_tag_header),
        cmocka_unit_test(test_back_pointer),
        cmocka_unit_test(test_codec_names),
    };

    return cmocka_run_group_tests_name("media_flv", tests, NULL, NULL);
}
