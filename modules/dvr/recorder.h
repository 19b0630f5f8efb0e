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
    hub_recording_t      row;        /* how far it has come, as the zone has it */
    char                 name[HUB_NAME_MAX + 1];
    size_t               name_len;
    uint64_t             id;         /* in the database */
    uint64_t             session;

    /* the file at hand */
    int64_t              utc;        /* of its start */
    int64_t              base;       /* the stream's dts there */
    int64_t              hour;       /* recorder_hour() of its first key frame:
                                        sound may begin in the one before */
    size_t               duration_at;
    uint64_t             config[2];  /* hashes of its headers, by track; 0: none */
    dvr_point_t          at, good;   /* as gathered, and as on the disk */
    dvr_point_t          whole;      /* where the segment in the making began */
    fragment_t           fragment;
    dvr_buf_t            media[2];   /* of the fragment in the making */
    flv_file_t          *flv;        /* FLV: what its onMetaData is to say */
    int64_t              told_keys;  /* FLV: ms in the file, when it last said so */

    uint32_t             config_seq; /* of the headers that were looked at */
    int64_t              sound;      /* dts of the newest frame of it, -1 */
    int64_t              last_end;   /* utc where the file before ended, 0 */
    int64_t              zero;       /* and the utc of dts 0 by it */
    uint64_t             change_ms;  /* see recorder_may_change() */
    uint64_t             retry_ms;   /* waiting until then; 0: not */
    uint64_t             posted_ms;  /* the newest job */
    uint64_t             resume_ms;  /* until then for a dead worker's lock */
    enum hub_record      told;       /* what was last said of it */
    const char          *reason;     /* why the file is closed */
    int64_t              skip[2];    /* dts up to which it is in the file already */
    unsigned             busy:1;     /* the job is under way */
    unsigned             unposted:1; /* or waits for room in the pool's queue */
    unsigned             resume:1;   /* a dead worker's file is to go on */
    unsigned             open:1;
    unsigned             closing:1;
    unsigned             broken:1;   /* the disk refused: close, then wait */
    unsigned             changed:1;  /* the next file is for other headers */
    unsigned             refused:1;  /* they have changed too often, told */
    unsigned             turn:1;     /* a new file at the next key frame */
    unsigned             stale:2;    /* bits: tracks whose headers are others */
    unsigned             gap:1;      /* before the next segment */
    unsigned             missed:1;   /* sound waits for the next key frame */
    unsigned             rewound:1;  /* the next file begins before its headers came */
    unsigned             joinable:1; /* viewers may begin at the fragment's start */
};

/* --- recorder_file.c --- */

/* 1: there is no pool any more, work is done right here. */
extern int  recorder_alone;

/* Gives the pool its next work; recorder_settle() follows when it is done. */
void recorder_post(recorder_t *rec, enum dvr_what what);
void recorder_settle(recorder_t *rec);

/* The job's paths for the file that begins at rec->utc.  -1: the name is none
 * of a stream. */
int recorder_paths(recorder_t *rec);

/* Begins a file with the head that is in the job.  AGAIN: that which is open, anew. */
void recorder_open(recorder_t *rec, int again);

/* Gives the fragment to the disk's threads.  NEXT is the dts of the next frame,
 * -1 when none follows; PICTURE: that next frame is video.  ENDS: the segment
 * ends here. */
void recorder_write(recorder_t *rec, int64_t next, int picture, int ends);

void recorder_close(recorder_t *rec, const char *reason);

/* Closed files for which the pool had no room: does it have some by now?  HERE:
 * there is no pool any more. */
void recorder_retired(int here);

/* Forgets the fragment in the making. */
void recorder_drop(recorder_t *rec);

/* The disk refuses with ERROR: it is tried again and again, from then on. */
void recorder_wait(recorder_t *rec, int error);

/* What tells one sequence header from another; 0: there is none. */
uint64_t recorder_hash(const hub_config_t *config);

/* Which of the spans of dvr_file the moment DTS of the file is in. */
int64_t recorder_hour(const recorder_t *rec, int64_t dts);

#endif
