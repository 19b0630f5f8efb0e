/*
 * Writes boxes, among them those that fragmented and progressive MP4 files share.
 * mp4_begin() returns a mark, and mp4_end() sets the size of the box at the mark.  A
 * writer that runs out of room sets `failed` and writes no more; the caller
 * checks that once, at the end.
 *
 * Source: ISO/IEC 14496-12, 4.2 (boxes), 8 (their content).
 *
 * Pure: no allocation, no clock, no logging.
 */

#ifndef DUOLU_MEDIA_MP4_BOX_H
#define DUOLU_MEDIA_MP4_BOX_H

#include "mp4_track.h"

typedef struct {
    uint8_t  *out;
    size_t    max, at;
    int       failed;
} mp4_writer_t;

/* Write the N low bytes of VALUE, or the SIZE bytes at P. */
void mp4_put(mp4_writer_t *w, uint64_t value, unsigned n);
void mp4_put_bytes(mp4_writer_t *w, const uint8_t *p, size_t size);

size_t mp4_begin(mp4_writer_t *w, uint32_t type);
size_t mp4_begin_full(mp4_writer_t *w, uint32_t type, unsigned version,
    uint32_t flags);
void mp4_end(mp4_writer_t *w, size_t mark);

void mp4_put_ftyp(mp4_writer_t *w);
void mp4_put_mvhd(mp4_writer_t *w, uint32_t timescale, uint64_t duration);

/* trak's tkhd; KIND is MP4_VIDEO or MP4_AUDIO, DURATION is in mvhd's timescale. */
void mp4_put_tkhd(mp4_writer_t *w, int kind, const mp4_track_t *track,
    uint64_t duration);

/* mdia's mdhd and hdlr; DURATION in the track's timescale. */
void mp4_put_media(mp4_writer_t *w, int kind, const mp4_track_t *track,
    uint64_t duration);

/* minf's vmhd or smhd, and dinf. */
void mp4_put_media_info(mp4_writer_t *w, int kind);

/* The sample entry in stsd. */
void mp4_put_sample_entry(mp4_writer_t *w, int kind, const mp4_track_t *track);

#endif
