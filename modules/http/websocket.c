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
    u_char       digest[20];
    ngx_str_t   *key, *version, hash, accept;
    ngx_sha1_t   sha1;

    static const char  guid[] = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

    key = find_header(r, "Sec-WebSocket-Key");
    version = find_header(r, "Sec-WebSocket-Version");

    if (key == NULL || key->len != 24 || version == NULL || version->len != 2
        || ngx_memcmp(version->data, "13", 2) != 0)
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


/* Size of the frame header in hand, as far as its first bytes tell. */
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


static int
frame_ended(ws_reader_t *w)
{
    int  opcode = w->head[0] & 0x0f;

    w->have = 0;

    return opcode == WS_CLOSE || opcode == WS_PING ? opcode : 0;
}


int
ws_read_byte(ws_reader_t *w, u_char byte)
{
    unsigned  size;

    if (w->have < header_size(w) || w->have < 2) {
        w->head[w->have++] = byte;

        /* a client masks every frame; control frames are short and whole */
        if (w->have == 2 && (!(w->head[1] & 0x80)
                             || ((w->head[0] & 0x08)
                                 && ((w->head[1] & 0x7f) > 125
                                     || !(w->head[0] & 0x80)))))
        {
            return NGX_ERROR;
        }

        if (w->have < 2 || w->have < header_size(w)) {
            return 0;
        }

        w->left = payload_size(w);
        w->at = 0;

        return w->left == 0 ? frame_ended(w) : 0;
    }

    size = header_size(w);

    if (w->at < sizeof(w->payload)) {
        w->payload[w->at] = byte ^ w->head[size - 4 + (w->at & 3)];
    }

    w->at++;

    return --w->left == 0 ? frame_ended(w) : 0;
}
