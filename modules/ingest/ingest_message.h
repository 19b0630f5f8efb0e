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
    size_t         len;              /* of it, up to where the frame ends */
    const u_char  *head;             /* its first SIZE bytes in a row */
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

/* Copies at most MAX bytes from AT on.  Returns how many there were. */
size_t chain_copy(ngx_chain_t *in, size_t at, u_char *out, size_t max);


/* --- ingest_config.c: all may end IN, and say so with NGX_DONE --- */

void ingest_config(ingest_t *in, ingest_message_t *m);

/* Makes a header of the parameter sets in the NAL units ROW, if there are. */
ngx_int_t ingest_make_video_config(ingest_t *in, const ingest_message_t *m,
    const u_char *row, size_t size);

/* Makes one for frames like this, unless the track has it. */
ngx_int_t ingest_adts_config(ingest_t *in, const ingest_message_t *m,
    const aac_adts_t *adts);


/* --- ingest_fault.c --- */

/* Acts upon the hub's answer RC to a message of LEN bytes.  May end IN. */
void ingest_settle(ingest_t *in, uint8_t type, ngx_int_t rc, size_t len);

/* A message cannot be carried, WHY says it: passed over and counted.  A track
 * that has brought nothing else for seconds ends IN. */
void ingest_skip(ingest_t *in, uint8_t type, const char *why);

/* The same for a message that flv_parse_*() answered with RC; a track that
 * begins with a codec that is not carried ends IN at once. */
void ingest_not_carried(ingest_t *in, const ingest_message_t *m, int rc);

/* A frame of a track without a sequence header. */
void ingest_left_out(ingest_t *in, uint8_t type);

/* A frame of a track besides the one that is carried. */
void ingest_other_track(ingest_t *in, const ingest_message_t *m);

#endif
