/*
 * A track's data in MP4 boxes, shared by the writers and the reader.
 *
 * Source: ISO/IEC 14496-12.
 */

#ifndef DUOLU_MEDIA_MP4_TRACK_H
#define DUOLU_MEDIA_MP4_TRACK_H

#include "flv.h"

#define MP4_BOX(a, b, c, d) \
    ((uint32_t) (a) << 24 | (uint32_t) (b) << 16 | (uint32_t) (c) << 8 | (d))

#define MP4_VIDEO            0
#define MP4_AUDIO            1

/* A track of an init segment; its id is 1 + MP4_VIDEO or MP4_AUDIO. */
typedef struct {
    enum flv_codec  codec;           /* FLV_CODEC_NONE: the file lacks the track */
    const uint8_t  *config;          /* avcC or hvcC record, AudioSpecificConfig */
    size_t          config_size;
    uint32_t        timescale;
    uint32_t        width, height;   /* video, pixels; 0: not known */
    uint32_t        channels;        /* audio */
} mp4_track_t;

#endif
