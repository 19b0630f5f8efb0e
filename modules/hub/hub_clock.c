/*
 * A stream's time.  Whatever a publisher's timestamps do, dts starts at 0,
 * never goes back within a track, and keeps step with the wall clock.
 *
 * Each track of a publisher has an offset from timestamp to dts.  Both are the
 * same, so that sound and picture stay together, unless the tracks are so
 * far apart that they cannot be of one clock.  Frames that come late or in a
 * burst are no reason to touch an offset: what they say is still true.  A
 * timestamp that cannot be is one: the publisher's clock was set, or another
 * publisher goes on; its frame is then put where the wall clock is.
 */

#include "hub.h"

#define CLOCK_BACK     300      /* ms; a muxer's disorder is less */
#define CLOCK_AHEAD   3000      /* ahead of real time */
#define CLOCK_APART   3000      /* sound and picture of one clock are closer */
#define CLOCK_FRESH   2000      /* a track that was silent for longer is behind */
#define CLOCK_STEP     200      /* frames of a moving picture are closer */
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
    int64_t             dts;
    const hub_track_t  *from = &s->track[kind], *other = &s->track[!kind];

    if (from->wall_ms == 0 || from->wall_ms + CLOCK_FRESH < other->wall_ms) {
        from = other;
    }

    dts = from->wall_ms == 0 || from->wall_ms > now
          ? from->dts : from->dts + (int64_t) (now - from->wall_ms);

    return ngx_max(dts, clock_next(w, &s->track[kind], now));
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
