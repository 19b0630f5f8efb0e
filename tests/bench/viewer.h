/*
 * One viewer of any protocol.
 *
 * Until a viewer has a whole key frame, its bytes are read at once and parsed.
 * Then a mass viewer's bytes are only counted (MSG_TRUNC; over TLS encrypted,
 * 22 bytes more per record, except of HLS), a probe's are parsed further, and a join
 * ends.
 */

#ifndef DUOLU_BENCH_VIEWER_H
#define DUOLU_BENCH_VIEWER_H

#include <netinet/in.h>
#include <openssl/ssl.h>
#include <sys/types.h>

#include "rtmp_wire.h"

typedef struct viewer_s    viewer_t;
typedef struct protocol_s  protocol_t;

enum viewer_role { VIEWER_MASS, VIEWER_PROBE, VIEWER_JOIN };

/* A parsed URL. */
typedef struct {
    const protocol_t   *protocol;
    int                 tls;
    struct sockaddr_in  address;
    char               *host;          /* with its port, as in a request's header */
    char               *path;          /* begins with a slash */
    char               *app, *name;    /* the two parts of the path, for RTMP */
} target_t;

/* Reads a file with one URL per line; viewers.c lists their schemes. */
target_t *targets_read(const char *path, int *count);

struct protocol_s {
    int64_t      stall_us;             /* a silence of this length counts as a stall */
    int          restless;             /* sends requests of its own in turn() */

    /* The connection is open: sends the request. */
    void (*ask)(viewer_t *v);

    /* Uses as much of v->raw as possible, and calls viewer_frame() for each
     * video frame.  -1: the server refused, v->why has the reason. */
    int (*take)(viewer_t *v);

    /* Reads and drops bytes.  Returns their number, 0: none now, -1: the
     * connection has ended. */
    ssize_t (*drop)(viewer_t *v);

    /* Called regularly for a restless protocol. */
    void (*turn)(viewer_t *v, int64_t now);

    void (*forget)(viewer_t *v);
};

struct viewer_s {
    const target_t    *target;
    enum viewer_role   role;
    int                fd;             /* -1: not open */
    int                connected, started, stalled;

    bench_bytes_t      raw;            /* as received */
    bench_bytes_t      media;          /* FLV without the framing of HTTP or WS */
    int                phase;          /* state of the protocol */
    int                chunked;
    int                tags;           /* the FLV header has been read */
    uint64_t           chunk_left;     /* rest of an HTTP chunk or WS message */
    void              *own;            /* state of RTMP or HLS */
    SSL               *tls;            /* or NULL */
    int                tickets;        /* TLS 1.3: the handshake awaits them */
    const char        *why;

    int64_t            asked, first_byte, first_key;
    int64_t            last;           /* time of the last bytes */
    uint64_t           total;          /* bytes in all */
    uint64_t           bytes;          /* in the window */

    /* Position in the stream: the first key frame, sent at key_mark, ended at
     * byte key_at; new_mark and new_at are a probe's newest such pair. */
    int64_t            key_mark, new_mark, frame_mark;
    uint64_t           key_at, new_at;
};

extern const protocol_t  protocol_flv, protocol_ws, protocol_rtmp, protocol_hls,
                         protocol_llhls;

/* Takes a whole video frame (FLV body).  1: the viewer needs no more parsing. */
int viewer_frame(viewer_t *v, const uint8_t *body, size_t size);

/* The same for a frame of which only the send time is known. */
int viewer_frame_seen(viewer_t *v, int key, int64_t mark);

/* The number of bytes that are received and not parsed yet. */
size_t viewer_unparsed(const viewer_t *v);

void viewer_send(viewer_t *v, const void *data, size_t size);

/* As recv(), over TLS, too. */
ssize_t viewer_recv(viewer_t *v, void *data, size_t room);
ssize_t viewer_drop(viewer_t *v);

#endif
