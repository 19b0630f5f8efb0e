/* One message of a publisher, for the files of ingest. */

#ifndef DUOLU_INGEST_MESSAGE_H
#define DUOLU_INGEST_MESSAGE_H

#include "ingest.h"
#include "../media/aac.h"

#define INGEST_WHY  128

typedef struct {
    uint8_t        type;             /* FLV_VIDEO or FLV_AUDIO */
    uint32_t       timestamp;
    ngx_chain_t   *chain;            /* the body */
    size_t         len;              /* of the body, up to the frame's end */
    const u_char  *head;             /* its first SIZE bytes, contiguous */
    size_t         size;
    flv_frame_t    frame;
} ingest_message_t;


static inline ingest_track_t *
ingest_track(ingest_t *in, uint8_t type)
{
    return &in->track[type == FLV_AUDIO];
}


/* --- ingest_media.c --- */

/* Takes one message body of a live publisher.  May end IN. */
void ingest_frame(ingest_t *in, uint8_t type, uint32_t timestamp,
    ngx_chain_t *chain);

size_t chain_size(ngx_chain_t *in);

/* Copies at most MAX bytes from AT on.  Returns their number. */
size_t chain_copy(ngx_chain_t *in, size_t at, u_char *out, size_t max);


/* --- ingest_config.c: each may end IN, and returns NGX_DONE then --- */

void ingest_config(ingest_t *in, ingest_message_t *m);

/* Makes a header from the parameter sets in the NAL units ROW, if any. */
ngx_int_t ingest_make_video_config(ingest_t *in, const ingest_message_t *m,
    const u_char *row, size_t size);

/* Makes a header for frames like ADTS, unless the track already has it. */
ngx_int_t ingest_adts_config(ingest_t *in, const ingest_message_t *m,
    const aac_adts_t *adts);


/* --- ingest_fault.c --- */

/* Acts upon the hub's answer RC to a message of LEN bytes.  May end IN. */
void ingest_settle(ingest_t *in, uint8_t type, ngx_int_t rc, size_t len);

/* Skips and counts a message that cannot be carried because of WHY.  Ends IN
 * when a track has had only such messages for seconds. */
void ingest_skip(ingest_t *in, uint8_t type, const char *why);

/* The same for a message for which flv_parse_*() returned RC; ends IN at once
 * when the track begins with a codec that is not carried. */
void ingest_not_carried(ingest_t *in, const ingest_message_t *m, int rc);

/* Drops a frame of a track without a sequence header. */
void ingest_drop_frame(ingest_t *in, uint8_t type);

/* Logs, once, that M has further tracks, which are not carried. */
void ingest_other_track(ingest_t *in, const ingest_message_t *m);

#endif
