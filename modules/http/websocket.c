#include "websocket.h"

#include <ngx_sha1.h>

#include "answer.h"


static ngx_str_t *
find_header(ngx_http_request_t *r, const char *name)
{
    size_t            len = ngx_strlen(name);
    ngx_uint_t        i;
    ngx_list_part_t  *part;
    ngx_table_elt_t  *h;

    for (part = &r->headers_in.headers.part; part; part = part->next) {
        h = part->elts;
        for (i = 0; i < part->nelts; i++) {
            if (h[i].key.len == len
                && ngx_strncasecmp(h[i].key.data, (u_char *) name, len) == 0)
            {
                return &h[i].value;
            }
        }
    }

    return NULL;
}


int
ws_requested(ngx_http_request_t *r)
{
    ngx_table_elt_t  *upgrade = r->headers_in.upgrade;

    return upgrade && r->http_version == NGX_HTTP_VERSION_11
           && upgrade->value.len == 9
           && ngx_strncasecmp(upgrade->value.data, (u_char *) "websocket", 9)
              == 0;
}


ngx_int_t
ws_accept(ngx_http_request_t *r)
{
    u_char       digest[20], nonce[18];
    ngx_str_t   *key, *version, hash, accept, decoded;
    ngx_sha1_t   sha1;

    static const char  guid[] = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

    key = find_header(r, "Sec-WebSocket-Key");
    version = find_header(r, "Sec-WebSocket-Version");

    if (version == NULL || version->len != 2
        || ngx_memcmp(version->data, "13", 2) != 0)
    {
        return answer_header(r, "Sec-WebSocket-Version", "13") == NULL
               || answer_header(r, "Upgrade", "websocket") == NULL
               ? NGX_ERROR : NGX_HTTP_UPGRADE_REQUIRED;
    }

    decoded.data = nonce;

    if (key == NULL || key->len != 24
        || ngx_decode_base64(&decoded, key) != NGX_OK || decoded.len != 16)
    {
        return NGX_HTTP_BAD_REQUEST;
    }

    ngx_sha1_init(&sha1);
    ngx_sha1_update(&sha1, key->data, key->len);
    ngx_sha1_update(&sha1, guid, sizeof(guid) - 1);
    ngx_sha1_final(digest, &sha1);

    accept.data = ngx_pnalloc(r->pool, ngx_base64_encoded_length(20) + 1);
    if (accept.data == NULL) {
        return NGX_ERROR;
    }

    hash.data = digest;
    hash.len = sizeof(digest);
    ngx_encode_base64(&accept, &hash);
    accept.data[accept.len] = '\0';

    if (answer_header(r, "Upgrade", "websocket") == NULL
        || answer_header(r, "Sec-WebSocket-Accept", (char *) accept.data)
           == NULL)
    {
        return NGX_ERROR;
    }

    r->headers_out.status = NGX_HTTP_SWITCHING_PROTOCOLS;

    return NGX_OK;
}


size_t
ws_write_header(u_char *out, enum ws_opcode opcode, uint64_t length)
{
    int  i;

    out[0] = (u_char) (0x80 | opcode);

    if (length < 126) {
        out[1] = (u_char) length;
        return 2;
    }

    if (length < 65536) {
        out[1] = 126;
        out[2] = (u_char) (length >> 8);
        out[3] = (u_char) length;
        return 4;
    }

    out[1] = 127;
    for (i = 0; i < 8; i++) {
        out[2 + i] = (u_char) (length >> (56 - 8 * i));
    }

    return 10;
}


size_t
ws_write_close(u_char *out, enum ws_status status)
{
    size_t  n = ws_write_header(out, WS_CLOSE, 2);

    out[n++] = (u_char) (status >> 8);
    out[n++] = (u_char) status;

    return n;
}


/* --- frames from the client --- */

static int
ws_fail(ws_reader_t *w, enum ws_status status, const char *why)
{
    w->why = why;

    return status;
}


/* Size of the current frame header, as far as its first bytes tell. */
static unsigned
header_size(const ws_reader_t *w)
{
    unsigned  code = w->have >= 2 ? w->head[1] & 0x7f : 0;

    return 2 + (code == 126 ? 2 : code == 127 ? 8 : 0) + 4;
}


static uint64_t
payload_size(const ws_reader_t *w)
{
    unsigned  i, code = w->head[1] & 0x7f;
    unsigned  n = code == 126 ? 2 : code == 127 ? 8 : 0;
    uint64_t  size = 0;

    if (n == 0) {
        return code;
    }

    for (i = 0; i < n; i++) {
        size = size << 8 | w->head[2 + i];
    }

    return size;
}


/* Checks the first two bytes of a header.  Returns 0 or a status. */
static int
ws_check_kind(ws_reader_t *w)
{
    int  opcode = w->head[0] & 0x0f, final = w->head[0] & 0x80;

    if (w->head[0] & 0x70) {
        return ws_fail(w, WS_PROTOCOL, "a frame has RSV bits set, expected "
                       "none: no extension was agreed on");
    }

    if (!(w->head[1] & 0x80)) {
        return ws_fail(w, WS_PROTOCOL, "a frame is not masked, expected a "
                       "client to mask all its frames");
    }

    switch (opcode) {

    case WS_CLOSE:
    case WS_PING:
    case WS_PONG:
        return final && (w->head[1] & 0x7f) <= 125
               ? 0 : ws_fail(w, WS_PROTOCOL, "a control frame is fragmented "
                             "or longer than 125 bytes");

    case WS_CONTINUATION:
        return w->fragmented
               ? 0 : ws_fail(w, WS_PROTOCOL, "a continuation frame outside of a "
                             "message");

    case WS_TEXT:
    case WS_BINARY:
        return !w->fragmented
               ? 0 : ws_fail(w, WS_PROTOCOL, "a message begins before the last "
                             "one has ended");

    default:
        return ws_fail(w, WS_PROTOCOL, "a frame has a reserved opcode");
    }
}


/* Checks a whole header.  Returns 0 or a status. */
static int
ws_check_size(ws_reader_t *w)
{
    unsigned  code = w->head[1] & 0x7f;

    if ((code == 126 && w->left < 126)
        || (code == 127 && (w->left < 65536 || w->left >> 63)))
    {
        return ws_fail(w, WS_PROTOCOL, "a frame's length is not in its "
                       "shortest form");
    }

    if (!(w->head[0] & 0x08) && w->left > WS_MESSAGE_MAX - w->message) {
        return ws_fail(w, WS_TOO_BIG, "a message of more than 4096 bytes, "
                       "expected short ones from a viewer");
    }

    return 0;
}


static int
frame_ended(ws_reader_t *w)
{
    int  opcode = w->head[0] & 0x0f;

    w->have = 0;

    if (ngx_current_msec - w->second >= 1000) {
        w->second = ngx_current_msec;
        w->frames = 0;
    }

    if (opcode != WS_CLOSE && ++w->frames > WS_FRAMES_MAX) {
        return ws_fail(w, WS_POLICY, "more than 10 frames in a second, expected "
                       "fewer from a viewer");
    }

    if (!(opcode & 0x08)) {
        w->fragmented = !(w->head[0] & 0x80);
        w->message = w->fragmented ? w->message + w->at : 0;
    }

    return opcode == WS_CLOSE || opcode == WS_PING ? opcode : 0;
}


int
ws_read_byte(ws_reader_t *w, u_char byte)
{
    int       status = 0;
    unsigned  size;

    if (w->have < 2 || w->have < header_size(w)) {
        w->head[w->have++] = byte;

        if (w->have == 2) {
            status = ws_check_kind(w);
        }

        if (status || w->have < 2 || w->have < header_size(w)) {
            return status;
        }

        w->left = payload_size(w);
        w->at = 0;
        status = ws_check_size(w);

        return status || w->left ? status : frame_ended(w);
    }

    size = header_size(w);

    if (w->at < sizeof(w->payload)) {
        w->payload[w->at] = byte ^ w->head[size - 4 + (w->at & 3)];
    }

    w->at++;

    return --w->left == 0 ? frame_ended(w) : 0;
}


/* The client's own status, unless section 7.4 forbids to send it. */
enum ws_status
ws_close_status(const ws_reader_t *w)
{
    unsigned  status;

    if (w->at == 0) {
        return WS_NORMAL;
    }

    status = w->at == 1 ? 0 : (unsigned) w->payload[0] << 8 | w->payload[1];

    return (status >= 1000 && status <= 1003)
           || (status >= 1007 && status <= 1014)
           || (status >= 3000 && status <= 4999) ? status : WS_PROTOCOL;
}
