/*
 * The recorder: a reader of the hub that writes files.  A slow disk never
 * delays a frame.
 *
 * The event loop gathers frames into fragments (recorder.c); pool threads do
 * all disk access (job.c).  A recorder holds at most one fragment in the making
 * and one being written: when the disk is slow it stops reading, and the hub's
 * window is its queue.  Frames that leave the window meanwhile become a gap.
 */

#ifndef DUOLU_DVR_H
#define DUOLU_DVR_H

#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_event.h>
#include <ngx_thread_pool.h>

#include "../hub/hub.h"
#include "../media/flv_file.h"
#include "../media/fragment.h"
#include "../rules/rec_index.h"
#include "../rules/rec_path.h"
#include "recover.h"
#include "spool.h"

typedef struct dvr_format_s  dvr_format_t;
typedef struct recorder_s    recorder_t;

/* The main context's directives. */
typedef struct {
    ngx_str_t            root;       /* zero-terminated; empty: no recordings */
    ngx_uint_t           format;     /* 0 mp4, 1 flv */
    ngx_msec_t           file;       /* files are cut at its multiples, UTC */
    off_t                free;       /* keep so many bytes of the disk free, */
    ngx_int_t            free_part;  /* or percent of it: the larger one */
    ngx_str_t            free_text;  /* both, as in the configuration */
    ngx_msec_t           sync;       /* 0: never */
    ngx_int_t            changes;    /* files a minute, at most, for new headers */
    ngx_str_t            threads;
    ngx_thread_pool_t   *pool;
} dvr_conf_t;

typedef struct {
    u_char  *data;
    size_t   len, room;
} dvr_buf_t;

/* A segment of live HLS whose frames are all in the file so far. */
typedef struct {
    uint64_t  number;                /* 0: there is none */
    uint64_t  offset;                /* of its first fragment in the file */
    uint64_t  end;                   /* of its last one, if the file goes on with frames
                                        that HLS leaves out; else 0 */
} dvr_live_t;

/* The state of a file after a write. */
typedef struct {
    uint64_t       size;             /* of the file, and of its index */
    uint64_t       index_size;
    uint64_t       next;             /* the hub's first entry not in it */
    uint32_t       sequence;         /* of its last fragment */
    int64_t        end;              /* dts where it ends, ms in the file */
    rec_segment_t  segment;          /* the current one, when `began` */
    int64_t        segment_start;    /* dts, ms in the file */
    dvr_live_t     live;             /* the newest one */
    unsigned       began:1;
} dvr_point_t;

enum dvr_action { DVR_OPEN, DVR_REWRITE, DVR_WRITE, DVR_CLOSE, DVR_RESUME, DVR_CHECK };

/* A pool thread's job; a recorder has one at a time. */
typedef struct {
    enum dvr_action    action;
    const dvr_conf_t  *conf;
    char               file[REC_PATH_MAX];     /* below the root */
    char               index[REC_PATH_MAX];    /* empty: the format has none */
    int                fd, index_fd;
    uint64_t           offset, index_offset;   /* where to write */
    dvr_buf_t          head, media[2];         /* for the file, in this order */
    char               lines[REC_HEAD_MAX + 2 * REC_LINES_MAX + REC_LIVE_MAX];
    size_t             lines_len;              /* for the index */
    dvr_buf_t          patch;                  /* WRITE, CLOSE: bytes to overwrite */
    uint64_t           patch_at;
    spool_event_t      event;                  /* OPEN and CLOSE */
    recovered_t        recovered;              /* RESUME */
    ngx_msec_t         synced_ms;
    unsigned           spooled:1;
    unsigned           cut:1;                  /* CLOSE: truncate at `offset` */
    unsigned           gone:1;                 /* the file or its index was removed:
                                                  both are closed */
    unsigned           other:1;                /* RESUME: the file had another
                                                  format: it is closed */
    int                error;                  /* errno; 0: success */
    const char        *failed;                 /* on error: the verb, as in "cannot
                                                  create" */
} dvr_job_t;

/* A format's functions.  `head` writes the head of a file, `seal` the head of a
 * fragment, both to job->head; `add` copies a frame from the hub to the
 * fragment. */
struct dvr_format_s {
    const char  *extension;
    unsigned     indexed:1;
    ngx_int_t  (*head)(recorder_t *rec, hub_config_t *config);
    ngx_int_t  (*add)(recorder_t *rec, int kind, const hub_entry_t *e,
                      const flv_frame_t *frame);
    ngx_int_t  (*seal)(recorder_t *rec, int64_t next);
    ngx_int_t  (*finish)(recorder_t *rec);     /* to job->patch */
    void       (*resume)(recorder_t *rec);     /* from job->recovered */
};

extern const dvr_format_t  dvr_format_mp4;
extern const dvr_format_t  dvr_format_flv;

/* file_mp4.c: fills TRACK of KIND from the stored sequence header CONFIG.  A
 * track with an invalid header is not recorded; the other one still is. */
void dvr_track(mp4_track_t *track, int kind, const hub_config_t *config);

/* Makes room for MORE bytes in B and returns where they go.  NULL: no memory. */
u_char *dvr_buf_room(dvr_buf_t *b, size_t more);

/* recorder.c: recorders_tick() claims streams to record and drives all recorders.
 * recorders_stop(), at the end of the process, closes the files that no other
 * worker can continue: with TERMINATE all of them, since there is none. */
void recorders_tick(const dvr_conf_t *conf, ngx_log_t *log);
void recorders_stop(int terminate);

/* recovery.c: schedule the recovery of files left open, for the next tick or for a
 * few seconds later. */
void recovery_now(void);
void recovery_soon(void);
void recovery_tick(const dvr_conf_t *conf);

/* job.c: does the job; called in a pool thread, or at the end of the process. */
void dvr_job_run(dvr_job_t *job);

/* A closed file that still has to be synced; its marker stays until then.  The
 * recorder does not wait for it. */
typedef struct {
    ngx_queue_t        queue;        /* until the pool has room for it */
    const dvr_conf_t  *conf;
    ngx_pool_t        *pool;
    ngx_thread_task_t *task;
    int                fd, index_fd;
    char               file[REC_PATH_MAX];
} dvr_closed_t;

void dvr_closed_run(dvr_closed_t *closed);

#endif
