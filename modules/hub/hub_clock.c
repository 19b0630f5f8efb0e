/*
 * A stream's time.  Whatever a publisher's timestamps do, dts starts at 0,
 * never goes back within a track, and keeps step with the wall clock.
 *
 * Real time is where the stream's first frames were: s->lead is their dts
 * minus the wall clock.  Every later frame stays within CLOCK_AHEAD and
 * CLOCK_BEHIND of it, whoever publishes.
 *
 * Each track of a publisher has an offset from timestamp to dts.  Both are the
 * same, so that sound and picture stay together, unless the tracks are so
 * far apart that they cannot be of one clock.  Frames that come late or in a
 * burst are no reason to touch an offset: what they say is still true.  A
 * timestamp that cannot be is one: the publisher's clock was set, or another
 * publisher goes on; its frame is then put where the wall clock is.
 *
 * A clock that runs slower than time, stands still, or stood still in a pause
 * looks like a slow network at first.  The network catches up by itself: frames
 * come faster than they were made.  So only a track that stays CLOCK_BEHIND and
 * does not catch up for CLOCK_PATIENCE is moved to real time, together with the
 * other track when that one is behind, too.  From then on that publisher's clock
 * is known to be wrong and follows real time closely, until it has needed no
 * correction for CLOCK_TRUST.  A clock that is too fast is held at CLOCK_AHEAD.
 * The first correction is marked as a discontinuity, those that follow it are
 * too small to be seen.
 *
 * A track whose clock alone is too fast runs away from the other one, and viewers
 * see that long before CLOCK_AHEAD.  Once it has been CLOCK_STEP further ahead of
 * the other than at first for CLOCK_PATIENCE, it is held CLOCK_CLOSE to where it
 * was, though never behind real time: the other one may merely be late.
 */

#include "hub.h"

#define CLOCK_BACK     300      /* ms; a muxer's disorder is less */
#define CLOCK_AHEAD   3000      /* ahead of real time */
#define CLOCK_BEHIND  3000      /* behind real time */
#define CLOCK_PATIENCE 2000     /* behind for so long, and not catching up */
#define CLOCK_STALL    500      /* a frame later than the one before: the network's stall */
#define CLOCK_SETTLE  2000      /* a stream's first frames may have come late */
#define CLOCK_APART   3000      /* sound and picture of one clock are closer */
#define CLOCK_STEP     200      /* frames of a moving picture are closer */
#define CLOCK_CLOSE     50      /* sound and picture so far apart are not noticed */
#define CLOCK_PAIR    1000      /* how they are to each other shows in so long */
#define CLOCK_TRUST  10000      /* once set, a clock may not leap for so long */


/* The least for the next frame of a track.  A clock that is set again and
 * again must not run ahead by it. */
static int64_t
clock_next(const hub_writer_t *w, const hub_track_t *track, uint64_t now)
{
    return track->dts + (now - w->set_ms < CLOCK_TRUST
                         ? 1 : ngx_min(track->step, CLOCK_STEP));
}


/* Where track KIND of the stream would be at NOW. */
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


/* May a frame of track KIND that comes NOW be at DTS?  The publisher has been
 * between w->low and w->high ahead of the wall clock so far. */
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


/* Sets the offset of a track that has none, or whose own no longer fits. */
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

        if (!t->started && !other->started) {       /* it is for both */
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


/* How far behind real time track KIND is for good by a frame that comes NOW and
 * is OFF ahead of it (behind: below 0); 0 while it may be the network's doing. */
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
        t->late_ms += gap - CLOCK_STALL;     /* that was the network */
    }

    return now - t->late_ms >= CLOCK_PATIENCE ? -off : 0;
}


/* How far ahead of real time track KIND was at its newest frame. */
static int64_t
clock_off(const hub_stream_t *s, int kind)
{
    const hub_track_t  *track = &s->track[kind];

    return track->dts - (int64_t) track->wall_ms - s->lead;
}


/* How far (0 or below) track KIND must move, which comes NOW and is OFF ahead of
 * real time, because it runs ahead of the other track. */
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
        return 0;                            /* it stands still since the last time */
    }

    move = ngx_max(ngx_max(CLOCK_CLOSE - over, -off), -CLOCK_STEP);

    if (t->offset > other->offset && t->offset + move < other->offset) {
        /* this track was late, moved, and has caught up: both are of one clock */
        move = other->offset - t->offset;
    }

    return move;
}


/* Moves the offset of track KIND, and that of the other track when it is off
 * likewise, so that DTS, which comes NOW, is within the tolerance of real
 * time.  Returns the new dts. */
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

    /* held back, a track may stand still: any number of frames may come */
    return ngx_max(dts + move, s->track[kind].dts + (off < 0));
}


int64_t
hub_clock_frame(hub_writer_t *w, hub_stream_t *s, int kind,
    uint32_t timestamp, uint64_t now)
{
    int64_t                    dts, in, lead;
    hub_track_t               *track = &s->track[kind];
    hub_writer_track_t        *t = &w->track[kind];
    const hub_writer_track_t  *near = t->started ? t : &w->track[!kind];

    /* 32 bits wrap after 49 days, and for some encoders at once */
    in = near->started ? near->in + (int32_t) (timestamp - (uint32_t) near->in)
                       : (int64_t) timestamp;
    dts = track->wall_ms == 0 || (t->started && t->in == in)
          ? track->dts : track->dts + 1;
    t->in = in;

    if (!t->started || !clock_fits(w, s, kind, in + t->offset, now)) {
        clock_set(w, s, kind, now);
    }

    dts = ngx_max(dts, in + t->offset);

    if (s->track[0].wall_ms == 0 && s->track[1].wall_ms == 0) {
        s->lead = dts - (int64_t) now;
    }

    dts = clock_keep(w, s, kind, dts, now);
    lead = dts - (int64_t) now;

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
    /* an encoder may send its headers seconds before it has a frame: they
     * set no clock */
    return w->track[0].started || w->track[1].started
           ? s->dts : ngx_max(s->dts, clock_expect(w, s, kind, now));
}
