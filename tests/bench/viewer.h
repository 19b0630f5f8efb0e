/*
 * One viewer of any protocol.
 *
 * A viewer is read closely and parsed until its first key frame is whole.
 * Then a mass viewer's bytes are only counted (MSG_TRUNC; over TLS as they are
 * encrypted, 22 bytes a record more), a probe is parsed on, a join ends.
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

/* What a URL says. */
typedef struct {
    const protocol_t   *protocol;
    int                 tls;
    struct sockaddr_in  address;
    char               *host;          /* with port, as a request says it */
    char               *path;          /* with its slash */
    char               *app, *name;    /* of RTMP: the path's two parts */
} target_t;

/* Reads a file of addresses, one a line; viewers.c says which. */
target_t *targets_read(const char *path, int *count);

struct protocol_s {
    int64_t      stall_us;             /* silence that a viewer would notice */
    int          restless;             /* asks again: turn() after turn() */

    /* Connected: say what must be said. */
    void (*ask)(viewer_t *v);

    /* Bytes came: use v->raw as far as possible, viewer_frame() for each
     * video frame.  -1: the server refused, v->why says how. */
    int (*take)(viewer_t *v);

    /* Reads and drops.  Bytes read, 0: none now, -1: the connection ended. */
    ssize_t (*drop)(viewer_t *v);

    /* At each look at one of the restless. */
    void (*turn)(viewer_t *v, int64_t now);

    void (*forget)(viewer_t *v);
};

struct viewer_s {
    const target_t    *target;
    enum viewer_role   role;
    int                fd;             /* -1: not open */
    int                connected, started, stalled;

    bench_bytes_t      raw;            /* as it came */
    bench_bytes_t      media;          /* FLV out of HTTP's and WS's framing */
    int                phase;          /* of the protocol */
    int                chunked;
    int                tags;           /* the FLV header was seen */
    uint64_t           chunk_left;     /* of an HTTP chunk, a WS message */
    void              *own;            /* RTMP's, HLS's */
    SSL               *tls;            /* or NULL */
    const char        *why;

    int64_t            asked, first_byte, first_key;
    int64_t            last;           /* when bytes came last */
    uint64_t           total;          /* bytes in all */
    uint64_t           bytes;          /* in the window */

    /* position in the stream: a key frame sent at key_mark ended at byte
     * key_at; of a probe also the newest such pair */
    int64_t            key_mark, new_mark, frame_mark;
    uint64_t           key_at, new_at;
};

extern const protocol_t  protocol_flv, protocol_ws, protocol_rtmp, protocol_hls;

/* A whole video frame (FLV body) came.  1: the viewer wants no more parsed. */
int viewer_frame(viewer_t *v, const uint8_t *body, size_t size);

/* The same where only its send time is known. */
int viewer_frame_seen(viewer_t *v, int key, int64_t mark);

/* Bytes that came and were not parsed yet. */
size_t viewer_unparsed(const viewer_t *v);

void viewer_send(viewer_t *v, const void *data, size_t size);
ssize_t viewer_drop(viewer_t *v);

#endif
