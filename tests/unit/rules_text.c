/* UTF-8, invisible characters, and names of streams. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "cases.h"
#include "text.h"


static void
name_case(char *column[CASES_COLUMNS])
{
    char    *copy;
    size_t   length = cases_bytes(column[0]);

    copy = malloc(length ? length : 1);          /* ASan sees a read too far */
    assert_non_null(copy);
    memcpy(copy, column[0], length);

    if ((stream_name_bad(copy, length) == NULL) != (strcmp(column[1], "yes") == 0)) {
        fail_msg("\"%s\": %s, expected %s", column[0],
                 stream_name_bad(copy, length), column[1]);
    }

    free(copy);
}


static void
test_stream_names(void **state)
{
    char  longest[STREAM_NAME_MAX + 1];

    (void) state;
    cases_read("stream_names.tsv", 50, name_case);

    memset(longest, 'a', sizeof(longest));
    assert_null(stream_name_bad(longest, STREAM_NAME_MAX));
    assert_non_null(stream_name_bad(longest, STREAM_NAME_MAX + 1));
    assert_non_null(stream_name_bad("", 0));
    assert_non_null(stream_name_bad("a?b", 3));  /* over RTMP the name ends there */
    assert_non_null(stream_name_bad("a\0b", 3));
}


/* Every code point comes back as it went in, and nothing else is read. */
static void
test_utf8(void **state)
{
    char      text[4];
    size_t    n, cut;
    uint32_t  code, got;

    (void) state;

    for (code = 0; code <= 0x110000; code++) {
        if (code < 0x80) {
            text[0] = (char) code;
            n = 1;
        } else if (code < 0x800) {
            text[0] = (char) (0xc0 | code >> 6);
            text[1] = (char) (0x80 | (code & 0x3f));
            n = 2;
        } else if (code < 0x10000) {
            text[0] = (char) (0xe0 | code >> 12);
            text[1] = (char) (0x80 | (code >> 6 & 0x3f));
            text[2] = (char) (0x80 | (code & 0x3f));
            n = 3;
        } else {
            text[0] = (char) (0xf0 | code >> 18);
            text[1] = (char) (0x80 | (code >> 12 & 0x3f));
            text[2] = (char) (0x80 | (code >> 6 & 0x3f));
            text[3] = (char) (0x80 | (code & 0x3f));
            n = 4;
        }

        if ((code >= 0xd800 && code < 0xe000) || code > 0x10ffff) {
            assert_int_equal(text_read(text, n, &got), 0);
            continue;
        }

        assert_int_equal(text_read(text, n, &got), n);
        assert_int_equal(got, code);
        for (cut = 1; cut < n; cut++) {
            assert_int_equal(text_read(text, cut, &got), 0);
        }
    }

    assert_int_equal(text_read("\x80", 1, &got), 0);
    assert_int_equal(text_read("\xc1\xbf", 2, &got), 0);
    assert_int_equal(text_read("\xe0\x9f\xbf", 3, &got), 0);
    assert_int_equal(text_read("\xf0\x8f\xbf\xbf", 4, &got), 0);
}


static void
test_hidden(void **state)
{
    static const uint32_t  not_seen[] = {
        0x00, 0x09, 0x1f, 0x7f, 0x80, 0x9f, 0xad, 0x61c, 0x200b, 0x200e, 0x200f, 0x2028,
        0x202a, 0x202e, 0x2060, 0x2066, 0x2069, 0x3164, 0xfeff, 0xe0001, 0xe007f
    };
    static const uint32_t  seen[] = {
        0x20, 0x7e, 0xe9, 0x200, 0x628, 0x5d0, 0x2010, 0x2030, 0x4e00, 0xfe0f, 0x1f600
    };

    size_t  i;

    (void) state;
    for (i = 0; i < sizeof(not_seen) / sizeof(not_seen[0]); i++) {
        if (!text_hidden(not_seen[i])) {
            fail_msg("U+%04X is seen", not_seen[i]);
        }
    }
    for (i = 0; i < sizeof(seen) / sizeof(seen[0]); i++) {
        if (text_hidden(seen[i]) || text_blank(seen[i])) {
            fail_msg("U+%04X is not seen", seen[i]);
        }
    }
    assert_true(text_blank(0xa0) && text_blank(0x3000) && !text_blank(0x3001));
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(test_stream_names),
        cmocka_unit_test(test_utf8),
        cmocka_unit_test(test_hidden),
    };

    return cmocka_run_group_tests_name("text", tests, NULL, NULL);
}
