#include "mp4.h"
#include "mp4_box.h"

#include "aac.h"
#include "avc.h"
#include "hevc.h"

#define MOVIE_TIMESCALE     1000

/* 8.8.7, 8.8.8 */
#define TFHD_DURATION       0x000008
#define TFHD_SIZE           0x000010
#define TFHD_FLAGS          0x000020
#define TFHD_BASE_IS_MOOF   0x020000
#define TRUN_OFFSET         0x000001
#define TRUN_FIRST_FLAGS    0x000004
#define TRUN_DURATION       0x000100
#define TRUN_SIZE           0x000200
#define TRUN_FLAGS          0x000400
#define TRUN_CTS            0x000800

/* 8.8.3.1: sample_depends_on, and sample_is_non_sync_sample */
#define SAMPLE_KEY          0x02000000
#define SAMPLE_OTHER        0x01010000

#define MDAT_HEAD           8


int
mp4_track(mp4_track_t *track, enum flv_codec codec, const uint8_t *config,
    size_t size)
{
    int            rc = -1;
    aac_config_t   aac;
    avc_config_t   avc;
    hevc_config_t  hevc;

    *track = (mp4_track_t) { 0 };

    switch (codec) {

    case FLV_CODEC_H264:
        rc = avc_parse_config(config, size, &avc);
        track->width = avc.width;
        track->height = avc.height;
        track->timescale = MP4_VIDEO_TIMESCALE;
        break;

    case FLV_CODEC_HEVC:
        rc = hevc_parse_config(config, size, &hevc);
        track->width = hevc.width;
        track->height = hevc.height;
        track->timescale = MP4_VIDEO_TIMESCALE;
        break;

    case FLV_CODEC_AAC:
        rc = aac_parse_config(config, size, &aac);
        track->channels = aac.channels;
        track->timescale = aac.rate;
        break;

    case FLV_CODEC_NONE:
        break;
    }

    if (rc != 0) {
        *track = (mp4_track_t) { 0 };
        return -1;
    }

    track->codec = codec;
    track->config = config;
    track->config_size = size;

    return 0;
}


/* --- the init segment --- */

/* Writes empty tables, as all samples are in fragments. */
static void
put_empty_tables(mp4_writer_t *w)
{
    static const uint32_t  names[] = {
        MP4_BOX('s', 't', 't', 's'), MP4_BOX('s', 't', 's', 'c'),
        MP4_BOX('s', 't', 's', 'z'), MP4_BOX('s', 't', 'c', 'o')
    };
    size_t    mark;
    unsigned  i;

    for (i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        mark = mp4_begin_full(w, names[i], 0, 0);
        mp4_put(w, 0, i == 2 ? 8 : 4);               /* stsz: size and count */
        mp4_end(w, mark);
    }
}


static void
put_trak(mp4_writer_t *w, int kind, const mp4_track_t *track)
{
    size_t  trak, mdia, minf, stbl, stsd;

    trak = mp4_begin(w, MP4_BOX('t', 'r', 'a', 'k'));
    mp4_put_tkhd(w, kind, track, 0);

    mdia = mp4_begin(w, MP4_BOX('m', 'd', 'i', 'a'));
    mp4_put_media(w, kind, track, 0);

    minf = mp4_begin(w, MP4_BOX('m', 'i', 'n', 'f'));
    mp4_put_media_info(w, kind);

    stbl = mp4_begin(w, MP4_BOX('s', 't', 'b', 'l'));
    stsd = mp4_begin_full(w, MP4_BOX('s', 't', 's', 'd'), 0, 0);
    mp4_put(w, 1, 4);
    mp4_put_sample_entry(w, kind, track);
    mp4_end(w, stsd);
    put_empty_tables(w);

    mp4_end(w, stbl);
    mp4_end(w, minf);
    mp4_end(w, mdia);
    mp4_end(w, trak);
}


static void
put_trex(mp4_writer_t *w, int kind)
{
    size_t  mark = mp4_begin_full(w, MP4_BOX('t', 'r', 'e', 'x'), 0, 0);

    mp4_put(w, 1 + (unsigned) kind, 4);
    mp4_put(w, 1, 4);                                /* sample description */
    mp4_put(w, 0, 8);                                /* duration, size */
    mp4_put(w, kind == MP4_VIDEO ? SAMPLE_OTHER : SAMPLE_KEY, 4);
    mp4_end(w, mark);
}


size_t
mp4_write_init(uint8_t *out, size_t max, const mp4_track_t tracks[2],
    size_t *duration_at)
{
    int           kind;
    size_t        moov, mvex, mehd;
    mp4_writer_t  w = { out, max, 0, 0 };

    mp4_put_ftyp(&w);

    moov = mp4_begin(&w, MP4_BOX('m', 'o', 'o', 'v'));
    mp4_put_mvhd(&w, MOVIE_TIMESCALE, 0);

    for (kind = 0; kind < 2; kind++) {
        if (tracks[kind].codec != FLV_CODEC_NONE) {
            put_trak(&w, kind, &tracks[kind]);
        }
    }

    mvex = mp4_begin(&w, MP4_BOX('m', 'v', 'e', 'x'));

    if (duration_at) {
        mehd = mp4_begin_full(&w, MP4_BOX('m', 'e', 'h', 'd'), 1, 0);
        *duration_at = w.at;
        mp4_put(&w, 0, 8);
        mp4_end(&w, mehd);
    }

    for (kind = 0; kind < 2; kind++) {
        if (tracks[kind].codec != FLV_CODEC_NONE) {
            put_trex(&w, kind);
        }
    }

    mp4_end(&w, mvex);
    mp4_end(&w, moov);

    return w.failed ? 0 : w.at;
}


/* --- fragments --- */

/* The form of a run: the fields of tfhd, which all samples share, and of trun. */
typedef struct {
    uint32_t  tfhd, trun;                            /* flags */
    uint64_t  data;                                  /* bytes of its samples */
} run_form_t;


static uint32_t
sample_flags(const mp4_sample_t *sample)
{
    return sample->key ? SAMPLE_KEY : SAMPLE_OTHER;
}


static run_form_t
run_form(int kind, const mp4_run_t *run)
{
    uint32_t             i, after = 0;
    run_form_t           form = { TFHD_BASE_IS_MOOF, TRUN_OFFSET, 0 };
    const mp4_sample_t  *s = run->samples;

    for (i = 0; i < run->n; i++) {
        form.data += s[i].size;

        if (s[i].duration != s[0].duration) {
            form.trun |= TRUN_DURATION;
        }
        if (s[i].size != s[0].size) {
            form.trun |= TRUN_SIZE;
        }
        if (s[i].cts != 0) {
            form.trun |= TRUN_CTS;
        }
        if (i > 1 && !s[i].key != !s[1].key) {
            after = 1;
        }
    }

    form.tfhd |= form.trun & TRUN_DURATION ? 0 : TFHD_DURATION;
    form.tfhd |= form.trun & TRUN_SIZE ? 0 : TFHD_SIZE;

    if (kind == MP4_AUDIO) {                         /* trex has its flags */
        return form;
    }

    if (after) {
        form.trun |= TRUN_FLAGS;
        return form;
    }

    form.tfhd |= TFHD_FLAGS;                         /* the second sample's */

    if (run->n > 1 && !s[0].key != !s[1].key) {
        form.trun |= TRUN_FIRST_FLAGS;
    }

    return form;
}


static void
put_tfhd(mp4_writer_t *w, int kind, const mp4_run_t *run,
    const run_form_t *form)
{
    size_t               mark;
    const mp4_sample_t  *s = run->samples;

    mark = mp4_begin_full(w, MP4_BOX('t', 'f', 'h', 'd'), 0, form->tfhd);
    mp4_put(w, 1 + (unsigned) kind, 4);

    if (form->tfhd & TFHD_DURATION) {
        mp4_put(w, s[0].duration, 4);
    }
    if (form->tfhd & TFHD_SIZE) {
        mp4_put(w, s[0].size, 4);
    }
    if (form->tfhd & TFHD_FLAGS) {
        mp4_put(w, sample_flags(&s[run->n > 1]), 4);
    }

    mp4_end(w, mark);
}


/* Returns the position of the data offset, to be filled in later. */
static size_t
put_trun(mp4_writer_t *w, const mp4_run_t *run, const run_form_t *form)
{
    size_t    mark, offset_at;
    uint32_t  i;

    /* version 1: composition offsets have a sign */
    mark = mp4_begin_full(w, MP4_BOX('t', 'r', 'u', 'n'),
                          (form->trun & TRUN_CTS) != 0, form->trun);
    mp4_put(w, run->n, 4);
    offset_at = w->at;
    mp4_put(w, 0, 4);

    if (form->trun & TRUN_FIRST_FLAGS) {
        mp4_put(w, sample_flags(&run->samples[0]), 4);
    }

    for (i = 0; i < run->n; i++) {
        const mp4_sample_t  *s = &run->samples[i];

        if (form->trun & TRUN_DURATION) {
            mp4_put(w, s->duration, 4);
        }
        if (form->trun & TRUN_SIZE) {
            mp4_put(w, s->size, 4);
        }
        if (form->trun & TRUN_FLAGS) {
            mp4_put(w, sample_flags(s), 4);
        }
        if (form->trun & TRUN_CTS) {
            mp4_put(w, (uint32_t) s->cts, 4);
        }
    }

    mp4_end(w, mark);

    return offset_at;
}


static size_t
put_traf(mp4_writer_t *w, int kind, const mp4_run_t *run,
    const run_form_t *form)
{
    size_t  traf, tfdt, offset_at;

    traf = mp4_begin(w, MP4_BOX('t', 'r', 'a', 'f'));
    put_tfhd(w, kind, run, form);

    tfdt = mp4_begin_full(w, MP4_BOX('t', 'f', 'd', 't'), 1, 0);
    mp4_put(w, run->dts, 8);
    mp4_end(w, tfdt);

    offset_at = put_trun(w, run, form);
    mp4_end(w, traf);

    return offset_at;
}


size_t
mp4_write_fragment(uint8_t *out, size_t max, uint32_t sequence,
    const mp4_run_t runs[2])
{
    int           kind;
    size_t        moof, mfhd, end, offset_at[2] = { 0, 0 };
    uint64_t      data = 0;
    run_form_t    form[2] = { { 0 } };
    mp4_writer_t  w = { out, max, 0, 0 };

    moof = mp4_begin(&w, MP4_BOX('m', 'o', 'o', 'f'));
    mfhd = mp4_begin_full(&w, MP4_BOX('m', 'f', 'h', 'd'), 0, 0);
    mp4_put(&w, sequence, 4);
    mp4_end(&w, mfhd);

    for (kind = 0; kind < 2; kind++) {
        if (runs[kind].n) {
            form[kind] = run_form(kind, &runs[kind]);
            offset_at[kind] = put_traf(&w, kind, &runs[kind], &form[kind]);
        }
    }

    mp4_end(&w, moof);
    end = w.at;

    for (kind = 0; kind < 2 && !w.failed; kind++) {
        if (runs[kind].n) {
            w.at = offset_at[kind];
            mp4_put(&w, end + MDAT_HEAD + data, 4);
            data += form[kind].data;
        }
    }

    /* an offset is a signed 32-bit number: 8.8.8.2 */
    if (end + MDAT_HEAD + data > INT32_MAX) {
        return 0;
    }

    w.at = end;
    mp4_put(&w, MDAT_HEAD + data, 4);
    mp4_put(&w, MP4_BOX('m', 'd', 'a', 't'), 4);

    return w.failed ? 0 : w.at;
}
