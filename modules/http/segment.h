/*
 * A segment of a recording as a resource of its own:
 *     DAY/TIME.OFFSET-SIZE.m4s
 * It is the SIZE bytes at OFFSET of DAY/TIME.mp4: whole fragments.  In the file
 * their times count from the file's start, so that it plays alone; in the segment
 * they count from the session's start, so that time continues from one file to the
 * next.  A segment never changes, even while the file grows.
 */

#ifndef DUOLU_HTTP_SEGMENT_H
#define DUOLU_HTTP_SEGMENT_H

#include "history.h"
#include "replay.h"

typedef struct {
    int64_t   utc;                   /* of the file's start */
    uint64_t  offset, size;
} segment_name_t;

/* Parses FILE.  Returns 0, or -1 when it is not a segment's name. */
int segment_name(segment_name_t *name, const ngx_str_t *file);

/* Writes the name of S, a part of FILE (DAY/TIME.mp4), to P, which has room for
 * REC_FILE_MAX + 48 bytes.  Returns where it ends. */
u_char *segment_write_name(u_char *p, const char *file, const rec_segment_t *s);

/* Sends the segment NAME as part of the session REPLAY.  For `return` in a content
 * handler. */
ngx_int_t history_segment(ngx_http_request_t *r, history_t *h,
    ngx_thread_pool_t *pool, const segment_name_t *name, replay_t *replay);

/* Pool thread.  Do A and B have the same init segment, except the duration? */
int segment_same_init(const history_t *h, const history_file_t *a,
    const history_file_t *b);

#endif
