/*
 * A player of a stream over RTMP, from its play command to its end.
 *
 * Messages go out with one writev() per flush: headers, built here, and
 * bodies straight from the hub's memory.  What is new since the last flush is
 * the same for all players of a stream, so a worker writes that once, as the
 * bytes of RTMP, and gives them to each.
 *
 * The wire layer has a queue of its own on the same socket (statuses, pings,
 * acknowledgements), and a message must not be cut by another one.  So one of
 * ours starts only when that queue is empty, and the queue goes on only when
 * ours is out: while a part of it is left the write event is active, and then
 * the wire layer just queues.
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

/* What a player wants left out. */
enum player_mute {
    PLAYER_NO_AUDIO = 1,
    PLAYER_NO_VIDEO = 2,
    PLAYER_NO_INTER = 4    /* no video until the next key frame */
};

typedef struct {
    /* what each flush looks at, close together */
    hub_tick_t           tick;
    ngx_rtmp_session_t  *session;
    hub_reader_t         reader;     /* at the entry in hand */
    size_t               out;        /* bytes of the message in hand sent */
    u_char              *own;        /* bytes not from the hub, they go first */
    u_char              *own_pos, *own_last, *own_end;
    hub_way_t            way;
    uint32_t             chunk_size;
    uint32_t             lag;        /* ms; beyond it, skip to a key frame */
    uint32_t             spoke_ms;   /* when something was sent last */
    uint64_t             bytes;
    enum player_state    state;
    unsigned             mute:3;     /* enum player_mute */
    unsigned             paused:1;
    unsigned             blocked:1;  /* waits for the socket */
    unsigned             joined:1;   /* it has been sent media */
    unsigned             torn:1;     /* what was sent last may be wrong */
    unsigned             admitted:1; /* the gate is owed a "done" */
    hub_client_t         client;

    ngx_event_handler_pt write;      /* the wire layer's, like the next */
    ngx_event_handler_pt ping;
    gate_request_t      *request;
    ngx_rtmp_play_t     *asked;      /* while the gate is asked */
    ngx_event_t          timer;      /* closes */
    ngx_msec_t           started_ms;
    hub_identity_t       who;
    const char          *why;        /* it ended */
    ngx_str_t            name;
    u_char               name_text[PLAYER_NAME_MAX + 1];
} player_t;


/* Queues the answer to a play command: chunk size, stream begin, statuses. */
ngx_int_t player_greet(player_t *p);

/* Sends what there is.  NGX_OK: up to date; NGX_AGAIN: the socket is full;
 * NGX_DONE: the stream has ended; NGX_ERROR: drop this player. */
ngx_int_t player_send(player_t *p);

/* Looks at how late the player is.  NGX_ERROR: drop it, it reads nothing. */
ngx_int_t player_look(player_t *p);

/* Makes what is left of the message in hand bytes of the player's own, so
 * that it no longer needs the stream.  NGX_ERROR: they are not there. */
ngx_int_t player_detach(player_t *p);

void player_free_own(player_t *p);

#endif
