#include "flv.h"

#define FOURCC(a, b, c, d) \
    ((uint32_t) (a) << 24 | (uint32_t) (b) << 16 | (uint32_t) (c) << 8 | (d))

/* Enhanced RTMP v1, table "ExVideoTagHeader" */
enum { EX_SEQUENCE_START = 0, EX_CODED_FRAMES = 1, EX_SEQUENCE_END = 2,
       EX_CODED_FRAMES_X = 3, EX_METADATA = 4 };


static uint32_t
read_u24(const uint8_t *p)
{
    return (uint32_t) p[0] << 16 | (uint32_t) p[1] << 8 | p[2];
}


static int32_t
read_s24(const uint8_t *p)
{
    uint32_t  v = read_u24(p);

    return v & 0x800000 ? (int32_t) v - 0x1000000 : (int32_t) v;
}


static int
parse_ex_video(const uint8_t *body, size_t size, flv_frame_t *frame)
{
    uint32_t  fourcc;
    unsigned  type;

    if (size < 5) {
        return FLV_SHORT;
    }

    type = body[0] & 0x0f;
    frame->codec_id = body[1];
    fourcc = (uint32_t) body[1] << 24 | read_u24(body + 2);

    if (fourcc == FOURCC('h', 'v', 'c', '1')) {
        frame->codec = FLV_CODEC_HEVC;
    } else if (fourcc == FOURCC('a', 'v', 'c', '1')) {
        frame->codec = FLV_CODEC_H264;
    } else {
        return FLV_UNSUPPORTED;
    }

    frame->payload = 5;

    switch (type) {
    case EX_SEQUENCE_START:
        frame->config = 1;
        return FLV_OK;
    case EX_CODED_FRAMES:
        if (size < 8) {
            return FLV_SHORT;
        }
        frame->cts = read_s24(body + 5);
        frame->payload = 8;
        return FLV_OK;
    case EX_CODED_FRAMES_X:
        return FLV_OK;
    case EX_SEQUENCE_END:
    case EX_METADATA:
        frame->empty = 1;
        return FLV_OK;
    default:
        return FLV_UNSUPPORTED;
    }
}


int
flv_parse_video(const uint8_t *body, size_t size, flv_frame_t *frame)
{
    *frame = (flv_frame_t) { 0 };

    if (size < 1) {
        return FLV_SHORT;
    }

    frame->key = ((body[0] >> 4) & 0x07) == 1;

    if (body[0] & 0x80) {
        return parse_ex_video(body, size, frame);
    }

    if ((body[0] >> 4) == 5) {               /* command frame: nothing to show */
        frame->empty = 1;
        return FLV_OK;
    }

    frame->codec_id = body[0] & 0x0f;

    switch (frame->codec_id) {
    case 7:
        frame->codec = FLV_CODEC_H264;
        break;
    case 12:                                 /* the CDN practice before FourCC */
        frame->codec = FLV_CODEC_HEVC;
        break;
    default:
        return FLV_UNSUPPORTED;
    }

    if (size < 5) {
        return FLV_SHORT;
    }

    frame->config = body[1] == 0;
    frame->empty = body[1] == 2;
    frame->cts = read_s24(body + 2);
    frame->payload = 5;

    return body[1] <= 2 ? FLV_OK : FLV_UNSUPPORTED;
}


int
flv_parse_audio(const uint8_t *body, size_t size, flv_frame_t *frame)
{
    *frame = (flv_frame_t) { 0 };

    if (size < 1) {
        return FLV_SHORT;
    }

    frame->codec_id = body[0] >> 4;

    if (frame->codec_id != 10) {
        return FLV_UNSUPPORTED;
    }

    if (size < 2) {
        return FLV_SHORT;
    }

    frame->codec = FLV_CODEC_AAC;
    frame->config = body[1] == 0;
    frame->payload = 2;

    return body[1] <= 1 ? FLV_OK : FLV_UNSUPPORTED;
}


size_t
flv_write_header(uint8_t out[FLV_HEADER_SIZE], int audio, int video)
{
    static const uint8_t  head[FLV_HEADER_SIZE] = {
        'F', 'L', 'V', 1, 0, 0, 0, 0, 9, 0, 0, 0, 0
    };
    size_t  i;

    for (i = 0; i < sizeof(head); i++) {
        out[i] = head[i];
    }

    out[4] = (uint8_t) ((audio ? 4 : 0) | (video ? 1 : 0));

    return FLV_HEADER_SIZE;
}


size_t
flv_write_tag_header(uint8_t out[FLV_TAG_HEADER_SIZE], uint8_t type,
    size_t size, uint32_t timestamp)
{
    out[0] = type;
    out[1] = (uint8_t) (size >> 16);
    out[2] = (uint8_t) (size >> 8);
    out[3] = (uint8_t) size;
    out[4] = (uint8_t) (timestamp >> 16);
    out[5] = (uint8_t) (timestamp >> 8);
    out[6] = (uint8_t) timestamp;
    out[7] = (uint8_t) (timestamp >> 24);
    out[8] = out[9] = out[10] = 0;

    return FLV_TAG_HEADER_SIZE;
}


size_t
flv_write_back(uint8_t out[FLV_BACK_SIZE], size_t size)
{
    size += FLV_TAG_HEADER_SIZE;

    out[0] = (uint8_t) (size >> 24);
    out[1] = (uint8_t) (size >> 16);
    out[2] = (uint8_t) (size >> 8);
    out[3] = (uint8_t) size;

    return FLV_BACK_SIZE;
}


const char *
flv_codec_name(enum flv_codec codec)
{
    switch (codec) {
    case FLV_CODEC_H264:
        return "h264";
    case FLV_CODEC_HEVC:
        return "hevc";
    case FLV_CODEC_AAC:
        return "aac";
    default:
        return "none";
    }
}
