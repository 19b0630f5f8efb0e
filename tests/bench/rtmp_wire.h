/*
 * The client side of RTMP: chunks, the AMF0 values that a client needs, and its
 * dialog up to publish or play.
 *
 * Source: Adobe's RTMP specification 1.0: 5.2 (handshake), 5.3 (chunks),
 * 5.4 (protocol control), 7.1.7 (user control), 7.2 (commands).
 */

#ifndef DUOLU_BENCH_RTMP_WIRE_H
#define DUOLU_BENCH_RTMP_WIRE_H

#include "bench.h"

#define RTMP_LANES       16
#define RTMP_CHUNK_SIZE  128       /* the default of the protocol */

enum rtmp_type { RTMP_SET_CHUNK_SIZE = 1, RTMP_ACK = 3, RTMP_USER = 4,
                 RTMP_WINDOW = 5, RTMP_AUDIO = 8, RTMP_VIDEO = 9,
                 RTMP_DATA = 18, RTMP_COMMAND = 20 };

/* The incomplete message of one chunk stream. */
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
    size_t       chunk_size;       /* of received chunks */
    uint32_t     window;           /* acknowledge after so many; 0: never */
    rtmp_lane_t  lanes[RTMP_LANES];
} rtmp_reader_t;

typedef struct {
    uint8_t         type;          /* enum rtmp_type; 0: no whole message */
    size_t          size;
    const uint8_t  *body;          /* valid until the next call */
} rtmp_message_t;

void rtmp_reader_init(rtmp_reader_t *r);
void rtmp_reader_free(rtmp_reader_t *r);

/* Reads one chunk.  Returns the bytes used, 0: needs more.  A chunk may
 * complete a message. */
size_t rtmp_read(rtmp_reader_t *r, const uint8_t *p, size_t left,
    rtmp_message_t *m);

/* Appends a message in chunks of CHUNK bytes. */
void rtmp_write(bench_bytes_t *out, unsigned lane, enum rtmp_type type,
    uint32_t timestamp, uint32_t stream, const uint8_t *body, size_t size,
    size_t chunk);

/* Append AMF0 values. */
void amf_string(bench_bytes_t *out, const char *text);
void amf_number(bench_bytes_t *out, double number);
void amf_null(bench_bytes_t *out);

/* Reads the value at *POS, a number or the text of a string (cut to fit), and
 * moves *POS behind it.  Returns its AMF0 marker, -1: unknown. */
int amf_read(const uint8_t *p, size_t size, size_t *pos, double *number,
    char *text, size_t room);

/* Reads the text of field NAME of an object anywhere in P.  0: not found. */
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
    size_t           chunk_size;   /* of sent chunks */
    uint32_t         stream;
    uint64_t         acked;
    char             refusal[128]; /* the server's message */
    rtmp_reader_t    reader;
} rtmp_client_t;

/* Starts the handshake on an open connection.  The strings must stay valid. */
void rtmp_client_start(rtmp_client_t *c, int fd, const char *host,
    const char *app, const char *name, int publish);
void rtmp_client_free(rtmp_client_t *c);

/* Processes one step of the received bytes and sends the answer it needs.
 * Returns the bytes used, 0: needs more.  *m: a message that is whole now. */
size_t rtmp_client_take(rtmp_client_t *c, const uint8_t *p, size_t left,
    rtmp_message_t *m);

/* Acknowledges the TOTAL bytes received, when the server's window requires it. */
void rtmp_client_ack(rtmp_client_t *c, uint64_t total);

#endif
