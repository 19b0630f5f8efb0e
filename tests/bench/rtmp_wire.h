/*
 * RTMP as a client needs it: chunks, the few AMF0 values of a dialog, and the
 * dialog up to publish or play.
 *
 * Source: Adobe's RTMP specification 1.0: 5.2 (handshake), 5.3 (chunks),
 * 5.4 (protocol control), 7.1.7 (user control), 7.2 (commands).
 */

#ifndef DUOLU_BENCH_RTMP_WIRE_H
#define DUOLU_BENCH_RTMP_WIRE_H

#include "bench.h"

#define RTMP_LANES       16
#define RTMP_CHUNK_SIZE  128       /* until somebody says otherwise */

enum rtmp_type { RTMP_SET_CHUNK_SIZE = 1, RTMP_ACK = 3, RTMP_USER = 4,
                 RTMP_WINDOW = 5, RTMP_AUDIO = 8, RTMP_VIDEO = 9,
                 RTMP_DATA = 18, RTMP_COMMAND = 20 };

/* One chunk stream's message under way. */
typedef struct {
    unsigned  id;                  /* 0: not in use */
    uint8_t   type;
    int       extended;
    size_t    size;
    size_t    got;
    uint8_t  *body;
    size_t    room;
} rtmp_lane_t;

typedef struct {
    size_t       chunk_size;       /* of what comes */
    uint32_t     window;           /* acknowledgements asked for; 0: none */
    rtmp_lane_t  lanes[RTMP_LANES];
} rtmp_reader_t;

typedef struct {
    uint8_t         type;          /* enum rtmp_type; 0: no whole message */
    size_t          size;
    const uint8_t  *body;          /* valid until the next call */
} rtmp_message_t;

void rtmp_reader_init(rtmp_reader_t *r);
void rtmp_reader_free(rtmp_reader_t *r);

/* Takes one chunk.  Returns bytes used (a message may be whole now), 0: more
 * are needed. */
size_t rtmp_read(rtmp_reader_t *r, const uint8_t *p, size_t left,
    rtmp_message_t *m);

/* Appends a message in chunks of CHUNK bytes. */
void rtmp_write(bench_bytes_t *out, unsigned lane, enum rtmp_type type,
    uint32_t timestamp, uint32_t stream, const uint8_t *body, size_t size,
    size_t chunk);

/* AMF0 values, appended. */
void amf_string(bench_bytes_t *out, const char *text);
void amf_number(bench_bytes_t *out, double number);
void amf_null(bench_bytes_t *out);

/* Reads the value at *POS and goes behind it: a number or the text of a
 * string (cut to fit).  Returns its AMF0 marker, -1: none that we know. */
int amf_read(const uint8_t *p, size_t size, size_t *pos, double *number,
    char *text, size_t room);

/* The text of field NAME of an object anywhere in P.  0: not there. */
int amf_field(const uint8_t *p, size_t size, const char *name, char *text,
    size_t room);


/* --- the dialog --- */

enum rtmp_state { RTMP_HELLO, RTMP_CONNECTING, RTMP_CREATING, RTMP_ASKING,
                  RTMP_GOING, RTMP_REFUSED };

typedef struct {
    int              fd;
    enum rtmp_state  state;
    int              publish;
    const char      *host, *app, *name;
    size_t           chunk_size;   /* of what we send */
    uint32_t         stream;
    uint64_t         acked;
    char             refusal[128]; /* what the server said */
    rtmp_reader_t    reader;
} rtmp_client_t;

/* Says hello on a connection that is there.  The texts must stay. */
void rtmp_client_start(rtmp_client_t *c, int fd, const char *host,
    const char *app, const char *name, int publish);
void rtmp_client_free(rtmp_client_t *c);

/* Takes one step of what came; answers what must be answered.  Returns bytes
 * used, 0: more are needed.  *m: a message that is whole. */
size_t rtmp_client_take(rtmp_client_t *c, const uint8_t *p, size_t left,
    rtmp_message_t *m);

/* Acknowledges when the server's window asks for it; TOTAL bytes came. */
void rtmp_client_ack(rtmp_client_t *c, uint64_t total);

#endif
