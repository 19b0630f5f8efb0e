/*
 * HLS (RFC 8216): polls a media playlist over a persistent connection and
 * fetches each new segment.  It starts three segments before the end (section
 * 6.3.3), and polls every target duration, or after half of one if the playlist
 * has not changed (6.3.4).  A mass viewer's segments are only counted.
 */

#define _GNU_SOURCE

#include "viewer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <errno.h>

#define START_FROM_END  3
#define SEGMENTS_MAX    64

enum hls_state { HLS_PAUSE, HLS_PLAYLIST, HLS_SEGMENT };

typedef struct {
    enum hls_state  state;
    int             body;            /* the headers have been read */
    size_t          left;            /* rest of the body */
    int64_t         next_poll;
    int64_t         target_us;
    uint64_t        want;            /* media sequence number; 0: any */
    int             fetched;         /* segments since the last playlist */
    char            uri[SEGMENTS_MAX][64];
    uint64_t        first;           /* sequence number of uri[0] */
    int             uris;
} hls_t;


static void
hls_get(viewer_t *v, enum hls_state state, const char *uri)
{
    int         n, dir;
    char        text[2048];
    hls_t      *h = v->own;
    const char *path = v->target->path;

    dir = uri ? (int) (strrchr(path, '/') - path) + 1 : (int) strlen(path);
    n = snprintf(text, sizeof(text), "GET %.*s%s HTTP/1.1\r\nHost: %s\r\n\r\n",
                 dir, path, uri ? uri : "", v->target->host);
    h->state = state;
    h->body = 0;
    viewer_send(v, text, (size_t) n);
}


static void
ask_hls(viewer_t *v)
{
    hls_t  *h = calloc(1, sizeof(hls_t));

    if (h == NULL) {
        bench_fail("memory", "for an HLS client", "enough");
    }

    v->own = h;
    h->target_us = 1000000;
    hls_get(v, HLS_PLAYLIST, NULL);
}


static void
hls_next(viewer_t *v)
{
    hls_t    *h = v->own;
    uint64_t  end = h->first + (uint64_t) h->uris;
    int64_t   now = bench_now_us();

    if (h->uris && (h->want == 0 || h->want < h->first)) {
        h->want = h->uris > START_FROM_END ? end - START_FROM_END : h->first;
    }

    if (h->uris && h->want < end) {
        h->fetched = 1;
        hls_get(v, HLS_SEGMENT, h->uri[h->want++ - h->first]);
        return;
    }

    h->state = HLS_PAUSE;
    h->next_poll = now + (h->fetched ? h->target_us : h->target_us / 2);
    h->fetched = 0;
}


static void
read_playlist(hls_t *h, char *text)
{
    char  *line, *rest;

    h->uris = 0;
    h->first = 1;

    for (line = strtok_r(text, "\r\n", &rest); line;
         line = strtok_r(NULL, "\r\n", &rest))
    {
        if (strncmp(line, "#EXT-X-TARGETDURATION:", 22) == 0) {
            h->target_us = atoll(line + 22) * 1000000;
        } else if (strncmp(line, "#EXT-X-MEDIA-SEQUENCE:", 22) == 0) {
            h->first = strtoull(line + 22, NULL, 10) + 1;
        } else if (line[0] != '#' && h->uris < SEGMENTS_MAX) {
            snprintf(h->uri[h->uris++], sizeof(h->uri[0]), "%s", line);
        }
    }
}


static int
hls_headers(viewer_t *v)
{
    char   *head = (char *) v->raw.data + v->raw.pos, *end, *line;
    hls_t  *h = v->own;

    end = memmem(head, bench_left(&v->raw), "\r\n\r\n", 4);
    if (end == NULL) {
        return 0;
    }

    *end = '\0';
    line = strcasestr(head, "\ncontent-length:");

    if (strlen(head) < 12 || strncmp(head + 8, " 200", 4) != 0 || line == NULL) {
        v->why = "an answer that is not 200 with a Content-Length";
        return -1;
    }

    h->left = strtoul(line + 16, NULL, 10);
    h->body = 1;
    v->raw.pos += (size_t) (end - head) + 4;

    return 1;
}


static void
hls_marks(viewer_t *v, const uint8_t *p, size_t size)
{
    size_t   at = 0, next;
    int64_t  mark;

    while (at < size) {
        mark = bench_mark_find(p + at, size - at, &next);
        if (mark) {
            (void) viewer_frame_seen(v, 0, mark);
        }
        at += next;
    }
}


static int
take_hls(viewer_t *v)
{
    int      rc;
    char    *text;
    hls_t   *h = v->own;
    size_t   size;

    for ( ;; ) {
        if (h->state == HLS_PAUSE) {
            return 0;
        }

        if (!h->body) {
            rc = hls_headers(v);
            if (rc != 1) {
                return rc;
            }
        }

        if (bench_left(&v->raw) < h->left) {
            return 0;
        }

        text = (char *) v->raw.data + v->raw.pos;
        size = h->left;
        v->raw.pos += size;
        h->left = 0;

        if (h->state == HLS_PLAYLIST) {
            text = strndup(text, size);
            if (text == NULL) {
                bench_fail("memory", "for a playlist", "enough");
            }
            read_playlist(h, text);
            free(text);

        } else {
            hls_marks(v, (uint8_t *) text, size);
            if (!v->started) {         /* a segment begins with a key frame */
                (void) viewer_frame_seen(v, 1, bench_now_us());
                if (v->role == VIEWER_JOIN) {
                    return 0;
                }
            }
        }

        hls_next(v);
    }
}


/* Drops the body of a segment, and parses everything else. */
static ssize_t
drop_hls(viewer_t *v)
{
    hls_t   *h = v->own;
    size_t   had;
    ssize_t  n;

    if (h->state == HLS_SEGMENT && h->body && v->raw.pos < v->raw.len) {
        had = bench_left(&v->raw) < h->left ? bench_left(&v->raw) : h->left;
        v->raw.pos += had;
        h->left -= had;
    }

    if (h->state == HLS_SEGMENT && h->body && h->left) {
        n = recv(v->fd, NULL, h->left, MSG_TRUNC | MSG_DONTWAIT);
        if (n > 0) {
            h->left -= (size_t) n;
            if (h->left == 0) {
                hls_next(v);
            }
        }

    } else {
        bench_reserve(&v->raw, 16384);
        n = recv(v->fd, v->raw.data + v->raw.len, v->raw.room - v->raw.len,
                 MSG_DONTWAIT);
        if (n > 0) {
            v->raw.len += (size_t) n;
            if (take_hls(v) == -1) {
                return -1;
            }
        }
    }

    return n > 0 ? n : n == -1 && errno == EAGAIN ? 0 : -1;
}


static void
turn_hls(viewer_t *v, int64_t now)
{
    hls_t  *h = v->own;

    if (h && h->state == HLS_PAUSE && now >= h->next_poll) {
        hls_get(v, HLS_PLAYLIST, NULL);
    }
}


static void
forget_hls(viewer_t *v)
{
    free(v->own);
    v->own = NULL;
}


const protocol_t  protocol_hls = {
    .stall_us = 8000000, .restless = 1,
    .ask = ask_hls, .take = take_hls, .drop = drop_hls, .turn = turn_hls,
    .forget = forget_hls,
};
