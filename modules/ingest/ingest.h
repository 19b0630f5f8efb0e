/*
 * A publisher, from its request to publish to its end, independent of its
 * protocol.  A protocol's part is a door: see README.md beside this file.
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
    INGEST_ASKING,         /* holds frames until the gate answers */
    INGEST_LIVE,
    INGEST_ENDED           /* the door knows and will close */
};

/* Why ingest ends a publisher. */
enum ingest_fault {
    INGEST_NAME_DENIED,    /* it may not, or no longer, use the name */
    INGEST_MEDIA_UNFIT     /* it sends unusable media, or none */
};

typedef struct ingest_s  ingest_t;

/* Functions of a protocol for ingest; DATA is the door's own. */
typedef struct {
    /* The gate allowed the publisher; the door's own rules may still refuse
     * it.  Returns NULL, or the reason. */
    const char *(*admit)(void *data);

    /* Tells the publisher that it is live.  NGX_ERROR: its connection failed
     * and is being closed. */
    ngx_int_t (*started)(void *data);

    /* Ingest ended the publisher: tells it WHY and closes its connection. */
    void (*ended)(void *data, enum ingest_fault fault, const char *why);
} ingest_door_t;

typedef struct {
    gate_conf_t  gate;
    ngx_msec_t   timeout;            /* longest time without usable media */
} ingest_conf_t;

typedef struct ingest_held_s  ingest_held_t;

/* State of a publisher's video or audio track. */
typedef struct {
    ngx_msec_t   bad_since;          /* first and last of a series of messages */
    ngx_msec_t   bad_last;           /* that could not be carried; 0: none */
    const char  *why;                /* why its header is unusable */
    unsigned     ready:1;            /* it has a header */
    unsigned     made:1;             /* ingest made the header from frames */
    unsigned     drop_logged:1;      /* its frames are dropped */
    unsigned     others_logged:1;    /* further tracks are dropped */
} ingest_track_t;

struct ingest_s {
    /* set by ingest_init() */
    const ingest_door_t  *door;
    void                 *data;
    ngx_connection_t     *connection;    /* for its address, log and pool */

    /* set by the door before ingest_publish(), valid until the end */
    const ingest_conf_t  *conf;
    ngx_str_t             app;
    ngx_str_t             name;
    ngx_str_t             args;          /* a query string, in which key=… is
                                            the credential */
    ngx_str_t             agent;         /* the program, as it names itself */

    enum ingest_state     state;
    ngx_str_t             id;            /* of the session, as text */
    u_char                id_text[NGX_INT64_LEN];
    hub_identity_t        identity;
    hub_client_t          client;
    gate_request_t       *request;
    hub_writer_t          writer;
    ngx_event_t           silence;       /* timer */
    ngx_queue_t           pace;          /* publishers that are read in turns */
    ngx_pool_t           *held_pool;
    ingest_held_t        *held;
    size_t                held_bytes;
    uint64_t              bytes;
    ngx_msec_t            started_ms;
    ngx_msec_t            media_ms;      /* when the last usable frame came */
    ingest_track_t        track[2];      /* video, audio */
    uint64_t              skipped;       /* messages that could not be carried */
    char                  skip_why[128]; /* why the last one could not */
    unsigned              prefix;        /* bytes of a NAL unit's length */
    u_char                adts[2];       /* the header that was made of ADTS */
    u_char               *sets;          /* parameter sets of the H.264 header */
    size_t                sets_size;
    char                  why[128];      /* reason of its end */
    unsigned              admitted:1;    /* the gate is owed a "done" */
    unsigned              held_full:1;
    unsigned              starved:1;
    unsigned              clock_logged:1;
    unsigned              paced:1;       /* IN is in that queue */
    unsigned              uncarried:1;   /* the last message was not usable */
    unsigned              sets_due:1;    /* repeat them before the next key frame */
};

/* Once for each connection; IN is zeros. */
void ingest_init(ingest_t *in, const ingest_door_t *door, void *data,
    ngx_connection_t *c);

/* Is the connection publishing, asking to, or still waiting for the gate or
 * for its own end? */
#define ingest_is_busy(in)  ((in)->state != INGEST_IDLE || (in)->request)

/* Checks the name and asks the gate.  Call it only when IN is not busy.
 * NGX_ERROR: no memory. */
ngx_int_t ingest_publish(ingest_t *in);

/* Takes one message of TYPE (enum flv_type) with an FLV tag's body.  Copies it
 * once, into the hub, or holds it until the gate answers.  May end IN. */
void ingest_message(ingest_t *in, uint8_t type, uint32_t timestamp,
    ngx_chain_t *chain);

/* The door reports that the client has stopped publishing, or that its connection is
 * closed (then IN->connection->destroyed); WHY is NULL when the client did so itself.
 * Returns 1 when it was live.  Harmless in any state, and more than once. */
int ingest_close(ingest_t *in, const char *why);

#endif
