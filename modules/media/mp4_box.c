#include "mp4_box.h"

#include <string.h>

#define TRACK_ENABLED    3               /* 8.3.2: enabled, and in the movie */
#define LANGUAGE_NONE    0x55c4          /* 8.4.2: "und" */
#define NEXT_TRACK       3               /* 1 is video, 2 audio */


void
mp4_put(mp4_writer_t *w, uint64_t value, unsigned n)
{
    if (w->failed || w->max - w->at < n) {
        w->failed = 1;
        return;
    }

    while (n--) {
        w->out[w->at++] = (uint8_t) (value >> 8 * n);
    }
}


void
mp4_put_bytes(mp4_writer_t *w, const uint8_t *p, size_t size)
{
    if (w->failed || w->max - w->at < size) {
        w->failed = 1;
        return;
    }

    if (size) {
        memcpy(w->out + w->at, p, size);
        w->at += size;
    }
}


/* N bytes of zero: reserved fields, times of creation */
static void
put_zeros(mp4_writer_t *w, unsigned n)
{
    while (n--) {
        mp4_put(w, 0, 1);
    }
}


size_t
mp4_begin(mp4_writer_t *w, uint32_t type)
{
    size_t  mark = w->at;

    mp4_put(w, 0, 4);
    mp4_put(w, type, 4);

    return mark;
}


size_t
mp4_begin_full(mp4_writer_t *w, uint32_t type, unsigned version,
    uint32_t flags)
{
    size_t  mark = mp4_begin(w, type);

    mp4_put(w, version, 1);
    mp4_put(w, flags, 3);

    return mark;
}


void
mp4_end(mp4_writer_t *w, size_t mark)
{
    size_t  end = w->at;

    if (w->failed || end - mark > UINT32_MAX) {
        w->failed = 1;
        return;
    }

    w->at = mark;
    mp4_put(w, end - mark, 4);
    w->at = end;
}


void
mp4_put_ftyp(mp4_writer_t *w)
{
    size_t  mark = mp4_begin(w, MP4_BOX('f', 't', 'y', 'p'));

    /* iso6 has tfdt and signed composition offsets, iso5 offsets from moof */
    mp4_put(w, MP4_BOX('i', 's', 'o', '6'), 4);
    mp4_put(w, 0, 4);
    mp4_put(w, MP4_BOX('i', 's', 'o', '5'), 4);
    mp4_put(w, MP4_BOX('i', 's', 'o', '6'), 4);
    mp4_put(w, MP4_BOX('m', 'p', '4', '1'), 4);
    mp4_end(w, mark);
}


/* 8.2.2: no rotation */
static void
put_matrix(mp4_writer_t *w)
{
    unsigned  i;

    for (i = 0; i < 9; i++) {
        mp4_put(w, i == 8 ? 0x40000000 : i % 4 == 0 ? 0x00010000 : 0, 4);
    }
}


/* Version 0 has times of 4 bytes, version 1 of 8, for long durations. */
static unsigned
time_version(uint64_t duration)
{
    return duration > UINT32_MAX;
}


void
mp4_put_mvhd(mp4_writer_t *w, uint32_t timescale, uint64_t duration)
{
    unsigned  version = time_version(duration), width = version ? 8 : 4;
    size_t    mark = mp4_begin_full(w, MP4_BOX('m', 'v', 'h', 'd'), version, 0);

    put_zeros(w, 2 * width);                         /* creation, modification */
    mp4_put(w, timescale, 4);
    mp4_put(w, duration, width);
    mp4_put(w, 0x00010000, 4);                       /* rate 1 */
    mp4_put(w, 0x0100, 2);                           /* volume 1 */
    put_zeros(w, 10);
    put_matrix(w);
    put_zeros(w, 24);
    mp4_put(w, NEXT_TRACK, 4);
    mp4_end(w, mark);
}


void
mp4_put_tkhd(mp4_writer_t *w, int kind, const mp4_track_t *track,
    uint64_t duration)
{
    unsigned  version = time_version(duration), width = version ? 8 : 4;
    size_t    mark = mp4_begin_full(w, MP4_BOX('t', 'k', 'h', 'd'), version,
                                    TRACK_ENABLED);

    put_zeros(w, 2 * width);
    mp4_put(w, 1 + (unsigned) kind, 4);
    put_zeros(w, 4);
    mp4_put(w, duration, width);
    put_zeros(w, 8 + 2 + 2);                         /* layer, alternate group */
    mp4_put(w, kind == MP4_AUDIO ? 0x0100 : 0, 2);   /* volume */
    put_zeros(w, 2);
    put_matrix(w);
    mp4_put(w, kind == MP4_VIDEO ? track->width : 0, 2);     /* 16.16 */
    put_zeros(w, 2);
    mp4_put(w, kind == MP4_VIDEO ? track->height : 0, 2);
    put_zeros(w, 2);
    mp4_end(w, mark);
}


void
mp4_put_media(mp4_writer_t *w, int kind, const mp4_track_t *track,
    uint64_t duration)
{
    unsigned  version = time_version(duration), width = version ? 8 : 4;
    size_t    mark = mp4_begin_full(w, MP4_BOX('m', 'd', 'h', 'd'), version, 0);

    put_zeros(w, 2 * width);
    mp4_put(w, track->timescale, 4);
    mp4_put(w, duration, width);
    mp4_put(w, LANGUAGE_NONE, 2);
    put_zeros(w, 2);
    mp4_end(w, mark);

    mark = mp4_begin_full(w, MP4_BOX('h', 'd', 'l', 'r'), 0, 0);
    put_zeros(w, 4);
    mp4_put(w, kind == MP4_VIDEO ? MP4_BOX('v', 'i', 'd', 'e')
                                 : MP4_BOX('s', 'o', 'u', 'n'), 4);
    put_zeros(w, 12);
    put_zeros(w, 1);                                 /* a name of no bytes */
    mp4_end(w, mark);
}


void
mp4_put_media_info(mp4_writer_t *w, int kind)
{
    size_t  mark, dref, url;

    if (kind == MP4_VIDEO) {
        mark = mp4_begin_full(w, MP4_BOX('v', 'm', 'h', 'd'), 0, 1);
        put_zeros(w, 8);
    } else {
        mark = mp4_begin_full(w, MP4_BOX('s', 'm', 'h', 'd'), 0, 0);
        put_zeros(w, 4);
    }
    mp4_end(w, mark);

    mark = mp4_begin(w, MP4_BOX('d', 'i', 'n', 'f'));
    dref = mp4_begin_full(w, MP4_BOX('d', 'r', 'e', 'f'), 0, 0);
    mp4_put(w, 1, 4);
    url = mp4_begin_full(w, MP4_BOX('u', 'r', 'l', ' '), 0, 1);  /* this file */
    mp4_end(w, url);
    mp4_end(w, dref);
    mp4_end(w, mark);
}


/* 12.1.3, 14496-15 5.4.2 and 8.4 */
static void
put_video_entry(mp4_writer_t *w, const mp4_track_t *track)
{
    int     hevc = track->codec == FLV_CODEC_HEVC;
    size_t  mark, config;

    mark = mp4_begin(w, hevc ? MP4_BOX('h', 'v', 'c', '1')
                             : MP4_BOX('a', 'v', 'c', '1'));
    put_zeros(w, 6);
    mp4_put(w, 1, 2);                                /* data reference */
    put_zeros(w, 16);
    mp4_put(w, track->width, 2);
    mp4_put(w, track->height, 2);
    mp4_put(w, 0x00480000, 4);                       /* 72 dpi */
    mp4_put(w, 0x00480000, 4);
    put_zeros(w, 4);
    mp4_put(w, 1, 2);                                /* frames in a sample */
    put_zeros(w, 32);                                /* compressor's name */
    mp4_put(w, 24, 2);                               /* depth */
    mp4_put(w, 0xffff, 2);

    config = mp4_begin(w, hevc ? MP4_BOX('h', 'v', 'c', 'C')
                               : MP4_BOX('a', 'v', 'c', 'C'));
    mp4_put_bytes(w, track->config, track->config_size);
    mp4_end(w, config);
    mp4_end(w, mark);
}


/* 14496-1 8.3.3: a descriptor's tag, and its size in four times 7 bits */
static void
put_descriptor(mp4_writer_t *w, uint8_t tag, size_t size)
{
    unsigned  i;

    if (size >> 28) {
        w->failed = 1;
        return;
    }

    mp4_put(w, tag, 1);

    for (i = 4; i-- > 0; ) {
        mp4_put(w, (size >> 7 * i & 0x7f) | (i ? 0x80 : 0), 1);
    }
}


/* 14496-14 5.6, 14496-1 7.2.6.5 and .6 */
static void
put_esds(mp4_writer_t *w, const mp4_track_t *track)
{
    size_t  mark = mp4_begin_full(w, MP4_BOX('e', 's', 'd', 's'), 0, 0);
    size_t  config = 5 + track->config_size, decoder = 5 + 13 + config;

    put_descriptor(w, 3, 3 + decoder + 5 + 1);       /* ES_Descriptor */
    put_zeros(w, 3);                                 /* id 0: the track's own */

    put_descriptor(w, 4, decoder - 5);               /* DecoderConfigDescriptor */
    mp4_put(w, 0x40, 1);                             /* ISO/IEC 14496-3 */
    mp4_put(w, 5 << 2 | 1, 1);                       /* an audio stream */
    put_zeros(w, 3 + 4 + 4);                         /* sizes not known */

    put_descriptor(w, 5, track->config_size);        /* DecoderSpecificInfo */
    mp4_put_bytes(w, track->config, track->config_size);

    put_descriptor(w, 6, 1);                         /* SLConfigDescriptor */
    mp4_put(w, 2, 1);                                /* of an MP4 file */
    mp4_end(w, mark);
}


/* 12.2.3 */
static void
put_audio_entry(mp4_writer_t *w, const mp4_track_t *track)
{
    size_t  mark = mp4_begin(w, MP4_BOX('m', 'p', '4', 'a'));

    put_zeros(w, 6);
    mp4_put(w, 1, 2);                                /* data reference */
    put_zeros(w, 8);
    mp4_put(w, track->channels ? track->channels : 2, 2);
    mp4_put(w, 16, 2);                               /* bits */
    put_zeros(w, 4);
    mp4_put(w, track->timescale > UINT16_MAX ? 0 : track->timescale, 2);
    put_zeros(w, 2);
    put_esds(w, track);
    mp4_end(w, mark);
}


void
mp4_put_sample_entry(mp4_writer_t *w, int kind, const mp4_track_t *track)
{
    if (kind == MP4_VIDEO) {
        put_video_entry(w, track);
    } else {
        put_audio_entry(w, track);
    }
}
