#include "hls_pack.h"

#include "hls_store.h"

static part_t  packager;             /* of one part at a time */


/* Gives entry E of the part to the packager. */
static ngx_int_t
pack_entry(const hub_reader_t *r, const hub_segment_t *record,
    const hub_entry_t *e, int *keys)
{
    int          kind = e->type == FLV_AUDIO ? MP4_AUDIO : MP4_VIDEO;
    ngx_int_t    rc;
    flv_frame_t  frame;

    if (e->flags & HUB_HIDDEN) {
        return NGX_OK;
    }

    rc = hub_reader_frame(hub, r, e, &frame);
    if (rc != NGX_OK) {
        return rc == NGX_DONE ? NGX_OK : rc;
    }

    if (part_add(&packager, kind, e->dts - record->skip, e->cts,
                 kind == MP4_VIDEO && frame.key,
                 (uint32_t) hub_frame_size(e, &frame),
                 e->offset + FLV_TAG_HEADER_SIZE + frame.payload)
        == 0
        && kind == MP4_VIDEO)
    {
        *keys = ngx_max(*keys, (int) frame.key);
    }

    return NGX_OK;
}


ngx_int_t
hls_pack_part(const hls_stream_t *st, const hub_segment_t *record, hls_part_t *part,
    size_t *size, part_state_t *after)
{
    int                keys = -1;  /* is a picture a key frame?  -1: there is none */
    ngx_int_t          rc;
    hub_entry_t        e;
    mp4_track_t        tracks[2];
    hub_reader_t       r = st->reader;
    const hub_init_t  *headers = hls_store_headers(st, record->init);

    if (headers == NULL) {
        return NGX_DECLINED;
    }

    hls_store_tracks(headers, tracks);
    part_begin(&packager, tracks, &part->state);

    for (r.index = part->index; r.index < part->after; r.index++) {
        rc = hub_reader_entry(hub, &r, &e);

        if (rc == NGX_OK) {
            rc = pack_entry(&r, record, &e, &keys);
        }

        if (rc != NGX_OK) {
            return NGX_DECLINED;
        }

        if (r.index == part->index) {
            part->key = (e.flags & HUB_KEY) != 0;
        }
    }

    if (keys != -1) {
        part->key = keys;
    }

    /* the index of its first entry grows from part to part, in all workers */
    *size = part_end(&packager, (uint32_t) part->index + 1,
                     part->next, part->to_picture, after);

    return *size ? NGX_OK : NGX_DECLINED;
}


ngx_int_t
hls_pack_bytes(const hls_stream_t *st, const hub_segment_t *record, hls_part_t *part)
{
    size_t               size;
    uint32_t             i;
    hls_bytes_t         *bytes;
    part_state_t         after;
    const part_frame_t  *frame;

    if (hls_pack_part(st, record, part, &size, &after) != NGX_OK) {
        return NGX_DECLINED;
    }

    bytes = hls_bytes_new(size);
    if (bytes == NULL) {
        return NGX_BUSY;
    }

    ngx_memcpy(bytes->data, packager.head, packager.head_size);

    for (i = 0; i < packager.n; i++) {
        frame = &packager.frames[i];

        if (hub_reader_copy(hub, &st->reader, frame->from, bytes->data + frame->at,
                            frame->size)
            != NGX_OK)
        {
            hls_bytes_give(bytes);
            return NGX_DECLINED;
        }
    }

    hls_bytes_offer(bytes, &part->bytes);
    (void) hub_add(&hub->header->hls_parts, 1);
    (void) hub_add(&hub->header->hls_frames, packager.n);

    return NGX_OK;
}
