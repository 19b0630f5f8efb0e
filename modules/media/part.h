/*
 * Parts of HLS: fragments that continue one another, so that each can be made alone
 * from the state in which the one before left the tracks.
 *
 * A part is a moof, and an mdat with the pictures and then the sound.  The head is
 * made here; the caller copies each frame to its place, once.
 *
 * Times are ms of a clock without holes.  Pure: no allocation, no clock, no logging.
 */

#ifndef DUOLU_MEDIA_PART_H
#define DUOLU_MEDIA_PART_H

#include "fragment.h"

#define PART_FRAMES  (2 * FRAGMENT_SAMPLES)

/* Where the tracks are at the beginning of a part. */
typedef struct {
    int64_t   last[2];             /* ms: dts of each track's last frame; -1: none */
    int64_t   step;                /* ms: between the last two pictures; 0: not known */
    int64_t   picture;             /* ms: the next picture is not before it */
    uint64_t  sound;               /* ticks: the next frame of sound follows here */
    unsigned  sound_set:1;         /* `sound` is known */
} part_state_t;

typedef struct {
    uint64_t  from;                /* the caller's: where the frame is */
    size_t    at;                  /* its place in the part */
    uint32_t  size;
    uint8_t   kind;                /* MP4_VIDEO, MP4_AUDIO */
} part_frame_t;

typedef struct {
    fragment_t    fragment;
    uint32_t      n;               /* frames, in the order of part_add() */
    part_frame_t  frames[PART_FRAMES];
    size_t        head_size;
    uint8_t       head[FRAGMENT_HEAD_MAX];
} part_t;

/* The state at the beginning of a segment, which depends on no earlier frame: START of
 * its first frame, the STEP between pictures before it (ms; 0: not known), and where its
 * sound begins if SOUND_SET. */
void part_state_init(part_state_t *state, int64_t start, int64_t step, uint64_t sound,
    int sound_set);

/* Begins a part for TRACKS (mp4_track_t[2]) that continues STATE. */
void part_begin(part_t *p, const mp4_track_t tracks[2], const part_state_t *state);

/* Adds a frame of SIZE bytes of codec data.  Returns 0; -1: the part lacks this track
 * or has no room, so the frame is left out. */
int part_add(part_t *p, int kind, int64_t dts, int32_t cts, int key, uint32_t size,
    uint64_t from);

/* Ends the part: makes its head, sets each frame's place, and sets STATE to where the
 * next part continues.  SEQUENCE grows from part to part.  NEXT is the dts of the
 * frame that begins the next part, a picture if PICTURE; -1: none follows.  Returns the
 * size of the whole part; 0: it is larger than 2 GB. */
size_t part_end(part_t *p, uint32_t sequence, int64_t next, int picture,
    part_state_t *state);

/* Where the tracks of STATE end, in ms; TIMESCALE is that of sound. */
int64_t part_state_end(const part_state_t *state, uint32_t timescale);

#endif
