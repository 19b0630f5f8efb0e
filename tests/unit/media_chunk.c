/* chunk.c: chunk headers byte by byte, and the size of messages. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "chunk.h"

#include <string.h>


typedef struct {
    const char       *what;
    chunk_message_t   message;
    size_t            at;
    size_t            size;
    uint8_t           bytes[CHUNK_HEADER_MAX];
} header_case_t;

static const header_case_t  headers[] = {
    { "first chunk of video", { 7, 9, 1, 0x010203, 0x0a0b0c }, 0, 12,
      { 0x07, 1, 2, 3, 0x0a, 0x0b, 0x0c, 9, 1, 0, 0, 0 } },
    { "a later chunk", { 7, 9, 1, 0x010203, 0x0a0b0c }, 65536, 1, { 0xc7 } },
    { "message stream id is little-endian", { 6, 8, 0x04030201, 0, 1 }, 0, 12,
      { 0x06, 0, 0, 0, 0, 0, 1, 8, 1, 2, 3, 4 } },
    { "last time of three bytes", { 6, 8, 1, 0xfffffe, 1 }, 0, 12,
      { 0x06, 0xff, 0xff, 0xfe, 0, 0, 1, 8, 1, 0, 0, 0 } },
    { "first time of four", { 6, 8, 1, 0xffffff, 1 }, 0, 16,
      { 0x06, 0xff, 0xff, 0xff, 0, 0, 1, 8, 1, 0, 0, 0, 0, 0xff, 0xff, 0xff } },
    { "four bytes of time", { 63, 18, 1, 0xfedcba98, 5 }, 0, 16,
      { 0x3f, 0xff, 0xff, 0xff, 0, 0, 5, 18, 1, 0, 0, 0,
        0xfe, 0xdc, 0xba, 0x98 } },
    { "and again in a later chunk", { 63, 18, 1, 0xfedcba98, 200 }, 128, 5,
      { 0xff, 0xfe, 0xdc, 0xba, 0x98 } },
};


static void
test_headers(void **state)
{
    size_t                i, n;
    uint8_t               out[CHUNK_HEADER_MAX];
    const header_case_t  *c;

    (void) state;

    for (i = 0; i < sizeof(headers) / sizeof(headers[0]); i++) {
        c = &headers[i];
        memset(out, 0x55, sizeof(out));
        n = chunk_write_header(out, &c->message, c->at);

        if (n != c->size || memcmp(out, c->bytes, n) != 0) {
            fail_msg("%s: %zu bytes, beginning %02x %02x %02x", c->what, n,
                     out[0], out[1], out[2]);
        }

        assert_int_equal(chunk_header_size(&c->message, c->at), c->size);
        assert_true(n == sizeof(out) || out[n] == 0x55);
    }
}


static void
test_message_size(void **state)
{
    size_t  i;

    static const struct {
        uint32_t  timestamp;
        size_t    size, chunk, expected;
    } cases[] = {
        { 0, 0, 128, 12 },
        { 0, 1, 128, 13 },
        { 0, 128, 128, 140 },                /* exactly one chunk */
        { 0, 129, 128, 142 },
        { 0, 256, 128, 269 },
        { 0, 257, 128, 271 },
        { 0xffffff, 128, 128, 144 },
        { 0xffffff, 129, 128, 150 },
        { 0, 0xffffff, 65536, 0xffffff + 12 + 255 },
    };

    (void) state;

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        chunk_message_t  m = { 6, 8, 1, cases[i].timestamp, cases[i].size };

        assert_int_equal(chunk_message_size(&m, cases[i].chunk),
                         cases[i].expected);
    }
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(test_headers),
        cmocka_unit_test(test_message_size),
    };

    return cmocka_run_group_tests_name("media_chunk", tests, NULL, NULL);
}
