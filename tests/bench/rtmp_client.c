/* The dialog of an RTMP client, from the handshake to publish or play. */

#include "rtmp_wire.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#define HANDSHAKE  1536
#define OUR_CHUNK  4096            /* as phones and OBS send */

enum { USER_STREAM_BUFFER = 3, USER_PING = 6, USER_PONG = 7 };


/* The messages of the dialog are small: a socket without room for them is
 * useless. */
static void
client_send(rtmp_client_t *c, bench_bytes_t *out)
{
    if (send(c->fd, out->data, out->len, MSG_NOSIGNAL) != (ssize_t) out->len) {
        snprintf(c->refusal, sizeof(c->refusal), "send: %s", strerror(errno));
        c->state = RTMP_REFUSED;
    }

    bench_forget(out);
}


static void
send_command(rtmp_client_t *c, bench_bytes_t *body, uint32_t stream)
{
    bench_bytes_t  out = { 0 };

    rtmp_write(&out, 3, RTMP_COMMAND, 0, stream, body->data, body->len,
               c->chunk_size);
    bench_forget(body);
    client_send(c, &out);
}


static void
send_control(rtmp_client_t *c, enum rtmp_type type, const void *data,
    size_t size)
{
    bench_bytes_t  out = { 0 };

    rtmp_write(&out, 2, type, 0, 0, data, size, RTMP_CHUNK_SIZE);
    client_send(c, &out);
}


static void
object_text(bench_bytes_t *out, const char *name, const char *text)
{
    uint8_t  size[2] = { 0, (uint8_t) strlen(name) };

    bench_append(out, size, 2);
    bench_append(out, name, size[1]);
    amf_string(out, text);
}


static void
send_connect(rtmp_client_t *c)
{
    char           url[256];
    uint8_t        chunk[4] = { 0, 0, OUR_CHUNK >> 8, OUR_CHUNK & 255 };
    bench_bytes_t  body = { 0 };

    if (c->publish) {                        /* players send only small messages */
        send_control(c, RTMP_SET_CHUNK_SIZE, chunk, 4);
        c->chunk_size = OUR_CHUNK;
    }

    snprintf(url, sizeof(url), "rtmp://%s/%s", c->host, c->app);
    amf_string(&body, "connect");
    amf_number(&body, 1);
    bench_append(&body, "\x03", 1);
    object_text(&body, "app", c->app);
    object_text(&body, "flashVer", "LNX 9,0,124,2");
    object_text(&body, "tcUrl", url);
    bench_append(&body, "\0\0\x09", 3);
    send_command(c, &body, 0);
}


static void
send_create(rtmp_client_t *c)
{
    bench_bytes_t  body = { 0 };

    amf_string(&body, "createStream");
    amf_number(&body, 2);
    amf_null(&body);
    send_command(c, &body, 0);
}


static void
send_ask(rtmp_client_t *c)
{
    uint8_t        buffer[10] = { 0, USER_STREAM_BUFFER, 0, 0, 0, 0,
                                  0, 0, 3000 >> 8, 3000 & 255 };
    bench_bytes_t  body = { 0 };

    amf_string(&body, c->publish ? "publish" : "play");
    amf_number(&body, 3);
    amf_null(&body);
    amf_string(&body, c->name);

    if (c->publish) {
        amf_string(&body, "live");
    } else {
        amf_number(&body, -2000);
        buffer[5] = (uint8_t) c->stream;
        send_control(c, RTMP_USER, buffer, sizeof(buffer));
    }

    send_command(c, &body, c->stream);
}


void
rtmp_client_start(rtmp_client_t *c, int fd, const char *host, const char *app,
    const char *name, int publish)
{
    int            i;
    uint8_t        hello[1 + HANDSHAKE] = { 3 };
    bench_bytes_t  out = { 0 };

    memset(c, 0, sizeof(*c));
    rtmp_reader_init(&c->reader);
    c->fd = fd;
    c->host = host;
    c->app = app;
    c->name = name;
    c->publish = publish;
    c->chunk_size = RTMP_CHUNK_SIZE;

    for (i = 9; i <= HANDSHAKE; i++) {
        hello[i] = (uint8_t) (i * 7);
    }

    bench_append(&out, hello, sizeof(hello));
    client_send(c, &out);
}


void
rtmp_client_free(rtmp_client_t *c)
{
    rtmp_reader_free(&c->reader);
}


static void
on_result(rtmp_client_t *c, double call, const rtmp_message_t *m, size_t pos)
{
    char    text[8];
    double  number;

    if (c->state == RTMP_CONNECTING && call == 1) {
        c->state = RTMP_CREATING;
        send_create(c);

    } else if (c->state == RTMP_CREATING && call == 2
               && amf_read(m->body, m->size, &pos, &number, text, 8) == 5
               && amf_read(m->body, m->size, &pos, &number, text, 8) == 0)
    {
        c->stream = (uint32_t) number;
        c->state = RTMP_ASKING;
        send_ask(c);
    }
}


static void
on_command(rtmp_client_t *c, const rtmp_message_t *m)
{
    char    name[64], code[64], level[16];
    double  call = 0;
    size_t  pos = 0;

    if (amf_read(m->body, m->size, &pos, &call, name, sizeof(name)) != 2) {
        return;
    }

    (void) amf_read(m->body, m->size, &pos, &call, code, sizeof(code));

    if (strcmp(name, "_result") == 0) {
        on_result(c, call, m, pos);
        return;
    }

    if ((strcmp(name, "onStatus") != 0 && strcmp(name, "_error") != 0)
        || !amf_field(m->body, m->size, "code", code, sizeof(code)))
    {
        return;
    }

    if (strcmp(code, "NetStream.Publish.Start") == 0
        || strcmp(code, "NetStream.Play.Start") == 0)
    {
        c->state = RTMP_GOING;

    } else if (name[0] == '_'
               || (amf_field(m->body, m->size, "level", level, sizeof(level))
                   && strcmp(level, "error") == 0))
    {
        snprintf(c->refusal, sizeof(c->refusal), "%s", code);
        c->state = RTMP_REFUSED;
    }
}


static size_t
on_hello(rtmp_client_t *c, const uint8_t *p, size_t left)
{
    bench_bytes_t  out = { 0 };

    if (left < 1 + 2 * HANDSHAKE) {
        return 0;
    }

    bench_append(&out, p + 1, HANDSHAKE);
    client_send(c, &out);
    c->state = RTMP_CONNECTING;
    send_connect(c);

    return 1 + 2 * HANDSHAKE;
}


size_t
rtmp_client_take(rtmp_client_t *c, const uint8_t *p, size_t left,
    rtmp_message_t *m)
{
    size_t   used;
    uint8_t  pong[6];

    memset(m, 0, sizeof(*m));

    if (c->state == RTMP_HELLO) {
        return on_hello(c, p, left);
    }

    used = rtmp_read(&c->reader, p, left, m);

    if (m->type == RTMP_COMMAND) {
        on_command(c, m);

    } else if (m->type == RTMP_USER && m->size == 6 && m->body[1] == USER_PING) {
        memcpy(pong, m->body, 6);
        pong[1] = USER_PONG;
        send_control(c, RTMP_USER, pong, 6);
    }

    return used;
}


void
rtmp_client_ack(rtmp_client_t *c, uint64_t total)
{
    int      i;
    uint8_t  count[4];

    if (c->reader.window == 0 || total - c->acked < c->reader.window / 2) {
        return;
    }

    for (i = 0; i < 4; i++) {
        count[i] = (uint8_t) (total >> (24 - 8 * i));
    }

    c->acked = total;
    send_control(c, RTMP_ACK, count, 4);
}
