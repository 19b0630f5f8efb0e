/*
 * HLS (RFC 8216) over a persistent connection.
 *
 * Plain: polls a media playlist and fetches each new segment.  It starts three segments
 * before the end (section 6.3.3), and polls every target duration, or after half of one
 * if the playlist has not changed (6.3.4).
 *
 * Low latency (RFC 8216bis): asks for the playlist that has the next part (6.2.5.2), which
 * the server holds until then, as a delta (6.2.5.1) if it can, and fetches the new parts.
 *
 * A mass viewer's media is only counted, and nothing else of what it receives.
 */

#define _GNU_SOURCE

#include "viewer.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>

#define START_FROM_END  3
#define ITEMS_MAX       64
#define PARTS_MAX       1000           /* of a segment */
#define READS_MAX       16             /* of a viewer in one turn */

enum hls_state { HLS_PAUSE, HLS_PLAYLIST, HLS_MEDIA };

/* A segment, or a part.  `place` grows by one from segment to segment, and from part
 * to part within one. */
typedef struct {
    uint64_t  place;
    int       key;
    char      uri[64];
} hls_item_t;

typedef struct {
    enum hls_state  state;
    int             low;             /* low latency */
    int             skips;           /* the server makes deltas */
    int             body;            /* the headers have been read */
    size_t          left;            /* rest of the body */
    int64_t         next_poll;
    int64_t         target_us;
    uint64_t        want;            /* place of the next item; 0: any */
    int             fetched;         /* items since the last playlist */
    hls_item_t      items[ITEMS_MAX];
    int             count;
    uint64_t        msn, part;       /* of the part behind the playlist's last one */
} hls_t;


/* Each viewer has a User-Agent of its own: together with its address and its token that
 * makes it a viewer in the server's eyes. */
static void
hls_get(viewer_t *v, enum hls_state state, const char *uri)
{
    int         n, dir;
    char        text[2048];
    hls_t      *h = v->own;
    const char *path = v->target->path;

    dir = state == HLS_MEDIA ? (int) (strrchr(path, '/') - path) + 1 : (int) strlen(path);
    n = snprintf(text, sizeof(text), "GET %.*s%s HTTP/1.1\r\nHost: %s\r\n"
                 "User-Agent: viewer %d\r\n\r\n", dir, path, uri, v->target->host, v->fd);
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
    h->low = v->target->protocol == &protocol_llhls;
    h->target_us = 1000000;
    hls_get(v, HLS_PLAYLIST, "");
}


/* Asks for the playlist that has the next part. */
static void
hls_reload(viewer_t *v)
{
    char          query[96];
    const hls_t  *h = v->own;

    snprintf(query, sizeof(query), "?_HLS_msn=%llu&_HLS_part=%llu%s",
             (unsigned long long) h->msn, (unsigned long long) h->part,
             h->skips ? "&_HLS_skip=YES" : "");
    hls_get(v, HLS_PLAYLIST, query);
}


/* The item to start with: the newest that can be decoded alone and has some behind it. */
static const hls_item_t *
hls_first(const hls_t *h)
{
    int  i = h->count > START_FROM_END ? h->count - START_FROM_END : 0;

    while (h->low && i > 0 && !h->items[i].key) {
        i--;
    }

    return &h->items[i];
}


static void
hls_next(viewer_t *v)
{
    int     i;
    hls_t  *h = v->own;

    if (h->count && h->want < h->items[0].place) {
        h->want = hls_first(h)->place;
    }

    for (i = 0; i < h->count; i++) {
        if (h->items[i].place >= h->want) {
            h->want = h->items[i].place + 1;
            h->fetched = 1;
            hls_get(v, HLS_MEDIA, h->items[i].uri);
            return;
        }
    }

    if (h->low) {
        hls_reload(v);
        return;
    }

    h->state = HLS_PAUSE;
    h->next_poll = bench_now_us() + (h->fetched ? h->target_us : h->target_us / 2);
    h->fetched = 0;
}


/* Adds an item whose URI begins at URI; the oldest one leaves a full list. */
static void
hls_add(hls_t *h, uint64_t place, int key, const char *uri)
{
    hls_item_t  *item;

    if (h->count == ITEMS_MAX) {
        memmove(h->items, h->items + 1, sizeof(h->items) - sizeof(h->items[0]));
        h->count--;
    }

    item = &h->items[h->count++];
    item->place = place;
    item->key = key;
    snprintf(item->uri, sizeof(item->uri), "%.*s", (int) strcspn(uri, "\"\r\n"), uri);
}


static void
read_playlist(hls_t *h, char *text)
{
    char      *line, *rest, *uri;
    uint64_t   n = 0, parts = 0;

    h->count = 0;

    for (line = strtok_r(text, "\r\n", &rest); line;
         line = strtok_r(NULL, "\r\n", &rest))
    {
        if (strncmp(line, "#EXT-X-TARGETDURATION:", 22) == 0) {
            h->target_us = atoll(line + 22) * 1000000;

        } else if (strncmp(line, "#EXT-X-MEDIA-SEQUENCE:", 22) == 0) {
            n = strtoull(line + 22, NULL, 10);

        } else if (strncmp(line, "#EXT-X-SERVER-CONTROL:", 22) == 0) {
            h->skips = strstr(line, "CAN-SKIP-UNTIL=") != NULL;

        } else if (strncmp(line, "#EXT-X-SKIP:SKIPPED-SEGMENTS=", 29) == 0) {
            n += strtoull(line + 29, NULL, 10);

        } else if (strncmp(line, "#EXT-X-PART:", 12) == 0) {
            uri = strstr(line, "URI=\"");
            if (uri && h->low) {
                hls_add(h, n * PARTS_MAX + parts + 1,
                        strstr(line, "INDEPENDENT=YES") != NULL, uri + 5);
            }
            parts++;

        } else if (line[0] != '#') {
            if (!h->low) {
                hls_add(h, n + 1, 1, line);
            }
            n++;
            parts = 0;
        }
    }

    h->msn = n;
    h->part = parts;
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


/* Is the viewer's media only counted?  Returns 1 while a body of that kind comes. */
static int
hls_counts(const viewer_t *v)
{
    const hls_t  *h = v->own;

    return v->role == VIEWER_MASS && v->started && h->state == HLS_MEDIA && h->body;
}


/* Uses what has come of a body that is only counted.  Returns the number of bytes. */
static size_t
hls_count(viewer_t *v)
{
    hls_t   *h = v->own;
    size_t   n = bench_left(&v->raw) < h->left ? bench_left(&v->raw) : h->left;

    v->raw.pos += n;
    h->left -= n;

    return n;
}


/* Uses the whole body SIZE bytes at TEXT.  1: a join needs no more. */
static int
hls_use(viewer_t *v, const char *text, size_t size)
{
    char   *copy;
    hls_t  *h = v->own;

    if (h->state == HLS_PLAYLIST) {
        copy = strndup(text, size);
        if (copy == NULL) {
            bench_fail("memory", "for a playlist", "enough");
        }
        read_playlist(h, copy);
        free(copy);
        return 0;
    }

    hls_marks(v, (const uint8_t *) text, size);

    if (v->started) {
        return 0;
    }

    (void) viewer_frame_seen(v, 1, bench_now_us());    /* it begins with a key frame */

    return v->role == VIEWER_JOIN;
}


/* Adds the bytes of media that are only counted to *media. */
static int
hls_take(viewer_t *v, size_t *media)
{
    int      rc;
    char    *text;
    hls_t   *h = v->own;

    while (h->state != HLS_PAUSE) {
        if (!h->body) {
            rc = hls_headers(v);
            if (rc != 1) {
                return rc;
            }
        }

        if (hls_counts(v)) {
            *media += hls_count(v);
            if (h->left) {
                return 0;
            }

        } else {
            if (bench_left(&v->raw) < h->left) {
                return 0;
            }

            text = (char *) v->raw.data + v->raw.pos;
            v->raw.pos += h->left;
            if (hls_use(v, text, h->left)) {
                return 0;
            }
        }

        hls_next(v);
    }

    return 0;
}


static int
take_hls(viewer_t *v)
{
    size_t  media = 0;

    return hls_take(v, &media);
}


/* As recv().  Adds to *media what is only counted. */
static ssize_t
hls_read(viewer_t *v, size_t *media)
{
    hls_t    *h = v->own;
    ssize_t   n;

    if (v->tls == NULL && hls_counts(v) && bench_left(&v->raw) == 0) {
        n = recv(v->fd, NULL, h->left, MSG_TRUNC | MSG_DONTWAIT);
        if (n > 0) {
            *media += (size_t) n;
            h->left -= (size_t) n;
            if (h->left == 0) {
                hls_next(v);
            }
        }
        return n;
    }

    bench_reserve(&v->raw, 16384);
    n = viewer_recv(v, v->raw.data + v->raw.len, v->raw.room - v->raw.len);

    if (n > 0) {
        v->raw.len += (size_t) n;
        if (hls_take(v, media) == -1) {
            return 0;
        }
    }

    return n;
}


/* Drops media and parses everything else.  Only media counts. */
static ssize_t
drop_hls(viewer_t *v)
{
    int      i;
    size_t   media = 0;
    ssize_t  n = 1;

    for (i = 0; i < READS_MAX && n > 0; i++) {
        n = hls_read(v, &media);
        if (n > 0) {
            v->last = bench_now_us();
            v->stalled = 0;
        }
    }

    return n > 0 || (n == -1 && errno == EAGAIN) ? (ssize_t) media : -1;
}


static void
turn_hls(viewer_t *v, int64_t now)
{
    hls_t  *h = v->own;

    if (h && h->state == HLS_PAUSE && now >= h->next_poll) {
        hls_get(v, HLS_PLAYLIST, "");
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

const protocol_t  protocol_llhls = {
    .stall_us = 1000000, .restless = 1,
    .ask = ask_hls, .take = take_hls, .drop = drop_hls, .turn = turn_hls,
    .forget = forget_hls,
};
