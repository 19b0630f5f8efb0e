/*
 * Reads fragmented MP4 that mp4.c wrote, as far as recordings need it.
 * Input may be cut or damaged anywhere; no function reads beyond it.
 *
 * Source: ISO/IEC 14496-12, 4.2 (boxes) and 8.8 (fragments).
 *
 * Pure: no allocation, no clock, no logging.
 */

#ifndef DUOLU_MEDIA_MP4_READ_H
#define DUOLU_MEDIA_MP4_READ_H

#include "mp4.h"

typedef struct {
    uint32_t  type;
    uint32_t  head;              /* bytes of its header, 8 or 16 */
    uint64_t  size;              /* header included */
} mp4_box_t;

/* Reads a box's header from the SIZE bytes at P.  Returns 0; -1 when it is no
 * box (its size is less than its header's); 1 when SIZE is too short to tell. */
int mp4_read_box(const uint8_t *p, size_t size, mp4_box_t *box);

/* A fragment as its moof describes it. */
typedef struct {
    uint32_t      sequence;
    uint64_t      data;          /* bytes of all samples */
    mp4_run_t     runs[2];       /* samples point into `sample` */
} mp4_fragment_t;

/* Reads a whole moof box of SIZE bytes, and at most MAX samples to SAMPLE.  Returns 0,
 * or -1 when mp4.c did not write the box or it has more samples. */
int mp4_read_fragment(const uint8_t *moof, size_t size, mp4_fragment_t *fragment,
    mp4_sample_t *sample, size_t max);

/* The init segment of a file: ftyp and moov. */
typedef struct {
    mp4_track_t   tracks[2];     /* configurations point into the input */
    size_t        duration_at;   /* as in mp4_write_init() */
    size_t        size;          /* of ftyp and moov */
} mp4_init_t;

/* Returns 0; 1 when SIZE bytes are too few; -1 when mp4.c did not write the file. */
int mp4_read_init(const uint8_t *p, size_t size, mp4_init_t *init);

#endif
