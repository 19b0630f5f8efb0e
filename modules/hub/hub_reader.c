/*
 * The readers' side: joining, batches, and the check after use.
 */

#include "hub.h"

#define HUB_FRAME_HEAD  16           /* enough bytes to parse a frame's head */


ngx_int_t
hub_reader_open(hub_t *h, const u_char *name, size_t len, hub_reader_t *r)
{
    hub_stream_t  *s;

    ngx_memzero(r, sizeof(hub_reader_t));

    s = hub_find(h, name, len);
    if (s == NULL) {
        return NGX_DECLINED;
    }

    r->ref.stream = s;
    r->ref.generation = hub_load(&s->generation);

    /* another stream may have got the slot before the generation was read */
    return hub_find(h, name, len) == s && hub_reader_alive(r) ? NGX_OK
                                                              : NGX_DECLINED;
}


int
hub_reader_has_row(const hub_reader_t *r)
{
    return hub_load(&r->ref.stream->generation) == r->ref.generation;
}


int
hub_reader_alive(const hub_reader_t *r)
{
    return hub_reader_has_row(r) && hub_stream_is_on(r->ref.stream);
}


int
hub_stream_holds(const hub_reader_t *r, uint64_t offset)
{
    __atomic_thread_fence(__ATOMIC_SEQ_CST);

    return hub_reader_has_row(r) && hub_load(&r->ref.stream->tail) <= offset;
}


static ngx_int_t
hub_reader_join_key(hub_reader_t *r)
{
    uint64_t       key, offset;
    hub_stream_t  *s = r->ref.stream;

    key = hub_load(&s->key_plus_one);

    if (key == 0 || --key < hub_load(&s->config_at)
        || key < hub_load(&s->first))
    {
        return NGX_AGAIN;
    }

    offset = hub_entry(hub, s, key)->offset;

    if (!hub_stream_holds(r, offset) || key < hub_load(&s->first)) {
        return NGX_AGAIN;
    }

    r->index = key;
    r->pos = r->end = offset;
    r->joined = 1;
    r->blind = 0;

    return NGX_OK;
}


/* Joins at the newest entry: older sound would have no picture. */
static ngx_int_t
hub_reader_join_blind(hub_reader_t *r)
{
    uint64_t     head = hub_load(&r->ref.stream->head);
    hub_entry_t  e;

    r->index = head ? head - 1 : 0;

    if (head == 0 || hub_reader_entry(hub, r, &e) != NGX_OK) {
        return NGX_AGAIN;
    }

    r->pos = r->end = e.offset;
    r->joined = 1;
    r->blind = 1;

    return NGX_OK;
}


ngx_int_t
hub_reader_join(hub_reader_t *r)
{
    uint64_t       config_at, key;
    hub_stream_t  *s = r->ref.stream;

    if (hub_reader_join_key(r) == NGX_OK) {
        return NGX_OK;
    }

    config_at = hub_load(&s->config_at);
    key = hub_load(&s->key_plus_one);

    return hub_outgrown(s) || (key && key <= config_at)
           ? hub_reader_join_blind(r) : NGX_AGAIN;
}


ngx_int_t
hub_reader_rejoin(hub_reader_t *r, uint64_t from)
{
    int64_t        half;
    uint64_t       key;
    hub_entry_t    e;
    hub_stream_t  *s = r->ref.stream;

    if (hub_reader_join_key(r) != NGX_OK) {
        return NGX_AGAIN;
    }

    key = r->index;

    if (key < from) {
        return NGX_AGAIN;
    }

    half = s->first_dts + (s->dts - s->first_dts) / 2;

    for (hub_reader_seek(r, ngx_max(from, hub_load(&s->config_at)));
         r->index < key; r->index++)
    {
        if (hub_reader_entry(hub, r, &e) == NGX_OK && (e.flags & HUB_KEY)
            && e.dts >= half)
        {
            return NGX_OK;
        }
    }

    return hub_reader_join_key(r);
}


/* Moves a blind reader past pictures that its viewer could not decode; at a key
 * frame the reader is no longer blind.  Returns the end of the entries that the
 * reader may send now. */
static uint64_t
hub_reader_skip_pictures(hub_reader_t *r, uint64_t head)
{
    hub_entry_t   e;
    hub_reader_t  at = *r;

    for ( ; at.index < head; at.index++) {
        if (hub_reader_entry(hub, &at, &e) != NGX_OK) {
            break;                           /* the check after use detects it */
        }

        if (e.type != FLV_VIDEO || (e.flags & HUB_CONFIG)) {
            continue;
        }

        if (at.index > r->index) {
            break;                           /* send the sound before it first */
        }

        if (e.flags & HUB_KEY) {
            r->blind = 0;
            return head;
        }

        r->index = at.index + 1;
        r->pos = r->end = e.offset + e.size;
    }

    return at.index;
}


ngx_int_t
hub_reader_batch(hub_reader_t *r, size_t limit, ngx_msec_t lag)
{
    int64_t        dts;
    uint64_t       head, index, end, key;
    hub_entry_t   *e;
    hub_stream_t  *s = r->ref.stream;

    head = hub_load(&s->head);

    if (r->index < head && r->index < hub_load(&s->first)) {
        return NGX_DECLINED;
    }

    index = r->blind ? hub_reader_skip_pictures(r, head) : head;

    if (r->index >= index) {
        return NGX_AGAIN;
    }

    dts = hub_entry(hub, s, head - 1)->dts - hub_entry(hub, s, r->index)->dts;
    key = hub_load(&s->key_plus_one);

    if (dts > (int64_t) lag && (key > r->index + 1 || r->blind)) {
        return NGX_DECLINED;
    }

    head = index;
    e = hub_entry(hub, s, head - 1);
    end = e->offset + e->size;

    if (end - r->pos > limit) {
        for (index = r->index; index < head; index++) {
            e = hub_entry(hub, s, index);
            if (index > r->index && e->offset + e->size - r->pos > limit) {
                break;
            }
            end = e->offset + e->size;
        }
    }

    if (!hub_stream_holds(r, r->pos) || r->index < hub_load(&s->first)) {
        return NGX_DECLINED;
    }

    r->index = index;
    r->end = end;

    return NGX_OK;
}


/* Tags that the writer overwrites meanwhile end the search; the check after use
 * detects them. */
void
hub_reader_cut(hub_reader_t *r)
{
    uint64_t       index = r->index;
    hub_entry_t   *e;
    hub_stream_t  *s = r->ref.stream;

    while (r->pos < r->end && index > hub_load(&s->first)) {
        e = hub_entry(hub, s, index - 1);

        if (e->offset < r->pos) {
            if (hub_stream_holds(r, r->pos)) {
                r->index = index;
                r->end = ngx_max(e->offset + e->size, r->pos);
            }
            return;
        }

        index--;
    }
}


ngx_msec_t
hub_reader_behind(const hub_reader_t *r)
{
    int64_t        dts;
    uint64_t       head;
    hub_stream_t  *s = r->ref.stream;

    head = hub_load(&s->head);

    if (!r->joined || r->index >= head || r->index < hub_load(&s->first)) {
        return 0;
    }

    dts = hub_entry(hub, s, head - 1)->dts - hub_entry(hub, s, r->index)->dts;

    return r->index >= hub_load(&s->first) && dts > 0 ? (ngx_msec_t) dts : 0;
}


int
hub_reader_iov(const hub_t *h, const hub_reader_t *r, struct iovec *iov,
    int max, size_t *size)
{
    int            n = 0;
    size_t         part;
    uint32_t       block;
    uint64_t       at = r->pos;
    hub_stream_t  *s = r->ref.stream;

    *size = 0;

    while (at < r->end && n < max) {
        part = (size_t) ngx_min(r->end - at,
                                HUB_BLOCK_SIZE - (at & (HUB_BLOCK_SIZE - 1)));
        block = s->blocks[(at >> HUB_BLOCK_SHIFT) % HUB_STREAM_BLOCKS];

        if (block >= h->header->nblocks) {
            break;                           /* torn: the check detects it */
        }

        iov[n].iov_base = h->data + ((size_t) block << HUB_BLOCK_SHIFT)
                          + (at & (HUB_BLOCK_SIZE - 1));
        iov[n].iov_len = part;
        n++;
        at += part;
        *size += part;
    }

    return n;
}


void
hub_reader_seek(hub_reader_t *r, uint64_t index)
{
    r->index = ngx_max(index, hub_load(&r->ref.stream->first));
    r->joined = 1;
}


ngx_int_t
hub_reader_entry(const hub_t *h, const hub_reader_t *r, hub_entry_t *entry)
{
    hub_stream_t  *s = r->ref.stream;

    if (r->index >= hub_load(&s->head)) {
        return NGX_AGAIN;
    }

    *entry = *hub_entry(h, s, r->index);
    __atomic_thread_fence(__ATOMIC_SEQ_CST);

    return hub_reader_has_row(r) && r->index >= hub_load(&s->first) ? NGX_OK
                                                                    : NGX_DECLINED;
}


ngx_int_t
hub_reader_copy(const hub_t *h, const hub_reader_t *r, uint64_t offset,
    u_char *out, size_t len)
{
    size_t         part;
    uint32_t       block;
    uint64_t       at = offset, end = offset + len;
    hub_stream_t  *s = r->ref.stream;

    while (at < end) {
        part = (size_t) ngx_min(end - at,
                                HUB_BLOCK_SIZE - (at & (HUB_BLOCK_SIZE - 1)));
        block = s->blocks[(at >> HUB_BLOCK_SHIFT) % HUB_STREAM_BLOCKS];

        if (block >= h->header->nblocks) {
            return NGX_DECLINED;
        }

        out = ngx_cpymem(out, h->data + ((size_t) block << HUB_BLOCK_SHIFT)
                              + (at & (HUB_BLOCK_SIZE - 1)), part);
        at += part;
    }

    return hub_stream_holds(r, offset) ? NGX_OK : NGX_DECLINED;
}


ngx_int_t
hub_reader_frame(const hub_t *h, const hub_reader_t *r, const hub_entry_t *e,
    flv_frame_t *frame)
{
    int     rc;
    size_t  n, body = e->size - FLV_TAG_OVERHEAD;
    u_char  head[HUB_FRAME_HEAD];

    if (e->flags & HUB_CONFIG) {
        return NGX_DONE;
    }

    n = ngx_min(body, sizeof(head));

    if (hub_reader_copy(h, r, e->offset + FLV_TAG_HEADER_SIZE, head, n) != NGX_OK) {
        return NGX_DECLINED;
    }

    rc = e->type == FLV_AUDIO ? flv_parse_audio(head, n, frame)
                              : flv_parse_video(head, n, frame);

    return rc != FLV_OK || frame->config || frame->empty || frame->payload >= body
           ? NGX_DONE : NGX_OK;
}


ngx_int_t
hub_reader_config(const hub_reader_t *r, hub_config_t config[HUB_CONFIG_KINDS],
    uint64_t *at)
{
    uint32_t       seq;
    hub_stream_t  *s = r->ref.stream;

    seq = __atomic_load_n(&s->config_seq, __ATOMIC_SEQ_CST);
    ngx_memcpy(config, s->config, sizeof(s->config));
    *at = hub_load(&s->config_at);

    __atomic_thread_fence(__ATOMIC_SEQ_CST);

    return (seq & 1) || __atomic_load_n(&s->config_seq, __ATOMIC_SEQ_CST) != seq
           || !hub_reader_has_row(r) ? NGX_AGAIN : NGX_OK;
}


size_t
hub_reader_prefix(const hub_t *h, const hub_reader_t *r, int header,
    u_char *out)
{
    u_char        *p = out;
    size_t         i, size;
    uint32_t       seq, dts;
    hub_stream_t  *s = r->ref.stream;

    static const uint8_t  types[] = { FLV_SCRIPT, FLV_VIDEO, FLV_AUDIO };

    seq = __atomic_load_n(&s->config_seq, __ATOMIC_SEQ_CST);
    dts = (uint32_t) hub_entry(h, s, r->index)->dts;

    if (header) {
        p += flv_write_header(p, s->config[HUB_CONFIG_AUDIO].size != 0,
                              s->config[HUB_CONFIG_VIDEO].size != 0);
    }

    for (i = 0; i < HUB_CONFIG_KINDS; i++) {
        size = hub_load(&s->config[i].size);

        if (size == 0 || size > HUB_CONFIG_MAX) {
            continue;
        }

        /* ffmpeg takes metadata with a later time for subtitles */
        p += flv_write_tag_header(p, types[i], size,
                                  i == HUB_CONFIG_META ? 0 : dts);
        p = ngx_cpymem(p, s->config[i].body, size);
        p += flv_write_back(p, size);
    }

    __atomic_thread_fence(__ATOMIC_SEQ_CST);

    if ((seq & 1) || __atomic_load_n(&s->config_seq, __ATOMIC_SEQ_CST) != seq
        || !hub_stream_holds(r, r->pos))
    {
        return 0;
    }

    return (size_t) (p - out);
}
