#include <arpa/inet.h>
#include <sched.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>

#include "hub_rig.h"

/* --- functions of nginx that the hub calls --- */

ngx_pid_t                    ngx_pid;
ngx_uint_t                   ngx_process = NGX_PROCESS_WORKER;
ngx_pid_t                    ngx_parent;
ngx_uint_t                   ngx_exiting, ngx_test_config;
sig_atomic_t                 ngx_quit;
volatile ngx_msec_t          ngx_current_msec;
volatile ngx_time_t         *ngx_cached_time;

static ngx_cycle_t           rig_cycle;      /* listens on nothing */
volatile ngx_cycle_t        *ngx_cycle = &rig_cycle;

static ngx_time_t  rig_time;

uint64_t           rig_now;


void
ngx_time_update(void)
{
    struct timespec  now;

    (void) clock_gettime(CLOCK_REALTIME, &now);
    rig_time.sec = now.tv_sec;
    rig_time.msec = (ngx_uint_t) now.tv_nsec / 1000000;
    ngx_cached_time = &rig_time;
    ngx_current_msec = (ngx_msec_t) (rig_us() / 1000);

    if (rig_now) {
        rig_time.sec = (time_t) (rig_now / 1000);
        rig_time.msec = (ngx_uint_t) rig_now % 1000;
        ngx_current_msec = (ngx_msec_t) rig_now;
    }
}


/* nginx's version also waits on a semaphore; the lock word is the same */
void
ngx_shmtx_lock(ngx_shmtx_t *mtx)
{
    while (!ngx_atomic_cmp_set(mtx->lock, 0, (ngx_atomic_uint_t) ngx_pid)) {
        (void) sched_yield();
    }
}


void
ngx_shmtx_unlock(ngx_shmtx_t *mtx)
{
    (void) ngx_atomic_cmp_set(mtx->lock, (ngx_atomic_uint_t) ngx_pid, 0);
}


void *
ngx_alloc(size_t size, ngx_log_t *log)
{
    return malloc(size);
}


in_addr_t
ngx_inet_addr(u_char *text, size_t len)
{
    char       copy[INET_ADDRSTRLEN] = "";
    in_addr_t  addr;

    if (len < sizeof(copy)) {
        ngx_memcpy(copy, text, len);
    }

    return inet_pton(AF_INET, copy, &addr) == 1 ? addr : INADDR_NONE;
}


ngx_int_t
ngx_inet6_addr(u_char *p, size_t len, u_char *addr)
{
    return NGX_ERROR;
}


/* knows only the formats of a line of hub_revocations */
u_char *
ngx_sprintf(u_char *out, const char *fmt, ...)
{
    va_list     args;
    ngx_str_t  *text;

    va_start(args, fmt);

    for ( ; *fmt; fmt++) {
        if (fmt[0] == '%' && (fmt[1] == 'L' || fmt[1] == 'u')) {
            out += sprintf((char *) out, fmt[1] == 'L' ? "%ld" : "%lu",
                           va_arg(args, long));
            fmt += fmt[1] == 'L' ? 1 : 2;

        } else if (fmt[0] == '%' && fmt[1] == 'V') {
            text = va_arg(args, ngx_str_t *);
            out = ngx_cpymem(out, text->data, text->len);
            fmt++;

        } else {
            *out++ = (u_char) *fmt;
        }
    }

    va_end(args);

    return out;
}


void
ngx_log_error_core(ngx_uint_t level, ngx_log_t *log, ngx_err_t err,
    const char *fmt, ...)
{
}


hub_t *
hub_of(const ngx_cycle_t *cycle)
{
    return NULL;
}


/* --- the rig --- */

static ngx_shm_zone_t  rig_shm[2];
ngx_log_t              rig_log;


uint64_t
rig_us(void)
{
    struct timespec  now;

    (void) clock_gettime(CLOCK_MONOTONIC, &now);

    return (uint64_t) now.tv_sec * 1000000 + (uint64_t) now.tv_nsec / 1000;
}


static hub_t *
rig_hub(ngx_shm_zone_t *zone, size_t size)
{
    hub_t            *h = calloc(1, sizeof(hub_t));
    ngx_slab_pool_t  *pool;

    zone->shm.size = size;
    zone->shm.log = &rig_log;
    zone->shm.addr = mmap(NULL, size, PROT_READ|PROT_WRITE,
                          MAP_SHARED|MAP_ANONYMOUS, -1, 0);

    if (h == NULL || zone->shm.addr == MAP_FAILED) {
        abort();
    }

    pool = (ngx_slab_pool_t *) zone->shm.addr;
    pool->mutex.lock = &pool->lock.lock;

    zone->data = h;
    h->shm_zone = zone;
    h->worker = HUB_NO_SLOT;
    h->window = 10000;
    h->grace = 60000;
    h->stream_max = 16 * HUB_BLOCK_SIZE;
    h->hls_segment = 2000;
    h->hls_part = 333;
    h->hls_window = 12000;
    h->user_share.percent = h->address_share.percent = 100;

    return h;
}


hub_t *
rig_zone(size_t size)
{
    hub_t  *h = rig_hub(&rig_shm[0], size);

    ngx_pid = getpid();
    rig_cycle.log = &rig_log;
    ngx_parent = getppid();
    ngx_time_update();

    if (hub_zone_init(h->shm_zone, NULL) != NGX_OK) {
        abort();
    }

    return h;
}


hub_t *
rig_copy(const hub_t *h)
{
    size_t            size = h->shm_zone->shm.size;
    ngx_slab_pool_t  *pool;

    static hub_t  *copy;

    if (copy == NULL) {
        copy = rig_hub(&rig_shm[1], size);
    }

    ngx_memcpy(rig_shm[1].shm.addr, h->shm_zone->shm.addr, size);
    pool = (ngx_slab_pool_t *) rig_shm[1].shm.addr;
    pool->mutex.lock = &pool->lock.lock;
    pool->lock.lock = 0;
    rig_shm[1].shm.exists = 1;

    if (hub_zone_init(copy->shm_zone, NULL) != NGX_OK) {
        abort();
    }

    copy->worker = HUB_NO_SLOT;
    copy->grace = h->grace;

    return copy;
}


void
rig_unlock(hub_t *h, pid_t pid)
{
    (void) ngx_atomic_cmp_set(h->pool->mutex.lock, (ngx_atomic_uint_t) pid, 0);
}


void
rig_worker(hub_t *h)
{
    ngx_pid = getpid();
    ngx_parent = getppid();
    h->worker = HUB_NO_SLOT;
    ngx_time_update();
    hub_worker_start(h, &rig_log);
    hub = h;
}


pid_t
rig_dead(void)
{
    pid_t  pid = fork();

    if (pid == 0) {
        _exit(0);
    }

    (void) waitpid(pid, NULL, 0);

    return pid;
}


void
rig_identity(hub_identity_t *who, enum hub_protocol protocol)
{
    ngx_memzero(who, sizeof(hub_identity_t));
    who->protocol = protocol;
    who->uid = 7;
    who->issued = ngx_time();
    ngx_str_set(&who->address, "192.0.2.1");
}


static void
rig_end(void *data, const char *why)
{
}


enum hub_refusal
rig_publish(hub_t *h, rig_publisher_t *p, const char *name, u_char owner)
{
    u_char          sha1[20];
    hub_identity_t  who;

    ngx_memzero(p, sizeof(rig_publisher_t));
    ngx_memset(sha1, owner, sizeof(sha1));
    rig_identity(&who, HUB_PUBLISH);
    who.key = owner;

    return hub_open(h, (const u_char *) name, ngx_strlen(name), sha1, &who,
                    &p->client, rig_end, p, &p->writer);
}


ngx_int_t
rig_append(hub_t *h, rig_publisher_t *p, int key, u_char *body, size_t size)
{
    ngx_buf_t    b;
    ngx_chain_t  in = { &b, NULL };
    flv_frame_t  frame;

    ngx_memzero(&b, sizeof(ngx_buf_t));
    ngx_memzero(&frame, sizeof(flv_frame_t));
    frame.codec = FLV_CODEC_H264;
    frame.key = key;
    b.pos = body;
    b.last = body + size;
    ngx_time_update();

    return hub_append(h, &p->writer, FLV_VIDEO, &frame,
                      (uint32_t) ngx_current_msec, &in, size);
}


/* --- invariants of a zone --- */

static const char *
rig_blocks(hub_t *h, uint32_t *lost)
{
    uint32_t       i, block, n = h->header->nblocks, listed = 0, held = 0;
    uint64_t       at;
    hub_stream_t  *s;

    static u_char  owners[65536];

    ngx_memzero(owners, sizeof(owners));

    for (block = h->header->free; block != HUB_NO_BLOCK; block = h->next[block]) {
        if (block >= n || owners[block]++) {
            return "the list of free blocks has one twice";
        }
        listed++;
    }

    for (i = 0; i < h->header->nstreams; i++) {
        s = &h->streams[i];

        if (s->state == HUB_FREE) {
            continue;
        }

        if (s->first_block > s->end_block
            || hub_blocks(s) > HUB_STREAM_BLOCKS)
        {
            return "a stream has less than no blocks";
        }

        for (at = s->first_block; at < s->end_block; at++) {
            if (owners[s->blocks[at % HUB_STREAM_BLOCKS]]++) {
                return "a block has two owners";
            }
            held++;
        }

        if (s->first_index > s->end_index
            || s->end_index - s->first_index > HUB_INDEX_BLOCKS)
        {
            return "an index has less than no blocks";
        }

        for (at = s->first_index; at < s->end_index; at++) {
            if (owners[s->index[at % HUB_INDEX_BLOCKS]]++) {
                return "a block of an index has two owners";
            }
            held++;
        }

        if (h->streams[i].tail >> HUB_BLOCK_SHIFT < s->first_block
            && s->tail < s->end)
        {
            return "the window begins before the first block";
        }

        if (s->first < s->head && hub_entry(h, s, s->first)->offset < s->tail) {
            return "the first entry has bytes that left the window";
        }
    }

    if (h->header->nfree < listed) {
        return "fewer blocks are counted than are free";
    }

    *lost = n - listed - held;

    return NULL;
}


static const char *
rig_sessions(hub_t *h)
{
    uint32_t       i, rows = 0, listed = 0, viewers = 0, publishing = 0, n = 0;
    hub_header_t  *z = h->header;

    for (i = 0; i < z->nsessions; i++) {
        if (h->sessions[i].id) {
            rows++;
            publishing += h->sessions[i].protocol == HUB_PUBLISH;
            viewers += hub_session_watches(&h->sessions[i]);
            n += i >= z->session_end;
        }
    }

    for (i = z->session_free; i != HUB_NO_ROW; i = h->sessions[i].next) {
        if (h->sessions[i].id || listed++ == z->nsessions) {
            return "a row is both free and in use";
        }
    }

    if (n) {
        return "a session is behind the last row that is looked at";
    }

    if (rows + listed != z->nsessions) {
        return "a row is neither free nor in use";
    }

    if (z->sessions != rows || z->publishing != publishing
        || z->viewers != viewers)
    {
        return "sessions are counted wrong";
    }

    for (i = 0; i < z->nstreams; i++) {
        if (h->streams[i].state != HUB_FREE
            && h->streams[i].viewers > viewers)
        {
            return "a stream has more viewers than there are";
        }
    }

    return NULL;
}


/* Each row of a visitor is in one chain, and no other row is in any. */
static const char *
rig_visitors(hub_t *h)
{
    uint32_t              i, at, listed = 0, rows = 0;
    const hub_session_t  *row;

    for (i = 0; i < h->header->nsessions; i++) {
        row = &h->sessions[i];
        rows += row->id && row->protocol == HUB_HLS;

        if (row->id && row->protocol == HUB_HLS
            && (h->visitors[i].seen_ms == 0 || i >= h->header->visit_end))
        {
            return "no sweep ends the session of a visitor";
        }

        for (at = h->visitors[i].first; at != HUB_NO_ROW; at = h->visitors[at].next) {
            row = &h->sessions[at];

            if (row->id == 0 || row->protocol != HUB_HLS
                || (row->key ^ row->key >> 32) % h->header->nsessions != i
                || listed++ == h->header->nsessions)
            {
                return "a row is in a chain that is not its visitor's";
            }
        }
    }

    return listed == rows ? NULL : "the row of a visitor is in no chain, or in two";
}


/* The counts of each user match the user's rows, or are higher after a SIGKILL. */
static const char *
rig_counts(hub_t *h)
{
    uint32_t              i, j, rows, streams;
    const hub_session_t  *row, *other;

    for (i = 0; i < h->header->session_end; i++) {
        row = &h->sessions[i];

        for (j = rows = streams = 0; j < h->header->session_end; j++) {
            other = &h->sessions[j];

            if (other->id && other->uid == row->uid && other->kick == HUB_STAYS) {
                rows += other->protocol != HUB_PUBLISH;
                streams += other->protocol == HUB_PUBLISH;
            }
        }

        if (row->id
            && (hub_counts_of(h, HUB_COUNT_USER, row->uid, NULL).rows != rows
                || hub_counts_of(h, HUB_COUNT_PUBLISHER, row->uid, NULL).rows
                   != streams))
        {
            return "the count of a user's sessions is wrong";
        }
    }

    return NULL;
}


/* Each slot is in the free list, or hub_find() finds its stream. */
static const char *
rig_slots(hub_t *h)
{
    uint32_t       i, listed = 0, idle = 0;
    hub_stream_t  *s;

    for (i = h->header->stream_free; i != HUB_NO_STREAM; i = h->slots[i].next) {
        if (h->streams[i].state != HUB_FREE || h->slots[i].hash
            || listed++ == h->header->nstreams)
        {
            return "a slot is both free and in use";
        }
    }

    for (i = 0; i < h->header->nstreams; i++) {
        s = &h->streams[i];
        idle += s->state == HUB_FREE;

        if (hub_stream_is_on(s) && hub_find(h, s->name, s->name_len) != s) {
            return "a stream is not found by its name";
        }
    }

    return listed == idle ? NULL : "a slot is neither free nor in use";
}


/* Each live stream has a publisher in a living worker, which will close it. */
static const char *
rig_live(hub_t *h)
{
    uint32_t       i, j, n;
    hub_stream_t  *s;

    for (i = 0; i < h->header->nstreams; i++) {
        s = &h->streams[i];

        if (s->state != HUB_LIVE) {
            continue;
        }

        for (j = n = 0; j < h->header->session_end; j++) {
            n += h->sessions[j].id == s->session
                 && h->sessions[j].worker == s->worker;
        }

        if (n != 1) {
            return "a stream is live and nobody publishes it";
        }
    }

    return NULL;
}


/* The newest segment of each stream has a record, and an entry that begins it. */
static const char *
rig_segments(hub_t *h)
{
    uint32_t              i;
    const hub_cut_t      *cut;
    const hub_stream_t   *s;
    const hub_segment_t  *record;

    for (i = 0; i < h->header->nstreams; i++) {
        s = &h->streams[i];
        cut = &s->cut[s->head & 1];

        if (s->state == HUB_FREE || !cut->begun) {
            continue;
        }

        record = &s->segments[(cut->end - 1) % HUB_SEGMENTS];

        if (record->number != cut->end - 1 || record->index >= s->head) {
            return "the newest segment has no record";
        }

        if (s->segment_end != cut->end && s->segment_end != cut->end - 1) {
            return "readers see a segment that does not exist";
        }

        if (record->index >= s->first
            && !(hub_entry(h, s, record->index)->flags & HUB_SEGMENT))
        {
            return "no entry begins the newest segment";
        }
    }

    return NULL;
}


const char *
rig_wrong(hub_t *h, uint32_t *lost)
{
    const char  *wrong;

    wrong = rig_blocks(h, lost);
    wrong = wrong ? wrong : rig_sessions(h);
    wrong = wrong ? wrong : rig_counts(h);
    wrong = wrong ? wrong : rig_visitors(h);
    wrong = wrong ? wrong : rig_slots(h);
    wrong = wrong ? wrong : rig_segments(h);

    return wrong ? wrong : rig_live(h);
}
