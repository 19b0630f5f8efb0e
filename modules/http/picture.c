#include "picture.h"

#include "../media/mp4.h"

#define PICTURE_DURATION  1000       /* ms; nobody plays it */


ngx_int_t
picture_find(const ngx_str_t *stream, picture_frame_t *frame)
{
    hub_stream_t  *s;

    if (hub_reader_open(hub, stream->data, stream->len, &frame->reader) != NGX_OK) {
        return NGX_DECLINED;
    }

    s = frame->reader.ref.stream;
    frame->life = (int64_t) hub_load(&s->started_utc);

    if (hub_load(&s->state) == HUB_CARRIED) {
        return NGX_DECLINED;                 /* its media are elsewhere */
    }

    /* of a stream with sound alone, every entry is one to join at */
    if (hub_reader_join(&frame->reader) != NGX_OK || frame->reader.blind
        || hub_reader_entry(hub, &frame->reader, &frame->entry) != NGX_OK
        || frame->entry.type != FLV_VIDEO)
    {
        return hub_reader_alive(&frame->reader) ? NGX_AGAIN : NGX_DECLINED;
    }

    return NGX_OK;
}


uint32_t
picture_age(const picture_frame_t *frame)
{
    return (uint32_t) ngx_current_msec - frame->entry.stored_ms;
}


size_t
picture_room(const picture_frame_t *frame)
{
    return MP4_INIT_MAX(HUB_CONFIG_MAX) + MP4_FRAGMENT_MAX(1) + frame->entry.size;
}


/* The video track of the headers in BODY, which must outlive TRACK. */
static ngx_int_t
picture_track(const hub_config_t *body, mp4_track_t *track)
{
    flv_frame_t  header;

    if (body->size > HUB_CONFIG_MAX
        || flv_parse_video(body->body, body->size, &header) != FLV_OK
        || !header.config || header.payload > body->size)
    {
        return NGX_DECLINED;
    }

    return mp4_track(track, header.codec, body->body + header.payload,
                     body->size - header.payload)
           == 0 ? NGX_OK : NGX_DECLINED;
}


ngx_int_t
picture_make(const picture_frame_t *frame, ngx_buf_t *b)
{
    size_t        n;
    uint64_t      at;
    flv_frame_t   tag;
    mp4_run_t     runs[2];
    mp4_track_t   tracks[2];
    mp4_sample_t  sample = { .duration = PICTURE_DURATION, .key = 1 };

    static hub_config_t  config[HUB_CONFIG_KINDS];

    const hub_reader_t  *r = &frame->reader;
    const hub_entry_t   *e = &frame->entry;

    ngx_memzero(tracks, sizeof(tracks));
    ngx_memzero(runs, sizeof(runs));

    if (hub_reader_config(r, config, &at) != NGX_OK || r->index < at
        || picture_track(&config[HUB_CONFIG_VIDEO], &tracks[MP4_VIDEO]) != NGX_OK
        || hub_reader_frame(hub, r, e, &tag) != NGX_OK || !tag.key)
    {
        return NGX_DECLINED;
    }

    sample.size = (uint32_t) hub_frame_size(e, &tag);
    runs[MP4_VIDEO].samples = &sample;
    runs[MP4_VIDEO].n = 1;

    n = mp4_write_init(b->last, (size_t) (b->end - b->last), tracks, NULL);
    b->last += n;

    if (n) {
        n = mp4_write_fragment(b->last, (size_t) (b->end - b->last), 1, runs);
        b->last += n;
    }

    if (n == 0 || (size_t) (b->end - b->last) < sample.size
        || hub_reader_copy(hub, r, e->offset + FLV_TAG_HEADER_SIZE + tag.payload,
                           b->last, sample.size)
           != NGX_OK)
    {
        return NGX_DECLINED;
    }

    b->last += sample.size;

    return NGX_OK;
}
