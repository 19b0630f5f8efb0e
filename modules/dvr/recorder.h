/*
 * A recorder, one for each stream that this worker records.
 */

#ifndef DUOLU_DVR_RECORDER_H
#define DUOLU_DVR_RECORDER_H

#include "dvr.h"

struct recorder_s {
    ngx_queue_t          queue;
    const dvr_conf_t    *conf;
    const dvr_format_t  *format;
    ngx_pool_t          *pool;
    ngx_thread_task_t   *task;       /* its ctx is this recorder */
    dvr_job_t            job;
    hub_reader_t         reader;
    hub_recording_t      row;        /* its state, as saved in the zone */
    char                 name[HUB_NAME_MAX + 1];
    size_t               name_len;
    uint64_t             id;         /* in the database */
    uint64_t             session;

    /* the current file */
    int64_t              utc;        /* of its start */
    int64_t              base;       /* the stream's dts at its start */
    int64_t              hour;       /* recorder_hour() of its first key frame:
                                        sound may begin in the previous hour */
    size_t               duration_at;
    uint64_t             config[2];  /* hashes of its headers, by track; 0: none */
    dvr_point_t          at, good;   /* after the current job, after the last success */
    dvr_point_t          whole;      /* where the current segment began */
    fragment_t           fragment;   /* the current one */
    dvr_buf_t            media[2];   /* its media */
    flv_file_t          *flv;        /* FLV: content of its onMetaData */
    int64_t              keys_at;    /* FLV: ms in the file, its last rewrite */

    dvr_live_t           live;       /* the segment of HLS that goes on */
    size_t               live_line_len;
    char                 live_line[REC_LIVE_MAX];    /* for the next write: the one
                                                        before it */
    uint64_t             config_at;  /* entries before it may need other headers */
    uint32_t             config_seq; /* of the headers last compared */
    int64_t              sound;      /* dts of the newest audio frame, -1 */
    int64_t              seen;       /* dts of the first key frame of the first file */
    int64_t              last_end;   /* utc of the previous file's end, 0 */
    int64_t              zero;       /* the previous file's utc of dts 0 */
    uint64_t             change_ms;  /* see recorder_may_change() */
    uint64_t             retry_ms;   /* when to try again; 0: not waiting */
    uint64_t             posted_ms;  /* when the newest job was posted */
    uint64_t             resume_ms;  /* deadline for the old worker's lock */
    enum hub_record      reported;   /* the last state reported to the zone */
    const char          *reason;     /* of the file's end */
    int64_t              skip[2];    /* dts by track; the file has these */
    unsigned             busy:1;     /* the job is running */
    unsigned             unposted:1; /* or waits for room in the pool's queue */
    unsigned             resume:1;   /* continue a dead worker's file */
    unsigned             open:1;
    unsigned             closing:1;
    unsigned             broken:1;   /* a write failed: close, then wait */
    unsigned             changed:1;  /* the next file is for other headers */
    unsigned             refused:1;  /* a gap by dvr_changes is counted, logged */
    unsigned             turn:1;     /* begin a file at the next key frame */
    unsigned             stale:2;    /* bits: tracks whose headers changed */
    unsigned             gap:1;      /* before the next segment */
    unsigned             missed:1;   /* sound waits for the next key frame */
    unsigned             rewound:1;  /* the next file predates its headers */
    unsigned             begun:1;    /* `seen` is set */
    unsigned             joinable:1; /* viewers may begin at the fragment's start */
};

/* --- recorder_file.c --- */

/* 1: the pool has ended; the caller runs each job itself. */
extern int  recorder_alone;

/* Gives the pool the job; recorder_settle() handles its result. */
void recorder_post(recorder_t *rec, enum dvr_action action);
void recorder_settle(recorder_t *rec);

/* Sets the job's paths for the file that begins at rec->utc.  -1: the stream's name
 * cannot be a path. */
int recorder_paths(recorder_t *rec);

/* Begins a file with the head in the job.  REWRITE: restarts the open file. */
void recorder_open(recorder_t *rec, int rewrite);

/* Gives the fragment to the pool.  NEXT is the dts of the next frame, -1 when none
 * follows; PICTURE: that next frame is video.  ENDS: the segment ends here. */
void recorder_write(recorder_t *rec, int64_t next, int picture, int ends);

void recorder_close(recorder_t *rec, const char *reason);

/* Does the fragment begin without a key frame? */
int recorder_is_dependent(const recorder_t *rec);

/* Posts the closed files that still have to be synced.  HERE: the pool has ended, so
 * syncs them itself. */
void recorder_retired(int here);

/* Discards the current fragment. */
void recorder_drop(recorder_t *rec);

/* Reports ERROR (errno) of the disk and schedules the next try. */
void recorder_wait(recorder_t *rec, int error);

/* Hash of a sequence header; 0: there is none. */
uint64_t recorder_hash(const hub_config_t *config);

/* Number of the dvr_file span that holds DTS (of the file). */
int64_t recorder_hour(const recorder_t *rec, int64_t dts);

/* --- recorder_live.c --- */

/* The reader's entry begins a segment of HLS, and all before it is in fragments: ends
 * the segment before it.  NGX_AGAIN: try again. */
ngx_int_t recorder_live_end(recorder_t *rec);

/* The reader's entry begins a segment of HLS, and goes into the file.  NGX_AGAIN: try
 * again. */
ngx_int_t recorder_live_begin(recorder_t *rec);

/* The reader is behind frame E, which is LEFT_OUT of the file or not. */
void recorder_live_frame(recorder_t *rec, const hub_entry_t *e, int left_out);

/* The stream has ended, and all its frames are in the file: ends its last segment. */
void recorder_live_last(recorder_t *rec);

/* Adds the line of the segment that ended, if any, to the job. */
void recorder_live_line(recorder_t *rec);

/* The file has, or will have, not all frames of the segment that goes on. */
void recorder_live_drop(recorder_t *rec);

/* Continues the segment that another worker began. */
void recorder_live_resume(recorder_t *rec);

#endif
