/*
 * Viewers, thousands from one loop.
 *
 *     viewers URLS [--viewers N] [--probes N] [--pids PID,PID] [--segment BYTES]
 *
 * URLS is a file with one URL per line: http:// and https:// (FLV), ws:// and
 * wss://, rtmp://, and a media playlist over HTTP or HTTPS: hls:// and hlss://, in
 * low latency llhls:// and llhlss://.  Viewer i plays line i, and the lines repeat.
 *
 * Mass viewers that have started are read every 30 ms, a tenth of them each
 * 3 ms: the acknowledgements of remote viewers would not wake this machine for
 * each write either.  Probes are read at once, and measure the delay of each
 * frame by the send time in it; run them in a process of their own.
 *
 * Prints {"event":"ready",...} when all have started, then reads commands:
 *     begin | end       starts a window; ends it and prints its figures
 *     joins N GAP_US    N more viewers, each until its first key frame
 *     add N             N more mass viewers; answers when they have started
 *     check             prints how many are behind now
 * The end of stdin ends the program.
 */

#define _GNU_SOURCE

#include "viewer.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "numbers.h"

#define BATCH_US     30000
#define SLICES       10
#define BEHIND_US    1000000
#define READY_US     15000000  /* for all viewers to start */
#define LIFE_US      400000000 /* ends a forgotten generator */
#define JOIN_US      4000000
#define GAP_US       400       /* at most 2,500 connections a second */
#define IN_FLIGHT    64
#define MAX_EVENTS   256
#define MAX_VIEWERS  100000
#define SOURCES      16        /* loopback addresses: one has too few ports */

static target_t   *targets;
static int         ntargets;
static SSL_CTX    *tls;
static int         segment;    /* TCP's maximum segment size, or 0 */

static int         poll_fd;
static viewer_t   *viewers;    /* probes first, then the mass, then joins */
static int         wanted, probes, opened, started, lost;
static int         waiting;    /* opened, and no byte received yet */
static int64_t     next_open;

static viewer_t   *joins;
static int         joins_wanted, joins_opened, joins_done, joins_failed;
static int64_t     next_join, join_gap, joins_began;
static double      joins_cpu;

static int         announce;   /* print "ready" when all have started */
static int64_t     announce_by;

static int         window;
static int64_t     window_start;
static uint64_t    stalls, lost_in_window;
static double      cpu_start, own_start;
static numbers_t   delays, first_bytes, first_keys;


/* --- one viewer --- */

static void
viewer_open(viewer_t *v, const target_t *target, enum viewer_role role)
{
    int                 one = 1;
    static unsigned     source;
    struct epoll_event  event = { .events = EPOLLOUT, .data.ptr = v };
    struct sockaddr_in  from = { .sin_family = AF_INET };

    memset(v, 0, sizeof(*v));
    v->target = target;
    v->role = role;
    v->asked = v->last = bench_now_us();
    v->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);

    if (v->fd == -1) {
        bench_fail("socket", strerror(errno), "enough file descriptors");
    }

    if ((ntohl(target->address.sin_addr.s_addr) >> 24) == 127) {
        from.sin_addr.s_addr = htonl(INADDR_LOOPBACK + 1 + source++ % SOURCES);
        (void) setsockopt(v->fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &one,
                          sizeof(one));
        (void) bind(v->fd, (struct sockaddr *) &from, sizeof(from));
    }

    (void) setsockopt(v->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));

    if (segment) {
        (void) setsockopt(v->fd, IPPROTO_TCP, TCP_MAXSEG, &segment,
                          sizeof(segment));
    }

    if ((connect(v->fd, (struct sockaddr *) &target->address,
                 sizeof(target->address)) == -1 && errno != EINPROGRESS)
        || epoll_ctl(poll_fd, EPOLL_CTL_ADD, v->fd, &event) == -1)
    {
        bench_fail("connect", strerror(errno), "a listening server");
    }
}


/* From now on the viewer's bytes are only counted, and so not decrypted. */
static void
viewer_end_tls(viewer_t *v)
{
    if (v->tls) {
        SSL_set_quiet_shutdown(v->tls, 1);
        SSL_free(v->tls);
        v->tls = NULL;
    }
}


static void
viewer_forget(viewer_t *v)
{
    viewer_end_tls(v);

    if (v->target->protocol->forget) {
        v->target->protocol->forget(v);
    }

    bench_forget(&v->raw);
    bench_forget(&v->media);
    close(v->fd);
    v->fd = -1;
}


/* A viewer's requests are small: a socket without room for them is useless. */
void
viewer_send(viewer_t *v, const void *data, size_t size)
{
    if (v->tls) {
        (void) SSL_write(v->tls, data, (int) size);
    } else {
        (void) !send(v->fd, data, size, MSG_NOSIGNAL);
    }
}


ssize_t
viewer_recv(viewer_t *v, void *data, size_t room)
{
    int  n;

    if (v->tls == NULL) {
        return recv(v->fd, data, room, 0);
    }

    n = SSL_read(v->tls, data, (int) room);
    if (n > 0) {
        return n;
    }

    errno = EAGAIN;
    return SSL_get_error(v->tls, n) == SSL_ERROR_WANT_READ ? -1 : 0;
}


/* 1: done; 0: continues; -1: refused. */
static int
viewer_handshake(viewer_t *v)
{
    int  rc = SSL_connect(v->tls);

    return rc == 1 ? 1
           : SSL_get_error(v->tls, rc) == SSL_ERROR_WANT_READ ? 0 : -1;
}


size_t
viewer_unparsed(const viewer_t *v)
{
    return bench_left(&v->raw) + bench_left(&v->media);
}


ssize_t
viewer_drop(viewer_t *v)
{
    ssize_t  n = recv(v->fd, NULL, 1 << 30, MSG_TRUNC | MSG_DONTWAIT);

    return n > 0 ? n : n == -1 && errno == EAGAIN ? 0 : -1;
}


int
viewer_frame_seen(viewer_t *v, int key, int64_t mark)
{
    if (mark) {
        v->frame_mark = mark;
        if (v->role == VIEWER_PROBE && window) {
            numbers_add(&delays, bench_now_us() - mark);
        }
    }

    if (!key) {
        return 0;
    }

    v->new_mark = mark;
    v->new_at = v->total - viewer_unparsed(v);

    if (v->first_key == 0) {
        v->first_key = bench_now_us();
        v->key_mark = mark;
        v->key_at = v->new_at;
    }

    return v->role != VIEWER_PROBE;
}


int
viewer_frame(viewer_t *v, const uint8_t *body, size_t size)
{
    flv_frame_t  frame;

    if (flv_parse_video(body, size, &frame) != FLV_OK) {
        bench_fail("stream", "of a viewer", "video that FLV knows");
    }

    if (frame.config || frame.empty) {
        return 0;
    }

    return viewer_frame_seen(v, frame.key, bench_mark_read(body, size));
}


static void
viewer_lost(viewer_t *v)
{
    static int  reported;

    if (v->why && !reported) {
        reported = 1;
        fprintf(stderr, "a viewer of %s%s was lost: %s\n", v->target->host,
                v->target->path, v->why);
    }

    if (v->role == VIEWER_JOIN) {
        joins_done++;
        joins_failed++;
    } else {
        waiting -= v->first_byte == 0;
        lost++;
        lost_in_window += window;
    }

    viewer_forget(v);
}


static void
viewer_started(viewer_t *v)
{
    if (v->role == VIEWER_JOIN) {
        numbers_add(&first_bytes, v->first_byte - v->asked);
        numbers_add(&first_keys, v->first_key - v->asked);
        joins_done++;
        viewer_forget(v);
        return;
    }

    v->started = 1;
    started++;

    if (v->role == VIEWER_MASS) {
        (void) epoll_ctl(poll_fd, EPOLL_CTL_DEL, v->fd, NULL);
        if (!v->target->protocol->restless) {
            viewer_end_tls(v);
            bench_forget(&v->raw);
            bench_forget(&v->media);
        }
    }
}


/* Reads a probe, or a viewer that waits for its first key frame. */
static void
viewer_read(viewer_t *v)
{
    ssize_t  n;

    bench_reserve(&v->raw, 65536);
    n = viewer_recv(v, v->raw.data + v->raw.len, v->raw.room - v->raw.len);

    if (n <= 0) {
        if (n == 0 || errno != EAGAIN) {
            viewer_lost(v);
        }
        return;
    }

    v->last = bench_now_us();
    if (v->first_byte == 0) {
        v->first_byte = v->last;
        waiting -= v->role != VIEWER_JOIN;
    }
    v->raw.len += (size_t) n;
    v->total += (uint64_t) n;
    v->bytes += (uint64_t) n;
    v->stalled = 0;

    if (v->target->protocol->take(v) == -1) {
        viewer_lost(v);

    } else if (v->first_key && !v->started) {
        viewer_started(v);
    }
}


/* --- many viewers --- */

static void
open_viewers(int64_t now)
{
    viewer_t  *v;
    target_t  *t;

    while (opened < wanted && waiting < IN_FLIGHT && now >= next_open) {
        next_open = (next_open < now - 5000 ? now : next_open) + GAP_US;
        v = &viewers[opened];
        t = &targets[opened % ntargets];
        viewer_open(v, t, opened < probes ? VIEWER_PROBE : VIEWER_MASS);
        opened++;
        waiting++;
    }

    while (joins_opened < joins_wanted && now >= next_join) {
        v = &joins[joins_opened];
        viewer_open(v, &targets[joins_opened % ntargets], VIEWER_JOIN);
        joins_opened++;
        next_join += join_gap;
    }
}


/* A TLS 1.3 server sends tickets at the end of its handshake.  Returns 1 once they have
 * come, so that the connection is open and the server idle, else 0. */
static int
viewer_ticketed(viewer_t *v)
{
    char  byte;

    if (v->tickets || SSL_version(v->tls) != TLS1_3_VERSION) {
        (void) SSL_peek(v->tls, &byte, 1);
        return 1;
    }

    v->tickets = 1;

    return 0;
}


/* TCP is connected: starts or continues TLS, or sends the request. */
static void
viewer_connected(viewer_t *v)
{
    int  rc = 1;

    if (v->target->tls) {
        if (v->tls == NULL) {
            v->tls = SSL_new(tls);
            SSL_set_fd(v->tls, v->fd);
        }
        rc = viewer_handshake(v);
    }

    if (rc == -1) {
        v->why = "its TLS was refused";
        viewer_lost(v);

    } else if (rc == 1 && (v->tls == NULL || viewer_ticketed(v))) {
        v->connected = 1;
        v->asked = bench_now_us();           /* counted from the open connection */
        v->target->protocol->ask(v);
    }
}


static void
on_event(viewer_t *v, uint32_t events)
{
    struct epoll_event  event = { .events = EPOLLIN, .data.ptr = v };

    if (v->fd == -1) {
        return;
    }

    if (!v->connected) {
        if (events & (EPOLLERR | EPOLLHUP)) {
            v->why = "its connection was refused";
            viewer_lost(v);
            return;
        }
        if (v->tls == NULL) {
            (void) epoll_ctl(poll_fd, EPOLL_CTL_MOD, v->fd, &event);
        }
        viewer_connected(v);
        return;
    }

    viewer_read(v);
}


/* Reads one slice of the viewers that have started.  Probes are only checked
 * for stalls. */
static void
read_slice(int slice)
{
    int64_t    now = bench_now_us();
    ssize_t    n;
    viewer_t  *v = viewers + (int64_t) opened * slice / SLICES;
    viewer_t  *end = viewers + (int64_t) opened * (slice + 1) / SLICES;

    for ( ; v < end; v++) {
        if (v->fd == -1 || !v->started) {
            continue;
        }

        n = v->role == VIEWER_MASS ? v->target->protocol->drop(v) : 0;

        if (n > 0) {
            v->total += (uint64_t) n;
            v->bytes += (uint64_t) n;
            v->last = now;
            v->stalled = 0;

        } else if (n == -1) {
            viewer_lost(v);
            continue;

        } else if (!v->stalled
                   && now - v->last > v->target->protocol->stall_us)
        {
            v->stalled = 1;
            stalls += window;
        }

        if (v->target->protocol->restless) {
            v->target->protocol->turn(v, now);
        }
    }
}


static void
read_all(void)
{
    int  i;

    for (i = 0; i < SLICES; i++) {
        read_slice(i);
    }
}


/* --- figures --- */

/* Bytes per microsecond of stream time, as the probes received them between
 * their first and newest key frame.  0: not known yet. */
static double
stream_rate(void)
{
    int      i;
    double   bytes = 0, us = 0;

    for (i = 0; i < probes && i < opened; i++) {
        bytes += (double) (viewers[i].new_at - viewers[i].key_at);
        us += (double) (viewers[i].new_mark - viewers[i].key_mark);
    }

    return us > 0 ? bytes / us : 0;
}


/* Counts viewers that lag by more than BEHIND_US. */
static int
count_behind(int64_t now)
{
    int        i, n = 0;
    double     rate = stream_rate(), late;
    viewer_t  *v;

    for (i = 0, v = viewers; i < opened; i++, v++) {
        if (v->fd == -1 || !v->started || v->target->protocol->restless) {
            continue;
        }
        if (v->role == VIEWER_PROBE) {
            late = (double) (now - v->frame_mark);
        } else {
            late = (double) (now - v->key_mark)
                   - (rate ? (double) (v->total - v->key_at) / rate : 1e18);
        }
        n += late > BEHIND_US;
    }

    return n;
}


static int
count_started(void)
{
    int  i, n = 0;

    for (i = 0; i < opened; i++) {
        n += viewers[i].fd != -1 && viewers[i].started;
    }

    return n;
}


static void
begin_window(void)
{
    int  i;

    read_all();

    for (i = 0; i < opened; i++) {
        viewers[i].bytes = 0;
    }

    stalls = lost_in_window = 0;
    delays.count = 0;
    window = 1;
    own_start = numbers_own_cpu();
    window_start = bench_now_us();
    cpu_start = numbers_cpu();
}


static void
end_window(void)
{
    int       i, n = 0;
    double    cpu = numbers_cpu() - cpu_start;
    int64_t   now = bench_now_us();
    uint64_t  bytes = 0, least = UINT64_MAX;

    read_all();
    window = 0;

    for (i = 0; i < opened; i++) {
        if (viewers[i].fd != -1 && viewers[i].started) {
            n++;
            bytes += viewers[i].bytes;
            least = viewers[i].bytes < least ? viewers[i].bytes : least;
        }
    }

    printf("{\"event\":\"window\",\"viewers\":%d,\"bytes\":%llu,"
           "\"seconds\":%.4f,\"cpu\":%.6f,\"own_cpu\":%.4f,\"stalls\":%llu,"
           "\"lost\":%llu,\"behind\":%d,\"least_share\":%.3f", n,
           (unsigned long long) bytes, (now - window_start) / 1e6, cpu,
           numbers_own_cpu() - own_start, (unsigned long long) stalls,
           (unsigned long long) lost_in_window, count_behind(now),
           bytes ? (double) least * n / bytes : 0.0);
    numbers_print("delay_ms", &delays);
    printf("}\n");
    fflush(stdout);
}


static void
print_started(void)
{
    announce = 0;
    printf("{\"event\":\"ready\",\"viewers\":%d,\"lost\":%d}\n",
           count_started(), lost);
    fflush(stdout);
}


static void
print_check(void)
{
    int64_t  now = bench_now_us();

    read_all();
    printf("{\"event\":\"check\",\"viewers\":%d,\"behind\":%d,\"lost\":%d,"
           "\"own_cpu\":%.4f,\"cpu\":%.6f}\n", count_started(),
           count_behind(now), lost, numbers_own_cpu(), numbers_cpu());
    fflush(stdout);
}


static void
print_joins(void)
{
    int  i;

    for (i = 0; i < joins_opened; i++) {
        if (joins[i].fd != -1) {                 /* they had enough time */
            joins_failed++;
            viewer_forget(&joins[i]);
        }
    }

    printf("{\"event\":\"joins\",\"joins\":%d,\"failed\":%d,\"cpu\":%.6f,"
           "\"seconds\":%.4f", joins_wanted, joins_failed,
           numbers_cpu() - joins_cpu, (bench_now_us() - joins_began) / 1e6);
    numbers_print("first_byte_ms", &first_bytes);
    numbers_print("first_key_ms", &first_keys);
    printf("}\n");
    fflush(stdout);

    free(joins);
    joins = NULL;
    joins_wanted = joins_opened = 0;
    first_bytes.count = first_keys.count = 0;
}


/* --- commands --- */

static void
begin_joins(int n, long gap)
{
    joins = calloc((size_t) n, sizeof(viewer_t));
    if (joins == NULL) {
        bench_fail("memory", "for joins", "enough");
    }

    joins_wanted = n;
    joins_opened = joins_done = joins_failed = 0;
    join_gap = gap;
    joins_began = next_join = bench_now_us();
    joins_cpu = numbers_cpu();
}


static void
add_viewers(int n)
{
    if (wanted + n > MAX_VIEWERS) {
        bench_fail("viewers", "too many", "at most 100000");
    }

    wanted += n;
    announce = 1;
    announce_by = bench_now_us() + READY_US;
}


static void
run_command(const char *line)
{
    int   n;
    long  gap;

    if (strcmp(line, "begin") == 0) {
        begin_window();
    } else if (strcmp(line, "end") == 0) {
        end_window();
    } else if (strcmp(line, "check") == 0) {
        print_check();
    } else if (sscanf(line, "joins %d %ld", &n, &gap) == 2 && n > 0) {
        begin_joins(n, gap);
    } else if (sscanf(line, "add %d", &n) == 1 && n > 0) {
        add_viewers(n);
    } else {
        bench_fail("command", line, "begin, end, joins, add or check");
    }
}


/* Reads commands.  0: stdin has ended. */
static int
read_commands(void)
{
    char     lines[256], *line, *rest;
    ssize_t  n = read(0, lines, sizeof(lines) - 1);

    if (n <= 0) {
        return 0;
    }

    lines[n] = '\0';

    for (line = strtok_r(lines, "\n", &rest); line;
         line = strtok_r(NULL, "\n", &rest))
    {
        run_command(line);
    }

    return 1;
}


static void
print_if_done(int64_t now)
{
    if (announce && (started + lost >= wanted || now > announce_by)) {
        print_started();
    }

    if (joins_wanted
        && (joins_done == joins_wanted
            || now - joins_began > joins_wanted * join_gap + JOIN_US))
    {
        print_joins();
    }
}


/* Milliseconds until the next task that is due by the clock. */
static int
idle_time(int64_t next_slice)
{
    int64_t  now = bench_now_us(), next = next_slice;

    if (opened < wanted && waiting < IN_FLIGHT && next_open < next) {
        next = next_open;
    }
    if (joins_opened < joins_wanted && next_join < next) {
        next = next_join;
    }

    return now < next ? (int) ((next - now + 999) / 1000) : 0;
}


static void
run(void)
{
    int                 i, n, slice = 0;
    int64_t             now, born = bench_now_us(), next_slice = born;
    struct epoll_event  events[MAX_EVENTS];

    for ( ;; ) {
        now = bench_now_us();
        open_viewers(now);

        if (now >= next_slice) {
            read_slice(slice);
            slice = (slice + 1) % SLICES;
            next_slice += BATCH_US / SLICES;
            if (next_slice < now - BATCH_US) {
                next_slice = now;
            }
        }

        print_if_done(now);

        if (now - born > LIFE_US) {
            bench_fail("life", "over", "stdin to end within 400 s");
        }

        n = epoll_wait(poll_fd, events, MAX_EVENTS, idle_time(next_slice));

        for (i = 0; i < n; i++) {
            if (events[i].data.ptr) {
                on_event(events[i].data.ptr, events[i].events);
            } else if (!read_commands()) {
                return;
            }
        }
    }
}


int
main(int argc, char **argv)
{
    int                 i, mass = 0;
    struct epoll_event  event = { .events = EPOLLIN };

    bench_raise_files();
    signal(SIGPIPE, SIG_IGN);

    if (argc < 4) {
        bench_fail("arguments", argv[0],
                   "URLS [--viewers N] [--probes N] [--pids PID,PID] "
                   "[--segment BYTES]");
    }

    targets = targets_read(argv[1], &ntargets);
    tls = SSL_CTX_new(TLS_client_method());
    SSL_CTX_set_session_cache_mode(tls, SSL_SESS_CACHE_OFF);

    for (i = 2; i + 1 < argc; i += 2) {
        if (strcmp(argv[i], "--viewers") == 0) {
            mass = (int) bench_number(argv[i], argv[i + 1], 0, MAX_VIEWERS / 2);
        } else if (strcmp(argv[i], "--probes") == 0) {
            probes = (int) bench_number(argv[i], argv[i + 1], 0, 1000);
        } else if (strcmp(argv[i], "--pids") == 0) {
            numbers_watch_pids(argv[i + 1]);
        } else if (strcmp(argv[i], "--segment") == 0) {
            segment = (int) bench_number(argv[i], argv[i + 1], 88, 32767);
        } else {
            bench_fail("option", argv[i],
                       "--viewers, --probes, --pids or --segment");
        }
    }

    if (mass == 0) {
        bench_urgent();
    }

    /* Unused entries are never touched and so take no memory. */
    viewers = calloc(MAX_VIEWERS, sizeof(viewer_t));
    poll_fd = epoll_create1(0);

    if (viewers == NULL || poll_fd == -1
        || epoll_ctl(poll_fd, EPOLL_CTL_ADD, 0, &event) == -1)
    {
        bench_fail("start", strerror(errno), "memory, and a pipe as stdin");
    }

    add_viewers(probes + mass);
    run();

    return 0;
}
