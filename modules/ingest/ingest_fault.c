/* Messages that cannot be carried: ingest skips them and logs that once, or
 * ends the publisher. */

#include "ingest_end.h"
#include "ingest_message.h"

#define INGEST_BAD_MS  5000          /* a track with only bad messages ends IN */


void
ingest_skip(ingest_t *in, uint8_t type, const char *why)
{
    ingest_track_t  *t = ingest_track(in, type);

    in->uncarried = 1;
    ngx_cpystrn((u_char *) in->skip_why, (u_char *) why, sizeof(in->skip_why));

    if (in->skipped++ == 0) {
        ngx_log_error(NGX_LOG_WARN, in->connection->log, 0,
                      "publish %V/%V: message skipped: %s; further ones are "
                      "only counted", &in->app, &in->name, why);
    }

    if (t->bad_since == 0 || ngx_current_msec - t->bad_last > INGEST_BAD_MS) {
        t->bad_since = ngx_current_msec;
    }

    t->bad_last = ngx_current_msec;

    if (t->bad_last - t->bad_since >= INGEST_BAD_MS) {
        ingest_end(in, NGX_LOG_WARN, INGEST_MEDIA_UNFIT, why);
    }
}


/* Writes the codec as the publisher named it: a FourCC or a number. */
static void
ingest_codec_text(uint32_t fourcc, uint8_t id, u_char text[8])
{
    int     i;
    u_char  c;

    if (fourcc == 0) {
        ngx_sprintf(text, "%ui%Z", (ngx_uint_t) id);
        return;
    }

    for (i = 0; i < 4; i++) {
        c = (u_char) (fourcc >> (24 - 8 * i));
        text[i] = c > 0x20 && c < 0x7f ? c : '?';
    }

    text[4] = '\0';
}


void
ingest_not_carried(ingest_t *in, const ingest_message_t *m, int rc)
{
    u_char              why[INGEST_WHY], codec[8];
    const char         *name, *track = m->type == FLV_VIDEO ? "video" : "audio";
    const flv_frame_t  *frame = &m->frame;

    if (rc == FLV_SHORT) {
        ngx_sprintf(why, "%s message of %uz bytes is shorter than its header%Z",
                    track, m->len);
        ingest_skip(in, m->type, (char *) why);
        return;
    }

    ingest_codec_text(frame->fourcc, frame->codec_id, codec);
    name = flv_packet_name(m->type, frame);

    if (frame->codec != FLV_CODEC_NONE) {
        ngx_sprintf(why, "%s packet type %ui%s%s%s of codec %s is not "
                    "carried%Z", track, (ngx_uint_t) frame->packet,
                    name ? " (" : "", name ? name : "", name ? ")" : "",
                    codec);
        ingest_skip(in, m->type, (char *) why);
        return;
    }

    if (frame->fourcc == 0) {
        name = flv_codec_id_name(m->type, frame->codec_id);
    }

    ngx_sprintf(why, "%s codec %s is not carried%s%s%s%s, expected %s%Z",
                track, codec, name ? " (" : "",
                name && frame->fourcc ? "packet type " : "", name ? name : "",
                name ? ")" : "",
                m->type == FLV_VIDEO ? "H.264 (7, avc1) or H.265 (12, hvc1)"
                                     : "AAC (10, mp4a)");

    if (ingest_track(in, m->type)->ready) {
        ingest_skip(in, m->type, (char *) why);
    } else {
        ingest_end(in, NGX_LOG_WARN, INGEST_MEDIA_UNFIT, (char *) why);
    }
}


void
ingest_drop_frame(ingest_t *in, uint8_t type)
{
    ingest_track_t  *t = ingest_track(in, type);

    in->uncarried = 1;

    if (t->why == NULL) {
        t->why = type == FLV_VIDEO
                 ? "pictures came without sequence header and parameter sets"
                 : "sound came without sequence header, and is not ADTS";
    }

    if (!t->drop_logged) {
        t->drop_logged = 1;
        ngx_log_error(NGX_LOG_WARN, in->connection->log, 0,
                      "publish %V/%V: %s dropped: %s", &in->app,
                      &in->name, type == FLV_VIDEO ? "pictures are" : "sound is",
                      t->why);
    }
}


void
ingest_other_track(ingest_t *in, const ingest_message_t *m)
{
    u_char           codec[8];
    ingest_track_t  *t = ingest_track(in, m->type);

    if (!t->ready && t->why == NULL) {
        t->why = "no track 0 came";
    }

    if (t->others_logged) {
        return;
    }

    t->others_logged = 1;
    ingest_codec_text(m->frame.other_fourcc, 0, codec);
    ngx_log_error(NGX_LOG_WARN, in->connection->log, 0,
                  "publish %V/%V: %s of track %ui (%s) is dropped, only track 0 "
                  "is carried", &in->app, &in->name,
                  m->type == FLV_VIDEO ? "video" : "audio",
                  (ngx_uint_t) m->frame.other, codec);
}


void
ingest_settle(ingest_t *in, uint8_t type, ngx_int_t rc, size_t len)
{
    char         why[INGEST_WHY];
    const char  *leaves;

    switch (rc) {

    case NGX_DONE:
        leaves = hub_session_leaves(&in->client);
        ingest_end(in, NGX_LOG_NOTICE, INGEST_NAME_DENIED,
                   leaves ? leaves
                          : "another connection with the same key took over");
        return;

    case NGX_ABORT:
        ngx_sprintf((u_char *) why, "message of %uz bytes is larger than "
                    "hub_stream_max allows%Z", len);
        in->writer.wait_key |= type == FLV_VIDEO;    /* its GOP has a hole */
        ingest_skip(in, type, why);
        return;

    case NGX_BUSY:
        hub_refuse(hub, HUB_BITRATE);
        ngx_sprintf((u_char *) why, "stream exceeds its limit of %uD kbps for "
                    "too long%Z", in->identity.max_kbps);
        ingest_end(in, NGX_LOG_WARN, INGEST_MEDIA_UNFIT, why);
        return;

    case NGX_DECLINED:
        if (!in->starved) {
            in->starved = 1;
            ngx_log_error(NGX_LOG_ERR, in->connection->log, 0,
                          "publish %V/%V: hub_zone is full, frames up to the "
                          "next key frame are dropped", &in->app,
                          &in->name);
        }
        break;

    case NGX_OK:
        if (!in->writer.wait_key) {
            in->starved = 0;
        }
        break;

    default:                                 /* dropped: its key frame is missing */
        break;
    }

    ingest_track(in, type)->bad_since = 0;
}
