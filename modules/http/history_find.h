/*
 * A question about a stream's recordings, and the pool thread's part of the
 * answer: files, their indexes, spans.  Nothing here touches nginx's pools, the
 * request or the hub.
 */

#ifndef DUOLU_HTTP_HISTORY_FIND_H
#define DUOLU_HTTP_HISTORY_FIND_H

#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>
#include <ngx_thread_pool.h>

#include "../rules/rec_index.h"
#include "../rules/rec_path.h"

#define HISTORY_FILES_MAX     4096       /* in one answer */
#define HISTORY_SEGMENTS_MAX  500000

/* An MP4 of the range. */
typedef struct {
    char        file[REC_FILE_MAX];      /* DAY/TIME.mp4, below the stream's folder */
    rec_head_t  head;
    uint32_t    first, n;                /* its segments: [first, first + n) */
    unsigned    cut:1;                   /* it has more segments after the range */
    unsigned    ended:1;                 /* its index has ENDLIST */
} history_file_t;

/* Files and segments in the order of time, from the segment that holds `from` (or
 * the one it depends on, or the next one if that moment was not recorded) to the
 * segment that holds `to`. */
typedef struct {
    history_file_t  *files;
    size_t           nfiles;
    rec_segment_t   *segments;
    size_t           nsegments;
} history_range_t;

typedef struct {
    int64_t  from, to;                   /* utc ms */
} history_span_t;

/* The recorded times, in files of any format, and the days that have recordings
 * (the first ms of each in UTC). */
typedef struct {
    history_span_t  *spans;
    size_t           nspans;
    int64_t         *days;
    size_t           ndays;
} history_spans_t;

typedef struct history_s  history_t;

struct history_s {
    /* the question; constant once it is asked */
    char               *root;            /* ROOT, without a slash at its end */
    char                dir[REC_DIR_MAX];        /* APP/NAME below it */
    char                stream[REC_STREAM_MAX + 1];
    int64_t             from, to;        /* utc ms, `to` included */
    int64_t             least, most;     /* the asker may see nothing before or behind */
    uint64_t            uid;             /* the user, or the link */
    int64_t             now;             /* when it was asked */
    unsigned            link:1;          /* many people may ask as one `uid` */
    unsigned            recording:1;     /* the stream is being recorded now */
    unsigned            spans_only:1;
    unsigned            plain:1;         /* do not search for a range */
    unsigned            pictures:1;      /* an FLV is an answer, too */

    /* Pool thread, after history_find(): the caller's own work.  It may call
     * history_fail().  May be NULL. */
    void              (*work)(history_t *h);

    /* Event loop: answers.  Returns as a content handler does. */
    ngx_int_t         (*done)(ngx_http_request_t *r, history_t *h);

    void               *data;            /* the caller's, for both */
    void              (*free)(history_t *h);     /* frees `data`; may be NULL */

    /* the answer */
    history_range_t     range;
    history_spans_t     spans;           /* instead, when `spans_only` */
    int64_t             flv;             /* utc of the newest FLV that overlaps the
                                            span; -1: none */
    ngx_uint_t          status;          /* 200; 404 nothing recorded; 400, 500 */
    char                why[128];        /* when it is not 200: a sentence */

    /* history.c's own */
    ngx_queue_t         queue;           /* of asked questions */
    ngx_http_request_t *request;         /* NULL: the client is gone */
    unsigned            asked:1;         /* a thread has it */
    ngx_thread_task_t   task;
};

/* Begins a zeroed question about STREAM in ROOT.  Its status is 404 when no recording can
 * have such a name.  Returns 0; -1: no memory.  Its root is for free(). */
int history_locate(history_t *h, const ngx_str_t *root, const ngx_str_t *stream);

/* Opens FILE (DAY/TIME.EXT) of the question's stream for reading, or the stream's
 * folder if FILE is "".  Returns a descriptor, or -1 with errno. */
int history_open(const history_t *h, const char *file);

/* Was the open file FD deleted? */
int history_is_deleted(int fd);

/* Fills `range` or `spans`, and `status`; history_find_free() frees them. */
void history_find(history_t *h);
void history_find_free(history_t *h);

/* The MP4s that begin at SINCE (utc ms) or later: sets *FILES to the UTC of each, the
 * oldest first, for free().  Returns how many; H's status tells of failures. */
size_t history_files(history_t *h, int64_t since, int64_t **files);

/* Text of an index, on the heap: zeroed at first; free(p). */
typedef struct {
    char    *p;
    size_t   n, room;
} history_text_t;

/* Reads what the index of the file UTC has from the byte FROM on.  Returns 0, or -1: it
 * is not there, or has become shorter, or H's status tells why. */
int history_index(history_t *h, int64_t utc, uint64_t from, history_text_t *text);

/* May the range still grow?  Then the answer must not be cached. */
int history_growing(const history_t *h);

/* Fails the question: STATUS and a sentence are the answer. */
void history_fail(history_t *h, ngx_uint_t status, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

#endif
