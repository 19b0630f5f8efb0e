#include "flv.h"

#define FOURCC(a, b, c, d) \
    ((uint32_t) (a) << 24 | (uint32_t) (b) << 16 | (uint32_t) (c) << 8 | (d))

/* Enhanced RTMP v2, VideoPacketType and AudioPacketType; the first five mean
 * much the same in both */
enum { EX_SEQUENCE_START = 0, EX_CODED_FRAMES = 1, EX_SEQUENCE_END = 2,
       EX_CODED_FRAMES_X = 3, EX_METADATA = 4, EX_MODEX = 7,
       EX_VIDEO_MULTITRACK = 6, EX_AUDIO_MULTITRACK = 5 };

/* AvMultitrackType */
enum { TRACKS_ONE = 0, TRACKS_MANY = 1, TRACKS_MANY_CODECS = 2 };

enum { FRAME_KEY = 1, FRAME_INTER = 2, FRAME_COMMAND = 5 };

/* SoundFormat */
enum { SOUND_EX = 9, SOUND_AAC = 10 };


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


static uint32_t
read_fourcc(const uint8_t *p)
{
    return (uint32_t) p[0] << 24 | read_u24(p + 1);
}


/* Skips a packet's extensions (ModEx).  Returns the offset behind the packet type, 0
 * when the body is too short. */
static size_t
skip_extensions(const uint8_t *body, size_t size, flv_frame_t *frame)
{
    size_t  at = 1, length;

    frame->packet = body[0] & 0x0f;

    while (frame->packet == EX_MODEX) {
        if (size - at < 1) {
            return 0;
        }

        length = (size_t) body[at++] + 1;

        if (length == 256) {
            if (size - at < 2) {
                return 0;
            }

            length = ((size_t) body[at] << 8 | body[at + 1]) + 1;
            at += 2;
        }

        if (length >= size - at) {
            return 0;
        }

        at += length;
        frame->packet = body[at++] & 0x0f;
        frame->fancy = 1;
    }

    return at;
}


/* Finds track 0.  All tracks share one FourCC, or each has its own, as KIND
 * says. */
static int
find_track(const uint8_t *body, size_t size, size_t at, unsigned kind,
    flv_frame_t *frame)
{
    uint8_t   track;
    size_t    length, head = kind == TRACKS_ONE ? 1 : 4;
    uint32_t  fourcc = frame->fourcc;

    do {
        if (kind == TRACKS_MANY_CODECS) {
            if (size - at < 4) {
                return FLV_SHORT;
            }

            fourcc = read_fourcc(body + at);
            at += 4;
        }

        if (size - at < head) {
            return FLV_SHORT;
        }

        track = body[at];
        length = kind == TRACKS_ONE ? size - at - 1 : read_u24(body + at + 1);
        at += head;

        if (length > size - at) {
            return FLV_SHORT;
        }

        if (track == 0 && frame->payload == 0) {
            frame->fourcc = fourcc;
            frame->payload = at;
            frame->end = kind == TRACKS_ONE ? 0 : at + length;

        } else if (track != 0 && frame->other == 0) {
            frame->other = track;
            frame->other_fourcc = fourcc;
        }

        at += length;
    } while (at < size);

    return frame->payload ? FLV_OK : FLV_OTHER_TRACK;
}


/* Parses the head that video and audio share: extensions, FourCC, track.  Sets
 * the payload's offset behind it. */
static int
parse_ex_head(const uint8_t *body, size_t size, unsigned multitrack,
    flv_frame_t *frame)
{
    size_t    at = skip_extensions(body, size, frame);
    unsigned  kind;

    if (at == 0) {
        return FLV_SHORT;
    }

    if (frame->packet != multitrack) {
        if (size - at < 4) {
            return FLV_SHORT;
        }

        frame->fourcc = read_fourcc(body + at);
        frame->payload = at + 4;
        return FLV_OK;
    }

    if (size - at < 1) {
        return FLV_SHORT;
    }

    frame->fancy = 1;
    kind = body[at] >> 4;
    frame->packet = body[at++] & 0x0f;

    if (kind > TRACKS_MANY_CODECS) {
        return FLV_UNSUPPORTED;
    }

    if (kind != TRACKS_MANY_CODECS) {
        if (size - at < 4) {
            return FLV_SHORT;
        }

        frame->fourcc = read_fourcc(body + at);
        at += 4;
    }

    return find_track(body, size, at, kind, frame);
}


static int
parse_ex_video(const uint8_t *body, size_t size, flv_frame_t *frame)
{
    int     rc;
    size_t  end;

    if ((body[0] >> 4 & 7) == FRAME_COMMAND) {
        if (skip_extensions(body, size, frame) == 0) {
            return FLV_SHORT;
        }

        frame->empty = 1;                    /* metadata, or one byte */
        return FLV_OK;
    }

    rc = parse_ex_head(body, size, EX_VIDEO_MULTITRACK, frame);
    if (rc != FLV_OK) {
        return rc;
    }

    if (frame->fourcc == FOURCC('h', 'v', 'c', '1')) {
        frame->codec = FLV_CODEC_HEVC;
    } else if (frame->fourcc == FOURCC('a', 'v', 'c', '1')) {
        frame->codec = FLV_CODEC_H264;
        frame->fancy = 1;
    } else {
        return FLV_UNSUPPORTED;
    }

    switch (frame->packet) {
    case EX_SEQUENCE_START:
        frame->config = 1;
        return FLV_OK;
    case EX_CODED_FRAMES:
        end = frame->end ? frame->end : size;
        if (end - frame->payload < 3) {
            return FLV_SHORT;
        }
        frame->cts = read_s24(body + frame->payload);
        frame->payload += 3;
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

    frame->key = ((body[0] >> 4) & 0x07) == FRAME_KEY;

    if (body[0] & 0x80) {
        return parse_ex_video(body, size, frame);
    }

    if ((body[0] >> 4) == FRAME_COMMAND) {   /* has no picture */
        frame->empty = 1;
        return FLV_OK;
    }

    frame->codec_id = body[0] & 0x0f;

    switch (frame->codec_id) {
    case 7:
        frame->codec = FLV_CODEC_H264;
        break;
    case 12:                                 /* used by CDNs before FourCC */
        frame->codec = FLV_CODEC_HEVC;
        break;
    default:
        return FLV_UNSUPPORTED;
    }

    if (size < 5) {
        return FLV_SHORT;
    }

    frame->packet = body[1];
    frame->config = body[1] == 0;
    frame->empty = body[1] == 2;
    frame->cts = read_s24(body + 2);
    frame->payload = 5;

    return body[1] <= 2 ? FLV_OK : FLV_UNSUPPORTED;
}


static int
parse_ex_audio(const uint8_t *body, size_t size, flv_frame_t *frame)
{
    int  rc = parse_ex_head(body, size, EX_AUDIO_MULTITRACK, frame);

    if (rc != FLV_OK) {
        return rc;
    }

    if (frame->fourcc != FOURCC('m', 'p', '4', 'a')) {
        return FLV_UNSUPPORTED;
    }

    frame->codec = FLV_CODEC_AAC;
    frame->fancy = 1;

    switch (frame->packet) {
    case EX_SEQUENCE_START:
        frame->config = 1;
        return FLV_OK;
    case EX_CODED_FRAMES:
        return FLV_OK;
    case EX_SEQUENCE_END:
    case EX_METADATA:                        /* the layout of the channels */
        frame->empty = 1;
        return FLV_OK;
    default:
        return FLV_UNSUPPORTED;
    }
}


int
flv_parse_audio(const uint8_t *body, size_t size, flv_frame_t *frame)
{
    *frame = (flv_frame_t) { 0 };

    if (size < 1) {
        return FLV_SHORT;
    }

    frame->codec_id = body[0] >> 4;

    if (frame->codec_id == SOUND_EX) {
        return parse_ex_audio(body, size, frame);
    }

    if (frame->codec_id != SOUND_AAC) {
        return FLV_UNSUPPORTED;
    }

    frame->codec = FLV_CODEC_AAC;

    if (size < 2) {
        return FLV_SHORT;
    }

    frame->packet = body[1];
    frame->config = body[1] == 0;
    frame->payload = 2;

    return body[1] <= 1 ? FLV_OK : FLV_UNSUPPORTED;
}


int
flv_has_tracks(enum flv_type type, const uint8_t *body, size_t size)
{
    flv_frame_t  frame = { 0 };
    int          video = type == FLV_VIDEO;

    return size > 0
           && (video ? (body[0] & 0x80) != 0 : body[0] >> 4 == SOUND_EX)
           && skip_extensions(body, size, &frame) != 0
           && frame.packet == (video ? EX_VIDEO_MULTITRACK
                                     : EX_AUDIO_MULTITRACK);
}


size_t
flv_write_plain(uint8_t out[FLV_PLAIN_MAX], const flv_frame_t *frame)
{
    size_t   n = 0;
    uint8_t  type = (uint8_t) ((frame->key ? FRAME_KEY : FRAME_INTER) << 4);

    if (frame->codec == FLV_CODEC_AAC) {
        out[n++] = SOUND_AAC << 4 | 0x0f;
        out[n++] = !frame->config;
        return n;
    }

    if (frame->codec == FLV_CODEC_H264 || frame->fourcc == 0) {
        out[n++] = type | (frame->codec == FLV_CODEC_H264 ? 7 : 12);
        out[n++] = !frame->config;

    } else {
        out[n++] = 0x80 | type
                   | (frame->config ? EX_SEQUENCE_START : EX_CODED_FRAMES);
        out[n++] = 'h';
        out[n++] = 'v';
        out[n++] = 'c';
        out[n++] = '1';

        if (frame->config) {
            return n;
        }
    }

    out[n++] = (uint8_t) ((uint32_t) frame->cts >> 16);
    out[n++] = (uint8_t) ((uint32_t) frame->cts >> 8);
    out[n++] = (uint8_t) frame->cts;

    return n;
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


const char *
flv_codec_id_name(enum flv_type type, uint8_t id)
{
    static const char *const  video[16] = {
        [2] = "Sorenson H.263", [3] = "Screen video", [4] = "VP6",
        [5] = "VP6 with alpha", [6] = "Screen video 2", [7] = "H.264",
        [12] = "H.265"
    };
    static const char *const  audio[16] = {
        [0] = "PCM", [1] = "ADPCM", [2] = "MP3", [3] = "PCM",
        [4] = "Nellymoser", [5] = "Nellymoser", [6] = "Nellymoser",
        [7] = "G.711 A-law", [8] = "G.711 mu-law", [10] = "AAC",
        [11] = "Speex", [14] = "MP3 at 8 kHz", [15] = "device-specific"
    };

    return (type == FLV_VIDEO ? video : audio)[id & 15];
}


const char *
flv_packet_name(enum flv_type type, const flv_frame_t *frame)
{
    static const char *const  video[] = {
        "SequenceStart", "CodedFrames", "SequenceEnd", "CodedFramesX",
        "Metadata", "MPEG2TSSequenceStart", "Multitrack", "ModEx"
    };
    static const char *const  audio[] = {
        "SequenceStart", "CodedFrames", "SequenceEnd", NULL,
        "MultichannelConfig", "Multitrack", NULL, "ModEx"
    };

    if (frame->fourcc == 0 || frame->packet >= 8) {
        return NULL;
    }

    return (type == FLV_VIDEO ? video : audio)[frame->packet];
}
