/*
 * WebSocket, the server's half that live streaming needs: the opening
 * handshake, headers of unmasked binary messages, and reading what a viewer
 * sends.  Ping and close are answered.  A viewer has nothing else to say: small
 * messages are skipped, large or frequent ones fail the connection.
 *
 * Source: RFC 6455, sections 4.2 (handshake), 5.2 (frames), 5.4 (fragments),
 * 5.5 (control), 7.4 (status codes).
 */

#ifndef DUOLU_HTTP_WEBSOCKET_H
#define DUOLU_HTTP_WEBSOCKET_H

#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#define NGX_HTTP_UPGRADE_REQUIRED  426

#define WS_HEADER_MAX   10
#define WS_CONTROL_MAX  (2 + 125)
#define WS_MESSAGE_MAX  4096       /* bytes of a client's message */
#define WS_FRAMES_MAX   10         /* frames of a client in one second */

enum ws_opcode { WS_CONTINUATION = 0, WS_TEXT = 1, WS_BINARY = 2, WS_CLOSE = 8,
                 WS_PING = 9, WS_PONG = 10 };

/* Section 7.4.1. */
enum ws_status { WS_NORMAL = 1000, WS_PROTOCOL = 1002, WS_POLICY = 1008,
                 WS_TOO_BIG = 1009 };

/* Reading state of one connection; zero it before use. */
typedef struct {
    u_char      head[14];      /* header of the current frame */
    unsigned    have;          /* bytes of it */
    unsigned    fragmented:1;  /* the current message has more frames */
    uint64_t    message;       /* its bytes in earlier frames */
    uint64_t    left;          /* payload still to come */
    uint64_t    at;            /* payload seen */
    u_char      payload[125];  /* of a control frame, unmasked */
    ngx_msec_t  second;        /* start of the second being counted */
    ngx_uint_t  frames;        /* frames that ended in it */
    const char  *why;          /* reason of a failure */
} ws_reader_t;

/* Did the client ask for an upgrade to WebSocket? */
int ws_requested(ngx_http_request_t *r);

/* Adds the headers of a 101 answer.  NGX_OK; NGX_HTTP_UPGRADE_REQUIRED: the
 * client has another version, and the headers name ours; NGX_HTTP_BAD_REQUEST: the
 * key is invalid; NGX_ERROR: no memory. */
ngx_int_t ws_accept(ngx_http_request_t *r);

/* Writes the header of a whole frame with LENGTH bytes of payload to OUT
 * (WS_HEADER_MAX bytes).  Returns its size. */
size_t ws_write_header(u_char *out, enum ws_opcode opcode, uint64_t length);

/* Writes a whole close frame to OUT (4 bytes).  Returns its size. */
size_t ws_write_close(u_char *out, enum ws_status status);

/* Parses one byte from the client.  Returns 0; WS_CLOSE or WS_PING when such a
 * frame is complete, with its payload in payload[0..at); or the enum ws_status
 * to fail the connection with, and a sentence for the log in w->why. */
int ws_read_byte(ws_reader_t *w, u_char byte);

/* The status to answer the current close frame with. */
enum ws_status ws_close_status(const ws_reader_t *w);

#endif
