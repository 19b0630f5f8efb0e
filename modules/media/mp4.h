/*
 * Fragmented MP4, written: the init segment (ftyp, moov) and fragments (moof
 * and the header of their mdat).  Recordings are such files; clips and
 * low-latency HLS use the same writer.
 *
 * The video in a fragment's mdat stands before its audio, each in one run.
 *
 * Source: ISO/IEC 14496-12 (boxes; 8.8 fragments), 14496-14 and 14496-1
 * 7.2.6 (mp4a, esds), 14496-15 5.4.2 and 8.4 (avc1, hvc1).
 *
 * Pure: no allocation, no clock, no logging.
 */

#ifndef DUOLU_MEDIA_MP4_H
#define DUOLU_MEDIA_MP4_H

#include "mp4_track.h"

#define MP4_VIDEO_TIMESCALE  1000    /* the same as FLV's, so without rounding */
#define MP4_INIT_MAX(config) (2048 + (config))   /* bytes of configuration */

/* One frame; times in the track's timescale. */
typedef struct {
    uint32_t  size;
    uint32_t  duration;
    int32_t   cts;
    uint32_t  key;                   /* video: 1 for a key frame */
} mp4_sample_t;

typedef struct {
    uint64_t             dts;        /* of the first sample */
    const mp4_sample_t  *samples;
    uint32_t             n;          /* 0: the fragment lacks this track */
} mp4_run_t;

/* Fills TRACK's codec, config, timescale, size and channels from a sequence
 * header's codec data, without the head of its tag body.  Returns 0, or -1 when the
 * record is invalid; CONFIG must outlive TRACK. */
int mp4_track(mp4_track_t *track, enum flv_codec codec, const uint8_t *config,
    size_t size);

/* Writes ftyp and moov for TRACKS[2], at most MAX bytes (MP4_INIT_MAX of both
 * configurations suffices).  *DURATION_AT is the offset of mehd's 64-bit duration in
 * ms, which is 0 until the file is closed; with NULL there is no mehd, as the end is
 * not known (live).  Returns the size, 0 when MAX is short. */
size_t mp4_write_init(uint8_t *out, size_t max, const mp4_track_t tracks[2],
    size_t *duration_at);

/* The most that mp4_write_fragment() writes for N samples: 16 bytes for each,
 * and 192 of boxes around them. */
#define MP4_FRAGMENT_MAX(n)  (192 + 16 * (size_t) (n))

/* Writes moof, and the header of the mdat that the samples' bytes follow,
 * RUNS[MP4_VIDEO] first.  SEQUENCE counts fragments from 1.  Returns the size,
 * 0 when MAX is short or the samples are more than 2 GB. */
size_t mp4_write_fragment(uint8_t *out, size_t max, uint32_t sequence,
    const mp4_run_t runs[2]);

#endif
