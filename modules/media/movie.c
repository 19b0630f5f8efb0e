#include "movie.h"
#include "mp4_box.h"

#include <string.h>

#define TAIL            500      /* ms that sound may last after the picture */
#define HEAD            2048     /* all boxes but tables and sample entries */
#define STSC_FIELDS     3        /* 32-bit numbers of an entry */
#define RUN_FIELDS      2        /* of stts and ctts */

/* The product of a time and a timescale fits 64 bits. */
#define TIME_MAX        ((int64_t) 1 << 40)
#define TIMESCALE_MAX   (1 << 20)


void
movie_init(movie_t *m)
{
    memset(m, 0, sizeof(movie_t));
}


/* --- tables --- */

static void
put32(movie_table_t *t, uint32_t v)
{
    uint8_t  *p;

    if (t->out && t->n < t->room) {
        p = t->out + 4 * t->n;
        p[0] = (uint8_t) (v >> 24);
        p[1] = (uint8_t) (v >> 16);
        p[2] = (uint8_t) (v >> 8);
        p[3] = (uint8_t) v;
    }

    t->n++;
}


static void
put_run(movie_table_t *t, uint32_t *run, uint32_t value)
{
    if (*run) {
        put32(t, *run);
        put32(t, value);
        *run = 0;
    }
}


/* Adds a sample of this duration. */
static void
add_duration(movie_track_t *t, int64_t duration)
{
    if (t->run && t->delta != (uint32_t) duration) {
        put_run(&t->table[MOVIE_STTS], &t->run, t->delta);
    }

    t->delta = (uint32_t) duration;
    t->run++;
}


static void
add_cts(movie_track_t *t, int32_t cts)
{
    if (t->cts_run && t->cts != cts) {
        put_run(&t->table[MOVIE_CTTS], &t->cts_run, (uint32_t) t->cts);
    }

    t->cts = cts;
    t->cts_run++;
    t->negative |= cts < 0;
}


/* Adds a run of samples at OFFSET of the clip. */
static void
add_chunk(movie_t *m, movie_track_t *t, uint64_t offset, uint32_t samples)
{
    t->chunks++;

    if (m->wide || !m->base) {           /* counting: 64 bits may be needed */
        put32(&t->table[MOVIE_STCO], (uint32_t) (offset >> 32));
    }

    put32(&t->table[MOVIE_STCO], (uint32_t) offset);

    if (t->chunk_samples != samples || t->chunk_entry != t->entry) {
        t->chunk_samples = samples;
        t->chunk_entry = t->entry;
        put32(&t->table[MOVIE_STSC], t->chunks);
        put32(&t->table[MOVIE_STSC], samples);
        put32(&t->table[MOVIE_STSC], t->entry);
    }
}


static void
add_sample(movie_t *m, movie_track_t *t, int64_t dts,
    const mp4_sample_t *sample, int64_t length)
{
    if (dts > TIME_MAX || length > TIME_MAX) {
        m->failed = 1;
        return;
    }

    if (t->samples) {
        if (dts <= t->last) {            /* dts must increase */
            dts = t->last + 1;
        }
        add_duration(t, dts - t->last);

    } else {
        t->first = dts;
        t->first_cts = sample->cts;
    }

    t->samples++;
    t->last = dts;
    t->length = length > 0 ? length : 1;
    t->joint = 0;

    if (dts + sample->cts + t->length > t->shown) {
        t->shown = dts + sample->cts + t->length;
    }

    put32(&t->table[MOVIE_STSZ], sample->size);
    add_cts(t, sample->cts);

    if (sample->key) {
        put32(&t->table[MOVIE_STSS], t->samples);
    }
}


/* --- feeding --- */

static int
same_track(const mp4_track_t *a, const mp4_track_t *b)
{
    return a->codec == b->codec && a->timescale == b->timescale
           && a->width == b->width && a->height == b->height
           && a->channels == b->channels && a->config_size == b->config_size
           && memcmp(a->config, b->config, a->config_size) == 0;
}


/* Returns the number of TRACK's sample entry, 0 when there are too many. */
static unsigned
find_entry(movie_t *m, int kind, const mp4_track_t *track)
{
    unsigned  i;

    for (i = 0; i < m->nentries[kind]; i++) {
        if (same_track(&m->entries[kind][i], track)) {
            return i + 1;
        }
    }

    if (i == MOVIE_ENTRIES) {
        return 0;
    }

    m->entries[kind][i] = *track;
    m->nentries[kind]++;

    return i + 1;
}


int
movie_file(movie_t *m, const mp4_track_t tracks[2])
{
    int  kind;

    for (kind = 0; kind < 2; kind++) {
        m->track[kind].entry = 0;

        if (tracks[kind].codec == FLV_CODEC_NONE) {
            continue;
        }

        if (tracks[kind].timescale == 0
            || tracks[kind].timescale > TIMESCALE_MAX
            || (kind == MP4_VIDEO
                && tracks[kind].timescale != MP4_VIDEO_TIMESCALE))
        {
            return -1;
        }

        m->track[kind].timescale = tracks[kind].timescale;
        m->track[kind].entry = find_entry(m, kind, &tracks[kind]);

        if (m->track[kind].entry == 0) {
            return -1;
        }

        if (kind == MP4_AUDIO && m->ticks == 0) {
            m->ticks = tracks[kind].timescale;
        }
    }

    return 0;
}


void
movie_join(movie_t *m, int64_t pause)
{
    m->joint = 1;
    m->pause = pause > 0 ? pause : 0;
}


static int64_t
to_ticks(const movie_t *m, int64_t ms)
{
    int64_t  most = INT64_MAX / 4 / ((int64_t) m->ticks + 1);

    /* a damaged file may have absurd times */
    ms = ms > most ? most : ms < -most ? -most : ms;

    return ms * (int64_t) m->ticks / 1000;
}


/* The end of the shown video, or of sound that lasts much longer, in ms. */
static int64_t
shown_until(const movie_t *m)
{
    int64_t               heard;
    const movie_track_t  *video = &m->track[MP4_VIDEO];
    const movie_track_t  *audio = &m->track[MP4_AUDIO];

    heard = audio->samples ? audio->shown * 1000 / (int64_t) m->ticks : 0;

    return video->samples && heard <= video->shown + TAIL ? video->shown
                                                          : heard;
}


/* Sets m->offset from the time of F's file to the movie's; FIRST is the first
 * picture that is taken. */
static void
place_file(movie_t *m, const mp4_fragment_t *f, uint32_t first)
{
    int64_t               start, to = shown_until(m) + m->pause, cts = 0;
    uint32_t              i;
    const mp4_run_t      *run = &f->runs[MP4_VIDEO];
    const movie_track_t  *video = &m->track[MP4_VIDEO];

    if (run->n) {
        start = (int64_t) run->dts;
        cts = run->samples[first].cts;

        for (i = 0; i < first; i++) {
            start += run->samples[i].duration;
        }

    } else {
        start = (int64_t) f->runs[MP4_AUDIO].dts * 1000
                / m->track[MP4_AUDIO].timescale;
    }

    if (!m->begun) {
        m->begun = 1;
        m->pictured = run->n != 0;
        m->zero = cts;
        to = cts;

    } else if (run->n && video->samples
               && to - cts < video->last + video->length)
    {
        to = video->last + video->length + cts;
    }

    m->offset = to - cts - start;
    m->joint = 0;
    m->track[MP4_VIDEO].joint = m->track[MP4_AUDIO].joint = 1;
    m->track[MP4_AUDIO].shift = 0;
}


static void
add_pictures(movie_t *m, const mp4_run_t *run, uint64_t offset)
{
    int64_t         dts = (int64_t) run->dts + m->offset;
    uint32_t        i, n = 0;
    movie_track_t  *t = &m->track[MP4_VIDEO];

    for (i = 0; i < run->n; i++) {
        if (t->samples == 0 && !run->samples[i].key) {
            offset += run->samples[i].size;      /* cannot be decoded */
        } else {
            add_sample(m, t, dts, &run->samples[i], run->samples[i].duration);
            n++;
        }

        dts += run->samples[i].duration;
    }

    if (n) {
        add_chunk(m, t, offset, n);
    }
}


/* Is a frame of sound at TICK in the movie?  At a joint, also sets the shift of the
 * sound that follows. */
static int
sound_is_heard(movie_t *m, int64_t tick, int64_t length)
{
    int64_t         end;
    movie_track_t  *t = &m->track[MP4_AUDIO];

    if (!t->joint) {
        return 1;
    }

    if (t->samples == 0) {
        return !m->pictured || tick + length > to_ticks(m, m->zero);
    }

    end = t->last + t->length;

    if (tick < end - length / 2) {
        return 0;
    }

    if (tick <= end + length / 2) {
        t->shift = end - tick;
    }

    return 1;
}


static void
add_sound(movie_t *m, const mp4_run_t *run, uint64_t offset)
{
    int64_t         tick, length, own = (int64_t) run->dts;
    uint32_t        i, n = 0;
    movie_track_t  *t = &m->track[MP4_AUDIO];

    for (i = 0; i < run->n; i++) {
        tick = own * (int64_t) m->ticks / (int64_t) t->timescale
               + to_ticks(m, m->offset);
        length = (int64_t) run->samples[i].duration * (int64_t) m->ticks
                 / (int64_t) t->timescale;

        if (sound_is_heard(m, tick, length)) {
            add_sample(m, t, tick + t->shift, &run->samples[i], length);
            n++;
        } else {
            offset += run->samples[i].size;
        }

        own += run->samples[i].duration;
    }

    if (n) {
        add_chunk(m, t, offset, n);
    }
}


/* The first picture of RUN that can be decoded; run->n when there is none. */
static uint32_t
first_picture(const movie_t *m, const mp4_run_t *run)
{
    uint32_t  i = 0;

    if (m->track[MP4_VIDEO].samples == 0) {
        while (i < run->n && !run->samples[i].key) {
            i++;
        }
    }

    return i;
}


void
movie_fragment(movie_t *m, const mp4_fragment_t *f, uint64_t offset)
{
    uint32_t          i, first;
    const mp4_run_t  *video = &f->runs[MP4_VIDEO], *audio = &f->runs[MP4_AUDIO];

    /* fail on a track that the file's head does not have */
    if ((video->n && !m->track[MP4_VIDEO].entry)
        || (audio->n && !m->track[MP4_AUDIO].entry)
        || video->dts > TIME_MAX || audio->dts > TIME_MAX)
    {
        m->failed = 1;
    }

    first = first_picture(m, video);

    if (m->failed || video->n + audio->n == 0
        || (video->n && first == video->n))
    {
        return;
    }

    if (m->joint || !m->begun) {
        place_file(m, f, first);
    }

    offset += m->base;
    add_pictures(m, video, offset);

    for (i = 0; i < video->n; i++) {
        offset += video->samples[i].size;
    }

    add_sound(m, audio, offset);
}


static int
same_as_counted(const movie_t *m)
{
    int                   kind, i;
    const movie_track_t  *t, *was;

    for (kind = 0; kind < 2; kind++) {
        t = &m->track[kind];
        was = &m->counted[kind];

        if (t->samples != was->samples || t->first != was->first
            || t->first_cts != was->first_cts || t->last != was->last
            || t->length != was->length || t->shown != was->shown
            || t->negative != was->negative)
        {
            return 0;
        }

        for (i = 0; i < MOVIE_TABLES; i++) {
            if (t->table[i].n != was->table[i].n) {
                return 0;
            }
        }
    }

    return 1;
}


int
movie_end(movie_t *m)
{
    int             kind;
    movie_track_t  *t;

    for (kind = 0; kind < 2; kind++) {
        t = &m->track[kind];

        if (t->samples) {
            add_duration(t, t->length);
        }

        put_run(&t->table[MOVIE_STTS], &t->run, t->delta);
        put_run(&t->table[MOVIE_CTTS], &t->cts_run, (uint32_t) t->cts);
    }

    if (m->base) {
        return !m->failed && same_as_counted(m) ? 0 : -1;
    }

    memcpy(m->counted, m->track, sizeof(m->track));

    return !m->failed && m->track[0].samples + m->track[1].samples ? 0 : -1;
}


/* --- boxes --- */

/* Resets the state after the counting pass, for the writing pass. */
static void
rewind_movie(movie_t *m)
{
    int            kind, i;
    movie_table_t  table[MOVIE_TABLES];

    m->offset = m->zero = m->pause = 0;
    m->joint = m->begun = m->pictured = 0;

    for (kind = 0; kind < 2; kind++) {
        memcpy(table, m->track[kind].table, sizeof(table));
        memset(&m->track[kind], 0, sizeof(movie_track_t));

        for (i = 0; i < MOVIE_TABLES; i++) {
            m->track[kind].table[i].out = table[i].out;
            m->track[kind].table[i].room = table[i].room;
        }
    }
}


size_t
movie_max(const movie_t *m)
{
    int       kind, i;
    size_t    size = HEAD;
    unsigned  n;

    for (kind = 0; kind < 2; kind++) {
        for (n = 0; n < m->nentries[kind]; n++) {
            size += MP4_INIT_MAX(m->entries[kind][n].config_size);
        }

        for (i = 0; i < MOVIE_TABLES; i++) {
            size += 4 * (size_t) m->counted[kind].table[i].n;
        }
    }

    return size;
}


/* Reserves room for a table with FIELDS numbers per entry; the writing pass fills
 * it. */
static void
put_table(mp4_writer_t *w, movie_track_t *t, int table, unsigned fields)
{
    size_t  size = 4 * (size_t) t->table[table].n;

    mp4_put(w, t->table[table].n / fields, 4);

    if (w->failed || w->max - w->at < size) {
        w->failed = 1;
        return;
    }

    t->table[table].out = w->out + w->at;
    t->table[table].room = t->table[table].n;
    w->at += size;
}


static void
put_stsd(mp4_writer_t *w, const movie_t *m, int kind)
{
    size_t    mark = mp4_begin_full(w, MP4_BOX('s', 't', 's', 'd'), 0, 0);
    unsigned  i;

    mp4_put(w, m->nentries[kind], 4);

    for (i = 0; i < m->nentries[kind]; i++) {
        mp4_put_sample_entry(w, kind, &m->entries[kind][i]);
    }

    mp4_end(w, mark);
}


static void
put_stbl(mp4_writer_t *w, movie_t *m, int kind)
{
    size_t          mark, stbl = mp4_begin(w, MP4_BOX('s', 't', 'b', 'l'));
    movie_track_t  *t = &m->track[kind];

    put_stsd(w, m, kind);

    mark = mp4_begin_full(w, MP4_BOX('s', 't', 't', 's'), 0, 0);
    put_table(w, t, MOVIE_STTS, RUN_FIELDS);
    mp4_end(w, mark);

    if (t->table[MOVIE_CTTS].n > RUN_FIELDS || t->cts) {
        mark = mp4_begin_full(w, MP4_BOX('c', 't', 't', 's'), t->negative, 0);
        put_table(w, t, MOVIE_CTTS, RUN_FIELDS);
        mp4_end(w, mark);
    }

    if (kind == MP4_VIDEO) {
        mark = mp4_begin_full(w, MP4_BOX('s', 't', 's', 's'), 0, 0);
        put_table(w, t, MOVIE_STSS, 1);
        mp4_end(w, mark);
    }

    mark = mp4_begin_full(w, MP4_BOX('s', 't', 's', 'z'), 0, 0);
    mp4_put(w, 0, 4);
    put_table(w, t, MOVIE_STSZ, 1);
    mp4_end(w, mark);

    mark = mp4_begin_full(w, MP4_BOX('s', 't', 's', 'c'), 0, 0);
    put_table(w, t, MOVIE_STSC, STSC_FIELDS);
    mp4_end(w, mark);

    mark = mp4_begin_full(w, m->wide ? MP4_BOX('c', 'o', '6', '4')
                                     : MP4_BOX('s', 't', 'c', 'o'), 0, 0);
    put_table(w, t, MOVIE_STCO, 1 + m->wide);
    mp4_end(w, mark);

    mp4_end(w, stbl);
}


/* The edit of a track, in the movie's timescale: nothing for LATE, then LENGTH of the
 * track from SKIPPED (in the track's timescale) on. */
typedef struct {
    int64_t  late, length, skipped;
} edit_t;


static edit_t
edit_of(const movie_t *m, int kind)
{
    edit_t                e = { 0, 0, 0 };
    int64_t               zero, end, limit;
    const movie_track_t  *t = &m->counted[kind];
    const movie_track_t  *video = &m->counted[MP4_VIDEO];
    const movie_track_t  *audio = &m->counted[MP4_AUDIO];

    if (kind == MP4_VIDEO) {
        e.skipped = t->first_cts > 0 ? t->first_cts : 0;
        e.length = t->shown - t->first - e.skipped;

        if (audio->samples) {
            /* round up: players drop a cut picture */
            e.length = (e.length * (int64_t) m->ticks + 999) / 1000;
            e.late = m->pictured ? 0
                     : to_ticks(m, t->first + e.skipped) - audio->first;
        }

    } else {
        zero = m->pictured ? to_ticks(m, m->zero) : t->first;
        limit = to_ticks(m, video->shown);
        end = t->shown;

        if (video->samples && end > limit && end <= limit + to_ticks(m, TAIL)) {
            end = limit;
        }

        e.late = t->first - zero;
        e.skipped = e.late < 0 ? -e.late : 0;
        e.length = end - t->first - e.skipped;
    }

    e.late = e.late > 0 ? e.late : 0;
    e.length = e.length > 0 ? e.length : 0;

    return e;
}


static void
put_elst(mp4_writer_t *w, const edit_t *e)
{
    size_t  edts = mp4_begin(w, MP4_BOX('e', 'd', 't', 's'));
    size_t  mark = mp4_begin_full(w, MP4_BOX('e', 'l', 's', 't'), 1, 0);

    mp4_put(w, e->late ? 2 : 1, 4);

    if (e->late) {
        mp4_put(w, (uint64_t) e->late, 8);
        mp4_put(w, UINT64_MAX, 8);           /* -1: an empty edit */
        mp4_put(w, 0x00010000, 4);
    }

    mp4_put(w, (uint64_t) e->length, 8);
    mp4_put(w, (uint64_t) e->skipped, 8);
    mp4_put(w, 0x00010000, 4);               /* rate 1 */
    mp4_end(w, mark);
    mp4_end(w, edts);
}


static void
put_trak(mp4_writer_t *w, movie_t *m, int kind)
{
    size_t          mdia, minf, trak;
    edit_t          e = edit_of(m, kind);
    mp4_track_t     track = m->entries[kind][0];
    movie_track_t  *t = &m->track[kind];

    if (kind == MP4_AUDIO) {
        track.timescale = m->ticks;
    }

    trak = mp4_begin(w, MP4_BOX('t', 'r', 'a', 'k'));
    mp4_put_tkhd(w, kind, &track, (uint64_t) (e.late + e.length));
    put_elst(w, &e);
    mdia = mp4_begin(w, MP4_BOX('m', 'd', 'i', 'a'));
    mp4_put_media(w, kind, &track, (uint64_t) (t->last + t->length - t->first));
    minf = mp4_begin(w, MP4_BOX('m', 'i', 'n', 'f'));
    mp4_put_media_info(w, kind);
    put_stbl(w, m, kind);
    mp4_end(w, minf);
    mp4_end(w, mdia);
    mp4_end(w, trak);
}


/* The movie's timescale is sound's, so that an edit cuts it exactly. */
static uint32_t
movie_timescale(const movie_t *m)
{
    return m->counted[MP4_AUDIO].samples ? m->ticks : MP4_VIDEO_TIMESCALE;
}


static uint64_t
movie_length(const movie_t *m)
{
    int       kind;
    edit_t    e;
    uint64_t  length = 0;

    for (kind = 0; kind < 2; kind++) {
        if (m->counted[kind].samples) {
            e = edit_of(m, kind);
            if ((uint64_t) (e.late + e.length) > length) {
                length = (uint64_t) (e.late + e.length);
            }
        }
    }

    return length;
}


static void
put_mdat(mp4_writer_t *w, const movie_t *m, uint64_t payload)
{
    if (m->wide) {                           /* 4.2: largesize follows */
        mp4_put(w, 1, 4);
        mp4_put(w, MP4_BOX('m', 'd', 'a', 't'), 4);
        mp4_put(w, 16 + payload, 8);

    } else {
        mp4_put(w, 8 + payload, 4);
        mp4_put(w, MP4_BOX('m', 'd', 'a', 't'), 4);
    }
}


size_t
movie_begin(movie_t *m, uint8_t *out, uint64_t payload)
{
    int            kind;
    size_t         moov;
    mp4_writer_t   w = { out, movie_max(m), 0, 0 };
    movie_table_t *offsets;

    m->wide = payload + w.max > UINT32_MAX;

    for (kind = 0; kind < 2; kind++) {
        offsets = &m->counted[kind].table[MOVIE_STCO];
        offsets->n = (uint64_t) m->counted[kind].chunks * (1 + m->wide);
        m->track[kind].table[MOVIE_STCO].n = offsets->n;
    }

    mp4_put_ftyp(&w);
    moov = mp4_begin(&w, MP4_BOX('m', 'o', 'o', 'v'));
    mp4_put_mvhd(&w, movie_timescale(m), movie_length(m));

    for (kind = 0; kind < 2; kind++) {
        if (m->counted[kind].samples) {
            put_trak(&w, m, kind);
        }
    }

    mp4_end(&w, moov);
    put_mdat(&w, m, payload);
    m->base = w.at;
    rewind_movie(m);

    return w.failed ? 0 : w.at;
}
