/*
 * A viewer of a stream as FLV, over plain HTTP, TLS, HTTP/2 or WebSocket.
 *
 * Bytes go out in batches of whole tags.  On a plain connection a batch is
 * one writev() straight from the hub's memory; over TLS each record is made
 * from there; HTTP/2 has a copy, since nginx's frames outlive the call.
 */

#ifndef DUOLU_HTTP_VIEWER_H
#define DUOLU_HTTP_VIEWER_H

#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "../hub/hub.h"
#include "../hub/hub_socket.h"
#include "../hub/hub_ticker.h"
#include "websocket.h"

#define VIEWER_BATCH  (1024 * 1024)

enum viewer_out { VIEWER_PLAIN, VIEWER_TLS, VIEWER_COPIED };

typedef struct {
    hub_tick_t           tick;
    hub_client_t         client;
    ngx_http_request_t  *request;
    hub_reader_t         reader;
    ngx_msec_t           lag;          /* beyond it, skip to a key frame */
    hub_way_t            way;
    ngx_msec_t           spoke_ms;     /* when something was sent last */

    u_char              *prefix;       /* headers before media, or NULL */
    u_char              *prefix_pos, *prefix_last;
    u_char               head[WS_HEADER_MAX];    /* of the message in hand */
    u_char              *head_pos, *head_last;
    u_char               control[WS_CONTROL_MAX];
    size_t               control_size; /* waits for the message to end */
    size_t               record;       /* TLS: under way, to be retried; or 0 */
    ngx_buf_t           *copy;         /* VIEWER_COPIED only */
    off_t                copy_sent;    /* by the request, when looked at */
    ngx_msec_t           copy_ms;      /* when that last changed */
    ws_reader_t         *ws;           /* WebSocket only */
    ngx_msec_t           ends_ms;      /* it failed, and is cut off then */

    unsigned             out:2;        /* enum viewer_out */
    unsigned             blocked:1;    /* waits for the socket */
    unsigned             started:1;    /* FLV header is out */
    unsigned             torn:1;       /* what was sent last may be wrong */
    unsigned             closing:1;    /* the close frame is queued */
    unsigned             failed:1;     /* it broke the rules of WebSocket */
} viewer_t;

/* Keeps what waits in the kernel short; once, when the viewer begins. */
void viewer_bound(viewer_t *v);

/* Looks at how late the viewer is.  NGX_ERROR: drop it, it reads nothing. */
ngx_int_t viewer_look(viewer_t *v);

/* Queues what players take no notice of, for proxies and routers on the way that
 * cut silent connections: a ping, or a tag without anything in it. */
void viewer_say_alive(viewer_t *v);

/* Sends what there is.  NGX_OK: up to date; NGX_AGAIN: the socket is full;
 * NGX_DONE: the stream has ended; NGX_ERROR: drop this viewer. */
ngx_int_t viewer_send(viewer_t *v);



/* --- to the socket (viewer_out.c) --- */

/* Prepares a connection of TLS, before the response's header goes. */
void viewer_begin_tls(viewer_t *v);

/* Bytes in hand that the client has not been sent. */
size_t viewer_pending(const viewer_t *v);

/* Is an earlier copy, or the response's header, still on its way? */
int viewer_buffered(viewer_t *v);

/* Sends of what is pending as much as one call takes.  NGX_OK; NGX_AGAIN: the
 * socket is full; NGX_ERROR: drop this viewer. */
ngx_int_t viewer_put(viewer_t *v);

/* Waits for the socket, and forgets whole tags that were not begun.  NGX_AGAIN,
 * or NGX_ERROR. */
ngx_int_t viewer_block(viewer_t *v);

/* Drops a viewer whose batch has left the window: the rest is not there.
 * NGX_ERROR. */
ngx_int_t viewer_drop(viewer_t *v);

/* --- WebSocket (viewer_ws.c) --- */

/* Queues a close frame in place of what else was to be said. */
void viewer_say_close(viewer_t *v, enum ws_status status);

/* Reads what the viewer says and queues the answer.  NGX_OK; NGX_DONE: it said
 * goodbye; NGX_ABORT: it broke the rules, and is read no more; NGX_ERROR: it is
 * gone. */
ngx_int_t viewer_hear(viewer_t *v);

#endif
