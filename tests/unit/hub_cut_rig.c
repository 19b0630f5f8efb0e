#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>
#include <sys/mman.h>

#include "hub_cut_rig.h"
#include "../../modules/media/fragment.h"

#define ZONE      (8 * 1024 * 1024)

hub_t            *h;
rig_publisher_t   p;
hub_reader_t      reader;

segment_t         segments[SEGMENTS];
size_t            nsegments;
uint32_t          parts, short_parts, hidden;
int               ragged;
int64_t           cut_wall;

static fragment_t  fragment;
static int64_t     part, last[2];
static uint32_t    part_entries;
static size_t      part_bytes;

const uint8_t  cut_avc[CUT_AVC] = { 0x17, 0, 0, 0, 0, 1, 0x64, 0, 0x1f, 0xff, 0xe0, 0 };


/* --- the reader --- */

static int64_t
round_s(int64_t ms)
{
    return (ms + 500) / 1000;
}


/* Ends a part with the start of what follows it; checks its duration. */
static void
part_ends(int64_t at, int segment)
{
    int64_t    ms = at - part, most = p.writer.ref.stream->part_ms + 1;
    segment_t  *in = &segments[nsegments - 1];

    static uint8_t  head[FRAGMENT_HEAD_MAX];

    if (at <= part) {
        fail_msg("a part begins at %ld, the next one at %ld", part, at);
    }

    if (ms > most && !in->record.whole && p.writer.ref.stream->parts != HUB_PARTS_NONE) {
        fail_msg("a part of segment %zu at %ld lasts %ld ms", nsegments, part, ms);
    }

    parts++;
    if (!segment && ms * 100 < most * 85) {
        short_parts++;
        if (!ragged) {
            fail_msg("part at %ld of segment %zu lasts only %ld ms", part, nsegments, ms);
        }
    }

    assert_true(part_entries <= 256);
    assert_true(part_entries == 1 || part_bytes <= 1024 * 1024);
    in->parts += ms;
    in->nparts++;
    (void) fragment_write(&fragment, 1, -1, head);
    part_entries = 0;
    part_bytes = 0;
}


/* The newest record is of a segment that begins at DTS.  What lists named must be there
 * as long again as it was listed, and numbers must not outrun the seconds. */
static void
list_is_named(int64_t dts)
{
    size_t         n;
    hub_init_t     init;
    hub_segment_t  record, newest = segments[nsegments - 1].record;

    if ((int64_t) (newest.number - FIRST) > 1 + dts / 1000) {
        fail_msg("segment %lu begins %ld ms after the stream", newest.number - FIRST, dts);
    }

    for (n = 0; n < nsegments; n++) {
        segment_t  *in = &segments[n];

        if (in->record.number >= newest.listed) {
            in->listed = dts;
        } else if (dts - in->listed > in->listed - in->begun) {
            continue;
        }

        if (hub_segment(h, &reader, FIRST + n, &record) != NGX_OK
            || memcmp(&record, &in->record, sizeof(record)) != 0
            || hub_segment_init(h, &reader, &record, &init) != NGX_OK
            || memcmp(&init, &in->headers, sizeof(init)) != 0)
        {
            fail_msg("segment %zu of %zu, at %ld ms, was listed from %ld to %ld ms", n,
                     nsegments, dts, in->begun, in->listed);
        }
    }
}


static void
segment_begins(uint64_t index, int64_t dts)
{
    uint64_t              rate = 0;
    hub_init_t            init;
    segment_t            *was = nsegments ? &segments[nsegments - 1] : NULL;
    hub_segment_t         record;
    const hub_stream_t   *s = p.writer.ref.stream;
    mp4_track_t           tracks[2] = { { 0 }, { 0 } };

    assert_int_equal(hub_segment_newest(h, &reader, &record), NGX_OK);
    assert_int_equal(record.number, was ? was->record.number + 1 : FIRST);
    assert_int_equal(record.index, index);
    assert_int_equal(hub_segment(h, &reader, record.number + 1, &record), NGX_AGAIN);
    assert_int_equal(hub_segment(h, &reader, FIRST - 1, &record),
                     NGX_DECLINED);
    assert_int_equal(hub_segment_newest(h, &reader, &record), NGX_OK);

    if (was) {
        part_ends(record.start, 1);

        if (round_s(record.start - was->record.start) > s->target_s) {
            fail_msg("segment %zu lasts %ld ms", nsegments,
                     record.start - was->record.start);
        }

        assert_int_equal(was->parts, record.start - was->record.start);
        assert_int_equal(record.breaks, was->record.breaks + was->record.anew);
        assert_int_equal(record.init, was->record.init + record.anew);
        assert_true(record.bytes > was->record.bytes);
        assert_true(record.listed >= was->record.listed);
        assert_true(record.listed <= record.number);
        assert_true(record.listed + HUB_SEGMENTS / 2 > record.number);
        assert_true(record.listed == record.number || record.listed == FIRST
                    || segments[record.listed - FIRST - 1].record.index >= s->first);
    } else {
        assert_int_equal(record.breaks, FIRST_BREAKS);
        assert_false(record.anew);
    }

    assert_int_equal(hub_segment_init(h, &reader, &record, &init), NGX_OK);
    assert_int_equal(init.number, record.init);

    if (init.size[1]) {
        assert_int_equal(mp4_track(&tracks[1], init.codec[1], init.data + init.size[0],
                                   init.size[1]), 0);
        rate = tracks[1].timescale;
    }

    /* a reader that comes from the segment before has the same clock */
    if (was && fragment.timescale == rate) {
        assert_int_equal(record.sound_set, fragment.sound.set);
        assert_true(!record.sound_set || record.sound == fragment.sound.next);
    }

    tracks[0].codec = init.codec[0];
    fragment_init(&fragment, tracks);
    fragment.sound.next = record.sound;
    fragment.sound.set = record.sound_set;

    assert_true(nsegments < SEGMENTS);
    segments[nsegments].record = record;
    segments[nsegments].headers = init;
    segments[nsegments].parts = segments[nsegments].nparts = 0;
    segments[nsegments].pictures = segments[nsegments].sounds = 0;
    nsegments++;
    segments[nsegments - 1].begun = segments[nsegments - 1].listed = dts;
    part = record.start;
    list_is_named(dts);
}


static void
frame_is_read(const hub_entry_t *e)
{
    int         kind = hub_track(e->type);
    int64_t     at;
    segment_t  *in;

    if (e->flags & HUB_CONFIG) {
        assert_false(e->flags & (HUB_SEGMENT|HUB_PART));
        part_entries += nsegments != 0;
        return;
    }

    if (e->flags & HUB_HIDDEN) {
        assert_int_equal(e->flags & (HUB_SEGMENT|HUB_PART), 0);
        hidden++;
        return;
    }

    if (e->flags & HUB_SEGMENT) {
        assert_true(e->flags & HUB_PART);
        segment_begins(reader.index, e->dts);
    }

    assert_true(nsegments);
    in = &segments[nsegments - 1];
    at = e->dts - in->record.skip;

    if ((e->flags & (HUB_SEGMENT|HUB_PART)) == HUB_PART) {
        int64_t  start = hub_part_start(p.writer.ref.stream->part_ms, part, at);

        part_ends(start, 0);
        part = start;
    }

    /* time never goes back within a track, but for what the pace of sound hides */
    if (at < last[kind] - (kind ? 100 : 0) || at < -100) {
        fail_msg("track %d goes back from %ld to %ld", kind, last[kind], at);
    }

    last[kind] = ngx_max(at, last[kind]);
    in->pictures += kind == 0;
    in->sounds += kind == 1;
    part_entries++;
    part_bytes += e->size;
    fragment_add(&fragment, kind, at, e->cts, (e->flags & HUB_KEY) != 0, e->size);
}


static void
follow(void)
{
    hub_entry_t  e;

    while (hub_reader_entry(h, &reader, &e) == NGX_OK) {
        frame_is_read(&e);
        reader.index++;
    }

    assert_int_equal(reader.index, reader.ref.stream->head);
}


/* --- the publisher --- */

void
cut_time(int64_t at)
{
    rig_now = START + (uint64_t) at;
    ngx_time_update();
    ((ngx_time_t *) ngx_cached_time)->sec += (time_t) (cut_wall / 1000);
}


ngx_int_t
cut_put(int kind, int key, int64_t timestamp, int32_t cts, size_t size)
{
    ngx_int_t    rc;
    ngx_buf_t    b;
    ngx_chain_t  in = { &b, NULL };
    flv_frame_t  frame;

    static u_char  body[1200 * 1024];

    ngx_memzero(&b, sizeof(ngx_buf_t));
    ngx_memzero(&frame, sizeof(flv_frame_t));
    frame.codec = kind ? FLV_CODEC_AAC : FLV_CODEC_H264;
    frame.key = key != 0;
    frame.cts = cts;
    b.pos = body;
    b.last = body + size;

    rc = hub_append(h, &p.writer, kind ? FLV_AUDIO : FLV_VIDEO, &frame,
                    (uint32_t) timestamp, &in, size);

    if (rc == NGX_OK) {
        follow();
    }

    return rc;
}


void
cut_headers(int kind, uint32_t rate, uint8_t level)
{
    uint8_t      aac[] = { 0xaf, 0, rate == 48000 ? 0x11 : 0x12,
                           rate == 48000 ? 0x90 : 0x10 };
    uint8_t      video[CUT_AVC];
    flv_frame_t  frame;

    ngx_memcpy(video, cut_avc, sizeof(cut_avc));
    video[8] = level;
    ngx_memzero(&frame, sizeof(flv_frame_t));
    frame.config = 1;
    frame.codec = kind ? FLV_CODEC_AAC : FLV_CODEC_H264;
    assert_int_equal(hub_configure(h, &p.writer, kind ? HUB_CONFIG_AUDIO
                                                      : HUB_CONFIG_VIDEO, &frame,
                                   kind ? aac : video,
                                   kind ? sizeof(aac) : sizeof(video)), NGX_OK);
    follow();
}


void
cut_publish(const source_t *src)
{
    assert_int_equal(rig_publish(h, &p, "live/a", 1), HUB_ADMITTED);
    reader.ref = p.writer.ref;

    if (src->fps > 0) {
        cut_headers(0, 0, 0x1f);
    }

    if (src->rate) {
        cut_headers(1, src->rate, 0);
    }
}


void
cut_begin_at(uint32_t segment_ms, uint32_t part_ms)
{
    rig_now = START;
    h = rig_zone(ZONE);
    h->stream_max = 60 * HUB_BLOCK_SIZE;
    h->hls_segment = segment_ms;
    h->hls_part = part_ms;
    h->hls_window = 6 * segment_ms;
    rig_worker(h);

    ngx_memzero(&reader, sizeof(reader));
    ngx_memzero(&fragment, sizeof(fragment));
    nsegments = 0;
    part = 0;
    last[0] = last[1] = -1;
    part_entries = short_parts = parts = hidden = 0;
    part_bytes = 0;
    ragged = 0;
    cut_wall = 0;
}


int
cut_begin(void **state)
{
    cut_begin_at(2000, 333);

    return 0;
}


int
cut_end(void **state)
{
    (void) munmap(h->shm_zone->shm.addr, ZONE);
    free(h);
    rig_now = 0;

    return 0;
}


void
cut_play(const source_t *src, int64_t from, int64_t to, int64_t shift)
{
    int64_t   at[2];
    uint64_t  i[2] = { 0, 0 };
    int       kind;
    int64_t   gop = src->gop, frames;
    int32_t   cts;

    static const int32_t  order[] = { 80, 160, 0, 40 };

    frames = src->fps > 0 ? (int64_t) (gop * src->fps / 1000 + 0.5) : 1;
    frames = ngx_max(frames, 1);

    for ( ;; ) {
        at[0] = src->fps > 0 ? (int64_t) ((double) i[0] * 1000 / src->fps) : INT64_MAX / 2;
        at[1] = src->rate ? (int64_t) (i[1] * 1024000 / src->rate) : INT64_MAX / 2;
        kind = at[0] > at[1] + src->lag;

        if (from + at[kind] >= to) {
            return;
        }

        cut_time(from + at[kind] + (kind ? src->lag : 0));
        cts = src->reordered && kind == 0 ? order[i[0] % 4] : 0;
        assert_int_equal(cut_put(kind, kind == 0 && i[0] % (uint64_t) frames == 0,
                             from + at[kind] + shift - (kind ? src->early : 0), cts,
                             kind ? 100 : 300), NGX_OK);
        i[kind]++;
    }
}


int64_t
cut_length(size_t i)
{
    return segments[i + 1].record.start - segments[i].record.start;
}
