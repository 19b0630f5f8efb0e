/* The store of HLS, on a real zone: parts and their bytes, in this worker and another.
 * It is one file because all tests share the publisher, and the comparison of lists. */

#define _GNU_SOURCE

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <cmocka.h>

#include "hub_rig.h"
#include "record.h"
#include "../../modules/http/hls_store.h"
#include "../../modules/media/mp4_read.h"

#include <ngx_event.h>

#define ZONE      (64 * 1024 * 1024)
#define RATE      44100
#define PICTURE   40                 /* ms */
#define NAME      ((const u_char *) "live/a")
#define NAME_LEN  6

static const char  avc_720p[] =
    "014d401fffe10019674d401feca02802dd80880000030008000003019078c18cb001000568ebe3cb20";

static hub_t            *h;
static hub_stream_t     *s;
static rig_publisher_t   p;
static uint64_t          zero_ms = 1800000000000;    /* timestamp 0, UTC */
static int64_t           pictures, sounds;   /* frames that were appended */
static ngx_event_t      *timer;


/* --- functions of nginx that the store calls --- */

ngx_rbtree_t  ngx_event_timer_rbtree;

void
ngx_rbtree_insert(ngx_rbtree_t *tree, ngx_rbtree_node_t *node)
{
    timer = (ngx_event_t *) ((u_char *) node - offsetof(ngx_event_t, timer));
}

void
ngx_rbtree_delete(ngx_rbtree_t *tree, ngx_rbtree_node_t *node)
{
}

void *
ngx_calloc(size_t size, ngx_log_t *log)
{
    return calloc(1, size);
}


/* --- a publisher --- */

/* Sets the clock to timestamp TS of the publisher. */
static void
at(int64_t ts)
{
    rig_now = zero_ms + (uint64_t) ts;
    ngx_time_update();
}


static void
append(uint8_t type, int key, int32_t cts, int64_t ts, u_char *body, size_t size)
{
    ngx_buf_t    b;
    ngx_chain_t  in = { &b, NULL };
    flv_frame_t  frame;

    ngx_memzero(&b, sizeof(ngx_buf_t));
    ngx_memzero(&frame, sizeof(flv_frame_t));
    frame.codec = type == FLV_VIDEO ? FLV_CODEC_H264 : FLV_CODEC_AAC;
    frame.key = key;
    frame.cts = cts;
    b.pos = body;
    b.last = body + size;
    at(ts);

    assert_int_equal(hub_append(h, &p.writer, type, &frame, (uint32_t) ts, &in, size),
                     NGX_OK);
}


/* The size and content of a frame tell which one it is. */
static size_t
fill(u_char *body, int64_t number, size_t size)
{
    size_t  i;

    for (i = 0; i < size; i++) {
        body[i] = (u_char) (number * 31 + (int64_t) i * 7);
    }

    return size;
}


static void
picture(int key, int64_t ts)
{
    static const int32_t  cts[] = { 80, 160, 40, 0 };
    int32_t               c = cts[pictures % 4];
    u_char                body[5 + 4000] = { key ? 0x17 : 0x27, 1, 0, 0, (u_char) c };

    append(FLV_VIDEO, key, c, ts, body,
           5 + fill(body + 5, pictures, 300 + (size_t) (pictures * 37 % 1500)));
    pictures++;
}


static void
sound(int64_t ts)
{
    u_char  body[2 + 200] = { 0xaf, 1 };

    append(FLV_AUDIO, 0, 0, ts, body,
           2 + fill(body + 2, sounds, 100 + (size_t) (sounds * 11 % 90)));
    sounds++;
}


/* Appends the frames of [FROM, TO), with a key frame every GOP ms. */
static void
publish(int64_t from, int64_t to, int64_t gop)
{
    int64_t  v = from, a = from, n = 0;

    while (v < to || a < to) {
        if (v <= a) {
            picture(v % gop == 0, v);
            v += PICTURE;
        } else {
            sound(a);
            n++;
            a = from + n * 1024 * 1000 / RATE;
        }
    }
}


static void
configure(const char *avc)
{
    u_char       body[5 + RECORD_MAX] = { 0x17 };
    size_t       size = from_hex(avc, body + 5);
    flv_frame_t  frame;

    ngx_memzero(&frame, sizeof(flv_frame_t));
    frame.config = 1;
    frame.codec = FLV_CODEC_H264;
    assert_int_equal(hub_configure(h, &p.writer, HUB_CONFIG_VIDEO, &frame, body,
                                   5 + size), NGX_OK);

    frame.codec = FLV_CODEC_AAC;
    assert_int_equal(hub_configure(h, &p.writer, HUB_CONFIG_AUDIO, &frame,
                                   (const u_char *) "\xaf\x00\x12\x10", 4), NGX_OK);
}


static int
begin(void **state)
{
    zero_ms += 1000000000;
    at(0);
    h = rig_zone(ZONE);
    h->hls_window = 10000;
    h->stream_max = 16 * 1024 * 1024;
    rig_worker(h);
    pictures = sounds = 0;

    if (rig_publish(h, &p, "live/a", 1) != HUB_ADMITTED) {
        return -1;
    }

    s = p.writer.ref.stream;
    configure(avc_720p);

    return 0;
}


static void
end_stream(void)
{
    ngx_shmtx_lock(&h->pool->mutex);
    hub_stream_end(h, s);
    ngx_shmtx_unlock(&h->pool->mutex);
    hub_close(h, &p.client, &p.writer);
}


/* Ends the stream, and frees what the store has. */
static int
finish(void **state)
{
    if (hub_stream_is_on(s)) {
        end_stream();
    }

    ngx_current_msec += 100000;
    timer->handler(timer);
    assert_int_equal(hls_bytes_held(), 0);
    assert_int_equal(h->workers[h->worker].hls_streams, 0);
    assert_int_equal(h->workers[h->worker].hls_bytes, 0);
    hls_bytes_limit(0);

    (void) munmap(h->shm_zone->shm.addr, ZONE);
    free(h);

    return 0;
}


static hls_stream_t *
opened(void)
{
    hls_stream_t  *st;

    assert_int_equal(hls_store_open(NAME, NAME_LEN, 0, &st), NGX_OK);

    return st;
}


/* --- what a list has --- */

typedef struct {
    uint64_t  first, end;
    uint64_t  hash[HUB_SEGMENTS];    /* of a segment: its parts, and their bytes */
    uint64_t  frames;
} list_t;


static uint64_t
hash(uint64_t old, const void *data, size_t size)
{
    return hub_name_hash(data, size) * 31 + old * 1099511628211ull;
}


static uint64_t
hash_segment(hls_stream_t *st, uint64_t number, uint64_t *frames)
{
    uint32_t              i;
    uint64_t              sum = 0;
    hls_bytes_t          *bytes;
    mp4_sample_t          samples[PART_FRAMES];
    mp4_fragment_t        fragment;
    const hls_part_t     *part;
    const hls_segment_t  *segment = hls_segment(st, number);

    for (i = 0; i < segment->nparts; i++) {
        part = &segment->parts[i];
        assert_int_equal(hls_store_part(st, number, i, &bytes), NGX_OK);
        sum = hash(sum, bytes->data, bytes->size);
        sum = hash(sum, &part->start, sizeof(part->start));
        sum = hash(sum, &part->ms, sizeof(part->ms));
        sum = sum * 2 + part->key;
        assert_int_equal(mp4_read_fragment(bytes->data,
                                           (size_t) bytes->data[2] << 8 | bytes->data[3],
                                           &fragment, samples, PART_FRAMES), 0);
        *frames += fragment.runs[0].n + fragment.runs[1].n;
        hls_bytes_give(bytes);
    }

    return sum * 31 + segment->ms;
}


static void
read_list(list_t *list)
{
    uint64_t       n;
    hls_stream_t  *st = opened();

    ngx_memzero(list, sizeof(list_t));
    list->first = st->first;
    list->end = st->end;

    for (n = st->first; n < st->end; n++) {
        list->hash[n % HUB_SEGMENTS] = hash_segment(st, n, &list->frames);
    }
}


/* Another worker, which has no store until go() */
typedef struct {
    list_t             list;
    volatile uint64_t  now_ms;
} other_t;

static other_t  *other;
static pid_t     other_pid;
static int       other_pipe[2];


static void
fork_other(void)
{
    char  c;

    other = mmap(NULL, sizeof(other_t), PROT_READ|PROT_WRITE,
                 MAP_SHARED|MAP_ANONYMOUS, -1, 0);
    assert_true(other != MAP_FAILED && pipe(other_pipe) == 0);
    other_pid = fork();

    if (other_pid == 0) {
        (void) close(other_pipe[1]);
        (void) !read(other_pipe[0], &c, 1);
        h->worker = HUB_NO_SLOT;
        ngx_current_msec = (ngx_msec_t) other->now_ms;
        read_list(&other->list);
        _exit(0);
    }

    (void) close(other_pipe[0]);
}


/* Has the other worker begin now, and compares what both have. */
static void
compare_other(void)
{
    int       status;
    list_t    here;
    uint64_t  n;

    other->now_ms = ngx_current_msec;
    (void) close(other_pipe[1]);
    assert_int_equal(waitpid(other_pid, &status, 0), other_pid);
    assert_int_equal(status, 0);

    read_list(&here);
    assert_int_equal(here.first, other->list.first);
    assert_int_equal(here.end, other->list.end);
    assert_true(here.end - here.first > 3);

    for (n = here.first; n < here.end; n++) {
        assert_int_equal(here.hash[n % HUB_SEGMENTS],
                         other->list.hash[n % HUB_SEGMENTS]);
    }

    (void) munmap(other, sizeof(other_t));
}


/* Checks that the parts of all listed segments continue one another.  Returns the
 * number of their frames. */
static uint64_t
check_times(hls_stream_t *st)
{
    int                   kind;
    uint32_t              i, j;
    int64_t               ms;
    uint64_t              n, frames = 0, ends[2] = { 0, 0 };
    hls_bytes_t          *bytes;
    mp4_sample_t          samples[PART_FRAMES];
    mp4_fragment_t        f;
    const hls_segment_t  *segment;

    for (n = st->first; n < st->end; n++) {
        segment = hls_segment(st, n);

        for (i = 0, ms = 0; i < segment->nparts; i++) {
            assert_int_equal(segment->parts[i].start, segment->record.start + ms);
            ms += segment->parts[i].ms;
            assert_true(segment->parts[i].ms <= st->part_ms);

            assert_int_equal(hls_store_part(st, n, i, &bytes), NGX_OK);
            assert_int_equal(mp4_read_fragment(bytes->data,
                                               (size_t) bytes->data[2] << 8
                                               | bytes->data[3], &f, samples,
                                               PART_FRAMES), 0);

            for (kind = 0; kind < 2; kind++) {
                if (f.runs[kind].n == 0) {
                    continue;
                }
                assert_true(ends[kind] == 0 || f.runs[kind].dts == ends[kind]);
                ends[kind] = f.runs[kind].dts;
                for (j = 0; j < f.runs[kind].n; j++) {
                    ends[kind] += f.runs[kind].samples[j].duration;
                }
                frames += f.runs[kind].n;
            }

            hls_bytes_give(bytes);
        }

        assert_true(segment->ms == 0 || segment->ms == ms);
    }

    return frames;
}


/* --- the tests --- */

static void
test_parts_are_complete_with_the_next_frame(void **state)
{
    hls_bytes_t    *bytes;
    hls_stream_t   *st;
    hls_segment_t  *segment;

    assert_int_equal(hls_store_open(NAME, NAME_LEN, 0, &st), NGX_OK);
    assert_true(st->first == st->end && !st->ended);
    assert_int_equal(st->target_s, 2);
    assert_int_equal(hls_store_read(st), NGX_AGAIN);

    publish(0, 320, 2000);
    assert_int_equal(hls_store_read(st), NGX_OK);
    assert_int_equal(st->end - st->first, 1);
    segment = &st->segments[st->first % HUB_SEGMENTS];
    assert_int_equal(segment->nparts, 0);
    assert_int_equal(hls_store_part(st, st->first, 0, &bytes), NGX_AGAIN);
    assert_int_equal(hls_store_part(st, st->first, 1, &bytes), NGX_DECLINED);
    assert_int_equal(hls_store_read(st), NGX_AGAIN);

    publish(320, 2200, 2000);
    assert_int_equal(hls_store_read(st), NGX_OK);
    assert_int_equal(st->end - st->first, 2);
    assert_int_equal(segment->ms, 2000);
    assert_true(segment->nparts >= 6 && segment->parts[0].key
                && !segment->parts[1].key);
    assert_int_equal(hls_store_segment(st, st->first + 1, &bytes), NGX_AGAIN);
    assert_int_equal(hls_store_part(st, st->first, segment->nparts, &bytes),
                     NGX_DECLINED);
    assert_int_equal(hls_store_part(st, st->first - 1, 0, &bytes), NGX_DECLINED);
    (void) check_times(st);
}


static void
test_a_part_is_made_once_and_only_when_asked_for(void **state)
{
    uint64_t       frames;
    hls_bytes_t   *bytes[16], *again;
    hls_stream_t  *st;

    publish(0, 3000, 2000);
    st = opened();
    assert_int_equal(h->header->hls_parts, 0);
    assert_int_equal(hls_bytes_held(), 0);
    assert_int_equal(h->workers[h->worker].hls_streams, 1);

    assert_int_equal(hls_store_segment(st, st->first, bytes), NGX_OK);
    frames = h->header->hls_frames;
    assert_int_equal(h->header->hls_parts, hls_segment(st, st->first)->nparts);
    assert_int_equal(frames, 50 + 87);           /* pictures, and sound of 2 s */

    assert_int_equal(hls_store_part(st, st->first, 1, &again), NGX_OK);
    assert_ptr_equal(again, bytes[1]);
    assert_int_equal(h->header->hls_frames, frames);
    assert_int_equal(h->workers[h->worker].hls_bytes, hls_bytes_held());

    for (uint32_t i = 0; i < hls_segment(st, st->first)->nparts; i++) {
        hls_bytes_give(bytes[i]);
    }
    hls_bytes_give(again);
}


static void
test_a_worker_that_begins_late_has_the_same_bytes(void **state)
{
    int64_t        ts;
    list_t         seen;
    hls_stream_t  *st;

    fork_other();

    for (ts = 0; ts < 30000; ts += 250) {
        publish(ts, ts + 250, 2000);
        st = opened();
        if (ts % 1000 == 0) {
            read_list(&seen);
        }
    }

    (void) check_times(st);
    compare_other();
}


static void
test_the_same_with_odd_pictures_and_holes(void **state)
{
    int64_t  ts;

    fork_other();
    (void) opened();

    for (ts = 0; ts < 36000; ts += 500) {
        if (ts >= 8000 && ts < 9000) {           /* pictures pause */
            for (int64_t a = ts; a < ts + 500; a += 23) {
                sound(a);
            }
        } else if (ts == 14000) {                /* a tunnel, and then all at once */
            ts += 4000;
            publish(ts, ts + 500, 2000);
        } else {
            publish(ts, ts + 500, ts < 24000 ? 2000 : 9000);
        }
        (void) opened();
    }

    compare_other();
}


static void
test_new_headers_begin_a_segment_with_another_init(void **state)
{
    uint64_t       n, anew = 0;
    hls_bytes_t   *bytes, *before = NULL;
    mp4_track_t    tracks[2];
    hls_stream_t  *st;
    static char    other_avc[sizeof(avc_720p)];

    fork_other();
    publish(0, 6000, 2000);
    st = opened();
    assert_int_equal(hls_store_init(st, hls_segment(st, st->first)->record.init,
                                    &before), NGX_OK);
    hls_store_tracks(hls_store_headers(st, hls_segment(st, st->first)->record.init),
                     tracks);
    assert_int_equal(tracks[MP4_VIDEO].width, 1280);
    assert_int_equal(tracks[MP4_AUDIO].timescale, RATE);

    memcpy(other_avc, avc_720p, sizeof(avc_720p));
    other_avc[7] = '1';                          /* another level */
    configure(other_avc);
    publish(6000, 12000, 2000);
    st = opened();

    for (n = st->first; n < st->end; n++) {
        if (hls_segment(st, n)->record.anew) {
            anew++;
            assert_int_equal(hls_store_init(st, hls_segment(st, n)->record.init, &bytes),
                             NGX_OK);
            assert_true(bytes->size == before->size
                        && memcmp(bytes->data, before->data, bytes->size) != 0);
            assert_null(memmem(bytes->data, bytes->size, "mehd", 4));
            hls_bytes_give(bytes);
        }
    }

    assert_int_equal(anew, 1);
    assert_int_equal(hls_store_init(st, 77, &bytes), NGX_DECLINED);
    assert_int_equal(hls_store_init(st, HLS_NO_INIT, &bytes), NGX_DECLINED);
    hls_bytes_give(before);
    compare_other();
}


/* Sound before the first picture of a publisher that returned is in no part. */
static void
test_frames_that_are_left_out(void **state)
{
    list_t         list;
    int64_t        ts;
    uint64_t       i, frames = 0, hidden = 0;
    hub_entry_t   *e;
    hls_stream_t  *st;

    fork_other();
    publish(0, 6500, 2000);
    hub_close(h, &p.client, &p.writer);
    at(7000);
    assert_int_equal(rig_publish(h, &p, "live/a", 1), HUB_ADMITTED);
    configure(avc_720p);

    for (ts = 7000; ts < 8000; ts += 20) {
        sound(ts);
    }

    publish(8000, 14000, 2000);
    st = opened();
    read_list(&list);

    for (i = hls_segment(st, st->first)->record.index; i < st->growing.index; i++) {
        e = hub_entry(h, s, i);
        hidden += (e->flags & HUB_HIDDEN) != 0;
        frames += (e->flags & (HUB_HIDDEN|HUB_CONFIG)) == 0;
    }

    assert_int_equal(hidden, 50);
    assert_int_equal(list.frames, frames);
    compare_other();
}


/* Each segment has other headers; all can be had for as long as it can be asked for. */
static void
test_headers_of_all_segments_are_known(void **state)
{
    char           avc[sizeof(avc_720p)];
    int64_t        ts;
    uint64_t       n;
    hls_bytes_t   *bytes;
    hls_stream_t  *st;

    memcpy(avc, avc_720p, sizeof(avc));

    for (ts = 0; ts < 60000; ts += 1000) {
        avc[7] = "0123456789"[ts / 1000 % 10];
        configure(avc);
        publish(ts, ts + 1000, 1000);
        st = opened();

        for (n = st->oldest; n < st->end; n++) {
            assert_int_equal(hls_store_init(st, hls_segment(st, n)->record.init, &bytes),
                             NGX_OK);
            hls_bytes_give(bytes);
        }
    }

    assert_true(st->first - st->oldest > 8);
    assert_true(st->end - st->first > 8);
    assert_int_equal(hls_store_init(st, 0, &bytes), NGX_DECLINED);
}


static void
test_a_full_cache_frees_what_nobody_holds(void **state)
{
    uint32_t       i, n;
    uint64_t       first, sum, frames = 0, made;
    hls_bytes_t   *held[16], *bytes;
    hls_stream_t  *st;

    publish(0, 12000, 2000);
    st = opened();
    first = st->first;
    sum = hash_segment(st, first, &frames);
    hls_bytes_limit(hls_bytes_held() + 20000);   /* room for one segment */

    assert_int_equal(hls_store_segment(st, first + 1, held), NGX_OK);
    assert_null(hls_segment(st, first)->parts[0].bytes);
    assert_true(hls_bytes_held() < 200000);

    n = hls_segment(st, first + 1)->nparts;      /* they stay while they are held */
    (void) hash_segment(st, first + 2, &frames);

    for (i = 0; i < n; i++) {
        assert_ptr_equal(hls_segment(st, first + 1)->parts[i].bytes, held[i]);
        assert_memory_equal(held[i]->data + 4, "moof", 4);
    }

    hls_bytes_limit(hls_bytes_held());
    assert_int_equal(hls_store_segment(st, first + 3, &held[8]), NGX_BUSY);

    for (i = 0; i < n; i++) {
        hls_bytes_give(held[i]);
    }

    made = h->header->hls_parts;
    assert_int_equal(hash_segment(st, first, &frames), sum);
    assert_int_equal(h->header->hls_parts, made + hls_segment(st, first)->nparts);

    hls_bytes_limit(1000);                       /* less than a part */
    assert_int_equal(hls_store_part(st, first + 3, 0, &bytes), NGX_BUSY);
}


/* Nobody asked for a part while the hub had it. */
static void
test_a_publisher_that_does_not_return_leaves_a_list_that_can_be_read(void **state)
{
    uint32_t              i;
    uint64_t              n;
    hls_bytes_t          *bytes;
    hls_stream_t         *st;
    const hls_segment_t  *last;

    publish(0, 5000, 2000);
    st = opened();
    hub_close(h, &p.client, &p.writer);
    assert_int_equal(hls_store_read(st), NGX_AGAIN);
    last = hls_segment(st, st->end - 1);
    i = last->nparts;

    ngx_shmtx_lock(&h->pool->mutex);
    hub_stream_end(h, s);
    ngx_shmtx_unlock(&h->pool->mutex);

    assert_int_equal(hls_store_read(st), NGX_OK);
    assert_true(st->ended);
    assert_int_equal(last->nparts, i + 1);       /* the frames behind the last part */
    assert_in_range(last->ms, 990, 1040);

    for (n = st->first; n < st->end; n++) {
        for (i = 0; i < hls_segment(st, n)->nparts; i++) {
            assert_int_equal(hls_store_part(st, n, i, &bytes), NGX_OK);
            hls_bytes_give(bytes);
        }
    }
}


static void
test_a_publisher_that_returns_continues_the_last_part(void **state)
{
    hls_stream_t         *st;
    const hls_segment_t  *segment;

    publish(0, 5000, 2000);
    st = opened();
    hub_close(h, &p.client, &p.writer);
    assert_int_equal(hls_store_read(st), NGX_AGAIN);
    assert_non_null(st->rest.bytes);
    segment = hls_segment(st, st->end - 1);
    assert_int_equal(segment->ms, 0);

    assert_int_equal(rig_publish(h, &p, "live/a", 1), HUB_ADMITTED);
    configure(avc_720p);
    publish(6000, 8000, 2000);
    assert_int_equal(hls_store_read(st), NGX_OK);
    assert_null(st->rest.bytes);
    assert_in_range(segment->ms, 990, 1040);
}


static void
test_a_stream_that_ends_closes_its_last_segment(void **state)
{
    int64_t               ms = 0;
    uint32_t              i;
    uint64_t              session;
    hls_bytes_t          *bytes;
    hls_stream_t         *st;
    const hls_segment_t  *last;

    publish(0, 5000, 2000);
    st = opened();
    session = st->session;
    assert_int_equal(hls_store_part(st, st->first, 0, &bytes), NGX_OK);
    hls_bytes_give(bytes);

    end_stream();
    assert_int_equal(hls_store_read(st), NGX_OK);
    assert_true(st->ended);
    assert_int_equal(hls_store_read(st), NGX_AGAIN);
    assert_int_equal(st->end - st->first, 3);
    last = hls_segment(st, st->end - 1);

    for (i = 0; i < last->nparts; i++) {
        ms += last->parts[i].ms;
    }

    assert_int_equal(last->ms, ms);
    assert_in_range(ms, 600, 1000);

    assert_int_equal(hls_store_part(st, st->first, 0, &bytes), NGX_OK);
    hls_bytes_give(bytes);
    assert_int_equal(hls_store_part(st, st->first, 1, &bytes), NGX_DECLINED);
    assert_ptr_equal(opened(), st);

    /* another stream of this name has another session */
    at(7000);
    assert_int_equal(rig_publish(h, &p, "live/a", 1), HUB_ADMITTED);
    s = p.writer.ref.stream;
    configure(avc_720p);
    publish(8000, 11000, 2000);
    st = opened();
    assert_false(st->ended);
    assert_true(st->session != session);
    assert_int_equal(hls_store_open(NAME, NAME_LEN, session, &st), NGX_OK);
    assert_true(st->ended);
    assert_int_equal(hls_store_open(NAME, NAME_LEN, session + 1, &st), NGX_DECLINED);
    assert_int_equal(hls_store_open((const u_char *) "live/b", 6, 0, &st),
                     NGX_DECLINED);
}


/* A segment that was removed from the list stays for a while; not for ever. */
/* Its viewers have no sessions any more, so no limit and no kick ends their requests. */
static void
test_an_ended_stream_goes_though_it_is_asked_for(void **state)
{
    uint32_t       seconds;
    hls_stream_t  *st;

    publish(0, 5000, 2000);
    st = opened();
    end_stream();
    (void) hls_store_read(st);

    for (seconds = 0; h->workers[h->worker].hls_streams; seconds++) {
        if (seconds < 10) {
            assert_ptr_equal(opened(), st);
        }
        ngx_current_msec += 1000;
        assert_true(hls_store_open(NAME, NAME_LEN, st->session, &st) == NGX_OK);
        timer->handler(timer);
    }

    assert_in_range(seconds, 10, 12);            /* a list of 4 s, and 3 x 2 s */
}


static void
test_removed_segments_can_be_asked_for(void **state)
{
    int64_t        ts;
    uint64_t       first;
    hls_bytes_t   *bytes;
    hls_stream_t  *st;

    for (ts = 0; ts < 12000; ts += 500) {
        publish(ts, ts + 500, 2000);
        st = opened();
    }

    for (first = st->first; st->first == first; ts += 500) {
        publish(ts, ts + 500, 2000);
        st = opened();
    }

    assert_int_equal(st->oldest, first);
    assert_int_equal(hls_store_part(st, first, 2, &bytes), NGX_OK);
    hls_bytes_give(bytes);

    for ( ; ts < 24000; ts += 500) {             /* the list is 10 s long */
        publish(ts, ts + 500, 2000);
        st = opened();
    }

    assert_true(st->oldest <= first);
    assert_int_equal(hls_store_part(st, first, 3, &bytes), NGX_OK);
    hls_bytes_give(bytes);

    for ( ; ts < 60000; ts += 500) {
        publish(ts, ts + 500, 2000);
        st = opened();
    }

    assert_true(st->oldest > first);
    assert_int_equal(hls_store_part(st, first, 3, &bytes), NGX_DECLINED);
}


/* The hub overwrites what a worker has not read, or has not made yet. */
static void
test_a_slow_worker_has_no_torn_parts(void **state)
{
    uint64_t       first;
    hls_bytes_t   *bytes;
    hls_stream_t  *st;

    publish(0, 5000, 2000);
    st = opened();
    first = st->first;
    assert_int_equal(hls_store_part(st, first, 0, &bytes), NGX_OK);
    publish(5000, 300000, 2000);

    assert_int_equal(hls_store_part(st, first, 1, &bytes), NGX_DECLINED);
    hls_bytes_give(bytes);

    st = opened();
    st = opened();
    assert_true(st->first > first && st->end > st->first + 2);
    (void) check_times(st);
    assert_int_equal(hls_store_part(st, first, 0, &bytes), NGX_DECLINED);
}


static void
test_it_is_freed_when_nobody_asks(void **state)
{
    hls_bytes_t   *bytes;
    hls_stream_t  *st;

    publish(0, 5000, 2000);
    st = opened();
    assert_int_equal(hls_store_part(st, st->first, 0, &bytes), NGX_OK);
    assert_true(timer->cancelable);              /* an exiting worker may end */

    hls_store_keep(st);
    ngx_current_msec += 60000;
    timer->handler(timer);
    assert_int_equal(h->workers[h->worker].hls_streams, 1);

    hls_store_give(st);
    ngx_current_msec += 6000;
    timer->handler(timer);
    assert_int_equal(h->workers[h->worker].hls_streams, 1);

    ngx_current_msec += 1;
    timer->handler(timer);
    assert_int_equal(h->workers[h->worker].hls_streams, 0);
    assert_int_equal(hls_bytes_held(), sizeof(hls_bytes_t) + bytes->size);

    hls_bytes_give(bytes);                       /* a slow client's */
    assert_int_equal(hls_bytes_held(), 0);
}


#ifndef __SANITIZE_ADDRESS__

static double
cpu_s(void)
{
    struct timespec  ts;

    (void) clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts);

    return (double) ts.tv_sec + (double) ts.tv_nsec / 1e9;
}


/* Prints how fast the parts of pictures of SIZE bytes are made. */
static void
measure(size_t size)
{
    int            i, round;
    double         began, bytes = 0, took;
    uint64_t       n, before = h->header->hls_parts, made;
    uint32_t       part;
    hls_bytes_t   *one;
    hls_stream_t  *st;
    static u_char  body[5 + 40000] = { 0x27, 1 };
    static int64_t ts;

    for (i = 0; i < 600; i++, ts += PICTURE) {   /* 24 s */
        body[0] = i % 50 ? 0x27 : 0x17;
        append(FLV_VIDEO, i % 50 == 0, 0, ts, body, 5 + size);
        sound(ts);
        sound(ts + 20);
    }

    st = opened();
    hls_bytes_limit(1 << 20);                    /* so that they are made again */

    for (began = cpu_s(), round = 0; round < 50; round++) {
        for (n = st->first; n < st->end; n++) {
            for (part = 0; part < hls_segment(st, n)->nparts; part++) {
                assert_int_equal(hls_store_part(st, n, part, &one), NGX_OK);
                bytes += (double) one->size;
                hls_bytes_give(one);
            }
        }
    }

    took = cpu_s() - began;
    made = h->header->hls_parts - before;
    assert_true(made > 1000);
    print_message("# %zu kbps: %.1f GB/s of media, %.1f us a part of %.0f KB\n",
                  size * 8 / PICTURE, bytes / took / 1e9, took * 1e6 / (double) made,
                  bytes / (double) made / 1000);
}


/* ... and what a tick without news costs. */
static void
test_the_packagers_speed(void **state)
{
    int            i;
    double         began;
    hls_stream_t  *st;

    measure(5000);
    measure(20000);

    st = opened();

    for (began = cpu_s(), i = 0; i < 1000000; i++) {
        assert_true(hls_store_read(st) == NGX_AGAIN);
    }

    print_message("# a tick without news: %.0f ns\n", (cpu_s() - began) * 1e3);
}


#endif


#define store_test(name)  cmocka_unit_test_setup_teardown(name, begin, finish)

int
main(void)
{
    const struct CMUnitTest  tests[] = {
        store_test(test_parts_are_complete_with_the_next_frame),
        store_test(test_a_part_is_made_once_and_only_when_asked_for),
        store_test(test_a_worker_that_begins_late_has_the_same_bytes),
        store_test(test_the_same_with_odd_pictures_and_holes),
        store_test(test_new_headers_begin_a_segment_with_another_init),
        store_test(test_frames_that_are_left_out),
        store_test(test_headers_of_all_segments_are_known),
        store_test(test_a_full_cache_frees_what_nobody_holds),
        store_test(test_a_publisher_that_does_not_return_leaves_a_list_that_can_be_read),
        store_test(test_a_publisher_that_returns_continues_the_last_part),
        store_test(test_a_stream_that_ends_closes_its_last_segment),
        store_test(test_an_ended_stream_goes_though_it_is_asked_for),
        store_test(test_removed_segments_can_be_asked_for),
        store_test(test_a_slow_worker_has_no_torn_parts),
        store_test(test_it_is_freed_when_nobody_asks),
#ifndef __SANITIZE_ADDRESS__
        store_test(test_the_packagers_speed),
#endif
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
