/*
 * Converts an FLV file on standard input to a fragmented MP4 on standard output with
 * mp4.c, for mp4.test.mjs.
 *
 *   mux_mp4 MS          the length of a fragment
 *
 * Each fragment has the frames of both tracks in its time.
 */

#include "flv.h"
#include "mp4.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FRAMES_MAX  16384
#define AAC_FRAME   1024

typedef struct {
    const uint8_t  *data;
    int64_t         dts;                 /* ms since the first tag */
    mp4_sample_t    sample;
} frame_t;

typedef struct {
    frame_t         frame[FRAMES_MAX];
    mp4_sample_t    sample[FRAMES_MAX];  /* the same, in a row for mp4_run_t */
    uint32_t        n, at;
    uint64_t        dts;                 /* of frame `at`, in its timescale */
    mp4_track_t     info;
} track_t;

static track_t  tracks[2];


static void die(const char *why)
{
    fprintf(stderr, "mux_mp4: %s\n", why);
    exit(1);
}


static uint8_t *read_all(size_t *size)
{
    size_t    max = 1 << 16, n;
    uint8_t  *p = malloc(max);

    for (*size = 0; p && (n = fread(p + *size, 1, max - *size, stdin)) > 0; ) {
        *size += n;
        if (*size == max) {
            p = realloc(p, max *= 2);
        }
    }

    if (p == NULL) {
        die("no memory");
    }

    return p;
}


static void take_tag(const uint8_t *tag, const uint8_t *body, size_t size)
{
    int           kind = tag[0] == FLV_VIDEO ? MP4_VIDEO : MP4_AUDIO;
    track_t      *t = &tracks[kind];
    frame_t      *frame;
    flv_frame_t   f;

    if ((tag[0] != FLV_VIDEO && tag[0] != FLV_AUDIO)
        || (kind == MP4_VIDEO ? flv_parse_video(body, size, &f)
                              : flv_parse_audio(body, size, &f)) != FLV_OK
        || f.empty)
    {
        return;
    }

    if (f.config) {
        if (t->info.codec == FLV_CODEC_NONE
            && mp4_track(&t->info, f.codec, body + f.payload, size - f.payload) != 0)
        {
            die("a configuration makes no sense");
        }
        return;
    }

    if (t->n == FRAMES_MAX || t->info.codec == FLV_CODEC_NONE) {
        die("too many frames, or frames before their configuration");
    }

    frame = &t->frame[t->n++];
    frame->data = body + f.payload;
    frame->dts = (int64_t) tag[7] << 24 | tag[4] << 16 | tag[5] << 8 | tag[6];
    frame->sample.size = (uint32_t) (size - f.payload);
    frame->sample.cts = f.cts;
    frame->sample.key = f.key;
}


static void read_tags(const uint8_t *p, size_t size)
{
    size_t  at = FLV_HEADER_SIZE, body;

    while (size - at >= FLV_TAG_OVERHEAD) {
        body = (size_t) p[at + 1] << 16 | p[at + 2] << 8 | p[at + 3];
        if (size - at - FLV_TAG_OVERHEAD < body) {
            die("the last tag is cut");
        }
        take_tag(p + at, p + at + FLV_TAG_HEADER_SIZE, body);
        at += FLV_TAG_OVERHEAD + body;
    }
}


/* Video keeps FLV's milliseconds; each frame of sound has its own length. */
static void set_durations(void)
{
    uint32_t  i;
    track_t  *v = &tracks[MP4_VIDEO], *a = &tracks[MP4_AUDIO];

    for (i = 0; i < v->n; i++) {
        v->frame[i].sample.duration = (uint32_t)
            (i + 1 < v->n ? v->frame[i + 1].dts - v->frame[i].dts : 40);
    }

    for (i = 0; i < a->n; i++) {
        a->frame[i].sample.duration = AAC_FRAME;
    }

    v->dts = v->n ? (uint64_t) v->frame[0].dts : 0;
    a->dts = a->n ? (uint64_t) a->frame[0].dts * a->info.timescale / 1000 : 0;
}


static void write_bytes(const void *p, size_t size)
{
    if (fwrite(p, 1, size, stdout) != size) {
        die("standard output is closed");
    }
}


/* Writes the frames before END; returns their number. */
static uint32_t write_fragment(uint32_t sequence, int64_t end)
{
    int         kind;
    uint32_t    i, from[2];
    size_t      size, max;
    uint8_t    *head;
    track_t    *t;
    mp4_run_t   runs[2];

    for (kind = 0; kind < 2; kind++) {
        t = &tracks[kind];
        from[kind] = t->at;
        runs[kind].dts = t->dts;
        runs[kind].samples = t->sample + t->at;

        for ( ; t->at < t->n && t->frame[t->at].dts < end; t->at++) {
            t->sample[t->at] = t->frame[t->at].sample;
            t->dts += t->sample[t->at].duration;
        }

        runs[kind].n = t->at - from[kind];
    }

    if (runs[0].n + runs[1].n == 0) {
        return 0;
    }

    max = MP4_FRAGMENT_MAX(runs[0].n + runs[1].n);
    head = malloc(max);
    size = head ? mp4_write_fragment(head, max, sequence, runs) : 0;

    if (size == 0) {
        die("MP4_FRAGMENT_MAX is too small for its fragment");
    }

    write_bytes(head, size);
    free(head);

    for (kind = 0; kind < 2; kind++) {
        for (i = from[kind]; i < tracks[kind].at; i++) {
            write_bytes(tracks[kind].frame[i].data, tracks[kind].sample[i].size);
        }
    }

    return runs[0].n + runs[1].n;
}


/* Sets mehd's duration in ms, as a recorder does when it closes a file. */
static void set_duration(uint8_t *p)
{
    int      i;
    int64_t  end = 0, of;

    for (i = 0; i < 2; i++) {
        if (tracks[i].n) {
            of = tracks[i].frame[tracks[i].n - 1].dts
                 + (int64_t) tracks[i].frame[tracks[i].n - 1].sample.duration
                   * 1000 / tracks[i].info.timescale;
            end = of > end ? of : end;
        }
    }

    for (i = 0; i < 8; i++) {
        p[i] = (uint8_t) (end >> 8 * (7 - i));
    }
}


int main(int argc, char **argv)
{
    int64_t      length = argc == 2 ? atoi(argv[1]) : 0, end;
    size_t       size, max, duration_at;
    uint32_t     sequence = 1;
    uint8_t     *p, *init;
    mp4_track_t  infos[2];

    if (length <= 0) {
        die("expected the length of a fragment in ms");
    }

    p = read_all(&size);

    if (size < FLV_HEADER_SIZE || memcmp(p, "FLV", 3) != 0) {
        die("standard input is no FLV file");
    }

    read_tags(p, size);
    set_durations();

    infos[0] = tracks[0].info;
    infos[1] = tracks[1].info;
    max = MP4_INIT_MAX(infos[0].config_size + infos[1].config_size);
    init = malloc(max);
    size = init ? mp4_write_init(init, max, infos, &duration_at) : 0;

    if (size == 0) {
        die("MP4_INIT_MAX() is too small for its init segment");
    }

    set_duration(init + duration_at);
    write_bytes(init, size);
    free(init);

    for (end = length; tracks[0].at < tracks[0].n || tracks[1].at < tracks[1].n;
         end += length)
    {
        sequence += write_fragment(sequence, end) > 0;
    }

    free(p);

    return 0;
}
