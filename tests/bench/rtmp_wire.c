#include "rtmp_wire.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MESSAGE_MAX   (8u * 1024 * 1024)
#define NO_TIMESTAMP  0xffffffu


static uint32_t
read_be(const uint8_t *p, int n)
{
    uint32_t  v = 0;

    while (n--) {
        v = v << 8 | *p++;
    }

    return v;
}


static void
write_be(uint8_t *p, uint32_t v, int n)
{
    while (n--) {
        p[n] = (uint8_t) v;
        v >>= 8;
    }
}


/* --- chunks in --- */

void
rtmp_reader_init(rtmp_reader_t *r)
{
    memset(r, 0, sizeof(*r));
    r->chunk_size = RTMP_CHUNK_SIZE;
}


void
rtmp_reader_free(rtmp_reader_t *r)
{
    int  i;

    for (i = 0; i < RTMP_LANES; i++) {
        free(r->lanes[i].body);
        r->lanes[i].body = NULL;
    }
}


static rtmp_lane_t *
lane_of(rtmp_reader_t *r, unsigned id)
{
    int   i;
    char  text[16];

    for (i = 0; i < RTMP_LANES; i++) {
        if (r->lanes[i].id == 0) {
            r->lanes[i].id = id;
        }
        if (r->lanes[i].id == id) {
            return &r->lanes[i];
        }
    }

    snprintf(text, sizeof(text), "%u", id);
    bench_fail("chunk stream", text, "16 at most");
}


/* Reads the header at P into LANE.  Returns its size, or 0 if it needs more
 * bytes: then LANE is unchanged. */
static size_t
read_header(rtmp_reader_t *r, const uint8_t *p, size_t left, rtmp_lane_t **lane)
{
    int           format = p[0] >> 6;
    size_t        at = 1, size, need;
    unsigned      id = p[0] & 0x3f;
    uint32_t      timestamp;
    rtmp_lane_t  *l;

    static const size_t  sizes[] = { 11, 7, 3, 0 };

    if (id < 2) {
        at += id + 1;
        if (left < at) {
            return 0;
        }
        id = id == 0 ? 64u + p[1] : 64u + p[1] + 256u * p[2];
    }

    l = lane_of(r, id);
    size = sizes[format];
    need = at + size;

    if (left < need) {
        return 0;
    }

    if (format == 3) {
        need += l->extended ? 4 : 0;
        *lane = l;
        return left < need ? 0 : need;
    }

    timestamp = read_be(p + at, 3);
    need += timestamp == NO_TIMESTAMP ? 4 : 0;
    if (left < need) {
        return 0;
    }

    l->extended = timestamp == NO_TIMESTAMP;

    if (format < 2) {
        l->size = read_be(p + at + 3, 3);
        l->type = p[at + 6];
        l->got = 0;
    }

    *lane = l;
    return need;
}


/* Reads a chunk only when all of it is there, so that its header is not read
 * twice. */
size_t
rtmp_read(rtmp_reader_t *r, const uint8_t *p, size_t left, rtmp_message_t *m)
{
    size_t        header, part;
    rtmp_lane_t  *l, kept;

    memset(m, 0, sizeof(*m));

    if (left == 0) {
        return 0;
    }

    header = read_header(r, p, left, &l);
    if (header == 0) {
        return 0;
    }

    part = l->size - l->got < r->chunk_size ? l->size - l->got : r->chunk_size;
    if (left < header + part) {
        return 0;
    }

    if (l->room < l->size) {
        kept = *l;
        l->body = l->size <= MESSAGE_MAX ? realloc(kept.body, l->size) : NULL;
        if (l->body == NULL) {
            bench_fail("message", "of the server", "at most 8 MB");
        }
        l->room = l->size;
    }

    memcpy(l->body + l->got, p + header, part);
    l->got += part;

    if (l->got < l->size) {
        return header + part;
    }

    l->got = 0;
    m->type = l->type;
    m->size = l->size;
    m->body = l->body;

    if (m->type == RTMP_SET_CHUNK_SIZE && m->size >= 4) {
        r->chunk_size = read_be(m->body, 4) & 0x7fffffff;
        if (r->chunk_size == 0) {
            bench_fail("chunk size", "0", "at least 1");
        }

    } else if (m->type == RTMP_WINDOW && m->size >= 4) {
        r->window = read_be(m->body, 4);
    }

    return header + part;
}


/* --- chunks out --- */

void
rtmp_write(bench_bytes_t *out, unsigned lane, enum rtmp_type type,
    uint32_t timestamp, uint32_t stream, const uint8_t *body, size_t size,
    size_t chunk)
{
    int      i, extended = timestamp >= NO_TIMESTAMP;
    size_t   part, n = 12;
    uint8_t  head[16], next[5];

    head[0] = next[0] = (uint8_t) lane;
    next[0] |= 3 << 6;
    write_be(head + 1, extended ? NO_TIMESTAMP : timestamp, 3);
    write_be(head + 4, (uint32_t) size, 3);
    head[7] = (uint8_t) type;
    for (i = 0; i < 4; i++) {              /* the only little-endian field */
        head[8 + i] = (uint8_t) (stream >> 8 * i);
    }
    if (extended) {
        write_be(head + 12, timestamp, 4);
        write_be(next + 1, timestamp, 4);
        n += 4;
    }

    bench_reserve(out, size + n + (size / chunk + 1) * sizeof(next));
    bench_append(out, head, n);

    for ( ;; ) {
        part = size < chunk ? size : chunk;
        bench_append(out, body, part);
        body += part;
        size -= part;
        if (size == 0) {
            return;
        }
        bench_append(out, next, extended ? 5 : 1);
    }
}


/* --- AMF0 --- */

void
amf_string(bench_bytes_t *out, const char *text)
{
    size_t   size = strlen(text);
    uint8_t  head[3] = { 2 };

    write_be(head + 1, (uint32_t) size, 2);
    bench_append(out, head, 3);
    bench_append(out, text, size);
}


void
amf_number(bench_bytes_t *out, double number)
{
    uint8_t   value[9] = { 0 };
    uint64_t  bits;

    memcpy(&bits, &number, 8);
    write_be(value + 1, (uint32_t) (bits >> 32), 4);
    write_be(value + 5, (uint32_t) bits, 4);
    bench_append(out, value, 9);
}


void
amf_null(bench_bytes_t *out)
{
    bench_append(out, "\x05", 1);
}


int
amf_read(const uint8_t *p, size_t size, size_t *pos, double *number, char *text,
    size_t room)
{
    size_t    n, at = *pos;
    uint64_t  bits;

    if (at >= size) {
        return -1;
    }

    switch (p[at]) {

    case 0:
        if (size - at < 9) {
            return -1;
        }
        bits = (uint64_t) read_be(p + at + 1, 4) << 32 | read_be(p + at + 5, 4);
        memcpy(number, &bits, 8);
        *pos = at + 9;
        return 0;

    case 2:
        if (size - at < 3 || size - at < 3 + (n = read_be(p + at + 1, 2))) {
            return -1;
        }
        snprintf(text, room, "%.*s", (int) n, (const char *) p + at + 3);
        *pos = at + 3 + n;
        return 2;

    case 5:
        *pos = at + 1;
        return 5;
    }

    return -1;
}


int
amf_field(const uint8_t *p, size_t size, const char *name, char *text,
    size_t room)
{
    double  number;
    size_t  at, n = strlen(name);

    for (at = 0; at + n + 2 < size; at++) {
        if (read_be(p + at, 2) == n && memcmp(p + at + 2, name, n) == 0) {
            at += 2 + n;
            return amf_read(p, size, &at, &number, text, room) == 2;
        }
    }

    return 0;
}
