/* FLV over HTTP/1.1 and over WebSocket (RFC 9112 7.1, RFC 6455 5.2). */

#define _GNU_SOURCE

#include "viewer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { PHASE_HEADERS, PHASE_FRAMING, PHASE_BODY, PHASE_CHUNK_END };
enum { WS_CONTINUED = 0, WS_BINARY = 2 };


#define COOKIE_80                                                            \
    "0123456789abcdefghijklmnopqrstuvwxyz_ABC"                               \
    "0123456789abcdefghijklmnopqrstuvwxyz-XYZ"

/* The other headers that Chrome sends from a page of HTTPS, with cookies as long as
 * that page's. */
#define BROWSER                                                              \
    "Pragma: no-cache\r\nCache-Control: no-cache\r\n"                        \
    "User-Agent: Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 "     \
    "(KHTML, like Gecko) Chrome/143.0.0.0 Mobile Safari/537.36\r\n"          \
    "Origin: https://duolu.example.com:8443\r\n"                             \
    "Accept-Encoding: gzip, deflate, br, zstd\r\n"                           \
    "Accept-Language: zh-CN,zh;q=0.9,en-US;q=0.8,en;q=0.7\r\n"               \
    "Cookie: c=" COOKIE_80 "; k=" COOKIE_80 COOKIE_80 COOKIE_80 "\r\n"       \
    "Sec-WebSocket-Extensions: permessage-deflate\r\n"


static void
ask_flv(viewer_t *v)
{
    int   n;
    char  text[2048];

    n = snprintf(text, sizeof(text),
                 "GET %s HTTP/1.1\r\nUser-Agent: Lavf/59.27.100\r\n"
                 "Accept: */*\r\nRange: bytes=0-\r\nConnection: close\r\n"
                 "Host: %s\r\nIcy-MetaData: 1\r\n\r\n",
                 v->target->path, v->target->host);
    viewer_send(v, text, (size_t) n);
}


static void
ask_ws(viewer_t *v)
{
    int   n;
    char  text[2048];

    n = snprintf(text, sizeof(text),
                 "GET %s HTTP/1.1\r\nHost: %s\r\nUpgrade: websocket\r\n"
                 "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
                 "Sec-WebSocket-Key: ZHVvbHUtYmVuY2gtMTIzNA==\r\n%s\r\n",
                 v->target->path, v->target->host, v->tls ? BROWSER : "");
    viewer_send(v, text, (size_t) n);
}


/* 1: the answer's headers are whole and accept; 0: needs more; -1: refused. */
static int
take_headers(viewer_t *v, const char *status)
{
    char        *head = (char *) v->raw.data + v->raw.pos, *end, *line;
    static char  why[256];

    end = memmem(head, bench_left(&v->raw), "\r\n\r\n", 4);
    if (end == NULL) {
        return 0;
    }

    *end = '\0';
    v->raw.pos += (size_t) (end - head) + 4;

    if (strlen(head) < 12 || strncmp(head + 8, status, 4) != 0) {
        snprintf(why, sizeof(why), "%.*s", (int) strcspn(head, "\r"), head);
        v->why = why;
        return -1;
    }

    line = strcasestr(head, "\ntransfer-encoding:");
    v->chunked = line && strcasestr(line, "chunked");

    return 1;
}


/* Reads the tags in v->media.  1: the viewer needs no more; -1: no FLV. */
static int
take_tags(viewer_t *v)
{
    int             rc;
    bench_tag_t     tag;
    const uint8_t  *p;

    if (!v->tags) {
        if (bench_left(&v->media) < FLV_HEADER_SIZE) {
            return 0;
        }
        if (memcmp(v->media.data + v->media.pos, "FLV", 3) != 0) {
            v->why = "an answer that is no FLV";
            return -1;
        }
        v->tags = 1;
        v->media.pos += FLV_HEADER_SIZE;
    }

    for ( ;; ) {
        p = v->media.data + v->media.pos;
        rc = bench_tag(p, bench_left(&v->media), &tag);
        if (rc == -1) {
            v->why = "bytes that are no FLV tag";
            return -1;
        }
        if (rc == 0) {
            return 0;
        }
        v->media.pos += tag.size;
        if (tag.type == FLV_VIDEO
            && viewer_frame(v, p + FLV_TAG_HEADER_SIZE,
                            tag.size - FLV_TAG_OVERHEAD))
        {
            return 1;
        }
    }
}


static void
take_payload(viewer_t *v)
{
    size_t  n = bench_left(&v->raw);

    n = n < v->chunk_left ? n : (size_t) v->chunk_left;
    bench_append(&v->media, v->raw.data + v->raw.pos, n);
    v->raw.pos += n;
    v->chunk_left -= n;
}


/* --- HTTP --- */

/* 1: continue; 0: needs more; -1: no chunk. */
static int
take_chunk(viewer_t *v)
{
    char  *head = (char *) v->raw.data + v->raw.pos, *end;

    if (v->phase == PHASE_BODY) {
        take_payload(v);
        v->phase = v->chunk_left ? PHASE_BODY : PHASE_CHUNK_END;
        return v->chunk_left == 0;
    }

    end = memmem(head, bench_left(&v->raw), "\r\n", 2);
    if (end == NULL) {
        return 0;
    }

    v->raw.pos += (size_t) (end - head) + 2;

    if (v->phase == PHASE_CHUNK_END) {
        v->phase = PHASE_FRAMING;
        return 1;
    }

    v->chunk_left = strtoull(head, NULL, 16);
    v->phase = PHASE_BODY;
    v->why = "the last chunk";

    return v->chunk_left ? 1 : -1;
}


static int
take_flv(viewer_t *v)
{
    int  rc = 1;

    if (v->phase == PHASE_HEADERS) {
        rc = take_headers(v, " 200");
        if (rc != 1) {
            return rc;
        }
        v->phase = v->chunked ? PHASE_FRAMING : PHASE_BODY;
        v->chunk_left = v->chunked ? 0 : UINT64_MAX;
    }

    if (!v->chunked) {
        take_payload(v);
    }

    while (v->chunked && (rc = take_chunk(v)) == 1) {
        /* frame by frame */
    }

    return rc == -1 ? -1 : take_tags(v) == -1 ? -1 : 0;
}


/* --- WebSocket --- */

/* 1: continue; 0: needs more; -1: closed.  Pings stay unanswered: the bench
 * ends before a server gives up. */
static int
take_message(viewer_t *v)
{
    size_t    i, n, need = 2, left = bench_left(&v->raw);
    uint8_t  *p = v->raw.data + v->raw.pos;
    uint64_t  size;

    if (v->chunk_left) {
        take_payload(v);
        return v->chunk_left == 0;
    }

    if (left < need) {
        return 0;
    }

    size = p[1] & 0x7f;
    n = size == 126 ? 2 : size == 127 ? 8 : 0;
    need += n;
    if (left < need) {
        return 0;
    }

    for (i = 0, size = n ? 0 : size; i < n; i++) {
        size = size << 8 | p[2 + i];
    }

    if ((p[0] & 0x0f) != WS_CONTINUED && (p[0] & 0x0f) != WS_BINARY) {
        if ((p[0] & 0x0f) == 8) {
            v->why = "a close";
            return -1;
        }
        need += size;
        size = 0;
        if (left < need) {
            return 0;
        }
    }

    v->raw.pos += need;
    v->chunk_left = size;
    return 1;
}


static int
take_ws(viewer_t *v)
{
    int  rc;

    if (v->phase == PHASE_HEADERS) {
        rc = take_headers(v, " 101");
        if (rc != 1) {
            return rc;
        }
        v->phase = PHASE_BODY;
    }

    while ((rc = take_message(v)) == 1) {
        /* message by message */
    }

    return rc == -1 ? -1 : take_tags(v) == -1 ? -1 : 0;
}


const protocol_t  protocol_flv = {
    .stall_us = 1000000,
    .ask = ask_flv, .take = take_flv, .drop = viewer_drop,
};

const protocol_t  protocol_ws = {
    .stall_us = 1000000,
    .ask = ask_ws, .take = take_ws, .drop = viewer_drop,
};
