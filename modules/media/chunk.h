/*
 * RTMP chunk headers, the writing side (Adobe's Real-Time Messaging Protocol,
 * 1.0, section 5.3.1).
 *
 * A message is sent as chunks of one size.  The first has a full header, type 0; the
 * others have a header of type 3, which repeats no field.  With a timestamp of
 * 0xFFFFFF or above every header has four bytes more: players expect that also of
 * type 3, in spite of the specification.
 */

#ifndef DUOLU_MEDIA_CHUNK_H
#define DUOLU_MEDIA_CHUNK_H

#include <stddef.h>
#include <stdint.h>

#define CHUNK_HEADER_MAX  16     /* of any type, for chunk streams below 64 */
#define CHUNK_EXTENDED    0xffffff

typedef struct {
    uint8_t   csid;              /* chunk stream, 2 to 63 */
    uint8_t   type;              /* of the message */
    uint32_t  msid;              /* message stream */
    uint32_t  timestamp;
    size_t    size;              /* of the body, below 2^24 */
} chunk_message_t;

/* Writes the header before the body's byte AT, which is 0 for the first chunk
 * of a message.  Returns its size. */
size_t chunk_write_header(uint8_t out[CHUNK_HEADER_MAX],
    const chunk_message_t *m, size_t at);

/* Size of the header before the body's byte AT. */
size_t chunk_header_size(const chunk_message_t *m, size_t at);

/* Bytes that the whole message takes in chunks of CHUNK_SIZE. */
size_t chunk_message_size(const chunk_message_t *m, size_t chunk_size);

#endif
