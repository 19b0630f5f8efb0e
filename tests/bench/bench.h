/* What the bench's programs share: clock, options, walking FLV tags. */

#ifndef DUOLU_BENCH_H
#define DUOLU_BENCH_H

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

#include "../../modules/media/flv.h"

typedef struct {
    uint8_t      type;         /* enum flv_type */
    size_t       size;         /* of the whole tag, back-pointer included */
    uint32_t     dts;
    flv_frame_t  frame;        /* of audio and video */
} bench_tag_t;


static inline void
bench_fail(const char *what, const char *value, const char *expected)
{
    fprintf(stderr, "%s \"%s\": expected %s\n", what, value, expected);
    exit(1);
}


static inline int64_t
bench_now_us(void)
{
    struct timespec  t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t) t.tv_sec * 1000000 + t.tv_nsec / 1000;
}


/* Thousands of sockets need more than the usual soft limit of 1024. */
static inline void
bench_raise_files(void)
{
    struct rlimit  l;

    if (getrlimit(RLIMIT_NOFILE, &l) == 0) {
        l.rlim_cur = l.rlim_max;
        (void) setrlimit(RLIMIT_NOFILE, &l);
    }
}


static inline long
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


/* Reads the tag at P of LEFT bytes.  1: whole; 0: more is needed; -1: no FLV. */
static inline int
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

#endif
