/*
 * FLV tags: what the hub stores and what HTTP-FLV, RTMP and DVR speak.
 *
 * Source: Adobe Flash Video File Format Specification 10.1, annex E (E.2 header,
 * E.4.1 tag, E.4.2 audio, E.4.3 video), and Enhanced RTMP v1 (Veovera) for
 * the FourCC form of video tags.
 *
 * Pure: no allocation, no clock, no logging.  Sizes are bytes, times ms.
 */

#ifndef DUOLU_MEDIA_FLV_H
#define DUOLU_MEDIA_FLV_H

#include <stddef.h>
#include <stdint.h>

#define FLV_HEADER_SIZE      13      /* with the first back-pointer */
#define FLV_TAG_HEADER_SIZE  11
#define FLV_BACK_SIZE        4
#define FLV_TAG_OVERHEAD     (FLV_TAG_HEADER_SIZE + FLV_BACK_SIZE)
#define FLV_MAX_BODY         0xffffff

enum flv_type {
    FLV_AUDIO = 8,
    FLV_VIDEO = 9,
    FLV_SCRIPT = 18
};

enum flv_codec {
    FLV_CODEC_NONE = 0,
    FLV_CODEC_H264,
    FLV_CODEC_HEVC,
    FLV_CODEC_AAC
};

enum flv_result {
    FLV_OK = 0,
    FLV_SHORT = -1,          /* body ends before its own header does */
    FLV_UNSUPPORTED = -2     /* a codec or packet type we do not carry */
};

typedef struct {
    enum flv_codec  codec;
    uint8_t         codec_id;    /* as on the wire, for error texts */
    unsigned        key:1;       /* video key frame */
    unsigned        config:1;    /* sequence header, no media */
    unsigned        empty:1;     /* end of sequence or metadata: no media */
    int32_t         cts;         /* composition offset, ms */
    size_t          payload;     /* where codec data starts in the body */
} flv_frame_t;

/* Reads the head of a tag body of SIZE bytes.  Returns enum flv_result;
 * *frame is filled on FLV_OK, and its codec_id on FLV_UNSUPPORTED. */
int flv_parse_video(const uint8_t *body, size_t size, flv_frame_t *frame);
int flv_parse_audio(const uint8_t *body, size_t size, flv_frame_t *frame);

/* Writes the 13-byte file header.  Returns FLV_HEADER_SIZE. */
size_t flv_write_header(uint8_t out[FLV_HEADER_SIZE], int audio, int video);

/* Writes a tag header for a body of SIZE bytes (at most FLV_MAX_BODY).
 * Returns FLV_TAG_HEADER_SIZE. */
size_t flv_write_tag_header(uint8_t out[FLV_TAG_HEADER_SIZE], uint8_t type,
    size_t size, uint32_t timestamp);

/* Writes the back-pointer behind a body of SIZE bytes.  Returns 4. */
size_t flv_write_back(uint8_t out[FLV_BACK_SIZE], size_t size);

const char *flv_codec_name(enum flv_codec codec);

#endif
