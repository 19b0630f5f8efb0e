/*
 * Publishers append in simulated time; a reader follows the flags and the records of
 * segments, and checks at each frame what players are promised.
 */

#ifndef DUOLU_UNIT_HUB_CUT_RIG_H
#define DUOLU_UNIT_HUB_CUT_RIG_H

#include "hub_rig.h"

#define START     1790000000000u     /* ms since 1970 */
#define FIRST     90000000u          /* the number that belongs to it */
#define FIRST_BREAKS  2688           /* small: hls.js walks an array of that length */
#define SEGMENTS  4096
#define CUT_AVC   12

/* A segment that the reader found. */
typedef struct {
    hub_segment_t  record;
    hub_init_t     headers;
    int64_t        begun, listed;    /* dts when it began, and of the newest list with it */
    int64_t        parts;            /* sum of its parts' durations, ms */
    uint32_t       nparts, pictures, sounds;
} segment_t;

typedef struct {
    double    fps;                   /* 0: no pictures */
    int64_t   gop;                   /* ms */
    uint32_t  rate;                  /* 0: no sound */
    int64_t   lag;                   /* ms that sound arrives late */
    int64_t   early;                 /* ms that its timestamps are too low */
    int       reordered;             /* with B-frames */
} source_t;

extern hub_t            *h;
extern rig_publisher_t   p;
extern hub_reader_t      reader;

extern segment_t         segments[SEGMENTS];
extern size_t            nsegments;
extern uint32_t          parts, short_parts;
extern uint32_t          hidden;     /* frames that HLS leaves out */
extern int               ragged;     /* parts may be short */
extern int64_t           cut_wall;   /* ms that the wall clock is set ahead, whole seconds */

extern const uint8_t     cut_avc[CUT_AVC];   /* the body of a sequence header */

/* A new zone whose clock stands at START; cut_begin() has the default durations. */
void cut_begin_at(uint32_t segment_ms, uint32_t part_ms);
int cut_begin(void **state);
int cut_end(void **state);

/* Sets the time to AT ms after START. */
void cut_time(int64_t at);

/* Opens the stream with the headers of SRC. */
void cut_publish(const source_t *src);
void cut_headers(int kind, uint32_t rate, uint8_t level);

/* Appends a frame of a track; the reader follows. */
ngx_int_t cut_put(int kind, int key, int64_t timestamp, int32_t cts, size_t size);

/* Plays SRC from FROM to TO, in ms after START; timestamps are SHIFT more. */
void cut_play(const source_t *src, int64_t from, int64_t to, int64_t shift);

/* Duration of segment I, in ms. */
int64_t cut_length(size_t i);

#endif
