/*
 * The even pace of sound.  FLV's milliseconds make the times of its frames uneven, so
 * each frame follows the previous one by that one's own length, as long as this differs
 * from the frame's time by at most SOUND_DRIFT.
 *
 * The state at the first frame of a run is all that a later reader needs to give the
 * frames of that run the same ticks again.
 *
 * Pure: no allocation, no clock, no logging.
 */

#ifndef DUOLU_MEDIA_SOUND_CLOCK_H
#define DUOLU_MEDIA_SOUND_CLOCK_H

#include "aac.h"

#define SOUND_DRIFT  12          /* ms */

/* All zero: no frame came yet. */
typedef struct {
    uint64_t  next;              /* ticks: where the newest frame ends */
    uint32_t  set;               /* `next` is known */
} sound_clock_t;

/* Returns the tick of the next frame, which has the time OWN by its dts, with RATE
 * ticks a second.  FIRST: it begins a fragment, so the frame before it has its length
 * for ever, and this one begins at its end or later. */
uint64_t sound_clock_frame(sound_clock_t *c, uint64_t own, uint32_t rate, int first);

#endif
