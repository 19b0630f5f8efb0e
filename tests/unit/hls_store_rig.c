#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <unistd.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <cmocka.h>

#include "hls_store_rig.h"
#include "record.h"
#include "../../modules/media/mp4_read.h"

#define ZONE  (64 * 1024 * 1024)

hub_t            *h;
hub_stream_t     *s;
rig_publisher_t   p;
ngx_event_t      *timer;

static uint64_t   zero_ms = 1800000000000;   /* timestamp 0, UTC */
static int64_t    pictures, sounds;          /* frames that were appended */


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

void
at(int64_t ts)
{
    rig_now = zero_ms + (uint64_t) ts;
    ngx_time_update();
}


void
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


void
sound(int64_t ts)
{
    u_char  body[2 + 200] = { 0xaf, 1 };

    append(FLV_AUDIO, 0, 0, ts, body,
           2 + fill(body + 2, sounds, 100 + (size_t) (sounds * 11 % 90)));
    sounds++;
}


void
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


void
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


int
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
    configure(AVC_720P);

    return 0;
}


void
end_stream(void)
{
    ngx_shmtx_lock(&h->pool->mutex);
    hub_stream_end(h, s);
    ngx_shmtx_unlock(&h->pool->mutex);
    hub_close(h, &p.client, &p.writer);
}


/* Ends the stream, and frees what the store has. */
int
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


hls_stream_t *
opened(void)
{
    hls_stream_t  *st;

    assert_int_equal(hls_store_open(NAME, NAME_LEN, 0, &st), NGX_OK);

    return st;
}


/* --- what a list has --- */

static uint64_t
hash(uint64_t old, const void *data, size_t size)
{
    return hub_name_hash(data, size) * 31 + old * 1099511628211ull;
}


uint64_t
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


void
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


/* Another worker. */
typedef struct {
    list_t             list;
    volatile uint64_t  now_ms;
} other_t;

static other_t  *other;
static pid_t     other_pid;
static int       other_pipe[2];


void
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


void
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


uint64_t
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
