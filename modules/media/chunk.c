#include "chunk.h"

#define FIRST_SIZE  12
#define NEXT_SIZE    1


static uint8_t *
put_be24(uint8_t *p, uint32_t n)
{
    *p++ = (uint8_t) (n >> 16);
    *p++ = (uint8_t) (n >> 8);
    *p++ = (uint8_t) n;

    return p;
}


size_t
chunk_header_size(const chunk_message_t *m, size_t at)
{
    return (at == 0 ? FIRST_SIZE : NEXT_SIZE)
           + (m->timestamp >= CHUNK_EXTENDED ? 4 : 0);
}


size_t
chunk_write_header(uint8_t out[CHUNK_HEADER_MAX], const chunk_message_t *m,
    size_t at)
{
    int       extended = m->timestamp >= CHUNK_EXTENDED;
    uint8_t  *p = out;

    *p++ = (uint8_t) ((at == 0 ? 0 : 3 << 6) | m->csid);

    if (at == 0) {
        p = put_be24(p, extended ? CHUNK_EXTENDED : m->timestamp);
        p = put_be24(p, (uint32_t) m->size);
        *p++ = m->type;
        *p++ = (uint8_t) m->msid;            /* the one little-endian field */
        *p++ = (uint8_t) (m->msid >> 8);
        *p++ = (uint8_t) (m->msid >> 16);
        *p++ = (uint8_t) (m->msid >> 24);
    }

    if (extended) {
        *p++ = (uint8_t) (m->timestamp >> 24);
        p = put_be24(p, m->timestamp);
    }

    return (size_t) (p - out);
}


size_t
chunk_message_size(const chunk_message_t *m, size_t chunk_size)
{
    size_t  more = m->size ? (m->size - 1) / chunk_size : 0;

    return chunk_header_size(m, 0) + more * chunk_header_size(m, 1) + m->size;
}
