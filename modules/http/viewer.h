/*
 * A viewer of a stream as FLV, over plain HTTP, TLS, HTTP/2 or WebSocket.
 *
 * A viewer gets batches of whole tags.  On a plain connection one writev() sends
 * a batch straight from the hub's memory; over TLS, OpenSSL encrypts each record
 * from there; HTTP/2 needs a copy, since nginx's frames outlive the call.
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
    ngx_msec_t           sent_ms;      /* when something was sent last */

    u_char              *prefix;       /* headers before media, or NULL */
    u_char              *prefix_pos, *prefix_last;
    u_char               head[WS_HEADER_MAX];    /* of the current message */
    u_char              *head_pos, *head_last;
    u_char              *control;      /* viewer_control(), or NULL */
    size_t               control_size; /* sent after the current message */
    size_t               record;       /* TLS: bytes of a record to retry */
    ngx_buf_t           *copy;         /* VIEWER_COPIED only */
    off_t                copy_sent;    /* sent by the request at copy_ms */
    ngx_msec_t           copy_ms;      /* when that last changed */
    ws_reader_t         *ws;           /* WebSocket only */
    ngx_msec_t           ends_ms;      /* when to cut off a failed viewer */
    time_t               until;        /* its link ends then; 0: it has none */

    unsigned             out:2;        /* enum viewer_out */
    unsigned             blocked:1;    /* waits for the socket */
    unsigned             started:1;    /* FLV header is out */
    unsigned             torn:1;       /* bytes sent last may be stale */
    unsigned             closing:1;    /* the close frame is queued */
    unsigned             failed:1;     /* violated the WebSocket protocol */
} viewer_t;

/* The hub_flush of the request's location. */
const hub_flush_t *viewer_flush(const ngx_http_request_t *r);

/* Bounds the kernel's send buffer; call once, when the viewer begins. */
void viewer_bound(viewer_t *v);

/* Checks how late the viewer is.  NGX_ERROR: drop it, it reads nothing. */
ngx_int_t viewer_check_lag(viewer_t *v);

/* Room of WS_CONTROL_MAX bytes for what is sent after the current message:
 * set v->control_size.  NULL without memory: then nothing is queued. */
u_char *viewer_control(viewer_t *v);

/* Frees what a viewer holds beside its request. */
void viewer_free(viewer_t *v);

/* Queues a ping or an empty tag, which players ignore: proxies and routers cut
 * silent connections. */
void viewer_keep_alive(viewer_t *v);

/* Sends all available data.  NGX_OK: up to date; NGX_AGAIN: the socket is full;
 * NGX_DONE: the stream has ended; NGX_ERROR: drop this viewer. */
ngx_int_t viewer_send(viewer_t *v);



/* --- to the socket (viewer_out.c) --- */

/* Prepares a connection of TLS, before the response's header goes. */
void viewer_begin_tls(viewer_t *v);

/* Bytes of the current batch that are not sent yet. */
size_t viewer_pending(const viewer_t *v);

/* Does nginx still hold an earlier copy, or the response's header? */
int viewer_buffered(viewer_t *v);

/* Sends as many pending bytes as one call takes.  NGX_OK; NGX_AGAIN: the socket
 * is full; NGX_ERROR: drop this viewer. */
ngx_int_t viewer_put(viewer_t *v);

/* Waits for the socket; unless over WebSocket, takes tags not yet begun out of
 * the batch.  NGX_AGAIN, or NGX_ERROR. */
ngx_int_t viewer_block(viewer_t *v);

/* Drops a viewer whose batch was overwritten in the window.  NGX_ERROR. */
ngx_int_t viewer_drop(viewer_t *v);

/* --- WebSocket (viewer_ws.c) --- */

/* Queues a close frame; replaces a queued ping or pong. */
void viewer_queue_close(viewer_t *v, enum ws_status status);

/* Reads the viewer's frames and queues the answer.  NGX_OK; NGX_DONE: a close
 * frame came; NGX_ABORT: a protocol violation, do not read again; NGX_ERROR:
 * the viewer is gone. */
ngx_int_t viewer_read(viewer_t *v);

#endif
