/* Shared by the bench's programs: clock, options, byte buffers, FLV tags, and
 * the mark: the send time that the publisher writes into each video frame. */

#ifndef DUOLU_BENCH_H
#define DUOLU_BENCH_H

#include <stddef.h>
#include <stdint.h>

#include "../../modules/media/flv.h"

#define BENCH_UUID_SIZE  16
#define BENCH_MARK_SIZE  40    /* length, SEI header, UUID, 16 hex digits, end */
#define BENCH_MARK_AT    5     /* offset in the body of an AVC tag */

typedef struct {
    uint8_t      type;         /* enum flv_type */
    size_t       size;         /* of the whole tag with its back-pointer */
    uint32_t     dts;
    flv_frame_t  frame;        /* of audio and video */
} bench_tag_t;

/* Bytes [pos, len) have come and are not used yet. */
typedef struct {
    uint8_t  *data;
    size_t    pos, len, room;
} bench_bytes_t;

/* Prints the error WHAT "VALUE": expected EXPECTED, and ends the program. */
void bench_fail(const char *what, const char *value, const char *expected)
    __attribute__((noreturn));

int64_t bench_now_us(void);

/* Raises the limit of files: thousands of sockets pass the usual soft limit. */
void bench_raise_files(void);

/* Raises the priority, so that a program that measures times does not wait for
 * a core.  Works only for root. */
void bench_urgent(void);

long bench_number(const char *name, const char *text, long min, long max);

/* Makes room for SIZE more bytes behind len; the buffer has at most 16 MB. */
void bench_reserve(bench_bytes_t *b, size_t size);
void bench_append(bench_bytes_t *b, const void *data, size_t size);
void bench_forget(bench_bytes_t *b);

/* Reads the tag at P; LEFT bytes are there.  1: whole; 0: needs more; -1: no
 * FLV tag. */
int bench_tag(const uint8_t *p, size_t left, bench_tag_t *tag);

/* Writes a NAL unit with a length prefix (H.264 annex D.1.6, user data
 * unregistered) that holds the send time US. */
void bench_mark_write(uint8_t out[BENCH_MARK_SIZE], int64_t us);

/* Returns the send time in the body of a video tag; 0: none. */
int64_t bench_mark_read(const uint8_t *body, size_t size);

/* Returns the first send time in bytes of any container; 0: none.  *next: where
 * the search can continue, SIZE at the end. */
int64_t bench_mark_find(const uint8_t *p, size_t size, size_t *next);

static inline size_t
bench_left(const bench_bytes_t *b)
{
    return b->len - b->pos;
}

#endif
