/*
 * Makes configuration records for tests: from hexadecimal text, or bit by bit.
 * Include cmocka.h before it.
 */

#ifndef DUOLU_TESTS_RECORD_H
#define DUOLU_TESTS_RECORD_H

#include <stdlib.h>
#include <string.h>

#define RECORD_MAX  512

typedef struct {
    uint8_t  data[RECORD_MAX];
    size_t   bits;
} record_writer_t;


static inline size_t from_hex(const char *hex, uint8_t out[RECORD_MAX])
{
    char    pair[3] = "";
    size_t  n;

    assert_true(strlen(hex) % 2 == 0 && strlen(hex) / 2 <= RECORD_MAX);

    for (n = 0; hex[2 * n]; n++) {
        memcpy(pair, hex + 2 * n, 2);
        out[n] = (uint8_t) strtoul(pair, NULL, 16);
    }

    return n;
}


static inline void put_bits(record_writer_t *w, uint32_t value, unsigned n)
{
    while (n--) {
        assert_true(w->bits / 8 < RECORD_MAX);
        if (value >> n & 1) {
            w->data[w->bits / 8] |= (uint8_t) (0x80 >> w->bits % 8);
        }
        w->bits++;
    }
}


static inline void put_ue(record_writer_t *w, uint32_t value)
{
    unsigned  n = 31 - (unsigned) __builtin_clz(value + 1);

    put_bits(w, 0, n);
    put_bits(w, value + 1, n + 1);
}


/* Makes a copy that ends where its memory ends, so that ASan detects a read past it. */
static inline uint8_t *exact_copy(const uint8_t *data, size_t size,
    uint8_t **memory)
{
    *memory = malloc(size ? size : 1);
    assert_non_null(*memory);

    if (size) {
        memcpy(*memory, data, size);
    }

    return *memory + (size ? 0 : 1);
}

#endif
