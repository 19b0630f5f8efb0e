/*
 * A recorder: makes fragments of the hub's entries and decides when a file begins
 * and ends.  It runs on the event loop of the worker that records the stream, and
 * costs little more than a copy of the frames.
 */

#include "recorder.h"

#define RECORDER_SETTLE_MS  1000     /* both tracks have begun by then, in time */
#define RECORDER_LAG_MS      500     /* drop sound that is further behind */
#define RECORDER_APART_MS   1000     /* drift between stream's and wall's clock */
#define RECORDER_RESUME_MS  5000     /* an exiting worker unlocks by then */
#define RECORDER_CHECK_MS   2000     /* between checks of an idle file */
#define RECORDER_MINUTE_MS 60000
#define RECORDER_LATE_MS    3000     /* for each minute of dvr_file, a file may last */
#define RECORDER_LATE_MAX  30000     /* longer, but not longer than this */

static ngx_queue_t  recorders = { &recorders, &recorders };

static void recorder_step(recorder_t *rec);


/* --- life --- */

static void
recorder_job_done(ngx_event_t *ev)
{
    recorder_t  *rec = ev->data;

    rec->busy = 0;
    recorder_settle(rec);
    recorder_step(rec);
}


static void
recorder_run_job(void *data, ngx_log_t *log)
{
    recorder_t  *rec = *(recorder_t **) data;

    dvr_job_run(&rec->job);
}


static recorder_t *
recorder_new(const dvr_conf_t *conf, const hub_ref_t *ref)
{
    ngx_pool_t             *pool;
    recorder_t             *rec;
    const hub_stream_t     *s = ref->stream;
    const hub_recording_t  *old = &s->recording;

    pool = ngx_create_pool(1024, ngx_cycle->log);
    if (pool == NULL) {
        return NULL;
    }

    rec = ngx_pcalloc(pool, sizeof(recorder_t));
    if (rec) {
        rec->task = ngx_thread_task_alloc(pool, sizeof(recorder_t *));
    }

    if (rec == NULL || rec->task == NULL) {
        ngx_destroy_pool(pool);
        return NULL;
    }

    *(recorder_t **) rec->task->ctx = rec;
    rec->task->handler = recorder_run_job;
    rec->task->event.handler = recorder_job_done;
    rec->task->event.data = rec;

    rec->pool = pool;
    rec->conf = conf;
    rec->format = conf->format ? &dvr_format_flv : &dvr_format_mp4;
    rec->job.conf = conf;
    rec->job.fd = rec->job.index_fd = -1;
    rec->reader.ref = *ref;
    rec->id = s->id;
    rec->name_len = s->name_len;
    ngx_memcpy(rec->name, s->name, s->name_len);

    rec->row = *old;
    rec->reported = old->state;
    rec->session = old->session;
    rec->utc = old->file_utc;
    rec->base = old->file_dts;
    rec->resume = old->file_utc != 0;
    rec->resume_ms = ngx_current_msec + RECORDER_RESUME_MS;
    rec->sound = rec->skip[0] = rec->skip[1] = -1;
    hub_reader_seek(&rec->reader, old->next);

    ngx_queue_insert_tail(&recorders, &rec->queue);

    return rec;
}


static void
recorder_free(recorder_t *rec)
{
    int  i;

    for (i = 0; i < 2; i++) {
        free(rec->media[i].data);
        free(rec->job.media[i].data);
    }

    free(rec->job.head.data);
    free(rec->job.patch.data);
    free(rec->flv);
    ngx_queue_remove(&rec->queue);
    ngx_destroy_pool(rec->pool);
}


/* --- entries --- */

/* Checks for new headers.  NGX_AGAIN: the writer is changing them. */
static ngx_int_t
recorder_check_headers(recorder_t *rec)
{
    uint32_t       seq;
    uint64_t       at;
    hub_config_t   config[HUB_CONFIG_KINDS];
    hub_stream_t  *s = rec->reader.ref.stream;

    seq = hub_load(&s->config_seq);

    if (seq == rec->config_seq) {
        return NGX_OK;
    }

    if (hub_reader_config(&rec->reader, config, &at) != NGX_OK) {
        return NGX_AGAIN;
    }

    if (at > rec->reader.index) {
        return NGX_OK;                   /* the new headers are for later frames */
    }

    rec->stale = (recorder_hash(&config[HUB_CONFIG_VIDEO]) != rec->config[0])
                 | (recorder_hash(&config[HUB_CONFIG_AUDIO]) != rec->config[1])
                   << 1;
    rec->turn = rec->stale != 0;
    rec->config_seq = seq;

    return NGX_OK;
}


/* The UTC of rec->base.  A file continues the previous file's time, unless the
 * stream's clock and the wall clock have drifted apart. */
static int64_t
recorder_utc(const recorder_t *rec)
{
    int64_t  now = hub_stream_utc(rec->reader.ref.stream, rec->base);
    int64_t  then = rec->zero + rec->base;

    if (rec->last_end == 0) {
        return now;
    }

    return now - then <= RECORDER_APART_MS && then - now <= RECORDER_APART_MS
           ? then : ngx_max(now, rec->last_end);
}


/* Does dvr_changes allow a new file for new headers now? */
static int
recorder_change_due(const recorder_t *rec)
{
    uint64_t  now = ngx_current_msec;
    uint64_t  share = RECORDER_MINUTE_MS / (uint64_t) rec->conf->changes;

    return ngx_max(rec->change_ms, now) - now <= RECORDER_MINUTE_MS - share;
}


/*
 * May the new headers have a new file?  dvr_changes limits these files, since a
 * publisher could otherwise use up the disk's inodes.  Nothing is recorded until the
 * next one is allowed.
 */
static int
recorder_may_change(recorder_t *rec)
{
    uint64_t  now = ngx_current_msec;
    uint64_t  share = RECORDER_MINUTE_MS / (uint64_t) rec->conf->changes;
    uint64_t  next = ngx_max(rec->change_ms, now);

    if (!rec->changed) {
        return 1;
    }

    if (recorder_change_due(rec)) {
        rec->change_ms = next + share;
        rec->changed = rec->refused = 0;
        return 1;
    }

    if (!rec->refused) {
        rec->refused = 1;
        rec->row.gaps++;
        hub_record_save(hub, &rec->reader.ref, &rec->row);
        hub_add(&hub->header->record_gaps, 1);

        ngx_log_error(NGX_LOG_WARN, ngx_cycle->log, 0,
                      "recording of %s has a gap: its headers change more often "
                      "than the %i times a minute that dvr_changes allows",
                      rec->name, rec->conf->changes);
    }

    return 0;
}


/* Tries to begin a file at entry E.  NGX_OK: a file begins; NGX_DECLINED: none can
 * begin with this entry; NGX_AGAIN: try again. */
static ngx_int_t
recorder_begin(recorder_t *rec, const hub_entry_t *e)
{
    uint32_t       seq;
    uint64_t       at;
    ngx_int_t      rc;
    hub_config_t   config[HUB_CONFIG_KINDS];
    hub_stream_t  *s = rec->reader.ref.stream;

    if (!(e->flags & HUB_KEY) || !recorder_may_change(rec)) {
        return NGX_DECLINED;
    }

    seq = hub_load(&s->config_seq);

    if (hub_reader_config(&rec->reader, config, &at) != NGX_OK) {
        return NGX_AGAIN;
    }

    if (!rec->begun) {
        rec->begun = 1;
        rec->seen = e->dts;
    }

    if (at > rec->reader.index && !rec->rewound) {
        return NGX_DECLINED;             /* the headers are for later frames */
    }

    /* the other track may still begin, and the first frames come late: the file keeps the
     * time that it gets now */
    if (rec->session == 0 && s->dts - rec->seen < RECORDER_SETTLE_MS
        && hub_load(&s->state) == HUB_LIVE)
    {
        return NGX_AGAIN;
    }

    rec->base = e->dts;

    if (rec->sound >= 0 && rec->sound < e->dts
        && e->dts - rec->sound < RECORDER_LAG_MS)
    {
        rec->base = rec->sound + 1;      /* times for sound that arrives late */
    }

    rec->utc = recorder_utc(rec);
    rec->hour = recorder_hour(rec, e->dts - rec->base);

    if (rec->session == 0) {
        rec->session = (uint64_t) rec->utc;
    }

    if (recorder_paths(rec) != 0) {
        return NGX_DECLINED;
    }

    rc = rec->format->head(rec, config);
    if (rc != NGX_OK) {
        return NGX_DECLINED;
    }

    rec->config_at = at;
    rec->config_seq = seq;
    rec->config[0] = recorder_hash(&config[HUB_CONFIG_VIDEO]);
    rec->config[1] = recorder_hash(&config[HUB_CONFIG_AUDIO]);
    rec->skip[0] = rec->skip[1] = -1;
    recorder_open(rec, 0);

    return NGX_OK;
}


/* Truncates the file at WHOLE and closes it, or restarts it if nothing is before
 * WHOLE.  The reader is at the key frame that follows WHOLE. */
static ngx_int_t
recorder_take_back(recorder_t *rec, const dvr_point_t *whole)
{
    uint64_t      at;
    hub_config_t  config[HUB_CONFIG_KINDS];

    if (whole->sequence > 0) {
        rec->at = *whole;
        rec->sound = -1;
        rec->rewound = rec->changed = 1;
        recorder_drop(rec);
        recorder_close(rec, "sound began");
        return NGX_OK;
    }

    if (hub_reader_config(&rec->reader, config, &at) != NGX_OK
        || rec->format->head(rec, config) != NGX_OK)
    {
        return NGX_DECLINED;
    }

    recorder_drop(rec);
    rec->config_at = at;
    rec->config[1] = recorder_hash(&config[HUB_CONFIG_AUDIO]);
    recorder_open(rec, 1);

    return NGX_OK;
}


/*
 * Sound that begins within a GOP has no track in the open file, and a new file must
 * begin with a key frame.  So go back to the key frame of the current segment, which
 * is not in the index yet, and begin the new file there.  NGX_DECLINED: the reader
 * cannot go back; sound is dropped until the next key frame.
 */
static ngx_int_t
recorder_rewind(recorder_t *rec)
{
    uint64_t     index = rec->reader.index;
    dvr_point_t  whole = rec->at.began ? rec->whole : rec->at;
    hub_entry_t  e;

    if (!rec->format->indexed || rec->gap || rec->skip[MP4_VIDEO] != -1
        || !recorder_change_due(rec)
        || (rec->at.began && rec->at.segment.gap))
    {
        return NGX_DECLINED;
    }

    hub_reader_seek(&rec->reader, whole.next);

    /* in a small window the reader may not get that far back */
    if (rec->reader.index == whole.next
        && hub_reader_entry(hub, &rec->reader, &e) == NGX_OK
        && (e.flags & HUB_KEY)
        && recorder_take_back(rec, &whole) == NGX_OK)
    {
        return NGX_OK;
    }

    hub_reader_seek(&rec->reader, index);

    return NGX_DECLINED;
}


/* The hub overwrote frames before the recorder could read them. */
static int
recorder_skip_lost(recorder_t *rec)
{
    if (!fragment_empty(&rec->fragment)) {
        if (rec->busy) {
            return 0;
        }
        recorder_write(rec, -1, 0, 1);
        return 1;
    }

    rec->live.number = 0;

    if (hub_reader_rejoin(&rec->reader, rec->at.next) != NGX_OK) {
        return 0;
    }

    if (rec->session == 0) {
        return 1;                        /* without a file there is no gap */
    }

    rec->gap = 1;
    rec->row.gaps++;
    hub_record_save(hub, &rec->reader.ref, &rec->row);
    hub_add(&hub->header->record_gaps, 1);

    ngx_log_error(NGX_LOG_WARN, ngx_cycle->log, 0,
                  "recording of %s has a gap: the disk was too slow", rec->name);

    return 1;
}


/* Does the segment end with the fragment?  E is the next entry. */
static int
recorder_segment_ends(const recorder_t *rec, const hub_entry_t *e)
{
    int64_t  start;
    int      dependent;

    if (!(e->flags & HUB_KEY)) {
        return 0;
    }

    if (rec->at.began) {
        start = rec->at.segment_start;
        dependent = rec->at.segment.dependent;
    } else {
        start = fragment_start(&rec->fragment);
        dependent = recorder_is_dependent(rec);
    }

    return dependent || e->dts - rec->base - start >= FRAGMENT_MS;
}


/* Adds entry E of track KIND to the fragment.  NGX_DECLINED: the hub no longer has
 * it. */
static ngx_int_t
recorder_add(recorder_t *rec, int kind, const hub_entry_t *e)
{
    int          first = fragment_empty(&rec->fragment);
    int64_t      step = rec->fragment.track[kind].step;
    ngx_int_t    rc;
    flv_frame_t  frame;

    rc = hub_reader_frame(hub, &rec->reader, e, &frame);
    if (rc != NGX_OK) {
        return rc == NGX_DONE ? NGX_OK : rc;     /* there may be nothing to record */
    }

    rc = rec->format->add(rec, kind, e, &frame);
    if (rc != NGX_OK) {
        return rc;
    }

    if (first) {
        rec->joinable = (e->flags & HUB_KEY) != 0;
    }

    fragment_add(&rec->fragment, kind, e->dts - rec->base, e->cts,
                 kind == MP4_VIDEO && frame.key,
                 (uint32_t) hub_frame_size(e, &frame));

    if (e->flags & HUB_DISCONTINUITY) {
        rec->fragment.track[kind].step = step;     /* a jump is no duration */
    }

    if (kind == MP4_AUDIO) {
        rec->sound = e->dts;
    }

    return NGX_OK;
}


/* Does a new span of dvr_file begin at the key frame E, of DTS in the file?  The next
 * file begins with a segment of HLS, so that none is cut, if one begins soon. */
static int
recorder_hour_ends(const recorder_t *rec, const hub_entry_t *e, int64_t dts)
{
    int64_t  minutes = (int64_t) rec->conf->file / RECORDER_MINUTE_MS;
    int64_t  late = ngx_min(minutes * RECORDER_LATE_MS, RECORDER_LATE_MAX);

    return recorder_hour(rec, dts) != rec->hour
           && ((e->flags & HUB_SEGMENT)
               || recorder_hour(rec, dts - late) != rec->hour);
}


/* Handles the frame E for the open file.  Returns 1: call recorder_next() again,
 * perhaps for the same entry; 0: nothing more can be done in this tick. */
static int
recorder_frame(recorder_t *rec, const hub_entry_t *e)
{
    int      kind = e->type == FLV_AUDIO, empty, gap, left_out;
    int64_t  dts = e->dts - rec->base;

    if (recorder_check_headers(rec) != NGX_OK) {
        return 0;
    }

    if (rec->stale == 2 && rec->config[1] == 0 && !rec->missed) {
        if (rec->busy) {
            return 0;
        }
        if (recorder_rewind(rec) == NGX_OK) {
            return 1;
        }
        rec->missed = 1;
    }

    empty = fragment_empty(&rec->fragment);
    gap = (e->flags & HUB_DISCONTINUITY) != 0;

    if ((e->flags & HUB_KEY) && recorder_hour_ends(rec, e, dts)) {
        rec->turn = 1;
    }

    if (!empty && (gap || (rec->turn && (e->flags & HUB_KEY))
                   || (e->flags & HUB_SEGMENT)
                   || fragment_full(&rec->fragment, kind, dts,
                                    (e->flags & HUB_KEY) != 0,
                                    e->size - FLV_TAG_OVERHEAD)))
    {
        if (rec->busy) {
            return 0;
        }
        /* a discontinuity leaves a hole only when time jumps forward */
        recorder_write(rec, gap && dts > fragment_end(&rec->fragment) ? -1 : dts,
                       kind == MP4_VIDEO,
                       gap || (rec->turn && (e->flags & HUB_KEY))
                       || recorder_segment_ends(rec, e));
        return 1;
    }

    if ((e->flags & HUB_SEGMENT) && recorder_live_end(rec) != NGX_OK) {
        return 0;
    }

    if (rec->turn && (e->flags & HUB_KEY)) {
        if (rec->busy) {
            return 0;
        }
        /* sound ended the fragment, at a segment of HLS: its end was estimated */
        if (kind == MP4_VIDEO && !gap && rec->at.began) {
            rec->at.end = ngx_min(rec->at.end, ngx_max(dts, rec->at.segment_start + 1));
        }
        rec->changed = rec->stale != 0;
        recorder_close(rec, rec->stale ? "its headers changed"
                                       : "dvr_file was reached");
        return 1;
    }

    if ((e->flags & HUB_SEGMENT) && recorder_live_begin(rec) != NGX_OK) {
        return 0;
    }

    rec->reader.index++;
    rec->gap |= gap;

    if (!fragment_has(&rec->fragment, kind)) {
        return 1;
    }

    /* after a gap the new file begins with a key frame: frames before it would
     * make a segment without a picture */
    left_out = dts < 0 || dts <= rec->skip[kind] || (rec->stale & (1 << kind))
               || (rec->turn && rec->gap);
    recorder_live_frame(rec, e, left_out);

    if (left_out) {
        return 1;
    }

    switch (recorder_add(rec, kind, e)) {

    case NGX_OK:
        return 1;

    case NGX_DECLINED:
        rec->reader.index--;
        return recorder_skip_lost(rec);

    default:
        rec->broken = 1;                 /* no memory */
        return 0;
    }
}


static int
recorder_next(recorder_t *rec)
{
    ngx_int_t    rc;
    hub_entry_t  e;

    if (rec->broken || rec->closing) {
        return 0;
    }

    rc = hub_reader_entry(hub, &rec->reader, &e);

    if (rc == NGX_DECLINED) {
        return recorder_skip_lost(rec);
    }

    if (rc == NGX_AGAIN) {
        /* in grace no frame may come for long: write the fragment */
        if (hub_load(&rec->reader.ref.stream->state) == HUB_GRACE
            && !fragment_empty(&rec->fragment) && !rec->busy)
        {
            recorder_write(rec, -1, 0, 1);
        }
        return 0;
    }

    if (e.flags & HUB_CONFIG) {
        rec->reader.index++;
        return 1;
    }

    if (rec->open) {
        return recorder_frame(rec, &e);
    }

    if (rec->busy) {
        return 0;
    }

    switch (recorder_begin(rec, &e)) {

    case NGX_DECLINED:
        rec->reader.index++;
        /* fall through */

    case NGX_OK:
        return 1;

    default:
        return 0;
    }
}


/* --- the whole recording --- */

/* The reason to end the recording; NULL: none. */
static const char *
recorder_end_reason(const recorder_t *rec)
{
    if (!hub_reader_alive(&rec->reader)) {
        return "the stream ended";
    }

    return hub_load(&rec->reader.ref.stream->recording.wanted)
           ? NULL : "recording was stopped";
}


/* Rolls back to the last state that is on the disk. */
static void
recorder_roll_back(recorder_t *rec)
{
    rec->broken = 0;
    rec->at = rec->good;
    recorder_drop(rec);
}


/* Writes the fragment, then closes the file.  Returns 1 when none is open. */
static int
recorder_finish(recorder_t *rec, const char *why)
{
    if (rec->busy || rec->closing) {
        return 0;
    }

    if (rec->broken) {
        recorder_roll_back(rec);
    }

    if (rec->open && !fragment_empty(&rec->fragment)) {
        recorder_write(rec, -1, 0, 1);
        return 0;
    }

    if (rec->open) {
        if (!hub_reader_alive(&rec->reader)) {
            recorder_live_last(rec);
        }
        recorder_close(rec, why);
        return 0;
    }

    return 1;
}


/* Handles a failed write or close.  Returns 1 when recording may continue. */
static int
recorder_retry(recorder_t *rec)
{
    if (rec->busy || ngx_current_msec < rec->retry_ms) {
        return 0;
    }

    if (rec->closing) {
        recorder_post(rec, DVR_CLOSE);
        return 0;
    }

    if (rec->broken) {
        recorder_roll_back(rec);

        if (rec->open) {
            recorder_wait(rec, rec->job.error ? rec->job.error : ENOMEM);
            recorder_close(rec, "a write failed");
            return 0;
        }
    }

    if (rec->retry_ms) {
        if (hub_reader_rejoin(&rec->reader, rec->at.next) != NGX_OK) {
            return 0;
        }
        rec->retry_ms = 0;
        rec->sound = -1;
    }

    return 1;
}


static void
recorder_step(recorder_t *rec)
{
    const char  *why;

    if (rec->unposted) {
        recorder_post(rec, rec->job.action);
    }

    if (rec->resume && !rec->busy) {
        rec->resume = 0;
        if (recorder_paths(rec) == 0) {
            recorder_post(rec, DVR_RESUME);
        }
        return;
    }

    why = recorder_end_reason(rec);

    if (why && !rec->closing) {
        if (recorder_finish(rec, why) && !rec->open && !rec->busy) {
            hub_record_release(hub, &rec->reader.ref, 1);
            recorder_free(rec);
        }
        return;
    }

    if ((rec->closing || rec->broken || rec->retry_ms) && !recorder_retry(rec)) {
        return;
    }

    while (recorder_next(rec)) { /* void */ }

    /* without frames there is no write that would notice a removed file */
    if (rec->open && !rec->busy && !rec->closing && !rec->broken
        && ngx_current_msec - rec->posted_ms >= RECORDER_CHECK_MS)
    {
        recorder_post(rec, DVR_CHECK);
    }
}


void
recorders_tick(const dvr_conf_t *conf, ngx_log_t *log)
{
    uint32_t      i;
    hub_ref_t     ref;
    ngx_queue_t  *q, *next;

    recorder_retired(0);

    for (i = 0; i < hub_load(&hub->header->stream_end); i++) {
        if (hub_record_claim(hub, i, &ref)
            && recorder_new(conf, &ref) == NULL)
        {
            hub_record_release(hub, &ref, 0);
        }
    }

    for (q = ngx_queue_head(&recorders); q != ngx_queue_sentinel(&recorders);
         q = next)
    {
        next = ngx_queue_next(q);
        recorder_step(ngx_queue_data(q, recorder_t, queue));
    }
}


/* Writes and closes a file that no other worker will continue. */
static void
recorder_stop(recorder_t *rec, const char *why)
{
    if (rec->resume || rec->closing || rec->broken || rec->retry_ms) {
        return;                          /* recovery will find the marker */
    }

    if (hub_reader_alive(&rec->reader)) {
        while (recorder_next(rec)) { /* void */ }
    }

    while (rec->open && !rec->closing && !rec->broken) {
        (void) recorder_finish(rec, why);
    }
}


void
recorders_stop(int terminate)
{
    recorder_t   *rec;
    ngx_queue_t  *q;

    recorder_alone = 1;
    recorder_retired(1);

    for (q = ngx_queue_head(&recorders); q != ngx_queue_sentinel(&recorders);
         q = ngx_queue_next(q))
    {
        rec = ngx_queue_data(q, recorder_t, queue);

        if (rec->busy) {                 /* the pool has ended and done the job */
            if (rec->unposted) {
                dvr_job_run(&rec->job);
            }
            rec->busy = 0;
            recorder_settle(rec);
        }

        if (terminate) {
            recorder_stop(rec, "nginx ended");

        } else if (!hub_record_goes_on(hub, &rec->reader.ref)) {
            recorder_stop(rec, "nginx was reconfigured");
        }
    }
}
