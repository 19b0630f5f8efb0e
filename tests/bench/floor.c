/*
 * The floor: the cost of the kernel alone.  It watches a live HTTP-FLV stream as
 * one viewer and relays the bytes unchanged: every client gets the new bytes by
 * one bare writev per flush interval.  It parses no request, checks no client
 * for slowness and locks nothing.
 *
 *     floor HOST PORT PATH FLUSH_MS,FLUSH_MS WORKERS [PEM]
 *
 * PEM is a certificate with its key.  With it, each flush has a second port that
 * sends the bytes by bare SSL_write().
 *
 * As soon as it has a key frame for clients to start at, it prints
 * {"ports":{"FLUSH":N},"tls":{"FLUSH":N},"pids":[...]} with the pids of the
 * processes that write.  It runs until its stdin ends.
 */

#define _GNU_SOURCE

#include "bench.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#define MAX_WORKERS  16
#define MAX_PACES    16
#define MAX_EVENTS   256
#define RING_SIZE    (16u << 20)   /* two minutes of 1 Mbps */
#define PREFIX_MAX   65536

/* Written by the parent, read by the workers. */
typedef struct {
    uint64_t  head;            /* end of the bytes so far */
    uint64_t  key;             /* start of the newest key frame */
    size_t    prefix_size;     /* constant once the workers run */
    uint8_t   prefix[PREFIX_MAX];
    uint8_t   ring[RING_SIZE];
} source_t;

typedef struct client_s  client_t;
typedef struct pace_s    pace_t;

struct client_s {
    int        fd;
    SSL       *tls;            /* or NULL */
    int        again;          /* size with which SSL_write() must be retried */
    pace_t    *pace;
    int        started;
    size_t     prefix_sent;
    uint64_t   pos;            /* next byte to send */
    client_t  *next, **link;
};

/* The clients of one flush interval; each has its own port. */
struct pace_s {
    client_t  *clients;
    int        tls;
    int        flush_us;
    int        listener;
    int        port;
    int64_t    next;
    client_t   door;           /* stands for the listener in epoll events */
};

static SSL_CTX   *tls;
static pace_t     paces[MAX_PACES];
static int        npaces;
static source_t  *source;
static int        source_fd;
static uint8_t    fresh[1 << 20];    /* received, not yet relayed */
static size_t     fresh_size;
static uint64_t   head;              /* source->head at this worker's last tick */


/* --- the stream (parent) --- */

static void
add_prefix(const void *data, size_t size)
{
    if (size > PREFIX_MAX - source->prefix_size) {
        bench_fail("sequence headers", "too large", "at most 64 KB");
    }

    memcpy(source->prefix + source->prefix_size, data, size);
    source->prefix_size += size;
}


static void
source_receive(void)
{
    ssize_t  n = recv(source_fd, fresh + fresh_size,
                      sizeof(fresh) - fresh_size, 0);

    if (n <= 0) {
        bench_fail("stream", n ? strerror(errno) : "ended", "to stay live");
    }

    fresh_size += (size_t) n;
}


/* Requests the stream, and reads up to the first tag. */
static void
source_open(const char *host, const char *port, const char *path)
{
    int                 n;
    char                request[2048];
    uint8_t            *end;
    size_t              used;
    struct sockaddr_in  addr = { .sin_family = AF_INET };

    static const char  http[] = "HTTP/1.0 200 OK\r\nContent-Type: video/x-flv"
                                "\r\nConnection: close\r\n\r\n";

    addr.sin_port = htons((uint16_t) bench_number("port", port, 1, 65535));
    n = snprintf(request, sizeof(request), "GET %s HTTP/1.0\r\n\r\n", path);
    source_fd = socket(AF_INET, SOCK_STREAM, 0);

    if (n >= (int) sizeof(request)
        || inet_pton(AF_INET, host, &addr.sin_addr) != 1
        || connect(source_fd, (struct sockaddr *) &addr, sizeof(addr)) == -1
        || send(source_fd, request, (size_t) n, MSG_NOSIGNAL) != n)
    {
        bench_fail("stream", path, "an HTTP-FLV address that answers");
    }

    do {
        source_receive();
        end = memmem(fresh, fresh_size, "\r\n\r\n", 4);
        used = end ? (size_t) (end - fresh) + 4 : 0;
    } while (end == NULL || fresh_size < used + FLV_HEADER_SIZE);

    if (memcmp(fresh + used, "FLV", 3) != 0) {
        bench_fail("stream", path, "the bytes of FLV");
    }

    add_prefix(http, sizeof(http) - 1);
    add_prefix(fresh + used, FLV_HEADER_SIZE);
    used += FLV_HEADER_SIZE;
    fresh_size -= used;
    memmove(fresh, fresh + used, fresh_size);
}


/* Moves whole tags into the ring.  1: there is a key frame to start at. */
static int
source_relay(void)
{
    int           rc;
    size_t        pos = 0, at, part;
    uint64_t      end = source->head, key = source->key;
    static int    begun;
    bench_tag_t   tag;

    while ((rc = bench_tag(fresh + pos, fresh_size - pos, &tag)) == 1) {
        if (!begun && (tag.type == FLV_SCRIPT || tag.frame.config)) {
            add_prefix(fresh + pos, tag.size);
            pos += tag.size;
            continue;
        }

        if (tag.type == FLV_VIDEO && tag.frame.key && !tag.frame.config) {
            key = end;
            begun = 1;
        }

        if (begun) {
            at = end % RING_SIZE;
            part = tag.size < RING_SIZE - at ? tag.size : RING_SIZE - at;
            memcpy(source->ring + at, fresh + pos, part);
            memcpy(source->ring, fresh + pos + part, tag.size - part);
            end += tag.size;
        }

        pos += tag.size;
    }

    if (rc == -1) {
        bench_fail("stream", "of the source", "FLV tags");
    }

    fresh_size -= pos;
    memmove(fresh, fresh + pos, fresh_size);
    __atomic_store_n(&source->key, key, __ATOMIC_RELEASE);
    __atomic_store_n(&source->head, end, __ATOMIC_RELEASE);

    return begun;
}


/* --- clients (workers) --- */

static void
client_close(client_t *c)
{
    *c->link = c->next;
    if (c->next) {
        c->next->link = c->link;
    }

    if (c->tls) {
        SSL_set_quiet_shutdown(c->tls, 1);
        SSL_free(c->tls);
    }

    close(c->fd);
    free(c);
}


/* Moves the client's position by SENT bytes. */
static void
client_advance(client_t *c, size_t sent)
{
    size_t  part = source->prefix_size - c->prefix_sent;

    part = sent < part ? sent : part;
    c->prefix_sent += part;
    c->pos += sent - part;
}


/* As client_send(), over TLS. */
static void
client_send_tls(client_t *c)
{
    int             n;
    size_t          from, left, part;
    const uint8_t  *bytes;

    for ( ;; ) {
        if (c->prefix_sent < source->prefix_size) {
            bytes = source->prefix + c->prefix_sent;
            part = source->prefix_size - c->prefix_sent;

        } else {
            from = c->pos % RING_SIZE;
            left = head - c->pos;
            bytes = source->ring + from;
            part = left < RING_SIZE - from ? left : RING_SIZE - from;
        }

        if (part == 0) {
            return;
        }

        n = SSL_write(c->tls, bytes, c->again ? c->again : (int) part);
        if (n <= 0) {
            c->again = c->again ? c->again : (int) part;
            if (SSL_get_error(c->tls, n) != SSL_ERROR_WANT_WRITE) {
                client_close(c);
            }
            return;
        }

        c->again = 0;
        client_advance(c, (size_t) n);
    }
}


static void
client_send(client_t *c)
{
    int           n = 0;
    size_t        part, left = head - c->pos, from = c->pos % RING_SIZE;
    ssize_t       sent;
    struct iovec  iov[3];

    if (c->tls) {
        client_send_tls(c);
        return;
    }

    if (c->prefix_sent < source->prefix_size) {
        iov[n].iov_base = source->prefix + c->prefix_sent;
        iov[n++].iov_len = source->prefix_size - c->prefix_sent;
    }

    while (left && n < 3) {
        part = left < RING_SIZE - from ? left : RING_SIZE - from;
        iov[n].iov_base = source->ring + from;
        iov[n++].iov_len = part;
        left -= part;
        from = 0;
    }

    if (n == 0) {
        return;
    }

    sent = writev(c->fd, iov, n);
    if (sent == -1) {
        if (errno != EAGAIN) {
            client_close(c);
        }
        return;
    }

    client_advance(c, (size_t) sent);
}


static void
accept_all(pace_t *pace, int poll_fd)
{
    int                 fd, one = 1;
    client_t           *c;
    struct epoll_event  event;

    while ((fd = accept4(pace->listener, NULL, NULL, SOCK_NONBLOCK)) != -1) {
        c = calloc(1, sizeof(client_t));
        event.events = EPOLLIN | EPOLLRDHUP | EPOLLET;
        event.data.ptr = c;

        if (c == NULL || epoll_ctl(poll_fd, EPOLL_CTL_ADD, fd, &event) == -1) {
            bench_fail("client", strerror(errno), "to be accepted");
        }

        (void) setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
        if (pace->tls) {
            c->tls = SSL_new(tls);
            SSL_set_fd(c->tls, fd);
            SSL_set_accept_state(c->tls);
        }

        c->fd = fd;
        c->pace = pace;
        c->next = pace->clients;
        c->link = &pace->clients;
        if (c->next) {
            c->next->link = &c->next;
        }
        pace->clients = c;
    }
}


static void
client_read(client_t *c, uint32_t events)
{
    int   n;
    char  request[4096];

    n = c->tls ? SSL_read(c->tls, request, sizeof(request))
               : (int) read(c->fd, request, sizeof(request));

    if (n <= 0 && c->tls && !(events & EPOLLRDHUP)
        && SSL_get_error(c->tls, n) == SSL_ERROR_WANT_READ)
    {
        return;                              /* the handshake continues */
    }

    if (n <= 0 || (events & EPOLLRDHUP)) {
        client_close(c);
        return;
    }

    c->started = 1;
    head = __atomic_load_n(&source->head, __ATOMIC_ACQUIRE);
    c->pos = __atomic_load_n(&source->key, __ATOMIC_ACQUIRE);
    if (c->pos > head) {
        c->pos = head;                       /* the parent has stored only the key */
    }
    client_send(c);
}


static void
pace_flush(pace_t *pace)
{
    client_t  *c, *after;

    head = __atomic_load_n(&source->head, __ATOMIC_ACQUIRE);

    for (c = pace->clients; c; c = after) {
        after = c->next;
        if (c->started) {
            client_send(c);
        }
    }
}


/* Flushes the paces that are due.  Returns the time of the next flush; a pace
 * without clients has none, as in nginx. */
static int64_t
flush_due(void)
{
    int       i;
    int64_t   now, next = INT64_MAX;
    pace_t   *pace;

    for (i = 0, pace = paces; i < npaces; i++, pace++) {
        if (pace->clients == NULL) {
            continue;
        }
        now = bench_now_us();
        if (now >= pace->next) {
            /* counted from the start of the tick, as nginx sets timers */
            pace->next = now + pace->flush_us;
            pace_flush(pace);
        }
        next = pace->next < next ? pace->next : next;
    }

    return next;
}


static int
time_left(int64_t next)
{
    int64_t  now = bench_now_us();

    return next == INT64_MAX ? -1
           : now < next ? (int) ((next - now + 999) / 1000) : 0;
}


static void
worker_run(void)
{
    int                 i, n, poll_fd = epoll_create1(0);
    client_t           *c;
    struct epoll_event  events[MAX_EVENTS];

    for (i = 0; i < npaces; i++) {
        paces[i].door.pace = &paces[i];
        events[0].events = EPOLLIN | EPOLLEXCLUSIVE;
        events[0].data.ptr = &paces[i].door;
        (void) epoll_ctl(poll_fd, EPOLL_CTL_ADD, paces[i].listener, &events[0]);
    }

    for ( ;; ) {
        n = epoll_wait(poll_fd, events, MAX_EVENTS, time_left(flush_due()));

        for (i = 0; i < n; i++) {
            c = events[i].data.ptr;
            if (c == &c->pace->door) {
                accept_all(c->pace, poll_fd);
            } else {
                client_read(c, events[i].events);
            }
        }
    }
}


static void
pace_open(pace_t *pace, const char *flush, int over_tls)
{
    socklen_t           len;
    struct sockaddr_in  addr = { .sin_family = AF_INET };

    addr.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    len = sizeof(addr);
    pace->tls = over_tls;
    pace->flush_us = (int) bench_number("flush", flush, 1, 10000) * 1000;
    pace->listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);

    if (pace->listener == -1
        || bind(pace->listener, (struct sockaddr *) &addr, len) == -1
        || listen(pace->listener, 2048) == -1
        || getsockname(pace->listener, (struct sockaddr *) &addr, &len) == -1)
    {
        bench_fail("listener", strerror(errno), "a free port on 127.0.0.1");
    }

    pace->port = ntohs(addr.sin_port);
}


static void
print_ports(int over_tls)
{
    int          i;
    const char  *comma = "{";

    for (i = 0; i < npaces; i++) {
        if (paces[i].tls == over_tls) {
            printf("%s\"%d\":%d", comma, paces[i].flush_us / 1000,
                   paces[i].port);
            comma = ",";
        }
    }
    printf("%s}", *comma == '{' ? "{" : "");
}


static void
read_certificate(const char *file)
{
    tls = SSL_CTX_new(TLS_server_method());

    if (tls == NULL || SSL_CTX_use_certificate_file(tls, file, SSL_FILETYPE_PEM) != 1
        || SSL_CTX_use_PrivateKey_file(tls, file, SSL_FILETYPE_PEM) != 1)
    {
        bench_fail("certificate", file, "a PEM file with its key");
    }

    SSL_CTX_set_mode(tls, SSL_MODE_RELEASE_BUFFERS);
}


static void
start_workers(pid_t *pids, int workers)
{
    int  i;

    for (i = 0; i < workers; i++) {
        pids[i] = fork();
        if (pids[i] == 0) {
            prctl(PR_SET_PDEATHSIG, SIGKILL);
            worker_run();
        }
    }

    printf("{\"ports\":");
    print_ports(0);
    printf(",\"tls\":");
    print_ports(1);
    printf(",\"pids\":[");
    for (i = 0; i < workers; i++) {
        printf("%s%d", i ? "," : "", (int) pids[i]);
    }
    printf("]}\n");
    fflush(stdout);
}


int
main(int argc, char **argv)
{
    int            i, workers;
    char          *flush;
    pid_t          pids[MAX_WORKERS];
    struct pollfd  ready[2];

    if (argc != 6 && argc != 7) {
        bench_fail("arguments", argv[0], "HOST PORT PATH FLUSHES WORKERS [PEM]");
    }

    if (argc == 7) {
        read_certificate(argv[6]);
    }

    bench_raise_files();
    signal(SIGPIPE, SIG_IGN);
    workers = (int) bench_number("workers", argv[5], 1, MAX_WORKERS);

    for (flush = strtok(argv[4], ","); flush && npaces + 1 < MAX_PACES;
         flush = strtok(NULL, ","))
    {
        pace_open(&paces[npaces++], flush, 0);
        if (tls) {
            pace_open(&paces[npaces++], flush, 1);
        }
    }

    source = mmap(NULL, sizeof(source_t), PROT_READ | PROT_WRITE,
                  MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (source == MAP_FAILED) {
        bench_fail("memory", strerror(errno), "17 MB");
    }

    source_open(argv[1], argv[2], argv[3]);
    while (!source_relay()) {
        source_receive();
    }

    start_workers(pids, workers);

    ready[0].fd = source_fd;
    ready[1].fd = 0;
    ready[0].events = ready[1].events = POLLIN;

    while (poll(ready, 2, -1) > 0 && ready[1].revents == 0) {
        source_receive();
        source_relay();
    }

    for (i = 0; i < workers; i++) {
        kill(pids[i], SIGKILL);
        waitpid(pids[i], NULL, 0);
    }

    return 0;
}
