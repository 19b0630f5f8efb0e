#include "mp4_read.h"

/* mp4.c writes a few KB of ftyp and moov; a larger size is damaged */
#define INIT_LIMIT         65536

#define TFHD_DESCRIPTION   0x000002
#define TFHD_DURATION      0x000008
#define TFHD_SIZE          0x000010
#define TFHD_FLAGS         0x000020
#define TFHD_KNOWN         (0x020000 | TFHD_DESCRIPTION | TFHD_DURATION \
                            | TFHD_SIZE | TFHD_FLAGS)

#define TRUN_OFFSET        0x000001
#define TRUN_FIRST_FLAGS   0x000004
#define TRUN_DURATION      0x000100
#define TRUN_SIZE          0x000200
#define TRUN_FLAGS         0x000400
#define TRUN_CTS           0x000800
#define TRUN_KNOWN         (TRUN_OFFSET | TRUN_FIRST_FLAGS | TRUN_DURATION \
                            | TRUN_SIZE | TRUN_FLAGS | TRUN_CTS)

#define NON_SYNC_SAMPLE    0x00010000

/* The bytes left to read; a read past them returns 0 and sets `failed`. */
typedef struct {
    const uint8_t  *p, *last;
    int             failed;
} cursor_t;


static uint64_t
take_be(cursor_t *c, unsigned n)
{
    uint64_t  v = 0;

    if (c->failed || (size_t) (c->last - c->p) < n) {
        c->failed = 1;
        return 0;
    }

    while (n--) {
        v = v << 8 | *c->p++;
    }

    return v;
}


static void
skip_bytes(cursor_t *c, size_t n)
{
    if (c->failed || (size_t) (c->last - c->p) < n) {
        c->failed = 1;
        return;
    }

    c->p += n;
}


int
mp4_read_box(const uint8_t *p, size_t size, mp4_box_t *box)
{
    cursor_t  c = { p, p + size, 0 };

    box->head = 8;
    box->size = take_be(&c, 4);
    box->type = (uint32_t) take_be(&c, 4);

    if (box->size == 1) {                    /* 4.2: largesize follows */
        box->head = 16;
        box->size = take_be(&c, 8);
    }

    if (c.failed) {
        return 1;
    }

    return box->size < box->head ? -1 : 0;
}


/* Takes the next box, which must lie wholly in PARENT, and makes BODY its
 * content.  Returns 1; 0 at the end of PARENT; -1 when it is damaged. */
static int
next_box(cursor_t *parent, mp4_box_t *box, cursor_t *body)
{
    size_t  left = (size_t) (parent->last - parent->p);

    if (parent->failed) {
        return -1;
    }

    if (left == 0) {
        return 0;
    }

    if (mp4_read_box(parent->p, left, box) != 0 || box->size > left) {
        parent->failed = 1;
        return -1;
    }

    body->p = parent->p + box->head;
    body->last = parent->p + box->size;
    body->failed = 0;
    parent->p = body->last;

    return 1;
}


/* Makes BODY the content of the only box of TYPE in PARENT, without moving PARENT.
 * Returns 1; 0 when there is none; -1 when PARENT is damaged or has several. */
static int
find_box(const cursor_t *parent, uint32_t type, cursor_t *body)
{
    int        rc, found = 0;
    cursor_t   c = *parent, next;
    mp4_box_t  box;

    while ((rc = next_box(&c, &box, &next)) == 1) {
        if (box.type == type) {
            *body = next;
            found++;
        }
    }

    return rc == 0 && found <= 1 ? found : -1;
}


/* --- fragments --- */

/* tfhd's defaults for samples without values of their own. */
typedef struct {
    uint32_t  track;
    uint32_t  given;                 /* TFHD_* */
    uint32_t  duration, size, flags;
} defaults_t;

typedef struct {
    size_t         moof_size;
    mp4_sample_t  *sample;           /* the next one to fill */
    size_t         left;
    uint64_t       data;             /* of the samples so far */
} reading_t;


static int
read_tfhd(cursor_t *c, defaults_t *d)
{
    d->given = (uint32_t) take_be(c, 4) & 0xffffff;
    d->track = (uint32_t) take_be(c, 4);

    if (d->given & TFHD_DESCRIPTION) {
        skip_bytes(c, 4);
    }

    d->duration = d->given & TFHD_DURATION ? (uint32_t) take_be(c, 4) : 0;
    d->size = d->given & TFHD_SIZE ? (uint32_t) take_be(c, 4) : 0;
    d->flags = d->given & TFHD_FLAGS ? (uint32_t) take_be(c, 4) : 0;

    return c->failed || (d->given & ~(uint32_t) TFHD_KNOWN) ? -1 : 0;
}


static int
read_tfdt(cursor_t *c, uint64_t *dts)
{
    unsigned  version = (unsigned) (take_be(c, 4) >> 24);

    *dts = take_be(c, version ? 8 : 4);

    return c->failed || version > 1 || *dts > INT64_MAX / 2 ? -1 : 0;
}


static int
read_sample(cursor_t *c, uint32_t flags, unsigned version, const defaults_t *d,
    uint32_t is, mp4_sample_t *sample)
{
    int64_t  cts = 0;

    sample->duration = flags & TRUN_DURATION ? (uint32_t) take_be(c, 4)
                                             : d->duration;
    sample->size = flags & TRUN_SIZE ? (uint32_t) take_be(c, 4) : d->size;

    if (flags & TRUN_FLAGS) {
        is = (uint32_t) take_be(c, 4);
    }

    if (flags & TRUN_CTS) {
        cts = (int64_t) take_be(c, 4);
        if (version) {
            cts = (int32_t) cts;
        }
    }

    sample->cts = (int32_t) cts;
    sample->key = d->track == 1 + MP4_VIDEO && !(is & NON_SYNC_SAMPLE);

    return c->failed || cts > INT32_MAX ? -1 : 0;
}


/* Do tfhd and trun have all values?  The reader has no moov, so no trex. */
static int
trun_is_whole(uint32_t flags, const defaults_t *d)
{
    return (flags & TRUN_OFFSET)
           && !(flags & ~(uint32_t) TRUN_KNOWN)
           && ((flags & TRUN_DURATION) || (d->given & TFHD_DURATION))
           && ((flags & TRUN_SIZE) || (d->given & TFHD_SIZE))
           && ((flags & TRUN_FLAGS) || (d->given & TFHD_FLAGS)
               || d->track == 1 + MP4_AUDIO);
}


static int
read_trun(reading_t *r, cursor_t *c, const defaults_t *d, mp4_run_t *run)
{
    uint32_t  head = (uint32_t) take_be(c, 4), flags = head & 0xffffff;
    uint32_t  n = (uint32_t) take_be(c, 4), i, is = d->flags;
    uint64_t  offset = take_be(c, 4);

    if (flags & TRUN_FIRST_FLAGS) {
        is = (uint32_t) take_be(c, 4);
    }

    if (c->failed || head >> 25 || !trun_is_whole(flags, d) || n > r->left
        || offset != r->moof_size + 8 + r->data)
    {
        return -1;
    }

    run->samples = r->sample;
    run->n = n;

    for (i = 0; i < n; i++) {
        if (read_sample(c, flags, head >> 24, d, is, r->sample) != 0) {
            return -1;
        }

        is = d->flags;
        r->data += r->sample->size;
        r->sample++;
        r->left--;
    }

    return c->p == c->last ? 0 : -1;
}


static int
read_traf(reading_t *r, const cursor_t *traf, mp4_fragment_t *fragment)
{
    cursor_t    tfhd, tfdt, trun;
    mp4_run_t   run, *known;
    defaults_t  d;

    if (find_box(traf, MP4_BOX('t', 'f', 'h', 'd'), &tfhd) != 1
        || find_box(traf, MP4_BOX('t', 'f', 'd', 't'), &tfdt) != 1
        || find_box(traf, MP4_BOX('t', 'r', 'u', 'n'), &trun) != 1
        || read_tfhd(&tfhd, &d) != 0 || read_tfdt(&tfdt, &run.dts) != 0
        || (d.track != 1 + MP4_VIDEO && d.track != 1 + MP4_AUDIO)
        || read_trun(r, &trun, &d, &run) != 0)
    {
        return -1;
    }

    /* each track once, the video first */
    known = &fragment->runs[d.track - 1];

    if (known->samples || (d.track == 1 + MP4_VIDEO
                           && fragment->runs[MP4_AUDIO].samples))
    {
        return -1;
    }

    *known = run;

    return 0;
}


int
mp4_read_fragment(const uint8_t *moof, size_t size, mp4_fragment_t *fragment,
    mp4_sample_t *sample, size_t max)
{
    int        rc;
    cursor_t   file = { moof, moof + size, 0 }, c, body;
    mp4_box_t  box;
    reading_t  r = { size, sample, max, 0 };

    *fragment = (mp4_fragment_t) { 0 };

    if (next_box(&file, &box, &c) != 1 || file.p != file.last
        || box.type != MP4_BOX('m', 'o', 'o', 'f')
        || next_box(&c, &box, &body) != 1
        || box.type != MP4_BOX('m', 'f', 'h', 'd'))
    {
        return -1;
    }

    (void) take_be(&body, 4);
    fragment->sequence = (uint32_t) take_be(&body, 4);

    if (body.failed) {
        return -1;
    }

    while ((rc = next_box(&c, &box, &body)) == 1) {
        if (box.type == MP4_BOX('t', 'r', 'a', 'f')
            && read_traf(&r, &body, fragment) != 0)
        {
            return -1;
        }
    }

    fragment->data = r.data;

    return rc == 0 && (fragment->runs[0].samples || fragment->runs[1].samples)
           ? 0 : -1;
}


/* --- the init segment --- */

static int
set_config(mp4_track_t *track, enum flv_codec codec, const cursor_t *config)
{
    track->codec = codec;
    track->config = config->p;
    track->config_size = (size_t) (config->last - config->p);

    return track->config_size ? 0 : -1;
}


/* 14496-1 8.3.3: a descriptor of TAG, its size in 7 bits a byte. */
static int
take_descriptor(cursor_t *parent, uint8_t tag, cursor_t *body)
{
    unsigned  i;
    uint32_t  size = 0;
    uint64_t  byte = 0x80;

    if (take_be(parent, 1) != tag) {
        return -1;
    }

    for (i = 0; i < 4 && (byte & 0x80); i++) {
        byte = take_be(parent, 1);
        size = size << 7 | (uint32_t) (byte & 0x7f);
    }

    *body = *parent;
    skip_bytes(parent, size);
    body->last = parent->p;

    return parent->failed || (byte & 0x80) ? -1 : 0;
}


/* 14496-1 7.2.6.5 and .6: ES_Descriptor, DecoderConfigDescriptor and in it
 * the AudioSpecificConfig. */
static int
read_esds(cursor_t *esds, mp4_track_t *track)
{
    cursor_t  es, decoder, config;

    skip_bytes(esds, 4);

    if (take_descriptor(esds, 3, &es) != 0) {
        return -1;
    }

    skip_bytes(&es, 3);                      /* id, no optional fields */

    if (take_descriptor(&es, 4, &decoder) != 0) {
        return -1;
    }

    skip_bytes(&decoder, 13);

    if (take_descriptor(&decoder, 5, &config) != 0) {
        return -1;
    }

    return set_config(track, FLV_CODEC_AAC, &config);
}


static int
read_video_entry(cursor_t *c, uint32_t type, mp4_track_t *track)
{
    cursor_t        config;
    enum flv_codec  codec = FLV_CODEC_H264;
    uint32_t        name = MP4_BOX('a', 'v', 'c', 'C');

    if (type == MP4_BOX('h', 'v', 'c', '1')) {
        codec = FLV_CODEC_HEVC;
        name = MP4_BOX('h', 'v', 'c', 'C');

    } else if (type != MP4_BOX('a', 'v', 'c', '1')) {
        return -1;
    }

    skip_bytes(c, 24);
    track->width = (uint32_t) take_be(c, 2);
    track->height = (uint32_t) take_be(c, 2);
    skip_bytes(c, 50);

    if (c->failed || find_box(c, name, &config) != 1) {
        return -1;
    }

    return set_config(track, codec, &config);
}


static int
read_audio_entry(cursor_t *c, uint32_t type, mp4_track_t *track)
{
    cursor_t  esds;

    if (type != MP4_BOX('m', 'p', '4', 'a')) {
        return -1;
    }

    skip_bytes(c, 16);
    track->channels = (uint32_t) take_be(c, 2);
    skip_bytes(c, 10);

    if (c->failed || find_box(c, MP4_BOX('e', 's', 'd', 's'), &esds) != 1) {
        return -1;
    }

    return read_esds(&esds, track);
}


/* The one sample entry of a track. */
static int
read_stsd(cursor_t *c, unsigned kind, mp4_track_t *track)
{
    cursor_t   entry;
    mp4_box_t  box;

    skip_bytes(c, 4);

    if (take_be(c, 4) != 1 || next_box(c, &box, &entry) != 1) {
        return -1;
    }

    return kind == MP4_VIDEO ? read_video_entry(&entry, box.type, track)
                             : read_audio_entry(&entry, box.type, track);
}


/* Goes down a PATH of boxes, each the only one of its type. */
static int
find_path(const cursor_t *from, const uint32_t *path, unsigned n,
    cursor_t *body)
{
    cursor_t  c = *from;

    while (n--) {
        if (find_box(&c, *path++, body) != 1) {
            return -1;
        }
        c = *body;
    }

    return 0;
}


static int
read_trak(const cursor_t *trak, mp4_track_t tracks[2])
{
    static const uint32_t  stsd[] = {
        MP4_BOX('m', 'd', 'i', 'a'), MP4_BOX('m', 'i', 'n', 'f'),
        MP4_BOX('s', 't', 'b', 'l'), MP4_BOX('s', 't', 's', 'd')
    };
    static const uint32_t  mdhd[] = {
        MP4_BOX('m', 'd', 'i', 'a'), MP4_BOX('m', 'd', 'h', 'd')
    };
    cursor_t      c;
    uint32_t      id;
    mp4_track_t  *track;

    if (find_box(trak, MP4_BOX('t', 'k', 'h', 'd'), &c) != 1) {
        return -1;
    }

    skip_bytes(&c, take_be(&c, 4) >> 24 ? 16 : 8);    /* creation, modification */
    id = (uint32_t) take_be(&c, 4);

    if (c.failed || (id != 1 + MP4_VIDEO && id != 1 + MP4_AUDIO)
        || tracks[id - 1].codec != FLV_CODEC_NONE)
    {
        return -1;
    }

    track = &tracks[id - 1];

    if (find_path(trak, mdhd, 2, &c) != 0) {
        return -1;
    }

    skip_bytes(&c, take_be(&c, 4) >> 24 ? 16 : 8);
    track->timescale = (uint32_t) take_be(&c, 4);

    if (c.failed || track->timescale == 0
        || find_path(trak, stsd, 4, &c) != 0)
    {
        return -1;
    }

    return read_stsd(&c, id - 1, track);
}


/* Finds mehd, which must have version 1: the recorder overwrites its 64 bits. */
static int
find_duration(const cursor_t *moov, const uint8_t *file, mp4_init_t *init)
{
    static const uint32_t  mehd[] = {
        MP4_BOX('m', 'v', 'e', 'x'), MP4_BOX('m', 'e', 'h', 'd')
    };
    cursor_t  c;

    if (find_path(moov, mehd, 2, &c) != 0 || take_be(&c, 4) >> 24 != 1
        || c.last - c.p != 8)
    {
        return -1;
    }

    init->duration_at = (size_t) (c.p - file);

    return 0;
}


static int
read_moov(const cursor_t *moov, const uint8_t *file, mp4_init_t *init)
{
    int        rc;
    cursor_t   c = *moov, body;
    mp4_box_t  box;

    while ((rc = next_box(&c, &box, &body)) == 1) {
        if (box.type == MP4_BOX('t', 'r', 'a', 'k')
            && read_trak(&body, init->tracks) != 0)
        {
            return -1;
        }
    }

    if (rc != 0 || (init->tracks[MP4_VIDEO].codec == FLV_CODEC_NONE
                    && init->tracks[MP4_AUDIO].codec == FLV_CODEC_NONE))
    {
        return -1;
    }

    return find_duration(moov, file, init);
}


/* Moves *AT behind a box of TYPE.  Returns 0; 1 when SIZE bytes are too few; -1 when
 * another box is there. */
static int
pass_box(const uint8_t *p, size_t size, size_t *at, uint32_t type)
{
    int        rc;
    mp4_box_t  box;

    rc = mp4_read_box(p + *at, size - *at, &box);
    if (rc != 0) {
        return rc;
    }

    if (box.type != type || box.size > INIT_LIMIT) {
        return -1;
    }

    if (box.size > size - *at) {
        return 1;
    }

    *at += (size_t) box.size;

    return 0;
}


int
mp4_read_init(const uint8_t *p, size_t size, mp4_init_t *init)
{
    int        rc;
    size_t     moov;
    cursor_t   c, body;
    mp4_box_t  box;

    *init = (mp4_init_t) { 0 };

    rc = pass_box(p, size, &init->size, MP4_BOX('f', 't', 'y', 'p'));
    if (rc != 0) {
        return rc;
    }

    moov = init->size;

    rc = pass_box(p, size, &init->size, MP4_BOX('m', 'o', 'o', 'v'));
    if (rc != 0) {
        return rc;
    }

    c = (cursor_t) { p + moov, p + init->size, 0 };

    return next_box(&c, &box, &body) == 1 ? read_moov(&body, p, init) : -1;
}
