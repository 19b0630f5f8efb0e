/* Where the segments and parts of HLS begin, with publishers of all kinds. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <cmocka.h>

#include "hub_cut_rig.h"

/* Which segments does each GOP give?  The last ones are of a long run. */
static void
test_segments_begin_at_key_frames(void **state)
{
    static const struct {
        int64_t  gop, least, most;
        int      key;                /* all of them begin at key frames */
    } rows[] = {
        { 500, 2000, 2000, 1 },
        { 1000, 2000, 2000, 1 },
        { 1500, 1500, 1500, 1 },
        { 2000, 2000, 2000, 1 },
        { 2100, 2100, 2100, 1 },
        { 4000, 1960, 2040, 0 },     /* in two pieces */
        { 10000, 1960, 2040, 0 },    /* in five */
    };
    static const double  rates[] = { 5, 8, 15, 24, 25, 30, 60 };
    size_t    i, k, n;
    source_t  src = { 0 };

    for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        for (k = 0; k < 4 * sizeof(rates) / sizeof(rates[0]); k++) {
            cut_begin_at(2000, 333);
            src = (source_t) { .fps = rates[k / 4], .gop = rows[i].gop,
                               .rate = k & 1 ? 44100 : 0, .reordered = (k & 2) != 0 };
            cut_publish(&src);
            cut_play(&src, 0, 61000, 0);

            for (n = 12000 / 1000; n + 1 < nsegments; n++) {
                int64_t  frame = (int64_t) (1000 / src.fps) + 1;
                int      key = segments[n].record.key;

                if (cut_length(n) < rows[i].least - 2 * frame
                    || cut_length(n) > rows[i].most + 2 * frame
                    || (rows[i].key && !key))
                {
                    fail_msg("GOP of %ld at %g fps: segment %zu lasts %ld ms, key %d",
                             rows[i].gop, src.fps, n, cut_length(n), key);
                }
            }

            assert_true(nsegments > 20);
            (void) cut_end(NULL);
        }
    }
}


static const source_t  both = { .fps = 25, .gop = 2000, .rate = 48000 };
static const source_t  sound = { .rate = 44100 };
static const source_t  pictures = { .fps = 30, .gop = 2000 };


static void
test_sound_alone(void **state)
{
    size_t  i;

    cut_publish(&sound);
    cut_play(&sound, 0, 200000, 0);

    for (i = 0; i + 1 < nsegments; i++) {
        assert_in_range(cut_length(i), 2000, 2030);
        assert_true(segments[i].record.key);
        assert_int_equal(segments[i].record.utc - START, segments[i].record.start);

        /* an even pace over all parts and segments */
        if (i) {
            assert_int_equal(segments[i].record.sound, segments[i - 1].record.sound
                             + (i > 1 ? segments[i - 1].sounds * 1024 : 0)
                             + (i == 1 ? segments[0].sounds * 1024 : 0));
        }
    }

    assert_int_equal(short_parts, 0);
    assert_true(parts > 600);
}


static void
test_pictures_that_stop_and_return(void **state)
{
    size_t  n;

    cut_publish(&both);
    cut_play(&both, 0, 20000, 0);
    n = nsegments;
    cut_play(&(source_t) { .rate = 48000 }, 20000, 60000, 0);
    assert_in_range(nsegments - n, 14, 22);
    n = nsegments;
    cut_play(&both, 60000, 80000, 0);
    assert_in_range(nsegments - n, 9, 12);
    assert_int_equal(segments[nsegments - 1].record.breaks, FIRST_BREAKS);
    assert_int_equal(segments[nsegments - 1].record.skip, 0);
    assert_int_equal(short_parts, 0);
}


/* Neither track has frames for a while, whatever the distance of sound and picture. */
static void
test_a_hole_is_taken_out(void **state)
{
    static const struct {
        int64_t  lag, early_before, early_after;
    } rows[] = {
        { 0, 0, 0 },
        { 1000, 0, 0 },
        { 0, 1000, 1000 },
        { 0, 0, 1000 },              /* sound would go back by a second */
        { 0, 1000, 0 },
        { 0, 0, -1000 },
        { 0, -1000, 0 },             /* pictures would */
    };
    size_t                i, n;
    int64_t               moved;
    source_t              src = both;
    const hub_segment_t  *before, *after;

    for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        (void) cut_end(NULL);
        cut_begin_at(2000, 333);
        ragged = 1;
        cut_publish(&both);
        src.lag = rows[i].lag;
        src.early = rows[i].early_before;
        cut_play(&src, 0, 20500, 2000);
        n = nsegments;
        before = &segments[n - 1].record;
        src.early = rows[i].early_after;
        cut_play(&src, 26500, 40500, 2000);
        after = &segments[nsegments - 1].record;

        assert_in_range(after->skip - before->skip, 4900, 6100);
        moved = after->utc - after->start - before->utc + before->start
                - after->skip + before->skip;

        /* where sound came before its time, pictures were late, and dates say so */
        assert_in_range(2 - moved, 0,
                        4 + ngx_max(0, rows[i].early_before - rows[i].early_after));
        assert_int_equal(after->breaks, FIRST_BREAKS);
        assert_int_equal(after->init, before->init);

        /* of them at most one more, where the distance changed */
        assert_in_range(nsegments - n, 7, 9);
    }
}


static void
take_over(void)
{
    assert_int_equal(rig_publish(h, &p, "live/a", 1), HUB_ADMITTED);
}


static void
test_a_publisher_that_returns_with_the_same_headers(void **state)
{
    const hub_segment_t  *r;

    ragged = 1;
    cut_publish(&both);
    cut_play(&both, 0, 10300, 777);
    hub_close(h, &p.client, &p.writer);
    cut_time(17000);
    take_over();
    cut_headers(0, 0, 0x1f);
    cut_headers(1, 48000, 0);
    cut_play(&both, 17000, 30000, 5000000);

    r = &segments[nsegments - 1].record;
    assert_in_range(r->skip, 6500, 6800);
    assert_int_equal(r->breaks, FIRST_BREAKS);
    assert_int_equal(r->init, 0);
    assert_int_equal(r->utc - r->start - r->skip, (int64_t) START);
}


static void
test_other_headers_begin_a_segment(void **state)
{
    size_t                n;
    flv_frame_t           frame;
    const hub_segment_t  *r;

    ragged = 1;
    cut_publish(&both);
    cut_play(&both, 0, 5000, 0);
    n = nsegments;

    ngx_memzero(&frame, sizeof(flv_frame_t));
    assert_int_equal(hub_configure(h, &p.writer, HUB_CONFIG_META, &frame,
                                   (const u_char *) "\2\0\0", 3), NGX_OK);
    cut_headers(0, 0, 0x1f);                         /* the same again */
    cut_play(&both, 5000, 5900, 0);
    assert_int_equal(nsegments, n);

    cut_headers(0, 0, 0x20);
    cut_play(&both, 5960, 8000, 0);
    r = &segments[n].record;
    assert_true(r->anew);
    assert_int_equal(r->init, 1);
    assert_int_equal(r->breaks, FIRST_BREAKS);
    assert_int_equal(segments[nsegments - 1].record.breaks, FIRST_BREAKS + 1);
    assert_int_equal(r->skip, 0);

    cut_headers(1, 44100, 0);                        /* another rate, another clock */
    n = nsegments;
    cut_play(&(source_t) { .fps = 25, .gop = 2000, .rate = 44100 }, 8000, 12000, 0);
    assert_true(segments[n].record.anew);
    assert_false(segments[n].record.sound_set);
    assert_int_equal(segments[nsegments - 1].record.breaks, FIRST_BREAKS + 2);
}


static void
test_a_track_that_comes_and_goes(void **state)
{
    size_t             n;
    const hub_init_t  *init;

    ragged = 1;
    cut_publish(&pictures);
    cut_play(&pictures, 0, 5000, 0);
    n = nsegments;
    cut_headers(1, 48000, 0);
    cut_play(&both, 5000, 9000, 0);
    assert_true(segments[n].record.anew);
    assert_int_equal(segments[n - 1].headers.size[1], 0);
    init = &segments[n].headers;
    assert_int_equal(init->size[0], sizeof(cut_avc) - 5);
    assert_int_equal(init->size[1], 2);
    assert_memory_equal(init->data, cut_avc + 5, 3);

    /* the next publisher has no sound, which is known a second later */
    cut_time(9000);
    take_over();
    cut_headers(0, 0, 0x1f);
    n = nsegments;
    cut_play(&pictures, 9000, 15000, 0);
    assert_false(segments[n].record.anew);
    assert_true(segments[n + 1].record.anew);
    assert_int_equal(segments[n + 1].headers.size[1], 0);
    assert_int_equal(segments[nsegments - 1].record.init, 2);
}


static ngx_int_t
newest_headers(hub_init_t *init)
{
    hub_segment_t  newest;

    assert_int_equal(hub_segment_newest(h, &reader, &newest), NGX_OK);

    return hub_segment_init(h, &reader, &newest, init);
}


/* Headers that do not fit have a number, but cannot be had. */
static void
test_headers_that_are_too_large(void **state)
{
    hub_init_t      init;
    flv_frame_t     frame;
    static uint8_t  large[HUB_INIT_MAX + 6] = { 0x17 };

    ngx_memzero(&frame, sizeof(flv_frame_t));
    frame.config = 1;
    frame.codec = FLV_CODEC_H264;
    cut_publish(&(source_t) { 0 });
    assert_int_equal(hub_configure(h, &p.writer, HUB_CONFIG_VIDEO, &frame, large,
                                   sizeof(large)), NGX_OK);
    cut_time(0);
    assert_int_equal(rig_append(h, &p, 1, large, 100), NGX_OK);
    assert_int_equal(newest_headers(&init), NGX_DECLINED);
}


/* x265 stores its options in the header, as an SEI. */
static void
test_headers_of_x265_fit(void **state)
{
    hub_init_t      init;
    flv_frame_t     frame;
    static uint8_t  body[5 + 23 + 5 + 2100] = { 0x90, 'h', 'v', 'c', '1', 1 };

    body[5 + 22] = 1;                            /* one array, of one unit */
    body[5 + 23] = 0x80 | 39;
    body[5 + 25] = 1;
    body[5 + 26] = 2100 >> 8;
    body[5 + 27] = 2100 & 0xff;
    ngx_memzero(&frame, sizeof(flv_frame_t));
    frame.config = 1;
    frame.codec = FLV_CODEC_HEVC;
    cut_publish(&(source_t) { 0 });
    assert_int_equal(hub_configure(h, &p.writer, HUB_CONFIG_VIDEO, &frame, body,
                                   sizeof(body)), NGX_OK);
    assert_int_equal(rig_append(h, &p, 1, body, 100), NGX_OK);
    assert_int_equal(newest_headers(&init), NGX_OK);
    assert_int_equal(init.codec[0], FLV_CODEC_HEVC);
    assert_int_equal(init.size[0], 23);
}


static void
test_what_a_list_names(void **state)
{
    size_t                i, n;
    hub_segment_t         record;
    const hub_stream_t   *s;
    const hub_segment_t  *r;

    cut_publish(&both);
    s = p.writer.ref.stream;
    cut_play(&both, 0, 60000, 0);

    /* nobody watches: a list has what the hub keeps */
    for (i = 0; i < nsegments; i++) {
        r = &segments[i].record;
        assert_true(r->listed + 4 >= r->number || i < 8);
    }

    r = &segments[nsegments - 1].record;
    assert_true(s->dts - s->first_dts <= 12000);
    assert_true(segments[r->listed - FIRST].record.index >= s->first);

    /* somebody does: it grows to hls_window, and the hub keeps more than twice that */
    for (i = 60000; i < 100000; i += 500) {
        hub_segments_want(p.writer.ref.stream);
        cut_play(&both, (int64_t) i, (int64_t) i + 500, 0);
    }

    r = &segments[nsegments - 1].record;
    n = r->listed - FIRST;
    assert_true(r->start - segments[n].record.start >= 12000);
    assert_true(r->start - segments[n + 1].record.start < 12000);
    assert_in_range(s->dts - s->first_dts, 28000, 31000);

    /* the ring has HUB_SEGMENTS of them, and a list less than half */
    for (i = 100000; i < 200000; i += 500) {
        cut_play(&sound, (int64_t) i, (int64_t) i + 500, 0);
    }

    r = &segments[nsegments - 1].record;
    assert_int_equal(hub_segment(h, &reader, r->number - HUB_SEGMENTS + 1, &record),
                     NGX_OK);
    assert_memory_equal(&record, &segments[nsegments - HUB_SEGMENTS].record,
                        sizeof(record));
    assert_int_equal(hub_segment(h, &reader, r->number - HUB_SEGMENTS, &record),
                     NGX_DECLINED);
    assert_true(s->dts - s->first_dts <= 12000);

    /* the stream ends */
    ngx_shmtx_lock(&h->pool->mutex);
    hub_stream_end(h, p.writer.ref.stream);
    ngx_shmtx_unlock(&h->pool->mutex);
    assert_int_equal(hub_segment(h, &reader, r->number, &record), NGX_DECLINED);
    assert_int_equal(hub_segment(h, &reader, r->number + 1, &record), NGX_DECLINED);
    assert_int_equal(hub_segment_newest(h, &reader, &record), NGX_DECLINED);
}


/* The hub's window does not count the holes of a list. */
static void
test_a_hole_does_not_empty_the_list(void **state)
{
    size_t               i;
    const hub_stream_t  *s;

    ragged = 1;
    cut_publish(&both);
    s = p.writer.ref.stream;

    for (i = 0; i < 120000; i += 500) {
        hub_segments_want(p.writer.ref.stream);

        if (i % 40000 < 20000) {
            cut_play(&both, (int64_t) i, (int64_t) i + 500, 0);
        } else {
            cut_time((int64_t) i);
        }

        if (i == 85000) {                    /* the second tunnel was 5 s ago */
            const hub_segment_t  *r = &segments[nsegments - 1].record;

            r = &segments[r->listed - FIRST].record;
            assert_true(segments[nsegments - 1].record.start - r->start >= 12000);
            assert_true(segments[r->listed - FIRST].record.index >= s->first);
            assert_true(s->first > 0);
        }
    }

    cut_play(&both, 120000, 125000, 0);
    assert_true(s->first > 0);
}


/* Pictures without sound that are slower than parts: a stream that begins so has none. */
static void
test_slow_pictures_have_no_parts(void **state)
{
    size_t  i, n;

    static const struct {
        double          fps;
        enum hub_parts  parts;
    } rows[] = {
        { 1, HUB_PARTS_NONE }, { 2, HUB_PARTS_NONE }, { 2.8, HUB_PARTS_NONE },
        { 3.2, HUB_PARTS_LISTED }, { 5, HUB_PARTS_LISTED },
    };

    for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        (void) cut_end(NULL);
        cut_begin_at(2000, 333);
        ragged = 1;
        cut_publish(&pictures);
        cut_play(&(source_t) { .fps = rows[i].fps, .gop = 2000 }, 0, 60000, 0);
        assert_int_equal(p.writer.ref.stream->parts, rows[i].parts);
        assert_in_range(nsegments, 26, 34);

        for (n = 0; n + 1 < nsegments && rows[i].parts == HUB_PARTS_NONE; n++) {
            assert_in_range(cut_length(n), 1400, 2490);
        }
    }

    /* with sound there are parts, however slow the pictures */
    (void) cut_end(NULL);
    cut_begin_at(2000, 333);
    ragged = 1;
    cut_publish(&both);
    cut_play(&(source_t) { .fps = 1, .gop = 2000, .rate = 48000 }, 0, 20000, 0);
    assert_int_equal(p.writer.ref.stream->parts, HUB_PARTS_LISTED);
    assert_false(segments[nsegments - 1].record.whole);
}


/* A stream that becomes so: single segments have none, and their starts do not stay
 * behind. */
static void
test_pictures_that_become_slow(void **state)
{
    size_t  i;

    ragged = 1;
    cut_publish(&pictures);
    cut_play(&pictures, 0, 20000, 0);
    cut_play(&(source_t) { .fps = 1, .gop = 2000 }, 20000, 40000, 0);
    cut_play(&pictures, 40000, 60000, 0);
    assert_int_equal(p.writer.ref.stream->parts, HUB_PARTS_LISTED);

    for (i = 0; i < nsegments; i++) {
        const hub_segment_t  *r = &segments[i].record;

        assert_true(r->whole || r->start < 25000 || r->start > 38000);
        assert_false(r->whole && (r->start < 20000 || r->start > 43000));
    }

    assert_in_range(nsegments, 28, 36);
    assert_true(rig_now - START - (uint64_t) segments[nsegments - 1].record.start < 2100);
}


/* A part has a bound of entries and of bytes, whatever their times. */
static void
test_parts_are_bounded(void **state)
{
    int  i;

    ragged = 1;
    cut_publish(&both);
    cut_time(0);
    assert_int_equal(cut_put(0, 1, 0, 0, 300), NGX_OK);

    for (i = 0; i < 2000; i++) {
        assert_int_equal(cut_put(1, 0, 0, 0, 20), NGX_OK);
    }

    assert_in_range(parts, 7, 8);

    for (i = 1; i < 100; i++) {
        cut_time(i * 10);
        assert_int_equal(cut_put(0, 0, i * 10, 0, i % 7 ? 300000 : 1100000), NGX_OK);
    }
}


/* A SIGKILL in an append, before the new head: the next writer goes on as if that append
 * had not begun. */
static void
test_a_kill_before_the_new_head(void **state)
{
    int             i;
    hub_stream_t   *s;
    hub_segment_t   record, again;

    cut_publish(&both);
    cut_play(&both, 0, 7900, 0);
    s = p.writer.ref.stream;
    assert_int_equal(hub_segment_newest(h, &reader, &record), NGX_OK);

    for (i = 0; i < 3; i++) {
        hub_entry_t  e = { .offset = s->end, .size = 300, .dts = 8000 + 3000 * i,
                           .type = FLV_VIDEO, .flags = HUB_KEY };

        assert_true(hub_cut_entry(h, &p.writer, &e) & HUB_SEGMENT);
        hub_cut_publish(s);
        assert_int_equal(hub_segment_newest(h, &reader, &again), NGX_OK);
        assert_memory_equal(&record, &again, sizeof(record));
        assert_int_equal(hub_segment(h, &reader, record.number + 1, &again), NGX_AGAIN);
    }

    cut_headers(0, 0, 0x20);                         /* appends an entry that is no frame */
    assert_int_equal(hub_segment(h, &reader, record.number + 1, &again), NGX_AGAIN);
    cut_play(&both, 8000, 20000, 0);
    assert_int_equal(segments[nsegments - 1].record.skip, 0);
}


/* --- publishers that would begin a segment all the time --- */

static uint64_t  chance = 1;


static int64_t
roll(int64_t least, int64_t most)
{
    chance ^= chance << 13;
    chance ^= chance >> 7;
    chance ^= chance << 17;

    return least + (int64_t) (chance % (uint64_t) (most - least + 1));
}


/* The timestamps of all frames are any numbers.  Few frames may be left out, and the rig
 * checks that numbers do not outrun the seconds, and that listed segments stay. */
static void
test_timestamps_that_jump_all_the_time(void **state)
{
    int64_t  at;

    ragged = 1;
    cut_publish(&both);

    for (at = 0; at < 120000; at += 40) {
        if (roll(0, 1)) {
            cut_time(at);                    /* the others come with this one */
        }

        assert_int_equal(cut_put(0, at % 1000 == 0, roll(0, 1u << 31), 0, 300), NGX_OK);
        assert_int_equal(cut_put(1, 0, roll(0, 1u << 31), 0, 100), NGX_OK);
    }

    assert_in_range(nsegments, 45, 121);
    assert_true(hidden < 120000 / 40 / 2);
    print_message("# %zu segments, %u of 6000 frames left out\n", nsegments, hidden);
}


/* Headers change every STEP ms, and are SIZE bytes. */
static void
change_headers(int64_t step, size_t size)
{
    int64_t      at;
    flv_frame_t  frame;

    static u_char  body[5 + HUB_INIT_MAX] = { 0x17 };

    (void) cut_end(NULL);
    cut_begin_at(2000, 333);
    ragged = 1;
    cut_publish(&both);
    ngx_memzero(&frame, sizeof(flv_frame_t));
    frame.config = 1;
    frame.codec = FLV_CODEC_H264;

    for (at = 0; at < 120000; at += 40) {
        cut_time(at);

        if (at % step == 0) {
            body[6]++;
            assert_int_equal(hub_configure(h, &p.writer, HUB_CONFIG_VIDEO, &frame, body,
                                           5 + size), NGX_OK);
        }

        assert_int_equal(cut_put(0, at % 1000 == 0, at, 0, 300), NGX_OK);
        assert_int_equal(cut_put(1, 0, at, 0, 100), NGX_OK);
    }
}


static void
test_headers_that_change_all_the_time(void **state)
{
    change_headers(1000, 60);              /* at each key frame */
    assert_in_range(nsegments, 119, 120);
    assert_int_equal(hidden, 0);

    change_headers(200, 60);
    assert_in_range(nsegments, 110, 121);

    change_headers(1000, 500);
    assert_in_range(nsegments, 40, 60);

    change_headers(5000, 500);
    assert_true(nsegments > 48);
    assert_int_equal(hidden, 0);

    change_headers(1000, HUB_INIT_MAX - 10);
}


/* --- a publisher that returns --- */

/* It returns in the middle of a GOP after ABSENT ms, with PICTURES or without. */
static size_t
return_in_a_gop(int with_pictures, int header)
{
    int64_t  at, key = 12600;
    size_t   n;

    (void) cut_end(NULL);
    cut_begin_at(2000, 333);
    ragged = 1;
    cut_publish(&both);
    cut_play(&both, 0, 10500, 0);
    hub_close(h, &p.client, &p.writer);
    cut_time(11000);
    take_over();

    if (header) {
        cut_headers(0, 0, 0x1f);
    }

    cut_headers(1, 48000, 0);
    n = nsegments;

    for (at = 11000; at < 20000; at += 20) {
        cut_time(at);
        assert_int_equal(cut_put(1, 0, at, 0, 100), NGX_OK);

        if (with_pictures && at % 40 == 0) {
            assert_int_equal(cut_put(0, (at - key) % 2000 == 0, at, 0, 300),
                             at < key ? NGX_AGAIN : NGX_OK);
        }
    }

    return n;
}


static void
test_sound_waits_for_the_first_picture(void **state)
{
    size_t  n;

    n = return_in_a_gop(1, 1);
    assert_int_equal(hidden, 1600 / 20 + 1);
    assert_in_range(segments[n].record.skip, 12600 - 10540, 12600 - 10500);
    assert_true(segments[n].record.key);
    assert_true(segments[n].pictures > 20);

    /* as long as a GOP may last, since there may be no more pictures at all */
    (void) return_in_a_gop(0, 1);
    assert_int_equal(hidden, 4000 / 20);

    /* or soon: a publisher without a camera has no header of pictures */
    (void) return_in_a_gop(0, 0);
    assert_int_equal(hidden, 0);
}


/* Pictures had stopped before a publisher went. */
static void
test_sound_does_not_wait_for_a_muted_camera(void **state)
{
    ragged = 1;
    cut_publish(&both);
    cut_play(&both, 0, 10000, 0);
    cut_play(&(source_t) { .rate = 48000 }, 10000, 20000, 0);
    hub_close(h, &p.client, &p.writer);
    cut_time(25000);
    take_over();
    cut_headers(0, 0, 0x1f);
    cut_headers(1, 48000, 0);
    cut_play(&(source_t) { .rate = 48000 }, 25000, 30000, 0);
    assert_int_equal(hidden, 0);
    assert_in_range(segments[nsegments - 1].record.skip, 4900, 5100);
}


/* --- any publisher --- */

/* Lives for some minutes; STEADY: with at least 5 pictures a second or sound, and both at
 * most half a second apart. */
static void
live_randomly(int steady)
{
    int       i;
    int64_t   at = 0, to, shift = 0;
    uint32_t  rate = 48000;
    source_t  src;

    ragged = 1;
    cut_publish(&both);

    for (i = 0; i < 60; i++) {
        src.fps = roll(0, 4) ? (double) roll(steady ? 5 : 1, 70) : 0;
        src.gop = roll(100, 12000);
        src.rate = roll(0, 3) || (steady && src.fps == 0) ? rate : 0;
        src.lag = roll(0, 2) ? 0 : roll(0, steady ? 500 : 2000);
        src.early = roll(0, 2) ? 0 : steady ? roll(-500, 500) : roll(-2500, 2500);
        src.reordered = (int) roll(0, 1);
        to = at + roll(1, 6000);

        switch (roll(0, 12)) {
        case 0:
            hub_close(h, &p.client, &p.writer);
            cut_time(at += roll(0, 30000));
            take_over();
            cut_headers(0, 0, (uint8_t) roll(0x1f, 0x20));
            cut_headers(1, rate = roll(0, 1) ? 48000 : 44100, 0);
            to += at;
            src.rate = src.rate ? rate : 0;
            break;
        case 1:
            shift = roll(0, 1u << 31);
            break;
        case 2:
            cut_headers(0, 0, (uint8_t) roll(0x10, 0x20));
            break;
        case 3:
            at += roll(0, 10000);
            to = at + 2000;
            break;
        case 4:
            hub_segments_want(p.writer.ref.stream);
            break;
        default:
            break;
        }

        to = ngx_min(to, at + 6000);
        cut_time(ngx_max(at, (int64_t) (rig_now - START)));
        cut_play(&src, ngx_max(at, (int64_t) (rig_now - START)), to, shift);
        at = ngx_max(to, (int64_t) (rig_now - START));
    }
}


static void
test_any_publisher(void **state)
{
    int          i;
    const char  *given = getenv("HUB_CUT_SEED");
    uint64_t     seed = given ? strtoull(given, NULL, 10) : (uint64_t) time(NULL);

    print_message("# HUB_CUT_SEED=%lu\n", seed);
    chance = seed * 0x9e3779b97f4a7c15u + 1;

    for (i = 0; i < 100; i++) {
        (void) cut_end(NULL);
        cut_begin_at((uint32_t) roll(1000, 10000), (uint32_t) roll(200, 500));
        live_randomly(i & 1);
    }
}


#define TEST(name)  cmocka_unit_test_setup_teardown(name, cut_begin, cut_end)

int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(test_segments_begin_at_key_frames),
        TEST(test_sound_alone),
        TEST(test_pictures_that_stop_and_return),
        TEST(test_a_hole_is_taken_out),
        TEST(test_a_publisher_that_returns_with_the_same_headers),
        TEST(test_other_headers_begin_a_segment),
        TEST(test_a_track_that_comes_and_goes),
        TEST(test_headers_that_are_too_large),
        TEST(test_headers_of_x265_fit),
        TEST(test_what_a_list_names),
        TEST(test_slow_pictures_have_no_parts),
        TEST(test_pictures_that_become_slow),
        TEST(test_timestamps_that_jump_all_the_time),
        TEST(test_headers_that_change_all_the_time),
        TEST(test_sound_waits_for_the_first_picture),
        TEST(test_sound_does_not_wait_for_a_muted_camera),
        TEST(test_a_hole_does_not_empty_the_list),
        TEST(test_parts_are_bounded),
        TEST(test_a_kill_before_the_new_head),
        TEST(test_any_publisher),
    };

    return cmocka_run_group_tests_name("hub_cut", tests, NULL, NULL);
}
