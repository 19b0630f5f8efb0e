/*
 * Recordings as FLV: the stream's tags unchanged, but with times from the file's
 * start.  There is no index file: onMetaData lists the key frames, and is
 * rewritten while the file grows and when it is closed.
 */

#include "recorder.h"

#define FLV_KEYS_MS  10000           /* interval of key frame updates */


static ngx_int_t
flv_head(recorder_t *rec, hub_config_t *config)
{
    int          kind;
    u_char      *p;
    dvr_buf_t   *head = &rec->job.head;
    flv_meta_t  *meta;
    mp4_track_t  tracks[2];

    dvr_track(&tracks[MP4_VIDEO], MP4_VIDEO, &config[HUB_CONFIG_VIDEO]);
    dvr_track(&tracks[MP4_AUDIO], MP4_AUDIO, &config[HUB_CONFIG_AUDIO]);

    if (tracks[MP4_VIDEO].codec == FLV_CODEC_NONE
        && tracks[MP4_AUDIO].codec == FLV_CODEC_NONE)
    {
        return NGX_DECLINED;
    }

    if (rec->flv == NULL) {
        rec->flv = malloc(sizeof(flv_file_t));
    }

    head->len = 0;
    p = rec->flv ? dvr_buf_room(head, FLV_MEDIA_AT + 2 * (HUB_CONFIG_MAX
                                                          + FLV_TAG_OVERHEAD))
                 : NULL;
    if (p == NULL) {
        return NGX_ERROR;
    }

    flv_file_init(rec->flv);
    meta = &rec->flv->meta;
    meta->session = rec->session;

    for (kind = 0; kind < 2; kind++) {
        flv_meta_header(meta, kind ? FLV_AUDIO : FLV_VIDEO,
                        config[HUB_CONFIG_VIDEO + kind].body,
                        config[HUB_CONFIG_VIDEO + kind].size);
    }

    p += flv_write_header(p, meta->audio != 0, meta->video != 0);
    p += flv_write_meta(p, rec->flv);

    for (kind = 0; kind < 2; kind++) {
        hub_config_t  *c = &config[HUB_CONFIG_VIDEO + kind];

        if (tracks[kind].codec != FLV_CODEC_NONE) {
            p += flv_write_tag_header(p, kind ? FLV_AUDIO : FLV_VIDEO, c->size,
                                      0);
            p = ngx_cpymem(p, c->body, c->size);
            p += flv_write_back(p, c->size);
        }
    }

    head->len = (size_t) (p - head->data);
    fragment_init(&rec->fragment, tracks);

    return NGX_OK;
}


/* Adds the whole tag: audio and video go to one buffer, in the stream's order. */
static ngx_int_t
flv_add(recorder_t *rec, int kind, const hub_entry_t *e,
    const flv_frame_t *frame)
{
    u_char     *p;
    dvr_buf_t  *b = &rec->media[0];
    uint32_t    time = (uint32_t) (e->dts - rec->base);

    p = dvr_buf_room(b, e->size);
    if (p == NULL) {
        return NGX_ERROR;
    }

    if (hub_reader_copy(hub, &rec->reader, e->offset, p, e->size) != NGX_OK) {
        return NGX_DECLINED;
    }

    (void) flv_write_tag_header(p, e->type, e->size - FLV_TAG_OVERHEAD, time);

    rec->flv->meta.last = ngx_max(rec->flv->meta.last, time);

    if (kind == MP4_VIDEO && frame->key) {
        flv_keys_add(&rec->flv->keys, time, rec->at.size + b->len);
    }

    b->len += e->size;

    return NGX_OK;
}


/* Makes the job overwrite the file's onMetaData. */
static ngx_int_t
flv_patch(recorder_t *rec)
{
    u_char     *p;
    dvr_buf_t  *patch = &rec->job.patch;

    patch->len = 0;
    p = dvr_buf_room(patch, FLV_META_SIZE);

    if (p == NULL) {
        return NGX_ERROR;
    }

    patch->len = flv_write_meta(p, rec->flv);
    rec->job.patch_at = FLV_HEADER_SIZE;

    return NGX_OK;
}


/* A fragment of FLV has no head.  Players seek in a growing file by the key frames
 * in its onMetaData, so rewrite that every FLV_KEYS_MS. */
static ngx_int_t
flv_seal(recorder_t *rec, int64_t next)
{
    rec->job.head.len = 0;
    fragment_clear(&rec->fragment);

    if (rec->at.end - rec->keys_at < FLV_KEYS_MS) {
        return NGX_OK;
    }

    rec->keys_at = rec->at.end;

    return flv_patch(rec);
}


static ngx_int_t
flv_finish(recorder_t *rec)
{
    /* drop keys of fragments that were not written */
    flv_keys_cut(&rec->flv->keys, rec->at.size);

    rec->flv->meta.duration = (uint64_t) rec->at.end;
    rec->flv->meta.size = rec->at.size;

    return flv_patch(rec);
}


static void
flv_resume(recorder_t *rec)
{
    free(rec->flv);
    rec->flv = rec->job.recovered.flv;
    rec->job.recovered.flv = NULL;
}


const dvr_format_t  dvr_format_flv = {
    "flv", 0, flv_head, flv_add, flv_seal, flv_finish, flv_resume
};
