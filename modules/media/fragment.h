/*
 * Collects the frames of a fragment, with times in ms, and writes its moof.  It also
 * decides when a fragment is full, so that all writers of fragments cut at the same
 * places.
 *
 * Sound gets its even pace (sound_clock.h), which runs on from fragment to fragment.
 *
 * Pure: no allocation, no clock, no logging.
 */

#ifndef DUOLU_MEDIA_FRAGMENT_H
#define DUOLU_MEDIA_FRAGMENT_H

#include "mp4.h"
#include "sound_clock.h"

#define FRAGMENT_MS       1000      /* the longest */
#define FRAGMENT_BYTES    786432    /* the largest, of more than one frame */
#define FRAGMENT_SAMPLES  512       /* of a track */
#define FRAGMENT_SHORT    500       /* ms; a key frame does not end a shorter
                                       fragment that begins with one */
#define FRAGMENT_STILL    300       /* ms without a picture: video stopped */

typedef struct {
    uint32_t      n;
    int64_t       last;             /* dts of the newest frame ever, ms; -1 */
    int64_t       step;             /* between the newest two, ms */
    mp4_sample_t  sample[FRAGMENT_SAMPLES];
    int64_t       dts[FRAGMENT_SAMPLES];
} fragment_track_t;

typedef struct {
    fragment_track_t  track[2];     /* MP4_VIDEO, MP4_AUDIO */
    size_t            bytes;
    uint32_t          timescale;    /* sound's */
    sound_clock_t     sound;
    int64_t           ended;        /* ms: the end of the last video run */
    unsigned          video:1;      /* the file has pictures */
} fragment_t;

/* Begins a file of TRACKS (mp4_track_t[2]). */
void fragment_init(fragment_t *f, const mp4_track_t tracks[2]);

/* Continues a file whose last frames have the dts LAST[2] (ms; -1: none). */
void fragment_resume(fragment_t *f, const int64_t last[2]);

/* Must the fragment end before this frame?  DTS in ms since the file's start. */
int fragment_full(const fragment_t *f, int kind, int64_t dts, int key,
    uint32_t size);

/* Adds a frame.  Call fragment_full() first: only when it returns 0 there is room. */
void fragment_add(fragment_t *f, int kind, int64_t dts, int32_t cts, int key,
    uint32_t size);

static inline int
fragment_empty(const fragment_t *f)
{
    return f->track[0].n == 0 && f->track[1].n == 0;
}

/* Does the file have a track of KIND? */
static inline int
fragment_has(const fragment_t *f, int kind)
{
    return kind == MP4_VIDEO ? f->video : f->timescale != 0;
}

static inline void
fragment_clear(fragment_t *f)
{
    f->track[0].n = f->track[1].n = 0;
    f->bytes = 0;
}

/* The start: dts of the first picture, or of the first frame if there is none.
 * The end: the last frame's dts and its estimated duration. */
int64_t fragment_start(const fragment_t *f);
int64_t fragment_end(const fragment_t *f);

/* The end of the last picture when the next frame is sound of dts NEXT (-1: no frame
 * follows); -1 when it is not known. */
int64_t fragment_picture_end(const fragment_t *f, int64_t next);

/* Writes moof and mdat's header to OUT, which has at least FRAGMENT_HEAD_MAX
 * bytes, and empties F.  NEXT is the dts where the last picture ends, -1 when
 * it is not known.  Returns the size. */
#define FRAGMENT_HEAD_MAX  MP4_FRAGMENT_MAX(2 * FRAGMENT_SAMPLES)
size_t fragment_write(fragment_t *f, uint32_t sequence, int64_t next,
    uint8_t *out);

#endif
