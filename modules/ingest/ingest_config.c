/* Sequence headers: those that a publisher sends, and those that ingest makes
 * from the publisher's frames. */

#include "ingest_message.h"
#include "../media/avc.h"
#include "../media/hevc.h"
#include "../media/nal.h"

#define INGEST_SETS_MAX   512
#define INGEST_CONFIG     (FLV_PLAIN_MAX + HUB_CONFIG_MAX)


/* Some parsers, such as ffmpeg's, read only the first header of a stream, so the
 * parameter sets of a later one are repeated before the next key frame. */
static void
ingest_keep_sets(ingest_t *in, const u_char *record, size_t len)
{
    size_t  n;
    u_char  sets[INGEST_SETS_MAX];

    n = avc_parameter_sets(record, len, sets, sizeof(sets));

    if (n == in->sets_size && (n == 0 || ngx_memcmp(sets, in->sets, n) == 0)) {
        return;
    }

    if (in->sets == NULL) {
        in->sets = ngx_palloc(in->connection->pool, INGEST_SETS_MAX);
        if (in->sets == NULL) {
            return;
        }
    }

    ngx_memcpy(in->sets, sets, n);
    in->sets_due = n && (in->sets_size || in->writer.returned);
    in->sets_size = n;
}


/* Stores the header in BODY, with codec data from FRAME->payload on, in the hub, and
 * makes the track ready. */
static ngx_int_t
ingest_set_config(ingest_t *in, const ingest_message_t *m, flv_frame_t *frame,
    const u_char *body, size_t len)
{
    ngx_int_t        rc;
    ingest_track_t  *t = ingest_track(in, m->type);

    if (!t->ready && t->drop_logged) {
        ngx_log_error(NGX_LOG_NOTICE, in->connection->log, 0,
                      "publish %V/%V: %s a sequence header now",
                      &in->app, &in->name,
                      m->type == FLV_VIDEO ? "pictures have" : "sound has");
    }

    t->ready = 1;
    t->why = NULL;

    rc = hub_configure(hub, &in->writer,
                       m->type == FLV_VIDEO ? HUB_CONFIG_VIDEO
                                            : HUB_CONFIG_AUDIO,
                       frame, body, len);
    ingest_settle(in, m->type, rc, len);

    return in->state == INGEST_LIVE ? NGX_OK : NGX_DONE;
}


/* Reads a record.  Returns 0, or -1 when it makes no sense. */
static int
ingest_read_config(ingest_t *in, enum flv_codec codec, const u_char *record,
    size_t size)
{
    avc_config_t   avc;
    aac_config_t   aac;
    hevc_config_t  hevc;

    switch (codec) {

    case FLV_CODEC_H264:
        if (avc_parse_config(record, size, &avc) != 0) {
            return -1;
        }

        in->prefix = avc.prefix;
        in->writer.width = (uint16_t) avc.width;
        in->writer.height = (uint16_t) avc.height;
        return 0;

    case FLV_CODEC_HEVC:
        if (hevc_parse_config(record, size, &hevc) != 0) {
            return -1;
        }

        in->prefix = hevc.prefix;
        in->writer.width = (uint16_t) hevc.width;
        in->writer.height = (uint16_t) hevc.height;
        return 0;

    default:
        return aac_parse_config(record, size, &aac);
    }
}


/* Handles an unusable header: the previous one stays in use; without one,
 * ingest may make one from the frames. */
static void
ingest_bad_config(ingest_t *in, const ingest_message_t *m)
{
    const char      *why;
    ingest_track_t  *t = ingest_track(in, m->type);

    static const char *const  nonsense[] = {
        [FLV_CODEC_H264] = "H.264 sequence header makes no sense",
        [FLV_CODEC_HEVC] = "H.265 sequence header makes no sense",
        [FLV_CODEC_AAC] = "AAC sequence header makes no sense"
    };
    static const char *const  empty[] = {
        [FLV_CODEC_H264] = "H.264 sequence header is empty",
        [FLV_CODEC_HEVC] = "H.265 sequence header is empty",
        [FLV_CODEC_AAC] = "AAC sequence header is empty"
    };

    why = (m->frame.payload < m->len ? nonsense : empty)[m->frame.codec];

    if (t->ready) {
        ingest_skip(in, m->type, why);
    } else {
        t->why = why;
        in->uncarried = 1;
    }
}


/* Writes the body of a sequence header for M: a plain head, then RECORD. */
static size_t
ingest_write_config(const ingest_message_t *m, flv_frame_t *frame, u_char *body,
    const u_char *record, size_t size)
{
    *frame = m->frame;
    frame->config = frame->key = 1;
    frame->cts = 0;
    frame->payload = flv_write_plain(body, frame);
    ngx_memmove(body + frame->payload, record, size);

    return frame->payload + size;
}


static size_t
ingest_make_record(enum flv_codec codec, const u_char *row, size_t size,
    unsigned prefix, u_char *record, size_t max)
{
    return codec == FLV_CODEC_H264
           ? avc_make_config(row, size, prefix, record, max)
           : hevc_make_config(row, size, prefix, record, max);
}


void
ingest_config(ingest_t *in, ingest_message_t *m)
{
    u_char           body[INGEST_CONFIG], made[HUB_CONFIG_MAX];
    size_t           size = m->len - m->frame.payload, len = m->len;
    flv_frame_t      frame = m->frame;
    const u_char    *record = m->head + m->frame.payload;
    ingest_track_t  *t = ingest_track(in, m->type);

    if (m->len > m->size                     /* its bytes are not contiguous */
        || (frame.fancy ? FLV_PLAIN_MAX : m->frame.payload) + size
           > HUB_CONFIG_MAX)
    {
        ingest_skip(in, m->type, "sequence header is longer than 4096 bytes");
        return;
    }

    if (m->type == FLV_VIDEO && nal_has_start_codes(record, size)) {
        size = ingest_make_record(frame.codec, record, size, NAL_START_CODES,
                                  made, sizeof(made) - FLV_PLAIN_MAX);
        record = made;
        frame.fancy = 1;
    }

    if (ingest_read_config(in, frame.codec, record, size) != 0) {
        ingest_bad_config(in, m);
        return;
    }

    if (frame.codec == FLV_CODEC_H264) {
        ingest_keep_sets(in, record, size);
    }

    if (frame.fancy) {
        len = ingest_write_config(m, &frame, body, record, size);
    }

    t->made = 0;
    (void) ingest_set_config(in, m, &frame, m->frame.fancy || record == made
                                            ? body : m->head, len);
}


ngx_int_t
ingest_make_video_config(ingest_t *in, const ingest_message_t *m,
    const u_char *row, size_t size)
{
    u_char           body[INGEST_CONFIG], record[HUB_CONFIG_MAX];
    size_t           len;
    flv_frame_t      frame;
    ingest_track_t  *t = ingest_track(in, FLV_VIDEO);

    len = ingest_make_record(m->frame.codec, row, size, 4, record,
                             sizeof(record) - FLV_PLAIN_MAX);

    if (len == 0
        || ingest_read_config(in, m->frame.codec, record, len) != 0)
    {
        return NGX_OK;
    }

    t->made = 1;
    in->sets_size = in->sets_due = 0;        /* each key frame already has them */
    len = ingest_write_config(m, &frame, body, record, len);

    return ingest_set_config(in, m, &frame, body, len);
}


ngx_int_t
ingest_adts_config(ingest_t *in, const ingest_message_t *m,
    const aac_adts_t *adts)
{
    u_char           body[FLV_PLAIN_MAX + sizeof(adts->record)];
    size_t           len;
    flv_frame_t      frame;
    ingest_track_t  *t = ingest_track(in, FLV_AUDIO);

    if (t->ready
        && (!t->made || ngx_memcmp(in->adts, adts->record, 2) == 0))
    {
        return NGX_OK;
    }

    t->made = 1;
    ngx_memcpy(in->adts, adts->record, 2);
    len = ingest_write_config(m, &frame, body, adts->record, 2);

    return ingest_set_config(in, m, &frame, body, len);
}
