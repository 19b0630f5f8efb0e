/*
 * A recorder: from the hub's entries to fragments, segments and files.  All of
 * it runs on the event loop of the worker that records the stream and takes
 * as long as copying the frames; the disk is job.c's.
 */

#include "dvr.h"

#define RECORDER_RETRY_MS   2000     /* while the disk refuses */
#define RECORDER_SETTLE_MS  1000     /* until then both tracks have come */
#define RECORDER_LAG_MS      500     /* sound that is further behind is lost */
#define RECORDER_APART_MS   1000     /* of a stream's clock and the wall's */
#define RECORDER_HEAD        16      /* bytes that tell what a frame is */

static ngx_queue_t  recorders = { &recorders, &recorders };
static int          recorders_alone;     /* no pool any more: work right here */

static void recorder_step(recorder_t *rec);
static void recorder_settle(recorder_t *rec);


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


/* --- life --- */

static void
recorder_done(ngx_event_t *ev)
{
    recorder_t  *rec = ev->data;

    rec->busy = 0;
    recorder_settle(rec);
    recorder_step(rec);
}


static void
recorder_work(void *data, ngx_log_t *log)
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
    rec->task->handler = recorder_work;
    rec->task->event.handler = recorder_done;
    rec->task->event.data = rec;

    rec->pool = pool;
    rec->conf = conf;
    rec->format = conf->format ? &dvr_format_flv : &dvr_format_mp4;
    rec->job.conf = conf;
    rec->job.fd = rec->job.index_fd = -1;
    rec->reader.ref = *ref;
    rec->name_len = s->name_len;
    ngx_memcpy(rec->name, s->name, s->name_len);

    rec->session = old->session;
    rec->utc = old->file_utc;
    rec->base = old->file_dts;
    rec->resume = old->file_utc != 0;
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


static hub_recording_t *
recorder_row(const recorder_t *rec)
{
    return &rec->reader.ref.stream->recording;
}


/* --- work for the pool --- */

static void
recorder_post(recorder_t *rec, enum dvr_what what)
{
    rec->job.what = what;
    rec->busy = 1;

    if (recorders_alone) {
        dvr_job_run(&rec->job);
        rec->busy = 0;
        recorder_settle(rec);
        return;
    }

    rec->unposted = ngx_thread_task_post(rec->conf->pool, rec->task) != NGX_OK;
}


/* The job's paths for the file that begins at rec->utc. */
static int
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
recorder_event(recorder_t *rec, const char *what)
{
    spool_event_t  *event = &rec->job.event;

    ngx_memzero(event, sizeof(spool_event_t));
    event->event = what;
    event->file = rec->job.file;
    event->stream = rec->name;
    event->format = rec->format->extension;
    event->id = rec->reader.ref.stream->id;
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


/* Begins a file with HEAD, which is in the job. */
static void
recorder_open(recorder_t *rec)
{
    rec_head_t  head;

    ngx_memzero(&rec->at, sizeof(dvr_point_t));
    rec->at.size = rec->job.head.len;
    rec->at.next = rec->reader.index;
    rec->job.offset = rec->job.index_offset = 0;
    rec->job.media[0].len = rec->job.media[1].len = 0;
    rec->job.lines_len = 0;

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

    recorder_event(rec, "open");
    rec->open = 1;
    rec->turn = 0;
    rec->stale = 0;
    rec->gap = 0;
    recorder_post(rec, DVR_OPEN);
}


/* The line of the segment in the making, when it has anything. */
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


static void
recorder_close(recorder_t *rec, const char *reason)
{
    rec->reason = reason;
    rec->job.lines_len = 0;
    rec->job.index_offset = rec->at.index_size;

    recorder_end_segment(rec);

    if (rec->format->indexed) {
        rec->job.lines_len += rec_index_end(rec->job.lines
                                            + rec->job.lines_len, 0);
    }

    (void) rec->format->finish(rec);     /* else players find it out */
    recorder_event(rec, "close");
    rec->closing = 1;
    recorder_post(rec, DVR_CLOSE);
}


static void
recorder_begin_segment(recorder_t *rec)
{
    rec_segment_t           *segment = &rec->at.segment;
    const fragment_track_t  *v = &rec->fragment.track[MP4_VIDEO];

    rec->at.began = 1;
    rec->at.segment_start = rec->gap ? fragment_start(&rec->fragment)
                                     : rec->at.end;
    segment->utc = rec->utc + rec->at.segment_start;
    segment->offset = rec->at.size;
    segment->gap = rec->gap;
    segment->dependent = v->n ? !v->sample[0].key : !rec->joinable;
    rec->gap = 0;
}


/* Sends the fragment on its way.  NEXT is the dts that follows at once, -1
 * when there is none; PICTURE: it is one's.  ENDS: the segment ends here. */
static void
recorder_write(recorder_t *rec, int64_t next, int picture, int ends)
{
    int        i;
    int64_t    end = next;
    dvr_buf_t  spare;

    if (!rec->at.began) {
        recorder_begin_segment(rec);
    }

    if (!picture || next < 0) {          /* the other track may last longer */
        end = ngx_max(ngx_max(next, rec->at.end), fragment_end(&rec->fragment));
    }

    rec->at.end = ngx_max(end, fragment_start(&rec->fragment) + 1);
    rec->job.offset = rec->at.size;
    rec->job.index_offset = rec->at.index_size;
    rec->job.lines_len = 0;

    if (rec->format->seal(rec, picture ? next : fragment_picture_end(
                                                    &rec->fragment, next))
        != NGX_OK)
    {
        rec->job.head.len = 0;           /* no memory: as if the disk refused */
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
        rec->at.index_size += rec->job.lines_len;
    }

    recorder_post(rec, DVR_WRITE);
}


/* --- what became of it --- */

/* The disk refuses: it is tried again and again, from then on. */
static void
recorder_wait(recorder_t *rec, int error)
{
    enum hub_record   state = error == ENOSPC || error == EDQUOT
                              ? HUB_RECORD_FULL : HUB_RECORD_FAILED;
    const dvr_conf_t *conf = rec->conf;

    rec->retry_ms = ngx_current_msec + RECORDER_RETRY_MS;

    if (recorder_row(rec)->state == (uint32_t) state) {
        return;
    }

    ngx_log_error(NGX_LOG_WARN, ngx_cycle->log, error,
                  "recording of %s waits: %s %s failed", rec->name,
                  rec->job.doing, rec->job.file);

    if (hub_record_state(hub, &rec->reader.ref, state) > 1) {
        return;
    }

    if (state == HUB_RECORD_FULL) {
        ngx_log_error(NGX_LOG_ALERT, ngx_cycle->log, error,
                      "recording stopped: the disk of \"%V\" is full, %O bytes "
                      "are to stay free; live goes on", &conf->root,
                      conf->free);
    } else {
        ngx_log_error(NGX_LOG_ALERT, ngx_cycle->log, error,
                      "recording stopped: \"%V\" cannot be written; live goes "
                      "on", &conf->root);
    }
}


static void
recorder_drop(recorder_t *rec)
{
    fragment_clear(&rec->fragment);
    rec->media[0].len = rec->media[1].len = 0;
}


static void
recorder_opened(recorder_t *rec)
{
    uint32_t          before;
    hub_recording_t  *row = recorder_row(rec);

    if (rec->job.error) {
        rec->open = 0;
        recorder_drop(rec);
        recorder_wait(rec, rec->job.error);
        return;
    }

    rec->good = rec->at;

    if (!hub_reader_alive(&rec->reader)) {
        return;
    }

    row->session = rec->session;
    row->file_utc = rec->utc;
    row->file_dts = rec->base;
    row->file_config = rec->config[0] ^ rec->config[1];
    before = row->state;

    if (hub_record_state(hub, &rec->reader.ref, HUB_RECORD_ON) == 0
        && before > HUB_RECORD_ON)
    {
        ngx_log_error(NGX_LOG_NOTICE, ngx_cycle->log, 0,
                      "recording goes on in \"%V\"", &rec->conf->root);
    }
}


static void
recorder_written(recorder_t *rec)
{
    uint64_t  n;

    if (rec->job.error) {
        rec->broken = 1;
        return;
    }

    n = rec->at.size - rec->good.size + rec->at.index_size
        - rec->good.index_size;
    rec->good = rec->at;
    hub_add(&hub->header->recorded, n);

    if (hub_reader_alive(&rec->reader)) {
        recorder_row(rec)->next = rec->good.next;
        recorder_row(rec)->bytes += n;
    }
}


static void
recorder_closed(recorder_t *rec)
{
    if (rec->job.error) {
        recorder_wait(rec, rec->job.error);
        return;
    }

    rec->open = rec->closing = 0;
    rec->last_end = rec->utc + rec->at.end;
    rec->zero = rec->utc - rec->base;

    if (hub_reader_alive(&rec->reader)) {
        recorder_row(rec)->file_utc = 0;
    }

    ngx_log_error(NGX_LOG_INFO, ngx_cycle->log, 0,
                  "recording %s is closed at %uL bytes: %s", rec->job.file,
                  rec->at.size, rec->reason);
}


static uint64_t
recorder_hash(const hub_config_t *config)
{
    return config->size ? hub_name_hash(config->body, config->size) : 0;
}


/* Which of the spans of dvr_file the moment DTS of the file is in. */
static int64_t
recorder_hour(const recorder_t *rec, int64_t dts)
{
    return (rec->utc + dts) / (int64_t) rec->conf->file;
}


/* Another worker's file goes on, unless the headers are others by now. */
static void
recorder_resumed(recorder_t *rec)
{
    uint64_t             at;
    const recovered_t   *r = &rec->job.recovered;
    hub_config_t         config[HUB_CONFIG_KINDS];

    if (rec->job.error == EWOULDBLOCK) {
        rec->resume = 1;                 /* its writer is about to end */
        return;
    }

    if (rec->job.error) {
        ngx_log_error(NGX_LOG_ERR, ngx_cycle->log, rec->job.error,
                      "recording %s is left as it is: %s it failed",
                      rec->job.file, rec->job.doing);
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

    if (hub_reader_config(&rec->reader, config, &at) == NGX_OK) {
        rec->config[0] = recorder_hash(&config[HUB_CONFIG_VIDEO]);
        rec->config[1] = recorder_hash(&config[HUB_CONFIG_AUDIO]);
    }

    if ((rec->config[0] ^ rec->config[1]) != recorder_row(rec)->file_config
        || rec->format->head(rec, config) != NGX_OK)
    {
        rec->turn = 1;
        rec->stale = 3;
    }

    rec->format->resume(rec);
    fragment_resume(&rec->fragment, r->dts);
}


static void
recorder_settle(recorder_t *rec)
{
    rec->unposted = 0;

    switch (rec->job.what) {

    case DVR_OPEN:
        recorder_opened(rec);
        break;

    case DVR_WRITE:
        recorder_written(rec);
        break;

    case DVR_CLOSE:
        recorder_closed(rec);
        break;

    default: /* DVR_RESUME */
        recorder_resumed(rec);
    }
}


/* --- entries --- */

/* Notices other headers.  NGX_AGAIN: they are being changed. */
static ngx_int_t
recorder_look(recorder_t *rec)
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
        return NGX_OK;                   /* they are for later frames */
    }

    rec->stale = (recorder_hash(&config[HUB_CONFIG_VIDEO]) != rec->config[0])
                 | (recorder_hash(&config[HUB_CONFIG_AUDIO]) != rec->config[1])
                   << 1;
    rec->turn = rec->stale != 0;
    rec->config_seq = seq;

    return NGX_OK;
}


/* The UTC of rec->base.  A file goes on where the one before ended, unless the
 * two clocks have come apart. */
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


/* Tries to begin a file at entry E.  NGX_OK: a file begins; NGX_DECLINED: not
 * with this entry; NGX_AGAIN: not now. */
static ngx_int_t
recorder_begin(recorder_t *rec, const hub_entry_t *e)
{
    int            both;
    uint32_t       seq;
    uint64_t       at;
    ngx_int_t      rc;
    hub_config_t   config[HUB_CONFIG_KINDS];
    hub_stream_t  *s = rec->reader.ref.stream;

    if (!(e->flags & HUB_KEY)) {
        return NGX_DECLINED;
    }

    seq = hub_load(&s->config_seq);

    if (hub_reader_config(&rec->reader, config, &at) != NGX_OK) {
        return NGX_AGAIN;
    }

    if (at > rec->reader.index) {
        return NGX_DECLINED;             /* its own headers are gone */
    }

    both = config[HUB_CONFIG_VIDEO].size && config[HUB_CONFIG_AUDIO].size;

    if (!both && rec->session == 0 && s->dts - e->dts < RECORDER_SETTLE_MS
        && hub_load(&s->state) == HUB_LIVE)
    {
        return NGX_AGAIN;                /* the other track may be on its way */
    }

    rec->base = e->dts;

    if (rec->sound >= 0 && rec->sound < e->dts
        && e->dts - rec->sound < RECORDER_LAG_MS)
    {
        rec->base = rec->sound + 1;      /* sound that comes behind this picture */
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

    rec->config_seq = seq;
    rec->config[0] = recorder_hash(&config[HUB_CONFIG_VIDEO]);
    rec->config[1] = recorder_hash(&config[HUB_CONFIG_AUDIO]);
    rec->skip[0] = rec->skip[1] = -1;
    recorder_open(rec);

    return NGX_OK;
}


/* Frames were overwritten before they could be written down. */
static int
recorder_lost(recorder_t *rec)
{
    if (!fragment_empty(&rec->fragment)) {
        if (rec->busy) {
            return 0;
        }
        recorder_write(rec, -1, 0, 1);
        return 1;
    }

    if (hub_reader_rejoin(&rec->reader, rec->at.next) != NGX_OK) {
        return 0;
    }

    if (rec->session == 0) {
        return 1;                        /* nothing of it was written yet */
    }

    rec->gap = 1;
    recorder_row(rec)->gaps++;
    hub_add(&hub->header->record_gaps, 1);

    ngx_log_error(NGX_LOG_WARN, ngx_cycle->log, 0,
                  "recording of %s has a gap: the disk was too slow", rec->name);

    return 1;
}


/* Does the segment end with the fragment, when entry E comes next? */
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
        dependent = 0;
    }

    return dependent || e->dts - rec->base - start >= FRAGMENT_MS;
}


/* Adds entry E of track KIND to the fragment.  NGX_DECLINED: it is lost. */
static ngx_int_t
recorder_add(recorder_t *rec, int kind, const hub_entry_t *e)
{
    int          rc, first = fragment_empty(&rec->fragment);
    size_t       n, body = e->size - FLV_TAG_OVERHEAD;
    u_char       head[RECORDER_HEAD];
    ngx_int_t    added;
    flv_frame_t  frame;

    n = ngx_min(body, sizeof(head));

    if (hub_reader_copy(hub, &rec->reader, e->offset + FLV_TAG_HEADER_SIZE,
                        head, n)
        != NGX_OK)
    {
        return NGX_DECLINED;
    }

    rc = kind == MP4_VIDEO ? flv_parse_video(head, n, &frame)
                           : flv_parse_audio(head, n, &frame);

    if (rc != FLV_OK || frame.config || frame.empty || frame.payload >= body) {
        return NGX_OK;                   /* nothing to record */
    }

    added = rec->format->add(rec, kind, e, &frame);
    if (added != NGX_OK) {
        return added;
    }

    if (first) {
        rec->joinable = (e->flags & HUB_KEY) != 0;
    }

    fragment_add(&rec->fragment, kind, e->dts - rec->base, e->cts,
                 kind == MP4_VIDEO && frame.key,
                 (uint32_t) (body - frame.payload));

    if (kind == MP4_AUDIO) {
        rec->sound = e->dts;
    }

    return NGX_OK;
}


/* A frame for the open file.  Returns 1 to go on with the next entry, or
 * with this one anew; 0 when nothing can be done now. */
static int
recorder_frame(recorder_t *rec, const hub_entry_t *e)
{
    int      kind = e->type == FLV_AUDIO, empty, gap;
    int64_t  dts = e->dts - rec->base;

    if (recorder_look(rec) != NGX_OK) {
        return 0;
    }

    empty = fragment_empty(&rec->fragment);
    gap = (e->flags & HUB_DISCONTINUITY) != 0;

    if ((e->flags & HUB_KEY) && recorder_hour(rec, dts) != rec->hour) {
        rec->turn = 1;
    }

    if (!empty && (gap || (rec->turn && (e->flags & HUB_KEY))
                   || fragment_full(&rec->fragment, kind, dts,
                                    (e->flags & HUB_KEY) != 0,
                                    e->size - FLV_TAG_OVERHEAD)))
    {
        if (rec->busy) {
            return 0;
        }
        /* a clock that was set need not leave a hole */
        recorder_write(rec, gap && dts > fragment_end(&rec->fragment) ? -1 : dts,
                       kind == MP4_VIDEO,
                       gap || rec->turn || recorder_segment_ends(rec, e));
        return 1;
    }

    if (rec->turn && (e->flags & HUB_KEY)) {
        if (rec->busy) {
            return 0;
        }
        recorder_close(rec, rec->stale ? "its headers changed"
                                       : "its time is over");
        return 1;
    }

    rec->reader.index++;
    rec->gap |= gap;

    if (dts < 0 || dts <= rec->skip[kind] || (rec->stale & (1 << kind))
        || !fragment_has(&rec->fragment, kind))
    {
        return 1;
    }

    switch (recorder_add(rec, kind, e)) {

    case NGX_OK:
        return 1;

    case NGX_DECLINED:
        rec->reader.index--;
        return recorder_lost(rec);

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
        return recorder_lost(rec);
    }

    if (rc == NGX_AGAIN) {
        /* nothing more for a while: what there is goes to the disk */
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


/* --- the whole --- */

/* Why the recording is over, NULL: it is not. */
static const char *
recorder_over(const recorder_t *rec)
{
    if (!hub_reader_alive(&rec->reader)) {
        return "the stream ended";
    }

    return hub_load(&recorder_row(rec)->wanted) ? NULL
                                                : "recording was stopped";
}


/* Back to what is on the disk for certain. */
static void
recorder_mended(recorder_t *rec)
{
    rec->broken = 0;
    rec->at = rec->good;
    recorder_drop(rec);
}


/* Writes down and closes what is open.  Returns 1 when nothing is. */
static int
recorder_finish(recorder_t *rec, const char *why)
{
    if (rec->busy || rec->closing) {
        return 0;
    }

    if (rec->broken) {
        recorder_mended(rec);
    }

    if (rec->open && !fragment_empty(&rec->fragment)) {
        recorder_write(rec, -1, 0, 1);
        return 0;
    }

    if (rec->open) {
        recorder_close(rec, why);
        return 0;
    }

    return 1;
}


/* The disk refused.  Returns 1 when it is time to try again. */
static int
recorder_mend(recorder_t *rec)
{
    if (rec->busy || ngx_current_msec < rec->retry_ms) {
        return 0;
    }

    if (rec->closing) {
        recorder_post(rec, DVR_CLOSE);
        return 0;
    }

    if (rec->broken) {
        recorder_mended(rec);

        if (rec->open) {
            recorder_wait(rec, rec->job.error ? rec->job.error : ENOMEM);
            recorder_close(rec, "the disk refused");
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
        recorder_post(rec, rec->job.what);
    }

    if (rec->resume && !rec->busy) {
        rec->resume = 0;
        if (recorder_paths(rec) == 0) {
            recorder_post(rec, DVR_RESUME);
        }
        return;
    }

    why = recorder_over(rec);

    if (why && !rec->closing) {
        if (recorder_finish(rec, why) && !rec->open && !rec->busy) {
            hub_record_release(hub, &rec->reader.ref, 1);
            recorder_free(rec);
        }
        return;
    }

    if ((rec->closing || rec->broken || rec->retry_ms) && !recorder_mend(rec)) {
        return;
    }

    while (recorder_next(rec)) { /* void */ }
}


void
recorders_tick(const dvr_conf_t *conf, ngx_log_t *log)
{
    uint32_t      i;
    hub_ref_t     ref;
    ngx_queue_t  *q, *next;

    for (i = 0; i < hub->header->nstreams; i++) {
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


/* Ends well what nobody will go on with: nginx itself ends. */
static void
recorder_stop(recorder_t *rec)
{
    if (rec->resume || rec->closing || rec->broken || rec->retry_ms) {
        return;                          /* its marker tells the next start */
    }

    if (hub_reader_alive(&rec->reader)) {
        while (recorder_next(rec)) { /* void */ }
    }

    while (rec->open && !rec->closing && !rec->broken) {
        (void) recorder_finish(rec, "nginx ended");
    }
}


void
recorders_stop(int terminate)
{
    recorder_t   *rec;
    ngx_queue_t  *q;

    recorders_alone = 1;

    for (q = ngx_queue_head(&recorders); q != ngx_queue_sentinel(&recorders);
         q = ngx_queue_next(q))
    {
        rec = ngx_queue_data(q, recorder_t, queue);

        if (rec->busy) {                 /* the pool has done its work */
            if (rec->unposted) {
                dvr_job_run(&rec->job);
            }
            rec->busy = 0;
            recorder_settle(rec);
        }

        if (terminate) {
            recorder_stop(rec);
        }
    }
}
