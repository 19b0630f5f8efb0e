#define _GNU_SOURCE

#include "bench.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

#define ROOM_MAX   (16u * 1024 * 1024)
#define FILES_MAX  200000

/* our own, so that no encoder writes it */
static const uint8_t  uuid[BENCH_UUID_SIZE] = "duolu-bench-mark";


void
bench_fail(const char *what, const char *value, const char *expected)
{
    fprintf(stderr, "%s \"%s\": expected %s\n", what, value, expected);
    exit(1);
}


int64_t
bench_now_us(void)
{
    struct timespec  t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t) t.tv_sec * 1000000 + t.tv_nsec / 1000;
}


void
bench_raise_files(void)
{
    struct rlimit  l, more = { FILES_MAX, FILES_MAX };

    if (setrlimit(RLIMIT_NOFILE, &more) != 0
        && getrlimit(RLIMIT_NOFILE, &l) == 0)
    {
        l.rlim_cur = l.rlim_max;
        (void) setrlimit(RLIMIT_NOFILE, &l);
    }
}


void
bench_urgent(void)
{
    (void) setpriority(PRIO_PROCESS, 0, -15);
}


long
bench_number(const char *name, const char *text, long min, long max)
{
    char  *end, range[64];
    long   n = strtol(text, &end, 10);

    if (*text == '\0' || *end != '\0' || n < min || n > max) {
        snprintf(range, sizeof(range), "a number %ld..%ld", min, max);
        bench_fail(name, text, range);
    }

    return n;
}


/* --- bytes --- */

void
bench_reserve(bench_bytes_t *b, size_t size)
{
    if (b->pos) {
        b->len -= b->pos;
        memmove(b->data, b->data + b->pos, b->len);
        b->pos = 0;
    }

    if (b->room - b->len >= size) {
        return;
    }

    b->room = b->len + size > 2 * b->room ? b->len + size : 2 * b->room;
    b->data = b->room <= ROOM_MAX ? realloc(b->data, b->room) : NULL;

    if (b->data == NULL) {
        bench_fail("buffer", "16 MB", "less to be kept at a time");
    }
}


void
bench_append(bench_bytes_t *b, const void *data, size_t size)
{
    bench_reserve(b, size);
    memcpy(b->data + b->len, data, size);
    b->len += size;
}


void
bench_forget(bench_bytes_t *b)
{
    free(b->data);
    memset(b, 0, sizeof(*b));
}


/* --- FLV --- */

int
bench_tag(const uint8_t *p, size_t left, bench_tag_t *tag)
{
    size_t  body;

    if (left < FLV_TAG_HEADER_SIZE) {
        return 0;
    }

    memset(tag, 0, sizeof(*tag));
    tag->type = p[0];
    body = (size_t) p[1] << 16 | (size_t) p[2] << 8 | p[3];
    tag->size = body + FLV_TAG_OVERHEAD;
    tag->dts = (uint32_t) p[7] << 24 | (uint32_t) p[4] << 16
               | (uint32_t) p[5] << 8 | p[6];

    if (tag->type != FLV_AUDIO && tag->type != FLV_VIDEO
        && tag->type != FLV_SCRIPT)
    {
        return -1;
    }

    if (left < tag->size) {
        return 0;
    }

    p += FLV_TAG_HEADER_SIZE;

    if (tag->type == FLV_VIDEO) {
        return flv_parse_video(p, body, &tag->frame) == FLV_OK ? 1 : -1;
    }

    if (tag->type == FLV_AUDIO) {
        return flv_parse_audio(p, body, &tag->frame) == FLV_OK ? 1 : -1;
    }

    return 1;
}


/* --- the mark --- */

void
bench_mark_write(uint8_t out[BENCH_MARK_SIZE], int64_t us)
{
    char  hex[17];

    /* as digits: the bytes of a number could contain a start code */
    snprintf(hex, sizeof(hex), "%016llx", (unsigned long long) us);
    memcpy(out, "\0\0\0\x24\x06\x05\x20", 7);
    memcpy(out + 7, uuid, BENCH_UUID_SIZE);
    memcpy(out + 23, hex, 16);
    out[39] = 0x80;
}


/* Reads the 16 digits of a mark.  0: a container has put its own bytes among
 * them. */
static int64_t
mark_time(const uint8_t *p)
{
    char     hex[17], *end;
    int64_t  us;

    memcpy(hex, p, 16);
    hex[16] = '\0';
    us = (int64_t) strtoull(hex, &end, 16);

    return *end == '\0' ? us : 0;
}


int64_t
bench_mark_read(const uint8_t *body, size_t size)
{
    const uint8_t  *p = body + BENCH_MARK_AT;

    return size >= BENCH_MARK_AT + BENCH_MARK_SIZE
           && memcmp(p + 7, uuid, BENCH_UUID_SIZE) == 0 ? mark_time(p + 23) : 0;
}


int64_t
bench_mark_find(const uint8_t *p, size_t size, size_t *next)
{
    const uint8_t  *at = memmem(p, size, uuid, BENCH_UUID_SIZE);

    if (at == NULL || size - (size_t) (at - p) < BENCH_UUID_SIZE + 16) {
        *next = size;
        return 0;
    }

    *next = (size_t) (at - p) + BENCH_UUID_SIZE + 16;
    return mark_time(at + BENCH_UUID_SIZE);
}
