/*
 * The writer's side: appends tags, stores configurations, and trims the window.
 */

#include "hub.h"

#define HUB_RATE_MS       2000
#define HUB_BURST_MS     10000
#define HUB_READ_MS       2000      /* readers have read a frame by then */
#define HUB_SETTLE_MS     1000      /* a publisher has sent its headers by then */


void
hub_config_begin(hub_stream_t *s)
{
    (void) hub_add(&s->config_seq, 1);
    hub_step();
}


void
hub_config_end(hub_stream_t *s)
{
    (void) hub_add(&s->config_seq, 1);
}


/* Gives back the blocks before the window; takes blocks for the bytes up to END and
 * for their entry. */
static ngx_int_t
hub_blocks_fit(hub_t *h, hub_stream_t *s, uint64_t end)
{
    uint64_t   tail = hub_load(&s->tail), first = hub_load(&s->first);
    uint64_t   last = (end - 1) >> HUB_BLOCK_SHIFT;
    uint64_t   last_index = s->head >> HUB_INDEX_SHIFT;
    ngx_int_t  rc = NGX_OK;

    if (s->end_block > last && s->end_index > last_index
        && s->first_block >= tail >> HUB_BLOCK_SHIFT
        && s->first_index >= first >> HUB_INDEX_SHIFT)
    {
        return NGX_OK;
    }

    ngx_shmtx_lock(&h->pool->mutex);

    hub_blocks_give(h, s, tail, first);

    while (rc == NGX_OK && s->end_block <= last) {
        rc = hub_blocks_grow(h, s);
    }

    while (rc == NGX_OK && s->end_index <= last_index) {
        rc = hub_index_grow(h, s);
    }

    ngx_shmtx_unlock(&h->pool->mutex);

    return rc;
}


/* Would the next entry need one block more than an index may have? */
static int
hub_index_is_full(const hub_stream_t *s, uint64_t first)
{
    return (s->head >> HUB_INDEX_SHIFT) - (first >> HUB_INDEX_SHIFT)
           >= HUB_INDEX_BLOCKS;
}


/* Moves the tail so that SIZE more bytes at DTS fit the window and its caps.  Drops
 * the newest key frame, and frames that readers may not have read yet, only when
 * the cap on bytes or on entries requires it: dts may jump when the publisher's
 * clock is set. */
static void
hub_trim(hub_t *h, hub_stream_t *s, size_t size, int64_t dts)
{
    int          full, old;
    int64_t      window = hub_segments_window(h, s, dts);
    uint64_t     first = hub_load(&s->first);
    hub_entry_t *e;

    /* the oldest entries are in no cache, so drop many at a time */
    if (s->end + size - hub_load(&s->tail) <= h->stream_max
        && !hub_index_is_full(s, first)
        && dts - s->first_dts <= window + window / 16)
    {
        return;
    }

    for ( ; first < s->head; first++) {
        e = hub_entry(h, s, first);
        full = s->end + size - e->offset > h->stream_max
               || hub_index_is_full(s, first);
        old = dts - e->dts > window
              && first + 1 < s->key_plus_one
              && (uint32_t) ngx_current_msec - e->stored_ms > HUB_READ_MS;

        if (!full && !old) {
            break;
        }
    }

    s->first_dts = first < s->head ? hub_entry(h, s, first)->dts : dts;

    if (first == hub_load(&s->first)) {
        return;
    }

    hub_raise(&s->first, first);
    hub_raise(&s->tail, first < s->head ? hub_entry(h, s, first)->offset
                                        : s->end);
    hub_step();                              /* before the bytes are overwritten */
}


/* Copies SIZE bytes to offset AT of the row. */
static void
hub_put(hub_t *h, hub_stream_t *s, uint64_t at, const u_char *p, size_t size)
{
    size_t    n;
    uint32_t  block;

    while (size) {
        n = ngx_min(size, HUB_BLOCK_SIZE - (at & (HUB_BLOCK_SIZE - 1)));
        block = s->blocks[(at >> HUB_BLOCK_SHIFT) % HUB_STREAM_BLOCKS];
        ngx_memcpy(h->data + ((size_t) block << HUB_BLOCK_SHIFT)
                   + (at & (HUB_BLOCK_SIZE - 1)), p, n);
        p += n;
        at += n;
        size -= n;
    }
}


static void
hub_put_tag(hub_t *h, hub_stream_t *s, uint8_t type, int64_t dts,
    ngx_chain_t *in, size_t len)
{
    size_t    n;
    uint8_t   head[FLV_TAG_HEADER_SIZE], back[FLV_BACK_SIZE];
    uint64_t  at = s->end;

    at += flv_write_tag_header(head, type, len, (uint32_t) dts);
    hub_put(h, s, s->end, head, sizeof(head));

    for ( ; in && len; in = in->next) {
        n = ngx_min((size_t) (in->buf->last - in->buf->pos), len);
        hub_put(h, s, at, in->buf->pos, n);
        at += n;
        len -= n;
    }

    flv_write_back(back, (size_t) (at - s->end) - FLV_TAG_HEADER_SIZE);
    hub_put(h, s, at, back, sizeof(back));
}


/* Are SIZE more bytes within max_kbps?  A burst of HUB_BURST_MS is allowed: a phone
 * sends at once the frames that it could not send in a dead zone. */
static int
hub_within_cap(hub_stream_t *s, size_t size)
{
    int64_t  most = (int64_t) s->max_kbps * HUB_BURST_MS / 8;

    if (s->max_kbps == 0) {
        return 1;
    }

    s->credit = s->credit_ms == 0 ? most
                : ngx_min(most, s->credit + (int64_t) s->max_kbps
                                * (int64_t) (ngx_current_msec - s->credit_ms)
                                / 8);
    s->credit_ms = ngx_current_msec;

    if (s->credit < (int64_t) size) {
        return 0;
    }

    s->credit -= size;

    return 1;
}


static void
hub_measure(hub_writer_t *w, hub_stream_t *s, size_t size, int video)
{
    uint64_t  ms = ngx_current_msec - w->rate_ms;

    s->bytes_in += size;
    w->rate_bytes += size;
    w->rate_frames += video;

    if (ms >= HUB_RATE_MS) {
        s->kbps_in = (uint32_t) (w->rate_bytes * 8 / ms);
        s->fps_milli = (uint32_t) (w->rate_frames * 1000000ull / ms);
        w->rate_bytes = 0;
        w->rate_frames = 0;
        w->rate_ms = ngx_current_msec;
    }
}


/* May viewers join at this frame?  In a stream without pictures, at any frame. */
static int
hub_joinable(const hub_t *h, const hub_stream_t *s, uint8_t type,
    const flv_frame_t *frame)
{
    if (frame->config) {
        return 0;
    }

    return type == FLV_VIDEO
           ? frame->key
           : s->video == FLV_CODEC_NONE
             || s->track[0].wall_ms + h->window < ngx_current_msec;
}


/* Logs one line for each publisher: an encoder with long GOPs sends many of them. */
static void
hub_log_outgrown(const hub_t *h, hub_writer_t *w, const hub_stream_t *s)
{
    w->outgrown = 1;

    ngx_log_error(NGX_LOG_WARN, ngx_cycle->log, 0,
                  "hub: stream \"%*s\" has a GOP that outgrew its window of %uL "
                  "bytes (hub_stream_max is %uz): a viewer that joins now gets "
                  "only sound until the next key frame",
                  (size_t) s->name_len, s->name,
                  s->end - hub_load(&s->tail), h->stream_max);
}


/* Remembers where the next frame goes, for hub_append_soon().  If that needs a new
 * block the address is wrong, which only costs time. */
static void
hub_expect_next(const hub_t *h, hub_writer_t *w)
{
    hub_stream_t  *s = w->ref.stream;
    uint32_t      *block = &s->blocks[(s->end >> HUB_BLOCK_SHIFT)
                                      % HUB_STREAM_BLOCKS];

    w->next[0] = hub_entry(h, s, s->head);
    w->next[1] = block;
    w->next[2] = h->data + ((size_t) *block << HUB_BLOCK_SHIFT)
                 + (s->end & (HUB_BLOCK_SIZE - 1));
}


void
hub_append_soon(const hub_client_t *c, const hub_writer_t *w)
{
    const u_char        *p;
    const hub_stream_t  *s = w->ref.stream;

    if (s == NULL || c->session == NULL) {
        return;
    }

    __builtin_prefetch(s, 1);
    __builtin_prefetch(&s->head, 1);
    __builtin_prefetch(&s->dts, 1);
    __builtin_prefetch(&s->track[1], 1);
    __builtin_prefetch(&s->bytes_in, 1);
    __builtin_prefetch(&s->credit, 1);
    __builtin_prefetch(&s->first_block, 1);

    for (p = (const u_char *) s->cut; p < (const u_char *) s->index; p += 64) {
        __builtin_prefetch(p, 1);
    }

    __builtin_prefetch(&c->session->bytes, 1);
    __builtin_prefetch(w->next[0], 1);
    __builtin_prefetch(w->next[1]);
    __builtin_prefetch(w->next[2], 1);
}


static ngx_int_t
hub_append_owned(hub_t *h, hub_writer_t *w, uint8_t type,
    const flv_frame_t *frame, uint32_t timestamp, ngx_chain_t *in, size_t len)
{
    int           joinable;
    size_t        size = len + FLV_TAG_OVERHEAD;
    int64_t       dts;
    uint64_t      head, now;
    hub_entry_t  *e;
    hub_stream_t *s = w->ref.stream;

    if (len > FLV_MAX_BODY || size + HUB_BLOCK_SIZE > h->stream_max) {
        return NGX_ABORT;
    }

    if (!hub_within_cap(s, size)) {
        return NGX_BUSY;
    }

    joinable = hub_joinable(h, s, type, frame);

    if (w->wait_key && type == FLV_VIDEO && !frame->config && !frame->key) {
        return NGX_AGAIN;
    }

    /* a held frame may be older than the newest one of the previous publisher */
    now = w->arrived_ms ? ngx_max(w->arrived_ms, ngx_max(s->track[0].wall_ms,
                                                         s->track[1].wall_ms))
                        : ngx_current_msec;
    dts = frame->config
          ? hub_clock_config(w, s, hub_track(type), now)
          : hub_clock_frame(w, s, hub_track(type), timestamp, now);
    hub_trim(h, s, size, dts);

    if (!joinable && hub_outgrown(s) && !w->outgrown) {
        hub_log_outgrown(h, w, s);
    }

    if (hub_blocks_fit(h, s, s->end + size) != NGX_OK) {
        w->wait_key = 1;
        return NGX_DECLINED;
    }

    if (type == FLV_VIDEO && frame->key && !frame->config) {
        w->wait_key = 0;
    }

    if (w->discontinuity && !frame->config) {
        s->gaps++;
    }

    hub_put_tag(h, s, type, dts, in, len);

    head = s->head;
    e = hub_entry(h, s, head);
    e->offset = s->end;
    e->size = (uint32_t) size;
    e->cts = frame->cts;
    e->dts = dts;
    e->stored_ms = (uint32_t) ngx_current_msec;
    e->type = type;
    e->flags = (uint8_t) ((joinable ? HUB_KEY : 0)
                          | (frame->config ? HUB_CONFIG : 0)
                          | (w->discontinuity ? HUB_DISCONTINUITY : 0));
    e->flags |= hub_cut_entry(h, w, e);

    w->discontinuity &= frame->config;       /* mark the first frame, too */

    hub_store(&s->end, s->end + size);
    hub_store(&s->head, head + 1);

    if (joinable) {
        hub_store(&s->key_plus_one, head + 1);
    }

    hub_cut_publish(s);

    if (joinable && type == FLV_VIDEO) {
        s->gop_ms = w->keyed ? (uint32_t) (dts - w->key_dts) : 0;
        w->key_dts = dts;
        w->keyed = 1;
    }

    hub_measure(w, s, size, type == FLV_VIDEO && !frame->config);
    hub_expect_next(h, w);

    return NGX_OK;
}


/* Announces new headers, unless the stream was taken over or ended meanwhile. */
static void
hub_config_changed(hub_t *h, hub_writer_t *w)
{
    ngx_shmtx_lock(&h->pool->mutex);

    if (hub_owns(w)) {
        hub_changed(h, w->ref.stream, HUB_LIVE);
    }

    ngx_shmtx_unlock(&h->pool->mutex);
}


/* Forgets the headers of tracks that an earlier publisher had and the current one
 * has not: viewers that join must not wait for such a track. */
static void
hub_forget_configs(hub_t *h, hub_writer_t *w)
{
    int            kind, forgotten = 0;
    hub_stream_t  *s = w->ref.stream;

    w->settled = 1;

    hub_config_begin(s);

    for (kind = 0; kind < HUB_CONFIG_KINDS; kind++) {
        if ((w->configured & (1u << kind)) || s->config[kind].size == 0) {
            continue;
        }

        hub_store(&s->config[kind].size, 0);
        forgotten = 1;

        if (kind == HUB_CONFIG_VIDEO) {
            s->video = FLV_CODEC_NONE;
            s->width = s->height = 0;
        } else if (kind == HUB_CONFIG_AUDIO) {
            s->audio = FLV_CODEC_NONE;
        }
    }

    /* this publisher's entries never needed them, so viewers can join at its key
     * frame */
    if (forgotten) {
        hub_store(&s->config_at, ngx_max(s->config_at, w->from));
    }

    hub_config_end(s);

    if (forgotten) {
        hub_config_changed(h, w);
    }
}


/* Appends the stored header of KIND as a tag when the row does not have it yet: there
 * was no memory for it, or a SIGKILL came before.  Viewers could not decode what
 * follows, and an encoder may never repeat it. */
static ngx_int_t
hub_append_due(hub_t *h, hub_writer_t *w, enum hub_config_kind kind)
{
    ngx_buf_t       b;
    ngx_int_t       rc;
    ngx_chain_t     in;
    flv_frame_t     frame;
    hub_stream_t   *s = w->ref.stream;
    hub_config_t   *config = &s->config[kind];

    if (!(s->config_due & (1u << kind)) || config->size == 0) {
        return NGX_OK;
    }

    ngx_memzero(&frame, sizeof(flv_frame_t));
    frame.config = 1;
    ngx_memzero(&b, sizeof(ngx_buf_t));
    b.pos = config->body;
    b.last = b.pos + config->size;
    in.buf = &b;
    in.next = NULL;

    rc = hub_append_owned(h, w, kind == HUB_CONFIG_VIDEO ? FLV_VIDEO : FLV_AUDIO,
                          &frame, 0, &in, config->size);

    if (rc == NGX_OK) {
        s->config_due &= ~(1u << kind);
    }

    return rc;
}


/* Appends the header that a frame of TYPE needs, if it is still due. */
static ngx_int_t
hub_append_before(hub_t *h, hub_writer_t *w, uint8_t type,
    const flv_frame_t *frame)
{
    if (type == FLV_AUDIO) {
        return hub_append_due(h, w, HUB_CONFIG_AUDIO);
    }

    return type == FLV_VIDEO && (frame->key || !w->wait_key)
           ? hub_append_due(h, w, HUB_CONFIG_VIDEO) : NGX_OK;
}


ngx_int_t
hub_append(hub_t *h, hub_writer_t *w, uint8_t type, const flv_frame_t *frame,
    uint32_t timestamp, ngx_chain_t *in, size_t len)
{
    ngx_int_t  rc;

    if (!hub_write_begin(h, w)) {
        return NGX_DONE;
    }

    if (w->returned && !w->settled
        && ngx_current_msec - w->ref.stream->started_ms >= HUB_SETTLE_MS)
    {
        hub_forget_configs(h, w);
    }

    rc = hub_append_before(h, w, type, frame);

    if (rc == NGX_OK) {
        rc = hub_append_owned(h, w, type, frame, timestamp, in, len);
    }

    hub_write_end(h, w);

    return rc;
}


static void
hub_store_config(hub_t *h, hub_writer_t *w, enum hub_config_kind kind,
    const flv_frame_t *frame, const u_char *body, size_t len)
{
    hub_stream_t  *s = w->ref.stream;
    hub_config_t  *config = &s->config[kind];
    uint32_t       replaced = config->size;

    hub_config_begin(s);

    ngx_memcpy(config->body, body, len);
    config->size = (uint32_t) len;

    if (kind == HUB_CONFIG_VIDEO) {
        s->video = (uint8_t) frame->codec;
        s->width = w->width;
        s->height = w->height;
    } else if (kind == HUB_CONFIG_AUDIO) {
        s->audio = (uint8_t) frame->codec;
    }

    /* readers can decode older entries when the header only adds a track */
    if (kind != HUB_CONFIG_META && replaced) {
        hub_store(&s->config_at, s->head);
    }

    hub_config_end(s);

    if (kind != HUB_CONFIG_META) {           /* pages show nothing of metadata */
        hub_config_changed(h, w);
    }
}


ngx_int_t
hub_configure(hub_t *h, hub_writer_t *w, enum hub_config_kind kind,
    const flv_frame_t *frame, const u_char *body, size_t len)
{
    ngx_int_t      rc;
    hub_stream_t  *s = w->ref.stream;
    hub_config_t  *config;

    if (len > HUB_CONFIG_MAX) {
        return NGX_ABORT;
    }

    if (!hub_write_begin(h, w)) {
        return NGX_DONE;
    }

    config = &s->config[kind];
    w->configured |= 1u << kind;

    /* ignore repeated headers, as many encoders send */
    if (config->size != len || ngx_memcmp(config->body, body, len) != 0) {

        /* players expect metadata before media, not in between */
        if (kind != HUB_CONFIG_META) {
            s->config_due |= 1u << kind;
            hub_step();
        }

        hub_store_config(h, w, kind, frame, body, len);
    }

    rc = hub_append_due(h, w, kind);
    hub_write_end(h, w);

    return rc;
}
