/*
 * A publisher, from its wish to publish to its end, whatever protocol it comes
 * by.  The protocol's part is a door: see README.md beside this file.
 */

#ifndef DUOLU_INGEST_H
#define DUOLU_INGEST_H

#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_event.h>

#include "../gate/gate.h"
#include "../hub/hub.h"

#define INGEST_ARGS_MAX  512

enum ingest_state {
    INGEST_IDLE = 0,
    INGEST_ASKING,         /* the gate has not answered, frames are held */
    INGEST_LIVE,
    INGEST_ENDED           /* the door has been told, and will close */
};

/* Why ingest ends a publisher. */
enum ingest_fault {
    INGEST_NAME_DENIED,    /* the name is not, or no longer, its own */
    INGEST_MEDIA_UNFIT     /* what it sends is of no use, or it sends nothing */
};

typedef struct ingest_s  ingest_t;

/* What a protocol does for ingest; DATA is the door's own. */
typedef struct {
    /* The gate has said yes: rules of the door's own may still refuse.
     * Returns NULL, or why. */
    const char *(*admit)(void *data);

    /* The publisher is live: tells it so.  NGX_ERROR: its connection failed,
     * and is being closed. */
    ngx_int_t (*started)(void *data);

    /* Ingest has ended it: tells it WHY, and closes its connection. */
    void (*ended)(void *data, enum ingest_fault fault, const char *why);
} ingest_door_t;

typedef struct {
    gate_conf_t  gate;
    ngx_msec_t   timeout;            /* without media that is carried */
} ingest_conf_t;

typedef struct ingest_held_s  ingest_held_t;

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

struct ingest_s {
    /* set by ingest_init() */
    const ingest_door_t  *door;
    void                 *data;
    ngx_connection_t     *connection;    /* for its address, log and pool */

    /* set by the door before ingest_publish(); they stay until the end */
    const ingest_conf_t  *conf;
    ngx_str_t             app;
    ngx_str_t             name;
    ngx_str_t             args;          /* a query string, in which key=… is
                                            the credential */

    enum ingest_state     state;
    ngx_str_t             id;            /* of the session, as text */
    u_char                id_text[NGX_INT64_LEN];
    hub_identity_t        who;
    hub_client_t          client;
    gate_request_t       *request;
    hub_writer_t          writer;
    ngx_event_t           silence;       /* timer */
    ngx_pool_t           *held_pool;
    ingest_held_t        *held;
    size_t                held_bytes;
    uint64_t              bytes;
    ngx_msec_t            started_ms;
    ngx_msec_t            media_ms;      /* when the last frame came that is carried */
    ingest_track_t        track[2];      /* video, audio */
    uint64_t              skipped;       /* messages that could not be carried */
    char                  skip_why[128]; /* the last one */
    unsigned              prefix;        /* bytes of a NAL unit's length */
    u_char                adts[2];       /* the header that was made of ADTS */
    u_char               *sets;          /* parameter sets of the H.264 header */
    size_t                sets_size;
    char                  why[128];      /* it ended */
    unsigned              admitted:1;    /* the gate is owed a "done" */
    unsigned              held_full:1;
    unsigned              starved:1;
    unsigned              clock_told:1;
    unsigned              uncarried:1;   /* the last message was */
    unsigned              sets_due:1;    /* in front of the next key frame */
};

/* Once for each connection; IN is zeros. */
void ingest_init(ingest_t *in, const ingest_door_t *door, void *data,
    ngx_connection_t *c);

/* Whether the connection publishes, wants to, or still hears of its end. */
#define ingest_is_busy(in)  ((in)->state != INGEST_IDLE || (in)->request)

/* Begins: looks at the name and asks the gate.  Only when it is not busy.
 * NGX_ERROR: no memory. */
ngx_int_t ingest_publish(ingest_t *in);

/* Takes one message, TYPE of enum flv_type, as FLV has its body.  It is copied
 * once, into the hub, or held until the gate has answered.  May end IN. */
void ingest_message(ingest_t *in, uint8_t type, uint32_t timestamp,
    ngx_chain_t *chain);

/* The client has stopped publishing, or its connection is closed (then
 * IN->connection->destroyed); WHY is NULL when it did so by itself.  Returns 1
 * when it was live.  Harmless in any state, and more than once. */
int ingest_close(ingest_t *in, const char *why);

#endif
