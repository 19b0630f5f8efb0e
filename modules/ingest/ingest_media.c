/* A publisher's media: ingest checks it, converts it to a form that every
 * player accepts, and appends it to the hub. */

#include "ingest_message.h"
#include "../media/aac.h"
#include "../media/avc.h"
#include "../media/hevc.h"
#include "../media/nal.h"

#define INGEST_ADTS_MAX   512        /* frames of a message: 12 s */
#define INGEST_HEAD       HUB_CONFIG_MAX    /* bytes of a message for parsing */


size_t
chain_size(ngx_chain_t *in)
{
    size_t  n = 0;

    for ( ; in; in = in->next) {
        n += in->buf->last - in->buf->pos;
    }

    return n;
}


size_t
chain_copy(ngx_chain_t *in, size_t at, u_char *out, size_t max)
{
    size_t   n;
    u_char  *p = out;

    for ( ; in && max; in = in->next) {
        n = in->buf->last - in->buf->pos;

        if (at >= n) {
            at -= n;
            continue;
        }

        n = ngx_min(n - at, max);
        p = ngx_cpymem(p, in->buf->pos + at, n);
        max -= n;
        at = 0;
    }

    return p - out;
}


/* Replaces the body of M by SIZE contiguous bytes. */
static void
message_set_body(ingest_message_t *m, ngx_buf_t *b, ngx_chain_t *link,
    u_char *body, size_t size)
{
    ngx_memzero(b, sizeof(ngx_buf_t));
    b->pos = body;
    b->last = body + size;
    link->buf = b;
    link->next = NULL;

    m->chain = link;
    m->len = size;
    m->head = body;
    m->size = size;
}


typedef struct {
    ngx_buf_t    buf[3];
    ngx_chain_t  link[3];
} ingest_parts_t;


static ngx_chain_t *
parts_add(ingest_parts_t *parts, ngx_uint_t n, u_char *data, size_t size)
{
    ngx_memzero(&parts->buf[n], sizeof(ngx_buf_t));
    parts->buf[n].pos = data;
    parts->buf[n].last = data + size;
    parts->link[n].buf = &parts->buf[n];
    parts->link[n].next = NULL;

    if (n) {
        parts->link[n - 1].next = &parts->link[n];
    }

    return &parts->link[n];
}


/* Makes a chain of HEAD (N bytes), SETS if there are any, and CHAIN without its
 * first SKIP bytes. */
static ngx_chain_t *
parts_put(ingest_parts_t *parts, const u_char *head, size_t n,
    const u_char *sets, size_t sets_size, ngx_chain_t *chain, size_t skip)
{
    ngx_uint_t    used = 0;
    ngx_chain_t  *last;

    (void) parts_add(parts, used++, (u_char *) head, n);

    if (sets_size) {
        (void) parts_add(parts, used++, (u_char *) sets, sets_size);
    }

    while (chain && (size_t) (chain->buf->last - chain->buf->pos) <= skip) {
        skip -= chain->buf->last - chain->buf->pos;
        chain = chain->next;
    }

    if (chain) {
        last = parts_add(parts, used, chain->buf->pos + skip,
                         chain->buf->last - chain->buf->pos - skip);
        last->next = chain->next;
    }

    return &parts->link[0];
}


/* Appends a frame of a track that has its header. */
static void
ingest_append(ingest_t *in, ingest_message_t *m)
{
    size_t           n = m->frame.payload, len = m->len, sets = 0;
    u_char           plain[FLV_PLAIN_MAX];
    ngx_int_t        rc;
    ngx_chain_t     *chain = m->chain;
    const u_char    *head = m->head;
    ingest_parts_t   parts;

    if (in->sets_due && m->type == FLV_VIDEO && m->frame.key
        && m->frame.codec == FLV_CODEC_H264)
    {
        sets = in->sets_size;
    }

    if (m->frame.fancy) {
        n = flv_write_plain(plain, &m->frame);
        head = plain;
    }

    if (m->frame.fancy || sets) {
        chain = parts_put(&parts, head, n, in->sets, sets, chain,
                          m->frame.payload);
        len = n + sets + len - m->frame.payload;
    }

    rc = hub_append(hub, &in->writer, m->type, &m->frame, m->timestamp, chain,
                    len);

    if (rc == NGX_OK && m->type == FLV_VIDEO && m->frame.key) {
        in->sets_due = 0;
    }

    if (rc != NGX_ABORT) {
        in->media_ms = ngx_current_msec;
        in->uncarried = 0;
    }

    ingest_settle(in, m->type, rc, len);
}


/* Strips the @setDataFrame wrapper off onMetaData; drops any other script. */
static void
ingest_meta(ingest_t *in, ngx_chain_t *chain, size_t len)
{
    u_char       body[HUB_CONFIG_MAX], *p = body;
    flv_frame_t  frame;

    static const u_char  wrap[] = "\x02\x00\x0d@setDataFrame";
    static const u_char  name[] = "\x02\x00\x0aonMetaData";

    if (len > sizeof(body)) {
        return;
    }

    chain_copy(chain, 0, body, len);

    if (len >= 16 && ngx_memcmp(p, wrap, 16) == 0) {
        p += 16;
        len -= 16;
    }

    if (len < 13 || ngx_memcmp(p, name, 13) != 0) {
        return;
    }

    ngx_memzero(&frame, sizeof(flv_frame_t));
    frame.config = 1;
    (void) hub_configure(hub, &in->writer, HUB_CONFIG_META, &frame, p, len);
}


static void
ingest_pictures(ingest_t *in, ingest_message_t *m)
{
    size_t           size = ngx_min(m->size, m->len) - m->frame.payload;
    const u_char    *row = m->head + m->frame.payload;
    ingest_track_t  *t = ingest_track(in, FLV_VIDEO);

    if ((!t->ready || t->made)
        && ingest_make_video_config(in, m, row, size) != NGX_OK)
    {
        return;
    }

    if (!t->ready) {
        ingest_drop_frame(in, FLV_VIDEO);
        return;
    }

    /* some encoders never flag key frames, so look for an IDR picture; keep the
     * flag where it is set: intra refresh has key frames without IDR */
    if (!m->frame.key
        && (m->frame.codec == FLV_CODEC_H264
            ? avc_has_idr(row, size, in->prefix)
            : hevc_has_irap(row, size, in->prefix)))
    {
        m->frame.key = 1;
        m->frame.fancy = 1;
    }

    ingest_append(in, m);
}


/* Replaces start codes in front of NAL units with lengths. */
static void
ingest_start_codes(ingest_t *in, ingest_message_t *m)
{
    size_t             size = m->len - m->frame.payload, n, max;
    u_char            *units, *body;
    ngx_buf_t          b;
    ngx_chain_t        link;
    ingest_message_t   out = *m;

    max = FLV_PLAIN_MAX + NAL_LENGTHS_MAX(size);
    units = ngx_alloc(size + max, in->connection->log);
    if (units == NULL) {
        return;
    }

    (void) chain_copy(m->chain, m->frame.payload, units, size);

    body = units + size;
    n = flv_write_plain(body, &m->frame);
    out.frame.payload = n;
    n += nal_to_lengths(units, size, body + n, max - n);

    if (n == out.frame.payload) {            /* start codes without NAL units */
        ngx_free(units);
        return;
    }

    message_set_body(&out, &b, &link, body, n);

    ingest_pictures(in, &out);
    ngx_free(units);
}


static void
ingest_video(ingest_t *in, ingest_message_t *m)
{
    if (in->prefix == 4
        && nal_has_start_codes(m->head + m->frame.payload,
                               ngx_min(m->size, m->len) - m->frame.payload))
    {
        ingest_start_codes(in, m);
        return;
    }

    ingest_pictures(in, m);
}


/* Takes ADTS frames: makes the track's header from their heads, which it
 * strips. */
static void
ingest_adts(ingest_t *in, ingest_message_t *m)
{
    size_t             n, at = m->frame.payload;
    uint32_t           frames = 0;
    uint8_t            head[AAC_ADTS_MAX];
    aac_adts_t         adts;
    ingest_message_t   single = *m;

    while (at < m->len && in->state == INGEST_LIVE) {
        n = chain_copy(m->chain, at, head, ngx_min(sizeof(head), m->len - at));

        if (aac_parse_adts(head, n, &adts) != 0 || adts.size > m->len - at) {
            ingest_skip(in, FLV_AUDIO,
                        "audio message whose ADTS frames do not fill it");
            return;
        }

        if (frames == INGEST_ADTS_MAX) {
            ingest_skip(in, FLV_AUDIO, "audio message of more than 512 ADTS "
                        "frames");
            return;
        }

        if (ingest_adts_config(in, m, &adts) != NGX_OK) {
            return;
        }

        single.frame.fancy = 1;
        single.frame.payload = at + adts.head;
        single.len = at + adts.size;
        single.timestamp = m->timestamp
                           + (uint32_t) ((uint64_t) frames * AAC_FRAME * 1000
                                         / adts.rate);
        ingest_append(in, &single);

        at += adts.size;
        frames++;
    }
}


/* Copies a message in many buffers first: chain_copy() would search each frame
 * from the first buffer on. */
static void
ingest_adts_copy(ingest_t *in, ingest_message_t *m)
{
    u_char            *body;
    ngx_buf_t          b;
    ngx_chain_t        link;
    ingest_message_t   copy = *m;

    body = ngx_alloc(m->len, in->connection->log);
    if (body == NULL) {
        return;
    }

    (void) chain_copy(m->chain, 0, body, m->len);
    message_set_body(&copy, &b, &link, body, m->len);
    ingest_adts(in, &copy);
    ngx_free(body);
}


static void
ingest_audio(ingest_t *in, ingest_message_t *m)
{
    aac_adts_t  adts;

    if (aac_parse_adts(m->head + m->frame.payload,
                       ngx_min(m->size, m->len) - m->frame.payload, &adts)
        == 0)
    {
        ingest_adts_copy(in, m);

    } else if (!ingest_track(in, FLV_AUDIO)->ready) {
        ingest_drop_frame(in, FLV_AUDIO);

    } else {
        ingest_append(in, m);
    }
}


/* Takes a message whose head is contiguous as far as it is parsed. */
static void
ingest_take(ingest_t *in, ingest_message_t *m)
{
    int  rc = m->type == FLV_VIDEO
              ? flv_parse_video(m->head, m->size, &m->frame)
              : flv_parse_audio(m->head, m->size, &m->frame);

    if (m->frame.other) {
        ingest_other_track(in, m);
    }

    if (rc == FLV_OTHER_TRACK) {
        in->uncarried = 1;
        return;
    }

    if (rc != FLV_OK) {
        ingest_not_carried(in, m, rc);
        return;
    }

    if (m->frame.end) {
        m->len = m->frame.end;               /* other tracks are behind it */
    }

    if (m->frame.config) {
        ingest_config(in, m);

    } else if (!m->frame.empty && m->frame.payload < m->len) {
        if (m->type == FLV_VIDEO) {
            ingest_video(in, m);
        } else {
            ingest_audio(in, m);
        }
    }
}


/* Takes a message of several tracks, and copies it, as track 0 may be anywhere. */
static void
ingest_tracks(ingest_t *in, ingest_message_t *m)
{
    u_char       *body;
    ngx_buf_t     b;
    ngx_chain_t   link;

    body = ngx_alloc(m->len, in->connection->log);
    if (body == NULL) {
        return;
    }

    (void) chain_copy(m->chain, 0, body, m->len);
    message_set_body(m, &b, &link, body, m->len);
    ingest_take(in, m);
    ngx_free(body);
}


void
ingest_frame(ingest_t *in, uint8_t type, uint32_t ts, ngx_chain_t *chain)
{
    u_char            head[INGEST_HEAD];
    ingest_message_t  m;

    m.type = type;
    m.timestamp = ts;
    m.chain = chain;
    m.len = chain_size(chain);

    if (type == FLV_SCRIPT) {
        ingest_meta(in, chain, m.len);
        return;
    }

    if (m.len == 0) {
        return;                              /* some encoders send such messages */
    }

    in->bytes += m.len;
    in->client.session->bytes += m.len;

    m.head = head;
    m.size = chain_copy(chain, 0, head, sizeof(head));

    if (m.size < m.len && flv_has_tracks(type, head, m.size)) {
        ingest_tracks(in, &m);
    } else {
        ingest_take(in, &m);
    }
}
