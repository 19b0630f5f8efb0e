#include "part.h"

#include <string.h>

/* in ms */
#define PART_STEP_MAX  2000     /* a picture before sound lasts no longer */
#define PART_MOVE_MAX    20     /* nobody notices that a picture comes so much later */


void
part_state_init(part_state_t *state, int64_t start, int64_t step, uint64_t sound,
    int sound_set)
{
    memset(state, 0, sizeof(part_state_t));
    state->last[MP4_VIDEO] = state->last[MP4_AUDIO] = -1;
    state->picture = start;
    state->step = step;
    state->sound = sound;
    state->sound_set = sound_set != 0;
}


void
part_begin(part_t *p, const mp4_track_t tracks[2], const part_state_t *state)
{
    fragment_t  *f = &p->fragment;

    fragment_init(f, tracks);
    f->ended = state->picture;
    f->track[MP4_VIDEO].last = state->last[MP4_VIDEO];
    f->track[MP4_VIDEO].step = state->step;
    f->track[MP4_AUDIO].last = state->last[MP4_AUDIO];
    f->sound.next = state->sound;
    f->sound.set = state->sound_set;

    p->n = 0;
    p->head_size = 0;
}


int
part_add(part_t *p, int kind, int64_t dts, int32_t cts, int key, uint32_t size,
    uint64_t from)
{
    fragment_t    *f = &p->fragment;
    part_frame_t  *frame = &p->frames[p->n];

    if (!fragment_has(f, kind) || f->track[kind].n == FRAGMENT_SAMPLES) {
        return -1;
    }

    /* The last part guessed its picture's end.  If that was far too long, it stays so:
     * players go by the times at which pictures begin. */
    if (kind == MP4_VIDEO && f->ended - dts > PART_MOVE_MAX) {
        f->ended = 0;
    }

    fragment_add(f, kind, dts, cts, key, size);

    frame->from = from;
    frame->size = size;
    frame->kind = (uint8_t) kind;
    p->n++;

    return 0;
}


/* Sets the place of each frame behind the head: pictures, then sound.  Returns the
 * size of the whole part. */
static size_t
part_place(part_t *p)
{
    int       kind;
    size_t    at = p->head_size;
    uint32_t  i;

    for (kind = 0; kind < 2; kind++) {
        for (i = 0; i < p->n; i++) {
            if (p->frames[i].kind == kind) {
                p->frames[i].at = at;
                at += p->frames[i].size;
            }
        }
    }

    return at;
}


size_t
part_end(part_t *p, uint32_t sequence, int64_t next, int picture,
    part_state_t *state)
{
    fragment_t        *f = &p->fragment;
    fragment_track_t  *v = &f->track[MP4_VIDEO];

    /* A picture before sound lasts its step, also beyond the part (if that is not known,
     * until the sound): a shorter duration looks like a gap to Media Source. */
    if (!picture && v->n && v->step > 0) {
        next = v->last + (v->step < PART_STEP_MAX ? v->step : PART_STEP_MAX);
    }

    p->head_size = fragment_write(f, sequence, next, p->head);

    state->picture = f->ended;
    state->last[MP4_VIDEO] = f->track[MP4_VIDEO].last;
    state->last[MP4_AUDIO] = f->track[MP4_AUDIO].last;
    state->step = f->track[MP4_VIDEO].step;
    state->sound = f->sound.next;
    state->sound_set = f->sound.set != 0;

    return p->head_size ? part_place(p) : 0;
}


int64_t
part_state_end(const part_state_t *state, uint32_t timescale)
{
    int64_t  sound = 0;

    if (state->sound_set && timescale) {
        sound = (int64_t) (state->sound * 1000 / timescale);
    }

    return sound > state->picture ? sound : state->picture;
}
