/* What the bench's programs share: clock, options, bytes as they come, FLV
 * tags, and the mark: the send time that the publisher puts into each frame. */

#ifndef DUOLU_BENCH_H
#define DUOLU_BENCH_H

#include <stddef.h>
#include <stdint.h>

#include "../../modules/media/flv.h"

#define BENCH_UUID_SIZE  16
#define BENCH_MARK_SIZE  40    /* length, SEI header, UUID, 16 hex digits, end */
#define BENCH_MARK_AT    5     /* of an AVC tag's body: behind its head */

typedef struct {
    uint8_t      type;         /* enum flv_type */
    size_t       size;         /* of the whole tag, back-pointer included */
    uint32_t     dts;
    flv_frame_t  frame;        /* of audio and video */
} bench_tag_t;

/* Bytes [pos, len) are there and not yet used. */
typedef struct {
    uint8_t  *data;
    size_t    pos, len, room;
} bench_bytes_t;

/* Ends the program with a sentence. */
void bench_fail(const char *what, const char *value, const char *expected)
    __attribute__((noreturn));

int64_t bench_now_us(void);

/* Thousands of sockets need more than the usual soft limit. */
void bench_raise_files(void);

/* A program that takes times must not wait for a core; needs root to work. */
void bench_urgent(void);

long bench_number(const char *name, const char *text, long min, long max);

/* Makes room for SIZE more bytes behind len, at most 16 MB in all. */
void bench_reserve(bench_bytes_t *b, size_t size);
void bench_append(bench_bytes_t *b, const void *data, size_t size);
void bench_forget(bench_bytes_t *b);

/* Reads the tag at P of LEFT bytes.  1: whole; 0: more is needed; -1: no FLV. */
int bench_tag(const uint8_t *p, size_t left, bench_tag_t *tag);

/* Writes a NAL unit (H.264 annex D.1.6, user data unregistered) with its
 * length before it, that says when its frame was sent. */
void bench_mark_write(uint8_t out[BENCH_MARK_SIZE], int64_t us);

/* The send time in the body of a video tag; 0: none. */
int64_t bench_mark_read(const uint8_t *body, size_t size);

/* The first send time in BYTES of any container.  *next: where to go on
 * looking, SIZE when there is none. */
int64_t bench_mark_find(const uint8_t *p, size_t size, size_t *next);

static inline size_t
bench_left(const bench_bytes_t *b)
{
    return b->len - b->pos;
}

#endif
