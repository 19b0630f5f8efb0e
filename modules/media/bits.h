/*
 * Reads bits, most significant first, from memory that may end anywhere, and the
 * Exp-Golomb codes of parameter sets.
 *
 * Source: ITU-T H.264 and H.265, 7.2 and 9.1 / 9.2 (u, ue, se), 7.3.1
 * (emulation prevention).
 */

#ifndef DUOLU_MEDIA_BITS_H
#define DUOLU_MEDIA_BITS_H

#include <stddef.h>
#include <stdint.h>

typedef struct {
    const uint8_t  *data;
    size_t          bits;      /* length of the data */
    size_t          at;
    int             failed;    /* read past the end */
} bit_reader_t;


static inline uint32_t
read_bit(bit_reader_t *r)
{
    uint32_t  bit;

    if (r->at >= r->bits) {
        r->failed = 1;
        return 0;
    }

    bit = (r->data[r->at / 8] >> (7 - r->at % 8)) & 1;
    r->at++;

    return bit;
}


static inline uint32_t
read_bits(bit_reader_t *r, unsigned n)
{
    uint32_t  v = 0;

    while (n--) {
        v = v << 1 | read_bit(r);
    }

    return v;
}


static inline void
skip_bits(bit_reader_t *r, size_t n)
{
    if (n > r->bits - r->at) {
        r->failed = 1;
        n = r->bits - r->at;
    }

    r->at += n;
}


/* ue(v): an unsigned Exp-Golomb code */
static inline uint32_t
read_ue(bit_reader_t *r)
{
    unsigned  zeros = 0;

    while (!r->failed && read_bit(r) == 0) {
        if (++zeros > 31) {
            r->failed = 1;
        }
    }

    return r->failed ? 0 : ((uint32_t) 1 << zeros) - 1 + read_bits(r, zeros);
}


static inline int32_t
read_se(bit_reader_t *r)
{
    uint32_t  v = read_ue(r);

    return v & 1 ? (int32_t) (v / 2 + 1) : -(int32_t) (v / 2);
}


/* Removes emulation prevention bytes; OUT has room for SIZE.  Returns the new
 * size. */
static inline size_t
nal_unescape(const uint8_t *in, size_t size, uint8_t *out)
{
    size_t    i, n = 0;
    unsigned  zeros = 0;

    for (i = 0; i < size; i++) {
        if (zeros >= 2 && in[i] == 3) {
            zeros = 0;
            continue;
        }
        zeros = in[i] == 0 ? zeros + 1 : 0;
        out[n++] = in[i];
    }

    return n;
}

#endif
