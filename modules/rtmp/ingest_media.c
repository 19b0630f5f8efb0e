/* What a publisher sends: checked, described, and appended to the hub. */

#include "ingest.h"
#include "../media/avc.h"

#define INGEST_HOLD_MAX   (4 * 1024 * 1024)
#define INGEST_SETS_MAX   512


static void
ingest_fail_codec(ingest_t *in, uint8_t type, const flv_frame_t *frame, int rc,
    size_t len)
{
    char  why[128];

    if (rc == FLV_SHORT) {
        ngx_sprintf((u_char *) why, "%s message of %uz bytes is shorter than "
                    "its header%Z", type == FLV_VIDEO ? "video" : "audio", len);
    } else if (type == FLV_VIDEO) {
        ngx_sprintf((u_char *) why, "video codec %ui is not carried, expected "
                    "7 (H.264), 12 or hvc1 (HEVC)%Z",
                    (ngx_uint_t) frame->codec_id);
    } else {
        ngx_sprintf((u_char *) why, "audio codec %ui is not carried, expected "
                    "10 (AAC)%Z", (ngx_uint_t) frame->codec_id);
    }

    ingest_end(in, NGX_LOG_WARN, "NetStream.Publish.Failed", why);
}


static void
ingest_settle(ingest_t *in, ngx_int_t rc, size_t len)
{
    char         why[128];
    const char  *leaves;

    switch (rc) {

    case NGX_DONE:
        leaves = hub_session_leaves(&in->client);
        ingest_end(in, NGX_LOG_NOTICE, "NetStream.Publish.BadName",
                   leaves ? leaves
                          : "another connection with the same key took over");
        return;

    case NGX_ABORT:
        ngx_sprintf((u_char *) why, "message of %uz bytes is larger than "
                    "hub_stream_max allows%Z", len);
        ingest_end(in, NGX_LOG_WARN, "NetStream.Publish.Failed", why);
        return;

    case NGX_BUSY:
        hub_refuse(hub, HUB_BITRATE);
        ngx_sprintf((u_char *) why, "stream brings more than its %uD kbps for "
                    "too long%Z", in->who.max_kbps);
        ingest_end(in, NGX_LOG_WARN, "NetStream.Publish.Failed", why);
        return;

    case NGX_DECLINED:
        if (!in->starved) {
            in->starved = 1;
            ngx_log_error(NGX_LOG_ERR, in->session->connection->log, 0,
                          "publish %V/%V: hub_zone is full, frames up to the "
                          "next key frame are dropped", &in->session->app,
                          &in->name);
        }
        return;

    case NGX_OK:
        if (!in->writer.wait_key) {
            in->starved = 0;
        }
        return;

    default:                                 /* its GOP lacks the key frame */
        return;
    }
}


static size_t
chain_size(ngx_chain_t *in)
{
    size_t  n = 0;

    for ( ; in; in = in->next) {
        n += in->buf->last - in->buf->pos;
    }

    return n;
}


static size_t
chain_copy(ngx_chain_t *in, u_char *out, size_t max)
{
    size_t   n;
    u_char  *p = out;

    for ( ; in && max; in = in->next) {
        n = ngx_min((size_t) (in->buf->last - in->buf->pos), max);
        p = ngx_cpymem(p, in->buf->pos, n);
        max -= n;
    }

    return p - out;
}


/* Some parsers, ffmpeg's among them, know only the first header of a stream.
 * So what a later one holds is repeated in front of the key frame after it. */
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
        in->sets = ngx_palloc(in->session->connection->pool, INGEST_SETS_MAX);
        if (in->sets == NULL) {
            return;
        }
    }

    ngx_memcpy(in->sets, sets, n);
    in->sets_due = n && (in->sets_size || in->writer.returned);
    in->sets_size = n;
}


typedef struct {
    ngx_buf_t    buf[3];
    ngx_chain_t  link[3];
} ingest_with_sets_t;


/* CHAIN with the parameter sets behind its first SIZE bytes, HEAD. */
static ngx_chain_t *
ingest_put_sets(const ingest_t *in, ingest_with_sets_t *with, u_char *head,
    size_t size, ngx_chain_t *chain)
{
    ngx_memzero(with, sizeof(ingest_with_sets_t));

    with->buf[0].pos = head;
    with->buf[0].last = head + size;
    with->link[0].buf = &with->buf[0];
    with->link[0].next = &with->link[1];

    with->buf[1].pos = in->sets;
    with->buf[1].last = in->sets + in->sets_size;
    with->link[1].buf = &with->buf[1];

    while (chain && (size_t) (chain->buf->last - chain->buf->pos) <= size) {
        size -= chain->buf->last - chain->buf->pos;
        chain = chain->next;
    }

    if (chain) {
        with->buf[2] = *chain->buf;
        with->buf[2].pos += size;
        with->link[2].buf = &with->buf[2];
        with->link[2].next = chain->next;
        with->link[1].next = &with->link[2];
    }

    return &with->link[0];
}


static void
ingest_config(ingest_t *in, uint8_t type, flv_frame_t *frame, uint32_t ts,
    ngx_chain_t *chain, size_t len)
{
    u_char        body[HUB_CONFIG_MAX];
    ngx_int_t     rc;
    avc_config_t  avc = { 0 };

    if (len > sizeof(body)) {
        ingest_end(in, NGX_LOG_WARN, "NetStream.Publish.Failed",
                   "sequence header is longer than 4096 bytes");
        return;
    }

    chain_copy(chain, body, len);

    if (type == FLV_VIDEO) {
        if (frame->codec == FLV_CODEC_H264) {
            if (avc_parse_config(body + frame->payload, len - frame->payload,
                                 &avc) != 0)
            {
                ingest_end(in, NGX_LOG_WARN, "NetStream.Publish.Failed",
                           "H.264 sequence header makes no sense");
                return;
            }

            ingest_keep_sets(in, body + frame->payload, len - frame->payload);
        }

        in->writer.width = (uint16_t) avc.width;
        in->writer.height = (uint16_t) avc.height;
        in->has_video = 1;
        rc = hub_configure(hub, &in->writer, HUB_CONFIG_VIDEO, frame, ts, body,
                           len);
    } else {
        in->has_audio = 1;
        rc = hub_configure(hub, &in->writer, HUB_CONFIG_AUDIO, frame, ts, body,
                           len);
    }

    ingest_settle(in, rc, len);
}


/* Strips what wraps onMetaData for the server; anything else is not kept. */
static void
ingest_meta(ingest_t *in, uint32_t ts, ngx_chain_t *chain, size_t len)
{
    u_char       body[HUB_CONFIG_MAX], *p = body;
    flv_frame_t  frame;

    static const u_char  wrap[] = "\x02\x00\x0d@setDataFrame";
    static const u_char  name[] = "\x02\x00\x0aonMetaData";

    if (len > sizeof(body)) {
        return;
    }

    chain_copy(chain, body, len);

    if (len >= 16 && ngx_memcmp(p, wrap, 16) == 0) {
        p += 16;
        len -= 16;
    }

    if (len < 13 || ngx_memcmp(p, name, 13) != 0) {
        return;
    }

    ngx_memzero(&frame, sizeof(flv_frame_t));
    frame.config = 1;
    (void) hub_configure(hub, &in->writer, HUB_CONFIG_META, &frame, ts, p, len);
}


void
ingest_frame(ingest_t *in, uint8_t type, uint32_t ts, ngx_chain_t *chain)
{
    int                 rc;
    size_t              len, n;
    uint8_t             head[16];
    ngx_int_t           appended;
    flv_frame_t         frame;
    ingest_with_sets_t  with;

    len = chain_size(chain);

    if (type == FLV_SCRIPT) {
        ingest_meta(in, ts, chain, len);
        return;
    }

    if (len == 0) {
        return;                              /* a habit of some encoders */
    }

    in->bytes += len;
    in->client.session->bytes += len;
    in->media_ms = ngx_current_msec;

    n = chain_copy(chain, head, sizeof(head));
    rc = type == FLV_VIDEO ? flv_parse_video(head, n, &frame)
                           : flv_parse_audio(head, n, &frame);

    if (rc != FLV_OK) {
        ingest_fail_codec(in, type, &frame, rc, len);
        return;
    }

    if (frame.empty) {
        return;
    }

    if (frame.config) {
        ingest_config(in, type, &frame, ts, chain, len);
        return;
    }

    if (type == FLV_VIDEO ? !in->has_video : !in->has_audio) {
        return;                              /* nobody could decode it */
    }

    if (in->sets_due && type == FLV_VIDEO && frame.key
        && frame.codec == FLV_CODEC_H264)
    {
        chain = ingest_put_sets(in, &with, head, frame.payload, chain);
        len += in->sets_size;
    }

    appended = hub_append(hub, &in->writer, type, &frame, ts, chain, len);

    if (appended == NGX_OK && type == FLV_VIDEO && frame.key) {
        in->sets_due = 0;
    }

    ingest_settle(in, appended, len);
}


/* --- frames that come before the gate has answered --- */

void
ingest_hold(ingest_t *in, uint8_t type, uint32_t ts, ngx_chain_t *chain)
{
    size_t          len = chain_size(chain);
    ingest_held_t  *held, **last;

    if (in->held_full || in->held_bytes + len > INGEST_HOLD_MAX) {
        in->held_full = 1;
        return;
    }

    held = ngx_palloc(in->held_pool, sizeof(ingest_held_t) + len);
    if (held == NULL) {
        in->held_full = 1;
        return;
    }

    held->next = NULL;
    held->arrived_ms = ngx_current_msec;
    held->type = type;
    held->timestamp = ts;
    held->size = chain_copy(chain, (u_char *) (held + 1), len);
    in->held_bytes += len;

    for (last = &in->held; *last; last = &(*last)->next) { /* void */ }
    *last = held;
}


void
ingest_flush_held(ingest_t *in)
{
    ngx_buf_t       b;
    ngx_chain_t     chain;
    ingest_held_t  *held, *next;

    /* a frame that ends the publisher frees them all */
    for (held = in->held; held && in->state == INGEST_LIVE; held = next) {
        next = held->next;
        ngx_memzero(&b, sizeof(ngx_buf_t));
        b.pos = (u_char *) (held + 1);
        b.last = b.pos + held->size;
        chain.buf = &b;
        chain.next = NULL;
        in->writer.arrived_ms = held->arrived_ms;
        ingest_frame(in, held->type, held->timestamp, &chain);
    }

    in->held = NULL;
    in->writer.arrived_ms = 0;

    if (in->held_full) {
        in->writer.wait_key = 1;
    }

    if (in->held_pool) {
        ngx_destroy_pool(in->held_pool);
        in->held_pool = NULL;
    }
}
