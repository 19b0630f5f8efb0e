/* A publisher's connection, from its publish command to its end. */

#ifndef DUOLU_RTMP_INGEST_H
#define DUOLU_RTMP_INGEST_H

#include "../rtmp/wire.h"
#include "../gate/gate.h"
#include "../hub/hub.h"

enum ingest_state {
    INGEST_IDLE = 0,
    INGEST_ASKING,         /* the gate has not answered, frames are held */
    INGEST_LIVE,
    INGEST_REFUSED         /* the status is out, the close follows */
};

typedef struct ingest_held_s  ingest_held_t;

struct ingest_held_s {
    ingest_held_t  *next;
    uint64_t        arrived_ms;
    uint32_t        timestamp;
    uint8_t         type;
    size_t          size;            /* of the body, which follows */
};

/* What is known of the pictures, or of the sound, of a publisher. */
typedef struct {
    ngx_msec_t   bad_since;          /* first and last of messages in a row */
    ngx_msec_t   bad_last;           /* that could not be carried; 0: none */
    const char  *why;                /* its header is of no use */
    unsigned     ready:1;            /* it has a header */
    unsigned     made:1;             /* which is made of what its frames hold */
    unsigned     told:1;             /* the log has that it is left out */
    unsigned     others:1;           /* likewise, that there are more of it */
} ingest_track_t;

typedef struct {
    ngx_rtmp_session_t  *session;
    enum ingest_state    state;
    ngx_rtmp_publish_t   publish;    /* as asked; name and args stay here */
    ngx_str_t            name;
    ngx_str_t            id;         /* of the session, as text */
    u_char               id_text[NGX_INT64_LEN];
    hub_identity_t       who;
    hub_client_t         client;
    gate_request_t      *request;
    hub_writer_t         writer;
    ngx_event_t          timer;      /* watches for silence, then closes */
    ngx_pool_t          *held_pool;
    ingest_held_t       *held;
    size_t               held_bytes;
    uint64_t             bytes;
    ngx_msec_t           started_ms;
    ngx_msec_t           media_ms;   /* when the last frame came that is carried */
    ingest_track_t       track[2];   /* video, audio */
    uint64_t             skipped;    /* messages that could not be carried */
    char                 skip_why[128];          /* the last one */
    unsigned             prefix;     /* bytes of a NAL unit's length */
    u_char               adts[2];    /* the header that was made of ADTS */
    u_char              *sets;       /* parameter sets of the H.264 header */
    size_t               sets_size;
    char                 why[128];   /* it ended */
    unsigned             admitted:1; /* the gate is owed a "done" */
    unsigned             held_full:1;
    unsigned             starved:1;
    unsigned             clock_told:1;
    unsigned             uncarried:1;            /* the last message was */
    unsigned             sets_due:1; /* in front of the next key frame */
} ingest_t;

typedef struct {
    ngx_flag_t    ingest;
    ngx_addr_t   *gate;              /* also asked who may play */
    ngx_msec_t    gate_timeout;
    ngx_msec_t    ingest_timeout;
} ngx_rtmp_ingest_app_conf_t;

extern ngx_module_t  ngx_rtmp_ingest_module;

/* Ends a publisher: one log line of LEVEL, one status CODE with WHY on the
 * wire, and the close a second later. */
void ingest_end(ingest_t *in, ngx_uint_t level, const char *code,
    const char *why);

/* Takes one message body of a live publisher.  May end it. */
void ingest_frame(ingest_t *in, uint8_t type, uint32_t timestamp,
    ngx_chain_t *chain);

/* Keeps a message until the gate has answered, within a bound. */
void ingest_hold(ingest_t *in, uint8_t type, uint32_t timestamp,
    ngx_chain_t *chain);

/* Sends what was held on its way; the publisher is live now. */
void ingest_flush_held(ingest_t *in);

#endif
