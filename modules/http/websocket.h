/*
 * WebSocket, the server's half that live streaming needs: the opening
 * handshake, headers of unmasked binary messages, and reading what a viewer
 * sends (ping and close; anything else is skipped).
 *
 * Source: RFC 6455, sections 4.2 (handshake), 5.2 (frames), 5.5 (control).
 */

#ifndef DUOLU_HTTP_WEBSOCKET_H
#define DUOLU_HTTP_WEBSOCKET_H

#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#define WS_HEADER_MAX   10
#define WS_CONTROL_MAX  (2 + 125)

enum ws_opcode { WS_BINARY = 2, WS_CLOSE = 8, WS_PING = 9, WS_PONG = 10 };
enum ws_status { WS_NORMAL = 1000, WS_POLICY = 1008 };     /* section 7.4.1 */

/* Reading state of one connection; zero it before use. */
typedef struct {
    u_char    head[14];        /* header of the frame in hand */
    unsigned  have;            /* bytes of it */
    uint64_t  left;            /* payload still to come */
    uint64_t  at;              /* payload seen */
    u_char    payload[125];    /* of a control frame, unmasked */
} ws_reader_t;

/* Did the client ask for an upgrade to WebSocket? */
int ws_requested(ngx_http_request_t *r);

/* Adds the headers of a 101 answer.  NGX_OK; NGX_HTTP_BAD_REQUEST when the
 * key or the version is not as the RFC has it; NGX_ERROR without memory. */
ngx_int_t ws_accept(ngx_http_request_t *r);

/* Writes the header of a whole frame with LENGTH bytes of payload to OUT
 * (WS_HEADER_MAX bytes).  Returns its size. */
size_t ws_write_header(u_char *out, enum ws_opcode opcode, uint64_t length);

/* Takes one byte of the client's.  Returns 0, or WS_CLOSE / WS_PING when a
 * control frame is whole: its payload is payload[0..at). NGX_ERROR: the
 * frame breaks the RFC. */
int ws_read_byte(ws_reader_t *w, u_char byte);

#endif
