/*
 * Publishers of RTMP streams, hundreds from one loop.
 *
 *     publisher FILE URLS
 *
 * FILE is FLV with H.264 (and AAC) whose first video frame is a key frame.  The
 * program sends it in a loop and in real time to each rtmp:// URL in the file
 * URLS.  Each video frame carries its send time (bench_mark_write) and leaves
 * in one send together with the audio before it, as `ffmpeg -re` does.  The
 * streams' key frames are spread over SPREAD_US, and each frame is up to
 * JITTER_US late: at exactly 40 ms, frames would always meet the same part of
 * a flush.  The golden ratio spreads the jitter evenly, so that few frames give
 * a good median.
 *
 * Prints {"event":"ready",...} when all servers have accepted.  The line `stat`
 * on stdin prints how late frames were; the end of stdin ends the program.
 */

#define _GNU_SOURCE

#include "rtmp_wire.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define SPREAD_US    2000000   /* a GOP */
#define JITTER_US    20000
#define GOLDEN       2654435769u   /* 2^32 over the golden ratio */
#define IN_FLIGHT    16
#define MAX_STREAMS  2000
#define MAX_EVENTS   256
#define PENDING_MAX  (4u * 1024 * 1024)
#define LIFE_US      3600000000

/* A tag of the file. */
typedef struct {
    uint8_t         type;
    uint32_t        dts;
    const uint8_t  *body;
    size_t          size;
} tag_t;

typedef struct {
    char           *host, *app, *name;
    int             fd, asked;
    uint32_t        watched;     /* the events that epoll waits for */
    rtmp_client_t   client;
    bench_bytes_t   in, out;
    int             next;        /* index of the next tag */
    uint32_t        base;        /* dts at the start of this loop */
    int64_t         born;        /* time at which dts 0 was due */
    uint32_t        jitter;      /* of the next frame, in 2^-32 of JITTER_US */
} stream_t;

static uint8_t   *file;
static tag_t     *tags;
static int        ntags, nheads;     /* heads: metadata and sequence headers */
static uint32_t   duration;

static stream_t  *streams;
static int        count, opened, going;
static int        poll_fd;
static int64_t    latest;
static uint64_t   frames;


/* --- the file --- */

static void
file_read(const char *path)
{
    FILE         *f = fopen(path, "r");
    long          size, pos = FLV_HEADER_SIZE;
    uint32_t      step = 0;
    bench_tag_t   tag;
    tag_t        *t;

    if (f == NULL || fseek(f, 0, SEEK_END) == -1 || (size = ftell(f)) < 14) {
        bench_fail("file", path, "an FLV file");
    }

    file = malloc((size_t) size);
    rewind(f);
    if (file == NULL || fread(file, (size_t) size, 1, f) != 1) {
        bench_fail("file", path, "to be readable");
    }
    fclose(f);

    /* Heads are sent once: move them to the front. */
    tags = calloc((size_t) size / FLV_TAG_OVERHEAD + 1, sizeof(tag_t));

    while (tags && bench_tag(file + pos, (size_t) (size - pos), &tag) == 1) {
        t = &tags[ntags++];
        t->type = tag.type;
        t->dts = tag.dts;
        t->body = file + pos + FLV_TAG_HEADER_SIZE;
        t->size = tag.size - FLV_TAG_OVERHEAD;
        pos += (long) tag.size;

        if (tag.frame.empty) {
            ntags--;
        } else if (tag.type == FLV_SCRIPT || tag.frame.config) {
            if (ntags - 1 != nheads) {
                bench_fail("file", path, "sequence headers before all frames");
            }
            nheads++;
        } else if (tag.type == FLV_VIDEO) {
            step = duration ? tag.dts - duration : 0;
            duration = tag.dts;
        }
    }

    if (duration == 0 || step == 0) {
        bench_fail("file", path, "two video frames and more");
    }

    duration += step;
}


/* --- one stream --- */

static void
stream_parse(stream_t *s, char *url)
{
    if (strncmp(url, "rtmp://", 7) != 0 || strchr(url + 7, '/') == NULL
        || strchr(strchr(url + 7, '/') + 1, '/') == NULL)
    {
        bench_fail("address", url, "rtmp://IPV4:PORT/APP/NAME");
    }

    s->host = strdup(url + 7);
    s->app = strchr(s->host, '/');
    *s->app++ = '\0';
    s->name = strchr(s->app, '/');
    *s->name++ = '\0';
}


static void
stream_watch(stream_t *s, uint32_t events)
{
    struct epoll_event  event = { .events = events, .data.ptr = s };

    if (s->watched == events) {
        return;
    }

    if (epoll_ctl(poll_fd, s->watched ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, s->fd,
                  &event) == -1)
    {
        bench_fail("epoll", strerror(errno), "to take a socket");
    }

    s->watched = events;
}


static void
stream_open(stream_t *s)
{
    int                 one = 1;
    char                host[64], *port;
    struct sockaddr_in  address = { .sin_family = AF_INET };

    snprintf(host, sizeof(host), "%s", s->host);
    port = strchr(host, ':');
    if (port == NULL) {
        bench_fail("address", s->host, "IPV4:PORT");
    }
    *port++ = '\0';

    address.sin_port = htons((uint16_t) bench_number("port", port, 1, 65535));
    s->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);

    if (s->fd == -1 || inet_pton(AF_INET, host, &address.sin_addr) != 1
        || (connect(s->fd, (struct sockaddr *) &address, sizeof(address)) == -1
            && errno != EINPROGRESS))
    {
        bench_fail("connect", s->host, "a listening server");
    }

    (void) setsockopt(s->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    stream_watch(s, EPOLLOUT);
}


static void
stream_flush(stream_t *s)
{
    ssize_t  n;

    n = send(s->fd, s->out.data + s->out.pos, bench_left(&s->out), MSG_NOSIGNAL);

    if (n == -1 && errno != EAGAIN) {
        bench_fail("publish", s->name, "the server to stay");
    }

    s->out.pos += n > 0 ? (size_t) n : 0;

    if (bench_left(&s->out) > PENDING_MAX) {
        bench_fail("publish", s->name, "the server to read what is sent");
    }

    stream_watch(s, EPOLLIN | (bench_left(&s->out) ? EPOLLOUT : 0));
}


static void
put_tag(stream_t *s, const tag_t *t, uint32_t dts, int marked)
{
    bench_bytes_t   data = { 0 };
    static uint8_t  body[1 << 22];

    switch (t->type) {

    case FLV_SCRIPT:
        amf_string(&data, "@setDataFrame");
        bench_append(&data, t->body, t->size);
        rtmp_write(&s->out, 4, RTMP_DATA, dts, s->client.stream, data.data,
                   data.len, s->client.chunk_size);
        bench_forget(&data);
        return;

    case FLV_AUDIO:
        rtmp_write(&s->out, 5, RTMP_AUDIO, dts, s->client.stream, t->body,
                   t->size, s->client.chunk_size);
        return;
    }

    if (!marked || t->size + BENCH_MARK_SIZE > sizeof(body)) {
        rtmp_write(&s->out, 6, RTMP_VIDEO, dts, s->client.stream, t->body,
                   t->size, s->client.chunk_size);
        return;
    }

    memcpy(body, t->body, BENCH_MARK_AT);
    bench_mark_write(body + BENCH_MARK_AT, bench_now_us());
    memcpy(body + BENCH_MARK_AT + BENCH_MARK_SIZE, t->body + BENCH_MARK_AT,
           t->size - BENCH_MARK_AT);
    rtmp_write(&s->out, 6, RTMP_VIDEO, dts, s->client.stream, body,
               t->size + BENCH_MARK_SIZE, s->client.chunk_size);
}


/* Returns the time at which the next video frame is due. */
static int64_t
stream_due(const stream_t *s)
{
    int  i = s->next;

    while (i < ntags && tags[i].type != FLV_VIDEO) {
        i++;
    }

    return s->born + (int64_t) ((uint64_t) s->jitter * JITTER_US >> 32)
           + 1000 * (int64_t) (s->base + (i < ntags ? tags[i].dts : duration));
}


/* Sends a video frame and the audio before it. */
static void
stream_frame(stream_t *s)
{
    const tag_t  *t;

    do {
        if (s->next == ntags) {
            s->next = nheads;
            s->base += duration;
        }
        t = &tags[s->next++];
        put_tag(s, t, s->base + t->dts, 1);
    } while (t->type != FLV_VIDEO);

    frames++;
    s->jitter += GOLDEN;
    stream_flush(s);
}


static void
stream_begin(stream_t *s)
{
    int  i;

    for (i = 0; i < nheads; i++) {
        put_tag(s, &tags[i], 0, 0);
    }

    s->next = nheads;
    s->jitter = (uint32_t) (s - streams) * GOLDEN;
    s->born = bench_now_us() + SPREAD_US * (int64_t) (s - streams) / count;
    going++;
    stream_flush(s);

    if (going == count) {
        printf("{\"event\":\"ready\",\"streams\":%d}\n", count);
        fflush(stdout);
    }
}


static void
on_event(stream_t *s, uint32_t events)
{
    size_t          used;
    ssize_t         n;
    rtmp_message_t  m;

    if (!s->asked) {
        s->asked = 1;
        rtmp_client_start(&s->client, s->fd, s->host, s->app, s->name, 1);
        stream_watch(s, EPOLLIN);
        return;
    }

    if (events & EPOLLOUT) {
        stream_flush(s);
    }

    if (!(events & ~EPOLLOUT)) {
        return;
    }

    bench_reserve(&s->in, 16384);
    n = recv(s->fd, s->in.data + s->in.len, s->in.room - s->in.len, 0);

    if (n == 0 || (n == -1 && errno != EAGAIN)) {
        bench_fail("publish", s->name, "the server to stay");
    }

    s->in.len += n > 0 ? (size_t) n : 0;

    do {
        used = rtmp_client_take(&s->client, s->in.data + s->in.pos,
                                bench_left(&s->in), &m);
        s->in.pos += used;
    } while (used);

    if (s->client.state == RTMP_REFUSED) {
        bench_fail("publish", s->client.refusal, "to be allowed");
    }

    if (s->client.state == RTMP_GOING && s->born == 0) {
        stream_begin(s);
    }
}


/* --- all of them --- */

/* Sends the frames that are due.  Returns the time of the next one. */
static int64_t
send_due(int64_t now)
{
    int       i;
    int64_t   due, next = now + 100000;
    stream_t *s;

    for (i = 0, s = streams; i < opened; i++, s++) {
        if (s->born == 0) {
            continue;
        }
        while ((due = stream_due(s)) <= now) {
            latest = now - due > latest ? now - due : latest;
            stream_frame(s);
        }
        next = due < next ? due : next;
    }

    return next;
}


static int
read_commands(void)
{
    char     line[64];
    ssize_t  n = read(0, line, sizeof(line) - 1);

    if (n <= 0) {
        return 0;
    }

    printf("{\"event\":\"stat\",\"streams\":%d,\"frames\":%llu,"
           "\"latest_ms\":%.3f}\n", going, (unsigned long long) frames,
           latest / 1000.0);
    fflush(stdout);
    latest = 0;
    return 1;
}


static void
run(void)
{
    int                 i, n;
    int64_t             now, next, born = bench_now_us();
    struct epoll_event  events[MAX_EVENTS];

    for ( ;; ) {
        while (opened < count && opened - going < IN_FLIGHT) {
            stream_open(&streams[opened++]);
        }

        next = send_due(bench_now_us());
        now = bench_now_us();

        if (now - born > LIFE_US) {
            bench_fail("life", "over", "stdin to end within an hour");
        }

        n = epoll_wait(poll_fd, events, MAX_EVENTS,
                       now < next ? (int) ((next - now + 999) / 1000) : 0);

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
    char                line[2048];
    FILE               *urls;
    struct epoll_event  event = { .events = EPOLLIN };

    bench_raise_files();
    bench_urgent();
    signal(SIGPIPE, SIG_IGN);

    if (argc != 3) {
        bench_fail("arguments", argv[0], "FILE URLS");
    }

    file_read(argv[1]);
    urls = fopen(argv[2], "r");
    streams = calloc(MAX_STREAMS, sizeof(stream_t));
    poll_fd = epoll_create1(0);

    if (urls == NULL || streams == NULL || poll_fd == -1
        || epoll_ctl(poll_fd, EPOLL_CTL_ADD, 0, &event) == -1)
    {
        bench_fail("start", argv[2], "a file of addresses, a pipe as stdin");
    }

    while (count < MAX_STREAMS && fgets(line, sizeof(line), urls)) {
        line[strcspn(line, "\r\n")] = '\0';
        stream_parse(&streams[count++], line);
    }
    fclose(urls);

    run();

    return 0;
}
