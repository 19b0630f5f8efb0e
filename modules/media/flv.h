/*
 * FLV tags, the format of the hub, of HTTP-FLV, of RTMP messages and of recorders.
 *
 * Source: Adobe Flash Video File Format Specification 10.1, annex E (E.2 header,
 * E.4.1 tag, E.4.2 audio, E.4.3 video), and Enhanced RTMP v2 (Veovera) for
 * the FourCC form of both, their extensions (ModEx) and tracks.
 *
 * Pure: no allocation, no clock, no logging.  Sizes are bytes, times ms.
 */

#ifndef DUOLU_MEDIA_FLV_H
#define DUOLU_MEDIA_FLV_H

#include "../rules/flv_tag.h"

#define FLV_PLAIN_MAX        8       /* most bytes of flv_write_plain() */

enum flv_codec {
    FLV_CODEC_NONE = 0,
    FLV_CODEC_H264,
    FLV_CODEC_HEVC,
    FLV_CODEC_AAC
};

enum flv_result {
    FLV_OK = 0,
    FLV_SHORT = -1,          /* the body ends within its header */
    FLV_UNSUPPORTED = -2,    /* an unsupported codec, or packet type (then
                                codec is set) */
    FLV_OTHER_TRACK = -3     /* no track 0, the only one carried */
};

typedef struct {
    enum flv_codec  codec;
    uint32_t        fourcc;      /* as on the wire; 0: it has a codec_id */
    uint8_t         codec_id;    /* as on the wire, for error texts */
    uint8_t         packet;      /* packet type, likewise */
    uint8_t         other;       /* another track in the message, 0: none */
    uint32_t        other_fourcc;
    unsigned        key:1;       /* video key frame */
    unsigned        config:1;    /* sequence header, no media */
    unsigned        empty:1;     /* end of sequence or metadata: no media */
    unsigned        fancy:1;     /* fewer players know this head than the one
                                    that flv_write_plain() writes */
    int32_t         cts;         /* composition offset, ms */
    size_t          payload;     /* where codec data starts in the body */
    size_t          end;         /* where it ends; 0: at the end of the body */
} flv_frame_t;

/* Parse the head of a tag body of SIZE bytes; they need the whole body when it
 * has several tracks (flv_has_tracks()).  Return enum flv_result.  They fill *frame on
 * FLV_OK; on FLV_UNSUPPORTED and FLV_OTHER_TRACK only the fields from fourcc to
 * other, as far as they were read. */
int flv_parse_video(const uint8_t *body, size_t size, flv_frame_t *frame);
int flv_parse_audio(const uint8_t *body, size_t size, flv_frame_t *frame);
int flv_has_tracks(enum flv_type type, const uint8_t *body, size_t size);

/* Writes the head of a body for FRAME, in the oldest form for its codec, which most
 * players know.  Returns its size. */
size_t flv_write_plain(uint8_t out[FLV_PLAIN_MAX], const flv_frame_t *frame);

/* Writes the 13-byte file header.  Returns FLV_HEADER_SIZE. */
size_t flv_write_header(uint8_t out[FLV_HEADER_SIZE], int audio, int video);

const char *flv_codec_name(enum flv_codec codec);

/* The specifications' names of a codec_id and of FRAME's packet type; NULL for an
 * unknown one. */
const char *flv_codec_id_name(enum flv_type type, uint8_t id);
const char *flv_packet_name(enum flv_type type, const flv_frame_t *frame);

#endif
