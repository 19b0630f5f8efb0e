/*
 * Viewers of an HTTP-FLV address, thousands from one loop.
 *
 *     viewers HOST PORT PATH --viewers N [--pids PID,PID]
 *     viewers HOST PORT PATH --joins N
 *
 * A viewer is read closely and parsed until its first key frame is whole.
 * From then on its bytes are only counted (MSG_TRUNC), and all such viewers
 * are read in one go every 30 ms: a remote viewer's acknowledgements would
 * not wake this machine for each write either.
 *
 * With --viewers: prints {"event":"ready",...} when all have started, then
 * obeys its stdin: `begin` starts a window, `end` prints it with the CPU that
 * the processes of --pids used in it, the end of stdin ends the program.
 * With --joins: opens N viewers one after another and prints how long each
 * waited, from connect() on.
 */

#define _GNU_SOURCE

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bench.h"

#define BATCH_US     30000
#define STALL_US     1000000
#define READY_US     30000000  /* the longest all may take to start */
#define LIFE_US      120000000 /* a forgotten generator ends itself */
#define JOIN_MS      10000
#define JOIN_GAP_US  45000     /* so that joins meet all parts of a GOP */
#define IN_FLIGHT    64
#define MAX_EVENTS   256
#define MAX_PIDS     16
#define START_MAX    (4 * 1024 * 1024)

typedef struct {
    int       fd;              /* -1: not open */
    int       started;
    uint8_t  *buf;             /* what came before the first key frame */
    size_t    len, room;
    size_t    pos;             /* of the next tag in buf; 0: none seen yet */
    int64_t   asked, first_byte, first_key;
    int64_t   last;            /* when bytes came last */
    int       stalled;
    uint64_t  bytes;           /* in the window */
} viewer_t;

static struct sockaddr_in  server;
static char                request[2048];
static int                 poll_fd;
static viewer_t           *viewers;
static int                 count, opened, started, lost;
static int                 waiting;          /* opened, not yet started */

static int                 window;
static int64_t             window_start;
static uint64_t            stalls, lost_in_window;
static struct rusage       own_start;
static clockid_t           clocks[MAX_PIDS];
static int                 nclocks;
static double              cpu_start;


/* --- numbers --- */

static int
by_value(const void *a, const void *b)
{
    int64_t  x = *(const int64_t *) a, y = *(const int64_t *) b;

    return (x > y) - (x < y);
}


/* Prints "NAME":{"median":ms,"p99":ms,"max":ms} of microseconds. */
static void
print_spread(const char *name, int64_t *us, int n)
{
    qsort(us, n, sizeof(int64_t), by_value);
    printf("\"%s\":{\"median\":%.3f,\"p99\":%.3f,\"max\":%.3f}", name,
           us[n / 2] / 1000.0, us[(n * 99 - 1) / 100] / 1000.0,
           us[n - 1] / 1000.0);
}


/* Another process's CPU clock has nanoseconds; its /proc has 10 ms. */
static void
watch_pids(char *list)
{
    char  *one;

    for (one = strtok(list, ","); one; one = strtok(NULL, ",")) {
        if (nclocks == MAX_PIDS
            || clock_getcpuclockid((pid_t) bench_number("pid", one, 1, 1 << 30),
                                   &clocks[nclocks]) != 0)
        {
            bench_fail("pid", one, "at most 16 running processes");
        }
        nclocks++;
    }
}


static double
cpu_of_pids(void)
{
    int              i;
    double           sum = 0;
    struct timespec  t;

    for (i = 0; i < nclocks; i++) {
        if (clock_gettime(clocks[i], &t) != 0) {
            bench_fail("process", "of --pids", "to live through the window");
        }
        sum += t.tv_sec + t.tv_nsec / 1e9;
    }

    return sum;
}


static double
own_cpu(const struct rusage *u)
{
    return u->ru_utime.tv_sec + u->ru_stime.tv_sec
           + (u->ru_utime.tv_usec + u->ru_stime.tv_usec) / 1e6;
}


/* --- one viewer --- */

static void
viewer_open(viewer_t *v, int flags)
{
    v->asked = bench_now_us();
    v->fd = socket(AF_INET, SOCK_STREAM | flags, 0);

    if (v->fd == -1
        || (connect(v->fd, (struct sockaddr *) &server, sizeof(server)) == -1
            && errno != EINPROGRESS))
    {
        bench_fail("connect", strerror(errno), "a listening server");
    }
}


static void
viewer_ask(viewer_t *v)
{
    if (send(v->fd, request, strlen(request), MSG_NOSIGNAL)
        != (ssize_t) strlen(request))
    {
        bench_fail("request", strerror(errno), "to be sent in one go");
    }
}


/* Walks what came.  1: the first key frame is whole; 0: not yet. */
static int
viewer_parse(viewer_t *v)
{
    int          rc;
    uint8_t     *end;
    bench_tag_t  tag;

    if (v->pos == 0) {
        end = memmem(v->buf, v->len, "\r\n\r\n", 4);
        if (end == NULL || v->len < (size_t) (end - v->buf) + 4 + FLV_HEADER_SIZE) {
            return 0;
        }
        if (v->len < 12 || memcmp(v->buf + 8, " 200", 4) != 0) {
            *(uint8_t *) memchr(v->buf, '\r', v->len) = '\0';
            bench_fail("answer", (char *) v->buf, "status 200");
        }
        if (memcmp(end + 4, "FLV", 3) != 0) {
            bench_fail("answer", "of status 200", "the bytes of an FLV stream");
        }
        v->pos = (size_t) (end - v->buf) + 4 + FLV_HEADER_SIZE;
    }

    for ( ;; ) {
        rc = bench_tag(v->buf + v->pos, v->len - v->pos, &tag);
        if (rc == -1) {
            bench_fail("stream", "of the viewer", "FLV tags");
        }
        if (rc == 0) {
            return 0;
        }
        v->pos += tag.size;
        if (tag.type == FLV_VIDEO && tag.frame.key && !tag.frame.config) {
            return 1;
        }
    }
}


/* Reads a viewer that waits for its first key frame.
 * 1: it has it; 0: not yet; -1: the connection ended. */
static int
viewer_read(viewer_t *v)
{
    ssize_t  n;

    if (v->room - v->len < 65536) {
        v->room += 131072;
        v->buf = v->room <= START_MAX ? realloc(v->buf, v->room) : NULL;
        if (v->buf == NULL) {
            bench_fail("viewer", "4 MB", "a key frame sooner");
        }
    }

    n = recv(v->fd, v->buf + v->len, v->room - v->len, 0);
    if (n <= 0) {
        return n == -1 && errno == EAGAIN ? 0 : -1;
    }

    v->last = bench_now_us();
    if (v->len == 0) {
        v->first_byte = v->last;
    }
    v->len += n;

    if (!viewer_parse(v)) {
        return 0;
    }

    v->first_key = bench_now_us();
    free(v->buf);
    v->buf = NULL;
    return 1;
}


static void
viewer_lost(viewer_t *v)
{
    close(v->fd);
    v->fd = -1;
    lost++;
    lost_in_window += window;
}


/* --- many viewers --- */

static void
open_some(void)
{
    viewer_t           *v;
    struct epoll_event  event;

    while (opened < count && waiting < IN_FLIGHT) {
        v = &viewers[opened++];
        waiting++;
        viewer_open(v, SOCK_NONBLOCK);
        event.events = EPOLLOUT;
        event.data.ptr = v;
        (void) epoll_ctl(poll_fd, EPOLL_CTL_ADD, v->fd, &event);
    }
}


static void
on_event(viewer_t *v, uint32_t events)
{
    int                 rc;
    struct epoll_event  event;

    if (events & EPOLLOUT) {
        viewer_ask(v);
        event.events = EPOLLIN;
        event.data.ptr = v;
        (void) epoll_ctl(poll_fd, EPOLL_CTL_MOD, v->fd, &event);
        return;
    }

    rc = viewer_read(v);
    if (rc == 0) {
        return;
    }

    waiting--;
    (void) epoll_ctl(poll_fd, EPOLL_CTL_DEL, v->fd, NULL);

    if (rc == -1) {
        viewer_lost(v);
        return;
    }

    v->started = 1;
    started++;
}


static void
read_batch(void)
{
    int        i;
    ssize_t    n;
    int64_t    now = bench_now_us();
    viewer_t  *v;

    for (i = 0, v = viewers; i < opened; i++, v++) {
        if (v->fd == -1 || !v->started) {
            continue;
        }

        n = recv(v->fd, NULL, 1 << 30, MSG_TRUNC | MSG_DONTWAIT);

        if (n > 0) {
            v->bytes += n;
            v->last = now;
            v->stalled = 0;

        } else if (n == 0 || errno != EAGAIN) {
            viewer_lost(v);

        } else if (!v->stalled && now - v->last > STALL_US) {
            v->stalled = 1;
            stalls += window;
        }
    }
}


static void
print_ready(void)
{
    int       i, n = 0;
    int64_t  *bytes = calloc(count, sizeof(int64_t));
    int64_t  *keys = calloc(count, sizeof(int64_t));

    if (bytes == NULL || keys == NULL) {
        bench_fail("memory", "for the times", "enough");
    }

    for (i = 0; i < count; i++) {
        if (viewers[i].started) {
            bytes[n] = viewers[i].first_byte - viewers[i].asked;
            keys[n++] = viewers[i].first_key - viewers[i].asked;
        }
    }

    printf("{\"event\":\"ready\",\"viewers\":%d,\"lost\":%d", n, lost);
    if (n) {
        printf(",");
        print_spread("first_byte_ms", bytes, n);
        printf(",");
        print_spread("first_key_ms", keys, n);
    }
    printf("}\n");
    fflush(stdout);
    free(bytes);
    free(keys);
}


static void
begin_window(void)
{
    int  i;

    for (i = 0; i < count; i++) {
        viewers[i].bytes = 0;
    }

    stalls = lost_in_window = 0;
    window = 1;
    getrusage(RUSAGE_SELF, &own_start);
    window_start = bench_now_us();
    cpu_start = cpu_of_pids();
}


static void
end_window(void)
{
    int            i, n = 0;
    double         cpu = cpu_of_pids() - cpu_start;
    double         seconds = (bench_now_us() - window_start) / 1e6;
    uint64_t       bytes = 0, least = UINT64_MAX;
    struct rusage  own;

    read_batch();
    getrusage(RUSAGE_SELF, &own);
    window = 0;

    for (i = 0; i < count; i++) {
        if (viewers[i].fd != -1 && viewers[i].started) {
            n++;
            bytes += viewers[i].bytes;
            least = viewers[i].bytes < least ? viewers[i].bytes : least;
        }
    }

    printf("{\"event\":\"window\",\"viewers\":%d,\"bytes\":%llu,"
           "\"seconds\":%.4f,\"cpu\":%.6f,\"own_cpu\":%.4f,\"stalls\":%llu,"
           "\"lost\":%llu,\"least_share\":%.3f}\n", n,
           (unsigned long long) bytes, seconds, cpu,
           own_cpu(&own) - own_cpu(&own_start), (unsigned long long) stalls,
           (unsigned long long) lost_in_window,
           bytes ? (double) least * n / bytes : 0.0);
    fflush(stdout);
}


/* 0: stdin ended. */
static int
obey(void)
{
    char     line[256], *word;
    ssize_t  n = read(0, line, sizeof(line) - 1);

    if (n <= 0) {
        return 0;
    }

    line[n] = '\0';

    for (word = strtok(line, "\n"); word; word = strtok(NULL, "\n")) {
        if (strcmp(word, "begin") == 0) {
            begin_window();
        } else if (strcmp(word, "end") == 0) {
            end_window();
        } else {
            bench_fail("command", word, "begin or end");
        }
    }

    return 1;
}


static void
run_viewers(void)
{
    int                 i, n, ready = 0;
    int64_t             now, born = bench_now_us(), next = born + BATCH_US;
    struct epoll_event  events[MAX_EVENTS];

    viewers = calloc(count, sizeof(viewer_t));
    poll_fd = epoll_create1(0);
    events[0].events = EPOLLIN;
    events[0].data.ptr = NULL;

    if (viewers == NULL || poll_fd == -1
        || epoll_ctl(poll_fd, EPOLL_CTL_ADD, 0, &events[0]) == -1)
    {
        bench_fail("start", strerror(errno), "memory, and a pipe as stdin");
    }

    for ( ;; ) {
        open_some();

        now = bench_now_us();
        if (now >= next) {
            read_batch();
            next = now + BATCH_US;
        }

        if (!ready && (started + lost >= count || now - born > READY_US)) {
            ready = 1;
            print_ready();
        }

        if (now - born > LIFE_US) {
            bench_fail("life", "over", "stdin to end within 120 s");
        }

        now = bench_now_us();
        n = epoll_wait(poll_fd, events, MAX_EVENTS,
                       now < next ? (int) ((next - now + 999) / 1000) : 0);

        for (i = 0; i < n; i++) {
            if (events[i].data.ptr) {
                on_event(events[i].data.ptr, events[i].events);
            } else if (!obey()) {
                return;
            }
        }
    }
}


/* --- one viewer after another --- */

static void
run_joins(void)
{
    int            i, rc;
    int64_t       *first = calloc(count, sizeof(int64_t));
    int64_t       *whole = calloc(count, sizeof(int64_t));
    viewer_t       v;
    struct pollfd  ready;

    if (first == NULL || whole == NULL) {
        bench_fail("memory", "for the times", "enough");
    }

    for (i = 0; i < count; i++) {
        memset(&v, 0, sizeof(v));
        viewer_open(&v, 0);
        viewer_ask(&v);
        ready.fd = v.fd;
        ready.events = POLLIN;

        do {
            if (poll(&ready, 1, JOIN_MS) != 1) {
                bench_fail("join", "10 s", "a key frame sooner");
            }
            rc = viewer_read(&v);
        } while (rc == 0);

        if (rc == -1) {
            bench_fail("join", "disconnected", "a key frame");
        }

        first[i] = v.first_byte - v.asked;
        whole[i] = v.first_key - v.asked;
        close(v.fd);
        usleep(JOIN_GAP_US);
    }

    printf("{\"event\":\"joins\",\"joins\":%d,", count);
    print_spread("first_byte_ms", first, count);
    printf(",");
    print_spread("first_key_ms", whole, count);
    printf("}\n");

    free(first);
    free(whole);
}


int
main(int argc, char **argv)
{
    int    i, joins = 0;

    bench_raise_files();
    signal(SIGPIPE, SIG_IGN);

    if (argc < 6) {
        bench_fail("arguments", argv[0],
                   "HOST PORT PATH --viewers N | --joins N [--pids PID,PID]");
    }

    server.sin_family = AF_INET;
    server.sin_port = htons((uint16_t) bench_number("port", argv[2], 1, 65535));
    if (inet_pton(AF_INET, argv[1], &server.sin_addr) != 1) {
        bench_fail("host", argv[1], "an IPv4 address");
    }

    if (snprintf(request, sizeof(request),
                 "GET %s HTTP/1.1\r\nHost: %s\r\n\r\n", argv[3], argv[1])
        >= (int) sizeof(request))
    {
        bench_fail("path", argv[3], "less than 2000 bytes");
    }

    for (i = 4; i + 1 < argc; i += 2) {
        if (strcmp(argv[i], "--viewers") == 0) {
            count = (int) bench_number(argv[i], argv[i + 1], 1, 20000);
        } else if (strcmp(argv[i], "--joins") == 0) {
            joins = count = (int) bench_number(argv[i], argv[i + 1], 1, 1000);
        } else if (strcmp(argv[i], "--pids") == 0) {
            watch_pids(argv[i + 1]);
        } else {
            bench_fail("option", argv[i], "--viewers, --joins or --pids");
        }
    }

    if (count == 0) {
        bench_fail("options", "no count", "--viewers N or --joins N");
    }

    if (joins) {
        run_joins();
    } else {
        run_viewers();
    }

    return 0;
}
