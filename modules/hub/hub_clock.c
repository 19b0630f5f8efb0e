/*
 * A stream's time.  Whatever timestamps a publisher sends, dts starts at 0, never
 * goes back within a track, and keeps pace with the wall clock.
 *
 * The stream's first frames define real time: s->lead is their dts minus the wall
 * clock.  All later frames, of any publisher, stay within CLOCK_AHEAD and
 * CLOCK_BEHIND of it.
 *
 * Each track of a publisher has an offset from timestamp to dts.  Both offsets are
 * equal, which keeps sound and picture together, unless the tracks are too far
 * apart to share a clock.  Frames that come late or in a burst do not change an
 * offset: their timestamps are still right.  An impossible timestamp does: the
 * publisher's clock was set, or another publisher continues the stream.  Its frame
 * gets the dts of the wall clock.
 *
 * A clock that is too slow, stands still, or stood still in a pause looks like a
 * slow network at first.  A network catches up: frames come faster than they were
 * made.  So a track is moved to real time only when it is CLOCK_BEHIND for
 * CLOCK_PATIENCE without catching up; the other track moves with it if it is
 * behind, too.  From then on the publisher's clock counts as wrong, and its dts
 * follows real time closely, until it has needed no correction for CLOCK_TRUST.  A
 * clock that is too fast is held at CLOCK_AHEAD.  The first correction is marked as
 * a discontinuity; the later ones are too small to notice.
 *
 * When only one track's clock is too fast, the track drifts away from the other one,
 * and viewers notice that long before CLOCK_AHEAD.  Once it has been CLOCK_STEP
 * further ahead of the other track than initially for CLOCK_PATIENCE, it is held
 * within CLOCK_CLOSE of the initial distance, but never behind real time: the other
 * track may merely be late.
 *
 * When a frame was made is another question.  Frames may be late, and never early, so
 * the frames that come soonest for their dts tell it, and s->zero goes by them.  The
 * first frames of a publisher rarely do, as it has made some before it may send.  A
 * clock that is a little slow brings all frames later and later; s->zero follows as
 * fast as a bad clock runs, and too slowly for a stall to matter.
 */

#include "hub.h"

/* all in ms */
#define CLOCK_BACK     300      /* muxers reorder frames by less */
#define CLOCK_AHEAD   3000      /* most ahead of real time */
#define CLOCK_BEHIND  3000      /* most behind real time */
#define CLOCK_PATIENCE 2000     /* how long a track may stay behind, or ahead alone */
#define CLOCK_STALL    500      /* a longer pause between frames is the network's */
#define CLOCK_SETTLE  2000      /* a stream's first frames may come late */
#define CLOCK_APART   3000      /* most between sound and picture of one clock */
#define CLOCK_STEP     200      /* most between two frames of a moving picture */
#define CLOCK_CLOSE     50      /* an unnoticed distance of sound and picture */
#define CLOCK_PAIR    1000      /* time to measure the distance of two tracks */
#define CLOCK_TRUST  10000      /* after a clock was set, it may not jump so long */
#define CLOCK_DRIFT   4000      /* a bad clock loses 1 ms in it: 250 ppm */


/* The least dts of the next frame of a track.  After a jump that is only 1 ms on:
 * a clock that is set over and over must not run ahead by this. */
static int64_t
clock_next(const hub_writer_t *w, const hub_track_t *track, uint64_t now)
{
    return track->dts + (now - w->set_ms < CLOCK_TRUST
                         ? 1 : ngx_min(track->step, CLOCK_STEP));
}


/* The dts of track KIND that is real time at NOW. */
static int64_t
clock_expect(const hub_writer_t *w, const hub_stream_t *s, int kind,
    uint64_t now)
{
    if (s->track[0].wall_ms == 0 && s->track[1].wall_ms == 0) {
        return 0;
    }

    return ngx_max((int64_t) now + s->lead,
                   clock_next(w, &s->track[kind], now));
}


/* Is DTS possible for a frame of track KIND that comes NOW?  So far the publisher
 * was between w->low and w->high ahead of the wall clock. */
static int
clock_fits(const hub_writer_t *w, const hub_stream_t *s, int kind, int64_t dts,
    uint64_t now)
{
    int64_t  last = s->track[kind].dts, wall = (int64_t) now;
    int64_t  ahead = now - w->set_ms < CLOCK_TRUST ? CLOCK_STEP : CLOCK_AHEAD;

    if (dts < last - CLOCK_BACK
        || dts > ngx_max(last, wall + w->high) + ahead)
    {
        return 0;
    }

    return w->track[kind].started || dts >= wall + w->low - CLOCK_APART;
}


/* Sets the offset of a track that has none, or whose offset no longer fits. */
static void
clock_set(hub_writer_t *w, const hub_stream_t *s, int kind, uint64_t now)
{
    hub_writer_track_t        *t = &w->track[kind];
    const hub_writer_track_t  *other = &w->track[!kind];

    if (other->started && (!t->started || other->offset != t->offset)
        && clock_fits(w, s, kind, t->in + other->offset, now))
    {
        t->offset = other->offset;

    } else {
        t->offset = clock_expect(w, s, kind, now) - t->in;

        if (!t->started && !other->started) {       /* for both tracks */
            t->offset = ngx_max(t->offset,
                                clock_next(w, &s->track[!kind], now)
                                - t->in);
        }
    }

    if (t->started) {
        w->discontinuity = 1;
        w->set_ms = now;
    }

    t->started = 1;

    if (w->pair_ms == 0 && other->started) {
        w->pair_ms = now;
    }
}


/* Returns how far track KIND is permanently behind real time; 0 while the network
 * may be the cause.  A frame comes NOW and is OFF ahead of real time (behind:
 * below 0). */
static int64_t
clock_behind(hub_writer_t *w, const hub_stream_t *s, int kind, int64_t off,
    uint64_t now)
{
    int                  wrong;
    int64_t              gap;
    hub_writer_track_t  *t = &w->track[kind];
    const hub_track_t   *track = &s->track[kind];

    wrong = w->kept_ms && now - w->kept_ms < CLOCK_TRUST;

    if (off >= (wrong ? -CLOCK_STEP : -CLOCK_BEHIND)) {
        t->late_ms = 0;
        return 0;
    }

    gap = track->wall_ms ? (int64_t) (now - track->wall_ms) - track->step : 0;

    if (wrong && gap <= CLOCK_STALL && t->late_ms == 0) {
        return -off;
    }

    if (t->late_ms == 0 || off > t->late_off + CLOCK_STEP) {
        t->late_ms = now;                    /* it may catch up */
        t->late_off = off;
        return 0;
    }

    if (gap > CLOCK_STALL) {
        t->late_ms += gap - CLOCK_STALL;     /* the network stalled */
    }

    return now - t->late_ms >= CLOCK_PATIENCE ? -off : 0;
}


/* The distance of track KIND ahead of real time at its newest frame. */
static int64_t
clock_off(const hub_stream_t *s, int kind)
{
    const hub_track_t  *track = &s->track[kind];

    return track->dts - (int64_t) track->wall_ms - s->lead;
}


/* Returns how far (0 or below) track KIND must move because it drifts ahead of the
 * other track.  Its frame comes NOW and is OFF ahead of real time. */
static int64_t
clock_alone(hub_writer_t *w, const hub_stream_t *s, int kind, int64_t off,
    uint64_t now)
{
    int                        held;
    int64_t                    over, move;
    hub_writer_track_t        *t = &w->track[kind];
    const hub_writer_track_t  *other = &w->track[!kind];

    if (!other->started) {
        return 0;
    }

    over = off - clock_off(s, !kind);

    if (now - w->pair_ms < CLOCK_PAIR) {
        t->over = ngx_max(t->over, over);
        return 0;
    }

    over -= t->over;
    held = t->held_ms && now - t->held_ms < CLOCK_TRUST;

    if (off <= 0 || over <= (held ? CLOCK_CLOSE : CLOCK_STEP)) {
        t->alone_ms = 0;
        return 0;
    }

    if (t->alone_ms == 0) {
        t->alone_ms = now;
    }

    if (!held && now - t->alone_ms < CLOCK_PATIENCE) {
        return 0;
    }

    t->held_ms = now;

    if (t->in + t->offset < s->track[kind].dts) {
        return 0;                            /* the last move still holds it back */
    }

    move = ngx_max(ngx_max(CLOCK_CLOSE - over, -off), -CLOCK_STEP);

    if (t->offset > other->offset && t->offset + move < other->offset) {
        /* this track was late, was moved, and has caught up: one clock for both */
        move = other->offset - t->offset;
    }

    return move;
}


/* Moves the offset of track KIND so that the frame DTS, which comes NOW, is within
 * the tolerance of real time.  Moves the other track's offset, too, when that track
 * is off in the same way.  Returns the new dts. */
static int64_t
clock_keep(hub_writer_t *w, hub_stream_t *s, int kind, int64_t dts,
    uint64_t now)
{
    int      alone = 0;
    int64_t  off, move, apart;

    off = dts - (int64_t) now - s->lead;

    if (off > 0 && (int64_t) now + s->lead < CLOCK_SETTLE) {
        s->lead += off;                      /* the first frames came late */
        off = 0;
    }

    move = off > CLOCK_AHEAD ? CLOCK_AHEAD - off
                             : clock_behind(w, s, kind, off, now);
    if (move == 0) {
        move = clock_alone(w, s, kind, off, now);
        alone = 1;
    }

    if (move == 0) {
        return dts;
    }

    w->track[kind].late_ms = 0;

    if (w->track[!kind].started && !alone) {
        apart = clock_off(s, !kind);

        if (move > 0 ? apart < off / 2
                     : off - apart <= w->track[kind].over + CLOCK_CLOSE)
        {
            move = move > 0 ? ngx_min(move, -apart) : move;
            w->track[!kind].offset += move;
            w->track[!kind].late_ms = 0;
        }
    }

    w->track[kind].offset += move;

    if (w->kept_ms == 0 || (!alone && now - w->kept_ms >= CLOCK_TRUST)) {
        w->discontinuity = 1;
    }

    w->kept_ms = now;

    /* a track that is held back may repeat its dts, as any number of frames may
     * come meanwhile */
    return ngx_max(dts + move, s->track[kind].dts + (off < 0));
}


/* A frame of a dts that is NOW minus ZERO came.  ANEW: the publisher's clock has begun. */
static void
clock_learn_zero(hub_stream_t *s, int64_t zero, uint64_t now, int anew)
{
    int64_t  lost = (int64_t) (now - s->zero_ms) / CLOCK_DRIFT;

    if (anew || zero <= s->zero + lost) {
        s->zero = zero;
        s->zero_ms = now;

    } else if (lost > 0) {
        s->zero += lost;
        s->zero_ms += (uint64_t) lost * CLOCK_DRIFT;
    }
}


int64_t
hub_clock_frame(hub_writer_t *w, hub_stream_t *s, int kind,
    uint32_t timestamp, uint64_t now)
{
    int                        first;
    int64_t                    dts, in, lead;
    hub_track_t               *track = &s->track[kind];
    hub_writer_track_t        *t = &w->track[kind];
    const hub_writer_track_t  *near = t->started ? t : &w->track[!kind];

    /* 32 bits wrap after 49 days, and with some encoders at the start */
    in = near->started ? near->in + (int32_t) (timestamp - (uint32_t) near->in)
                       : (int64_t) timestamp;
    dts = track->wall_ms == 0 || (t->started && t->in == in)
          ? track->dts : track->dts + 1;
    t->in = in;

    if (!t->started || !clock_fits(w, s, kind, in + t->offset, now)) {
        clock_set(w, s, kind, now);
    }

    dts = ngx_max(dts, in + t->offset);

    first = s->track[0].wall_ms == 0 && s->track[1].wall_ms == 0;

    if (first) {
        s->lead = dts - (int64_t) now;
    }

    dts = clock_keep(w, s, kind, dts, now);
    lead = dts - (int64_t) now;
    clock_learn_zero(s, -lead, now, first || w->discontinuity);

    if (!near->started) {
        w->high = w->low = lead;
    }

    w->high = ngx_max(w->high, lead);
    w->low = ngx_min(w->low, lead);

    track->step = dts - track->dts;
    track->dts = dts;
    track->wall_ms = now;
    s->dts = ngx_max(s->dts, dts);

    return dts;
}


int64_t
hub_clock_config(const hub_writer_t *w, const hub_stream_t *s, int kind,
    uint64_t now)
{
    /* an encoder may send its headers seconds before its first frame, so a header
     * sets no clock */
    return w->track[0].started || w->track[1].started
           ? s->dts : ngx_max(s->dts, clock_expect(w, s, kind, now));
}
