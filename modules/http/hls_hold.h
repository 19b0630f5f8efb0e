/*
 * Requests that wait for a part, or for a playlist that lists it.
 *
 * A request that waits holds no media and no copy of anything.  On each tick a worker
 * reads the streams of such requests from the hub, and then answers those whose part
 * exists.  A client may hold HLS_HELD_BY_VISITOR requests at a time, a user and an
 * address half of all that a worker holds.
 */

#ifndef DUOLU_HTTP_HLS_HOLD_H
#define DUOLU_HTTP_HLS_HOLD_H

#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "hls_group.h"
#include "hls_playlist.h"
#include "hls_reach.h"
#include "hls_send.h"
#include "hls_store.h"
#include "../hub/hub_ticker.h"

#define HLS_HELD_BY_VISITOR  64

/* The playlists: enum hls_form, and the multivariant one. */
enum { HLS_TEXT_INDEX = HLS_DELTA + 1, HLS_TEXTS };

/* A stream that has HLS viewers in this worker: their requests, and its playlists. */
typedef struct hls_live_s  hls_live_t;

struct hls_live_s {
    hls_stream_t  *st;
    ngx_queue_t    held;               /* hls_request_t */
    ngx_uint_t     nheld;
    hub_tick_t     tick;               /* runs while requests are held */
    uint64_t       changes;            /* of st, when they were tried last */
    ngx_msec_t     checked_ms;         /* when their sessions were checked last */
    hls_text_t     texts[HLS_TEXTS];
    hls_reach_t   *reach;              /* NULL: nobody asks for a window */
};

typedef struct hls_request_s  hls_request_t;

/* Answers the request and returns the handler's result; or NGX_BUSY: it must wait. */
typedef ngx_int_t (*hls_request_pt)(hls_request_t *q);

/* A request, from its admission to its end.  Zeroed at first. */
struct hls_request_s {
    ngx_queue_t          queue;
    ngx_http_request_t  *request;
    hls_live_t          *live;         /* NULL: it does not wait */
    hls_request_pt       answer;
    hub_visit_t          visit;        /* its row is NULL after the stream's end */
    ngx_msec_t           until_ms;     /* how long it may wait */
    hls_group_t         *groups[HLS_GROUPS];
};

/* ST with the requests and playlists that belong to it.  NULL: there is no memory. */
hls_live_t *hls_live(hls_stream_t *st);

/* Holds Q until Q->answer() has an answer, for three target durations at most; ID are
 * its visitor, user and address, LIMIT is how many requests the worker may hold.
 * Returns the handler's result. */
ngx_int_t hls_hold(hls_request_t *q, hls_live_t *live, const hub_flush_t *flush,
    const uint64_t id[HLS_GROUPS], ngx_uint_t limit);

/* Forgets that Q waits; harmless when it does not. */
void hls_hold_end(hls_request_t *q);

#endif
