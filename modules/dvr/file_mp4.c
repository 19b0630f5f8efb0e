/*
 * Recordings as fragmented MP4, with their index.
 */

#include "recorder.h"


void
dvr_track(mp4_track_t *track, int kind, const hub_config_t *config)
{
    int          rc;
    flv_frame_t  frame;

    ngx_memzero(track, sizeof(mp4_track_t));

    rc = kind == MP4_VIDEO ? flv_parse_video(config->body, config->size, &frame)
                           : flv_parse_audio(config->body, config->size, &frame);

    if (rc != FLV_OK || !frame.config
        || mp4_track(track, frame.codec, config->body + frame.payload,
                     config->size - frame.payload) != 0)
    {
        ngx_memzero(track, sizeof(mp4_track_t));
    }
}


static ngx_int_t
mp4_head(recorder_t *rec, hub_config_t *config)
{
    u_char      *p;
    size_t       max;
    dvr_buf_t   *head = &rec->job.head;
    mp4_track_t  tracks[2];

    dvr_track(&tracks[MP4_VIDEO], MP4_VIDEO, &config[HUB_CONFIG_VIDEO]);
    dvr_track(&tracks[MP4_AUDIO], MP4_AUDIO, &config[HUB_CONFIG_AUDIO]);

    if (tracks[MP4_VIDEO].codec == FLV_CODEC_NONE
        && tracks[MP4_AUDIO].codec == FLV_CODEC_NONE)
    {
        return NGX_DECLINED;
    }

    max = MP4_INIT_MAX(tracks[0].config_size + tracks[1].config_size);
    head->len = 0;
    p = dvr_buf_room(head, max);

    if (p == NULL) {
        return NGX_ERROR;
    }

    head->len = mp4_write_init(p, max, tracks, &rec->duration_at);
    fragment_init(&rec->fragment, tracks);

    return head->len ? NGX_OK : NGX_DECLINED;
}


static ngx_int_t
mp4_add(recorder_t *rec, int kind, const hub_entry_t *e,
    const flv_frame_t *frame)
{
    u_char     *p;
    size_t      len = hub_frame_size(e, frame);
    dvr_buf_t  *b = &rec->media[kind];

    p = dvr_buf_room(b, len);
    if (p == NULL) {
        return NGX_ERROR;
    }

    if (hub_reader_copy(hub, &rec->reader,
                        e->offset + FLV_TAG_HEADER_SIZE + frame->payload, p,
                        len)
        != NGX_OK)
    {
        return NGX_DECLINED;
    }

    b->len += len;

    return NGX_OK;
}


static ngx_int_t
mp4_seal(recorder_t *rec, int64_t next)
{
    u_char     *p;
    dvr_buf_t  *head = &rec->job.head;

    head->len = 0;
    p = dvr_buf_room(head, FRAGMENT_HEAD_MAX);

    if (p == NULL) {
        return NGX_ERROR;
    }

    head->len = fragment_write(&rec->fragment, rec->at.sequence + 1, next, p);

    return head->len ? NGX_OK : NGX_ERROR;
}


/* The duration in mehd: without it players scan the file. */
static ngx_int_t
mp4_finish(recorder_t *rec)
{
    int         i;
    u_char     *p;
    dvr_buf_t  *patch = &rec->job.patch;

    patch->len = 0;
    p = dvr_buf_room(patch, 8);

    if (p == NULL) {
        return NGX_ERROR;
    }

    for (i = 0; i < 8; i++) {
        p[i] = (u_char) ((uint64_t) rec->at.end >> (56 - 8 * i));
    }

    patch->len = 8;
    rec->job.patch_at = rec->duration_at;

    return NGX_OK;
}


static void
mp4_resume(recorder_t *rec)
{
    rec->duration_at = rec->job.recovered.duration_at;
}


const dvr_format_t  dvr_format_mp4 = {
    "mp4", 1, mp4_head, mp4_add, mp4_seal, mp4_finish, mp4_resume
};
