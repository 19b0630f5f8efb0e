/* nal.c: rows of units behind lengths or start codes, cut at every byte. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "nal.h"
#include "record.h"

#include <stdio.h>


/* The units of a row as text: "67aa 68|", with a bar behind a cut one. */
static const char *units_of(const char *hex, unsigned prefix)
{
    static char     text[4 * RECORD_MAX];
    char           *at = text;
    size_t          i, size, length;
    uint8_t         data[RECORD_MAX], *memory;
    nal_row_t       row = { 0 };
    const uint8_t  *unit;

    size = from_hex(hex, data);
    row.data = exact_copy(data, size, &memory);
    row.size = size;
    row.prefix = prefix;
    text[0] = '\0';

    while ((unit = nal_next(&row, &length)) != NULL) {
        assert_true(length > 0);
        at += sprintf(at, "%s", at == text ? "" : " ");
        for (i = 0; i < length; i++) {
            at += sprintf(at, "%02x", unit[i]);
        }
        at += sprintf(at, "%s", row.cut ? "|" : "");
    }

    assert_null(nal_next(&row, &length));
    free(memory);

    return text;
}


static void test_lengths(void **state)
{
    static const struct {
        const char  *hex;
        unsigned     prefix;
        const char  *units;
    }  cases[] = {
        { "", 4, "" },
        { "00000001", 4, "" },
        { "0000000167", 4, "67" },
        { "000000026742000000016800", 4, "6742 68" },
        { "0000000000000001680000", 4, "68" },
        { "0000000567424344", 4, "67424344|" },
        { "ffffffff67", 4, "67|" },
        { "0002674200016800", 2, "6742 68" },
        { "026742016800", 1, "6742 68" },
        { "00000267420000016800", 3, "6742 68" },
    };

    size_t  i;

    (void) state;

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        assert_string_equal(units_of(cases[i].hex, cases[i].prefix), cases[i].units);
    }
}


static void test_start_codes(void **state)
{
    static const struct {
        const char  *hex;
        const char  *units;
    }  cases[] = {
        { "", "" },
        { "000001", "" },
        { "00000001", "" },
        { "0000000167", "67" },
        { "00000001674200000001680000010605", "6742 68 0605" },
        { "00000167420000010000000168", "6742 68" },
        { "0000016742000000", "6742" },
        { "00000001670000030001", "670000030001" },
        { "6742000001", "" },
        { "67420000016805", "6805" },
    };

    size_t  i;

    (void) state;

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        assert_string_equal(units_of(cases[i].hex, NAL_START_CODES), cases[i].units);
    }
}


static void test_start_codes_are_told_from_lengths(void **state)
{
    static const struct {
        const char  *hex;
        int          codes;
    }  cases[] = {
        { "0000000167", 1 },
        { "0000000109f0", 1 },
        { "00000001", 0 },
        { "", 0 },
        { "0000000209f0", 0 },
        { "0000010167", 0 },               /* a length of 257: no frame begins with a short code */
        { "00000167", 0 },
    };

    size_t   i, size;
    uint8_t  data[RECORD_MAX];

    (void) state;

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        size = from_hex(cases[i].hex, data);
        assert_int_equal(nal_has_start_codes(data, size), cases[i].codes);
    }
}


static void test_to_lengths(void **state)
{
    static const char  row[] = "00000001674200000168000000010605";

    size_t   size, used, max;
    uint8_t  data[RECORD_MAX], want[RECORD_MAX], out[RECORD_MAX];

    (void) state;

    size = from_hex(row, data);
    used = from_hex("00000002674200000001680000000206" "05", want);
    assert_true(used <= NAL_LENGTHS_MAX(size));
    assert_int_equal(nal_to_lengths(data, size, out, NAL_LENGTHS_MAX(size)), used);
    assert_memory_equal(out, want, used);

    for (max = 0; max < used; max++) {
        assert_int_equal(nal_to_lengths(data, size, out, max), 0);
    }

    /* the worst case: start codes of three bytes, units of one byte */
    for (size = 0; size + 4 <= RECORD_MAX / 2; size += 4) {
        memcpy(data + size, "\0\0\1\x68", 4);
    }
    assert_int_equal(nal_to_lengths(data, size, out, NAL_LENGTHS_MAX(size)), size / 4 * 5);
}


int main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(test_lengths),
        cmocka_unit_test(test_start_codes),
        cmocka_unit_test(test_start_codes_are_told_from_lengths),
        cmocka_unit_test(test_to_lengths),
    };

    return cmocka_run_group_tests_name("media_nal", tests, NULL, NULL);
}
