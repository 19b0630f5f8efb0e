#include "fragment.h"


/* Leaves the samples as they are: they are many, and parts are small. */
void
fragment_init(fragment_t *f, const mp4_track_t tracks[2])
{
    fragment_clear(f);
    f->track[0].last = f->track[1].last = -1;
    f->track[0].step = f->track[1].step = 0;
    f->sound = (sound_clock_t) { 0 };
    f->ended = 0;
    f->video = tracks[MP4_VIDEO].codec != FLV_CODEC_NONE;
    f->timescale = tracks[MP4_AUDIO].timescale;
}


void
fragment_resume(fragment_t *f, const int64_t last[2])
{
    f->track[MP4_VIDEO].last = last[MP4_VIDEO];
    f->track[MP4_AUDIO].last = last[MP4_AUDIO];

    if (last[MP4_AUDIO] >= 0) {          /* + 1, as the ms were rounded down */
        f->sound.next = (uint64_t) (last[MP4_AUDIO] + 1) * f->timescale / 1000
                        + AAC_FRAME;
        f->sound.set = 1;
    }
}


int
fragment_full(const fragment_t *f, int kind, int64_t dts, int key,
    uint32_t size)
{
    int64_t                  length;
    const fragment_track_t  *t = &f->track[kind];

    if (fragment_empty(f)) {
        return 0;
    }

    if (t->n == FRAGMENT_SAMPLES || f->bytes + size > FRAGMENT_BYTES) {
        return 1;
    }

    length = dts - fragment_start(f);

    /* a picture should end the fragment, as it gives the previous one its duration;
     * sound ends it only when pictures have stopped */
    if (f->video && kind == MP4_AUDIO && f->track[MP4_VIDEO].n
        && dts - f->track[MP4_VIDEO].last < FRAGMENT_STILL)
    {
        return 0;
    }

    if (kind == MP4_VIDEO && key
        && (length >= FRAGMENT_SHORT
            || (t->n && !t->sample[0].key)))
    {
        return 1;
    }

    return length + (t->n ? dts - t->last : t->step) > FRAGMENT_MS;
}


void
fragment_add(fragment_t *f, int kind, int64_t dts, int32_t cts, int key,
    uint32_t size)
{
    int64_t            least;
    mp4_sample_t      *sample;
    fragment_track_t  *t = &f->track[kind];

    /* dts must increase, also from the last fragment, which is already written:
     * raise dts, and lower cts to keep the time of presentation */
    least = t->last + 1;

    if (kind == MP4_VIDEO && least < f->ended) {
        least = f->ended;
    }

    if (dts < least) {
        cts -= (int32_t) (least - dts);
        dts = least;
    }

    sample = &t->sample[t->n];
    sample->size = size;
    sample->duration = 0;
    sample->cts = kind == MP4_VIDEO ? cts : 0;
    sample->key = key != 0;

    t->dts[t->n++] = dts;

    if (t->last >= 0) {
        t->step = dts - t->last;
    }

    t->last = dts;
    f->bytes += size;
}


int64_t
fragment_start(const fragment_t *f)
{
    const fragment_track_t  *v = &f->track[MP4_VIDEO], *a = &f->track[MP4_AUDIO];

    return v->n ? v->dts[0] : a->dts[0];
}


/* Estimates the duration of a track's last frame by the distance to the one before. */
static int64_t
fragment_step(const fragment_track_t *t)
{
    return t->step > 0 && t->step < FRAGMENT_MS ? t->step : 1;
}


int64_t
fragment_end(const fragment_t *f)
{
    const fragment_track_t  *v = &f->track[MP4_VIDEO], *a = &f->track[MP4_AUDIO];
    int64_t                  pictures = v->n ? v->last + fragment_step(v) : 0;
    int64_t                  sound = a->n ? a->last + fragment_step(a) : 0;

    return pictures > sound ? pictures : sound;
}


int64_t
fragment_picture_end(const fragment_t *f, int64_t next)
{
    int64_t                  end;
    const fragment_track_t  *v = &f->track[MP4_VIDEO];

    if (v->n == 0 || next <= v->last) {
        return -1;
    }

    end = v->last + fragment_step(v);

    return end < next ? end : next;
}


static uint64_t
fragment_pictures(fragment_t *f, int64_t next)
{
    uint32_t           i;
    fragment_track_t  *t = &f->track[MP4_VIDEO];

    for (i = 0; i + 1 < t->n; i++) {
        t->sample[i].duration = (uint32_t) (t->dts[i + 1] - t->dts[i]);
    }

    if (t->n) {
        t->sample[i].duration = (uint32_t) (next > t->dts[i]
                                            ? next - t->dts[i]
                                            : fragment_step(t));
        f->ended = t->dts[i] + t->sample[i].duration;
    }

    return t->n ? (uint64_t) t->dts[0] : 0;
}


/* Time of sound frame I by its dts, in ticks. */
static uint64_t
fragment_tick(const fragment_t *f, uint32_t i)
{
    return (uint64_t) f->track[MP4_AUDIO].dts[i] * f->timescale / 1000;
}


/* The clock may change the duration of the previous frame, unless that is in the last
 * fragment, which is already written. */
static uint64_t
fragment_sound(fragment_t *f)
{
    uint32_t           i;
    uint64_t           first = 0, at = 0, before;
    fragment_track_t  *t = &f->track[MP4_AUDIO];

    for (i = 0; i < t->n; i++) {
        before = at;
        at = sound_clock_frame(&f->sound, fragment_tick(f, i), f->timescale, i == 0);

        if (i == 0) {
            first = at;
        } else {
            t->sample[i - 1].duration = (uint32_t) (at - before);
        }

        t->sample[i].duration = AAC_FRAME;
    }

    return first;
}


size_t
fragment_write(fragment_t *f, uint32_t sequence, int64_t next, uint8_t *out)
{
    size_t     size;
    mp4_run_t  runs[2];

    runs[MP4_VIDEO].dts = fragment_pictures(f, next);
    runs[MP4_AUDIO].dts = fragment_sound(f);

    runs[MP4_VIDEO].samples = f->track[MP4_VIDEO].sample;
    runs[MP4_VIDEO].n = f->track[MP4_VIDEO].n;
    runs[MP4_AUDIO].samples = f->track[MP4_AUDIO].sample;
    runs[MP4_AUDIO].n = f->track[MP4_AUDIO].n;

    size = mp4_write_fragment(out, FRAGMENT_HEAD_MAX, sequence, runs);

    fragment_clear(f);

    return size;
}
