/*
 * A player of a stream over RTMP, from its play command to its end.
 *
 * Each flush sends messages with one writev(): headers built here, and bodies
 * straight from the hub's memory.  The entries that are new since the last flush
 * are the same for all players of a stream, so a worker writes them as RTMP once
 * and sends those bytes to each player.
 *
 * The wire layer has its own queue for the same socket (statuses, pings,
 * acknowledgements), and messages must not interleave.  So a player's message
 * starts only when that queue is empty, and the queue is sent only when the
 * message is complete: until then the write event is active, and an active write
 * event makes the wire layer queue.
 */

#ifndef DUOLU_RTMP_PLAY_H
#define DUOLU_RTMP_PLAY_H

#include "wire.h"
#include "../gate/gate.h"
#include "../hub/hub.h"
#include "../hub/hub_socket.h"
#include "../hub/hub_ticker.h"

#define PLAY_CHUNK_SIZE  65536
#define PLAYER_NAME_MAX  128       /* without the application */
#define PLAYER_ALIGNMENT 64        /* a cache line */

enum player_state {
    PLAYER_IDLE = 0,
    PLAYER_ASKING,         /* the gate has not answered */
    PLAYER_LIVE,
    PLAYER_ENDED           /* the status is out, the close follows */
};

/* Messages that are not sent to a player. */
enum player_mute {
    PLAYER_NO_AUDIO = 1,
    PLAYER_NO_VIDEO = 2,
    PLAYER_NO_INTER = 4    /* no video until the next key frame */
};

typedef struct {
    /* used by each flush: kept together, in few cache lines */
    hub_tick_t           tick;
    ngx_rtmp_session_t  *session;
    hub_reader_t         reader;     /* at the current entry */
    size_t               out;        /* bytes sent of the current message */
    u_char              *own;        /* bytes not from the hub, sent first */
    u_char              *own_pos, *own_last, *own_end;
    hub_way_t            way;
    uint32_t             chunk_size;
    uint32_t             lag;        /* ms; beyond it, skip to a key frame */
    uint32_t             sent_ms;    /* when something was sent last */
    uint64_t             bytes;
    enum player_state    state;
    unsigned             mute:3;     /* enum player_mute */
    unsigned             paused:1;
    unsigned             blocked:1;  /* waits for the socket */
    unsigned             joined:1;   /* media was sent */
    unsigned             torn:1;     /* the bytes sent last may be torn */
    unsigned             admitted:1; /* the gate must be told when it ends */
    hub_client_t         client;

    ngx_event_handler_pt write;      /* the wire layer's handlers */
    ngx_event_handler_pt ping;
    gate_request_t      *request;
    ngx_rtmp_play_t     *command;    /* while the gate is asked */
    ngx_event_t          timer;      /* closes the connection */
    ngx_msec_t           started_ms;
    hub_identity_t       identity;
    const char          *why;        /* of its end */
    ngx_str_t            name;
    u_char               name_text[PLAYER_NAME_MAX + 1];
} player_t;


/* Queues the answers to a play command: chunk size, stream begin, statuses. */
ngx_int_t player_greet(player_t *p);

/* Sends all available data.  NGX_OK: up to date; NGX_AGAIN: the socket is full;
 * NGX_DONE: the stream has ended; NGX_ERROR: drop this player. */
ngx_int_t player_send(player_t *p);

/* Checks how late the player is.  NGX_ERROR: drop it, it reads nothing. */
ngx_int_t player_check_lag(player_t *p);

/* Copies the rest of the current message to the player's own bytes, so that it
 * no longer needs the stream.  NGX_ERROR: the hub no longer has it. */
ngx_int_t player_detach(player_t *p);

void player_free_own(player_t *p);

#endif
