/*
 * A recorder's current file: posts jobs for it and handles their results.
 * job.c does the disk access.
 */

#include "recorder.h"

#define RECORDER_RETRY_MS   2000     /* while the disk refuses */

int  recorder_alone;

static ngx_queue_t  retired = { &retired, &retired };   /* dvr_closed_t */


u_char *
dvr_buf_room(dvr_buf_t *b, size_t more)
{
    size_t   room;
    u_char  *p;

    if (b->room - b->len < more) {
        room = ngx_max(b->len + more, b->room + b->room / 2);
        p = realloc(b->data, room);
        if (p == NULL) {
            return NULL;
        }
        b->data = p;
        b->room = room;
    }

    return b->data + b->len;
}


/* --- work for the pool --- */

void
recorder_post(recorder_t *rec, enum dvr_action action)
{
    rec->job.action = action;
    rec->posted_ms = ngx_current_msec;
    rec->busy = 1;

    if (recorder_alone) {
        dvr_job_run(&rec->job);
        rec->busy = 0;
        recorder_settle(rec);
        return;
    }

    rec->unposted = ngx_thread_task_post(rec->conf->pool, rec->task) != NGX_OK;
}


int
recorder_paths(recorder_t *rec)
{
    char    dir[REC_DIR_MAX], file[REC_FILE_MAX];
    size_t  len;

    len = rec_path_dir(dir, rec->name, rec->name_len);
    if (len == 0) {
        return -1;
    }

    (void) rec_path_file(file, rec->utc, rec->format->extension);
    (void) snprintf(rec->job.file, REC_PATH_MAX, "%s/%s", dir, file);

    rec->job.index[0] = '\0';
    if (rec->format->indexed) {
        (void) rec_path_file(file, rec->utc, "m3u8");
        (void) snprintf(rec->job.index, REC_PATH_MAX, "%s/%s", dir, file);
    }

    return 0;
}


static void
recorder_set_event(recorder_t *rec, const char *type)
{
    spool_event_t  *event = &rec->job.event;

    ngx_memzero(event, sizeof(spool_event_t));
    event->event = type;
    event->file = rec->job.file;
    event->stream = rec->name;
    event->format = rec->format->extension;
    event->id = rec->id;
    event->session = rec->session;
    event->from = rec->utc;
    event->to = rec->utc + rec->at.end;
    event->bytes = rec->at.size;
    event->state = "complete";
    event->reason = rec->reason;
    rec->job.spooled = 0;
}


static const char *
recorder_file_name(const recorder_t *rec)
{
    return strrchr(rec->job.file, '/') + 1;
}


void
recorder_open(recorder_t *rec, int rewrite)
{
    rec_head_t  head;

    ngx_memzero(&rec->at, sizeof(dvr_point_t));
    rec->at.size = rec->job.head.len;
    rec->at.next = rec->reader.index;
    rec->job.offset = rec->job.index_offset = 0;
    rec->job.media[0].len = rec->job.media[1].len = 0;
    rec->job.lines_len = 0;
    rec->job.patch.len = 0;
    rec->keys_at = 0;

    if (rec->format->indexed) {
        ngx_memzero(&head, sizeof(head));
        ngx_memcpy(head.stream, rec->name, rec->name_len);
        head.session = rec->session;
        head.init_size = rec->job.head.len;
        head.utc = rec->utc;
        rec->job.lines_len = rec_index_head(rec->job.lines, &head,
                                            recorder_file_name(rec));
        rec->at.index_size = rec->job.lines_len;
    }

    recorder_live_drop(rec);
    recorder_set_event(rec, "open");
    rec->open = 1;
    rec->rewound = rec->missed = 0;
    rec->turn = 0;
    rec->stale = 0;
    rec->gap = 0;
    recorder_post(rec, rewrite ? DVR_REWRITE : DVR_OPEN);
}


/* Ends the current segment, if there is one: adds its lines to the index. */
static void
recorder_end_segment(recorder_t *rec)
{
    rec_segment_t  *segment = &rec->at.segment;

    if (!rec->at.began || !rec->format->indexed) {
        rec->at.began = 0;
        return;
    }

    segment->size = rec->at.size - segment->offset;
    segment->duration = (uint32_t) (rec->at.end - rec->at.segment_start);
    rec->job.lines_len += rec_index_segment(rec->job.lines
                                            + rec->job.lines_len, segment,
                                            recorder_file_name(rec));
    rec->at.began = 0;
}


void
recorder_close(recorder_t *rec, const char *reason)
{
    rec->reason = reason;
    rec->job.lines_len = 0;
    rec->job.index_offset = rec->at.index_size;
    rec->job.offset = rec->at.size;
    rec->job.cut = rec->rewound;

    recorder_live_line(rec);
    recorder_end_segment(rec);

    if (rec->format->indexed) {
        rec->job.lines_len += rec_index_end(rec->job.lines
                                            + rec->job.lines_len, 0);
    }

    (void) rec->format->finish(rec);     /* if it fails, players scan the file */
    recorder_set_event(rec, "close");
    rec->closing = 1;
    recorder_post(rec, DVR_CLOSE);
}


int
recorder_is_dependent(const recorder_t *rec)
{
    const fragment_track_t  *v = &rec->fragment.track[MP4_VIDEO];

    return v->n ? !v->sample[0].key : !rec->joinable;
}


static void
recorder_begin_segment(recorder_t *rec)
{
    rec_segment_t  *segment = &rec->at.segment;

    rec->whole = rec->at;
    rec->at.began = 1;
    rec->at.segment_start = rec->gap ? fragment_start(&rec->fragment)
                                     : rec->at.end;
    segment->utc = rec->utc + rec->at.segment_start;
    segment->offset = rec->at.size;
    segment->gap = rec->gap;
    segment->dependent = recorder_is_dependent(rec) & 1;
    rec->gap = 0;
}


void
recorder_write(recorder_t *rec, int64_t next, int picture, int ends)
{
    int        i;
    int64_t    end = next;
    dvr_buf_t  spare;

    rec->job.index_offset = rec->at.index_size;
    rec->job.lines_len = 0;
    recorder_live_line(rec);
    rec->at.index_size += rec->job.lines_len;
    rec->at.live = rec->live;

    if (!rec->at.began) {
        recorder_begin_segment(rec);
    }

    if (!picture || next < 0) {          /* the other track may last longer */
        end = ngx_max(ngx_max(next, rec->at.end), fragment_end(&rec->fragment));
    }

    /* a segment of HLS may end with sound that outlasts the next picture's start */
    end = ngx_max(end, rec->at.segment_start + 1);
    rec->at.end = ngx_max(end, fragment_start(&rec->fragment) + 1);
    rec->job.offset = rec->at.size;
    rec->job.patch.len = 0;

    if (rec->format->seal(rec, picture ? next : fragment_picture_end(
                                                    &rec->fragment, next))
        != NGX_OK)
    {
        rec->job.head.len = 0;           /* no memory: treat as disk error */
        rec->broken = 1;
        return;
    }

    rec->at.size += rec->job.head.len;

    for (i = 0; i < 2; i++) {
        spare = rec->job.media[i];
        rec->job.media[i] = rec->media[i];
        rec->media[i] = spare;
        rec->media[i].len = 0;
        rec->at.size += rec->job.media[i].len;
    }

    rec->at.sequence++;
    rec->at.next = rec->reader.index;

    if (ends || rec->at.end - rec->at.segment_start >= REC_SEGMENT_MAX
                                                       - FRAGMENT_MS)
    {
        recorder_end_segment(rec);
        rec->at.index_size = rec->job.index_offset + rec->job.lines_len;
    }

    recorder_post(rec, DVR_WRITE);
}


/* --- results of jobs --- */

void
recorder_wait(recorder_t *rec, int error)
{
    enum hub_record   state = error == ENOSPC || error == EDQUOT
                              ? HUB_RECORD_FULL : HUB_RECORD_FAILED;
    const dvr_conf_t *conf = rec->conf;

    rec->retry_ms = ngx_current_msec + RECORDER_RETRY_MS;

    if (rec->reported == state) {
        return;
    }

    rec->reported = state;

    ngx_log_error(NGX_LOG_WARN, ngx_cycle->log, error,
                  "recording of %s waits: cannot %s %s", rec->name,
                  rec->job.failed, rec->job.file);

    if (hub_record_state(hub, &rec->reader.ref, state) > 1) {
        return;
    }

    if (state == HUB_RECORD_FULL) {
        ngx_log_error(NGX_LOG_ALERT, ngx_cycle->log, error,
                      "recording stopped: the disk of \"%V\" is full, dvr_free "
                      "keeps %V of it free; live goes on", &conf->root,
                      &conf->free_text);
    } else {
        ngx_log_error(NGX_LOG_ALERT, ngx_cycle->log, error,
                      "recording stopped: \"%V\" cannot be written; live goes "
                      "on", &conf->root);
    }
}


void
recorder_drop(recorder_t *rec)
{
    fragment_clear(&rec->fragment);
    rec->media[0].len = rec->media[1].len = 0;
    recorder_live_drop(rec);
}


/* A job succeeded: reports that the stream is being recorded. */
static void
recorder_report_on(recorder_t *rec)
{
    int  waited = rec->reported > HUB_RECORD_ON;

    rec->reported = HUB_RECORD_ON;

    if (hub_record_state(hub, &rec->reader.ref, HUB_RECORD_ON) == 0 && waited) {
        ngx_log_error(NGX_LOG_NOTICE, ngx_cycle->log, 0,
                      "recording goes on in \"%V\"", &rec->conf->root);
    }
}


static void
recorder_opened(recorder_t *rec)
{
    if (rec->job.error) {
        rec->open = 0;
        recorder_drop(rec);
        recorder_wait(rec, rec->job.error);
        return;
    }

    rec->good = rec->at;
    rec->row.session = rec->session;
    rec->row.file_utc = rec->utc;
    rec->row.file_dts = rec->base;
    rec->row.file_config = rec->config[0] ^ rec->config[1];
    rec->row.file_size = rec->at.size;
    rec->row.live = 0;
    hub_record_save(hub, &rec->reader.ref, &rec->row);
    recorder_report_on(rec);
}


/* Somebody removed the current file or its index.  Recovery cleans up the rest
 * and spools the file's end; the recorder continues in a new file. */
static void
recorder_abandon(recorder_t *rec)
{
    ngx_log_error(NGX_LOG_WARN, ngx_cycle->log, 0,
                  "recording %s or its index was removed while it was being "
                  "written", rec->job.file);

    rec->at = rec->good;
    recorder_drop(rec);
    rec->open = rec->closing = 0;
    rec->last_end = rec->utc + rec->at.end;
    rec->zero = rec->utc - rec->base;
    rec->retry_ms = ngx_current_msec;    /* at once, with a key frame */

    rec->row.file_utc = 0;
    hub_record_save(hub, &rec->reader.ref, &rec->row);
    recovery_soon();
}


static void
recorder_written(recorder_t *rec)
{
    uint64_t  n;

    if (rec->job.gone) {
        recorder_abandon(rec);
        return;
    }

    if (rec->job.error) {
        rec->broken = 1;
        return;
    }

    n = rec->at.size - rec->good.size + rec->at.index_size
        - rec->good.index_size;
    rec->good = rec->at;
    hub_add(&hub->header->recorded, n);

    rec->row.next = rec->good.next;
    rec->row.file_size = rec->good.size;
    rec->row.live = rec->good.live.end ? 0 : rec->good.live.number;
    rec->row.live_at = rec->good.live.offset;
    rec->row.bytes += n;
    hub_record_save(hub, &rec->reader.ref, &rec->row);
}


static void
recorder_run_sync(void *data, ngx_log_t *log)
{
    dvr_closed_run(data);
}


static void
recorder_sync_done(ngx_event_t *ev)
{
    dvr_closed_t  *closed = ev->data;

    ngx_destroy_pool(closed->pool);
}


void
recorder_retired(int here)
{
    dvr_closed_t  *closed;

    while (!ngx_queue_empty(&retired)) {
        closed = ngx_queue_data(ngx_queue_head(&retired), dvr_closed_t, queue);

        if (here) {
            dvr_closed_run(closed);

        } else if (ngx_thread_task_post(closed->conf->pool, closed->task)
                   != NGX_OK)
        {
            return;
        }

        ngx_queue_remove(&closed->queue);
    }
}


/* Gives the closed file to the pool, to sync it while the recorder goes on. */
static void
recorder_retire(recorder_t *rec)
{
    ngx_pool_t         *pool;
    dvr_closed_t       *closed, here;
    ngx_thread_task_t  *task = NULL;

    pool = recorder_alone ? NULL : ngx_create_pool(1024, ngx_cycle->log);
    if (pool) {
        task = ngx_thread_task_alloc(pool, sizeof(dvr_closed_t));
    }

    closed = task ? task->ctx : &here;
    closed->conf = rec->conf;
    closed->pool = pool;
    closed->fd = rec->job.fd;
    closed->index_fd = rec->job.index_fd;
    ngx_memcpy(closed->file, rec->job.file, sizeof(closed->file));
    rec->job.fd = rec->job.index_fd = -1;

    if (task) {
        task->handler = recorder_run_sync;
        task->event.handler = recorder_sync_done;
        task->event.data = closed;
    }

    if (task) {
        closed->task = task;
        ngx_queue_insert_tail(&retired, &closed->queue);
        recorder_retired(0);
        return;
    }

    if (recorder_alone) {
        dvr_closed_run(closed);
        return;
    }

    /* no memory: the marker stays, and the next recovery closes the file */
    (void) close(closed->fd);
    if (closed->index_fd != -1) {
        (void) close(closed->index_fd);
    }
    if (pool) {
        ngx_destroy_pool(pool);
    }
}


static void
recorder_closed(recorder_t *rec)
{
    if (rec->job.gone) {
        recorder_abandon(rec);
        return;
    }

    if (rec->job.error) {
        recorder_wait(rec, rec->job.error);
        return;
    }

    recorder_retire(rec);

    rec->open = rec->closing = 0;
    rec->last_end = rec->utc + rec->at.end;
    rec->zero = rec->utc - rec->base;

    rec->row.file_utc = 0;
    hub_record_save(hub, &rec->reader.ref, &rec->row);

    ngx_log_error(NGX_LOG_INFO, ngx_cycle->log, 0,
                  "recording %s is closed at %uL bytes: %s", rec->job.file,
                  rec->at.size, rec->reason);
}


uint64_t
recorder_hash(const hub_config_t *config)
{
    return config->size ? hub_name_hash(config->body, config->size) : 0;
}


int64_t
recorder_hour(const recorder_t *rec, int64_t dts)
{
    return (rec->utc + dts) / (int64_t) rec->conf->file;
}


/* Continues another worker's file, unless the headers have changed since. */
static void
recorder_resumed(recorder_t *rec)
{
    uint64_t             at;
    const recovered_t   *r = &rec->job.recovered;
    hub_config_t         config[HUB_CONFIG_KINDS];

    if (rec->job.error == EWOULDBLOCK && ngx_current_msec < rec->resume_ms) {
        rec->resume = 1;                 /* try again: its writer is exiting */
        return;
    }

    if (rec->job.error) {
        if (!rec->job.other) {
            ngx_log_error(NGX_LOG_ERR, ngx_cycle->log, rec->job.error,
                          "recording %s is left as it is: cannot %s it",
                          rec->job.file, rec->job.failed);
            recovery_soon();
        }
        rec->row.file_utc = 0;
        hub_record_save(hub, &rec->reader.ref, &rec->row);
        return;
    }

    ngx_memzero(&rec->at, sizeof(dvr_point_t));
    rec->open = 1;
    rec->hour = recorder_hour(rec, 0);
    rec->at.size = r->size;
    rec->at.index_size = r->index_size;
    rec->at.sequence = r->sequence;
    rec->at.end = r->end;
    rec->at.next = rec->reader.index;
    rec->good = rec->at;
    rec->skip[0] = r->dts[0];
    rec->skip[1] = r->dts[1];
    recorder_live_resume(rec);

    if (hub_reader_config(&rec->reader, config, &at) == NGX_OK) {
        rec->config_at = at;
        rec->config[0] = recorder_hash(&config[HUB_CONFIG_VIDEO]);
        rec->config[1] = recorder_hash(&config[HUB_CONFIG_AUDIO]);
    }

    if ((rec->config[0] ^ rec->config[1]) != rec->row.file_config
        || rec->format->head(rec, config) != NGX_OK)
    {
        rec->config[0] = rec->config[1] = 0;     /* unknown headers */
        rec->turn = 1;
        rec->stale = 3;
        recorder_live_drop(rec);
    }

    recorder_report_on(rec);
    rec->format->resume(rec);
    fragment_resume(&rec->fragment, r->dts);
}


void
recorder_settle(recorder_t *rec)
{
    rec->unposted = 0;

    switch (rec->job.action) {

    case DVR_OPEN:
    case DVR_REWRITE:
        recorder_opened(rec);
        break;

    case DVR_WRITE:
        recorder_written(rec);
        break;

    case DVR_CLOSE:
        recorder_closed(rec);
        break;

    case DVR_CHECK:
        if (rec->job.gone) {
            recorder_abandon(rec);
        }
        break;

    default: /* DVR_RESUME */
        recorder_resumed(rec);
    }
}
