/* Paths of recordings, and UTC as text. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "rec_path.h"

#define DAY_MS    86400000LL
#define UTC_MAX   253402300799999LL


/* Makes a copy that ends where its memory ends, so that ASan detects a read past it. */
static char *exact(const char *text, size_t len)
{
    char  *copy = malloc(len ? len : 1);

    assert_non_null(copy);
    memcpy(copy + (len ? 0 : 1), text, len);

    return copy;
}


static int64_t read_utc(const char *text)
{
    char     *copy = exact(text, strlen(text));
    int64_t   utc = utc_read(copy, strlen(text));

    free(copy);

    return utc;
}


static void test_folders(void **state)
{
    static const struct {
        const char  *stream, *folder;
    }  cases[] = {
        { "live/demo", "live/demo" },
        { "live/.demo", "live/%2Edemo" },
        { "live/.", "live/%2E" },
        { ".open/x", "%2Eopen/x" },
        { ".spool/.x", "%2Espool/%2Ex" },
        { "live/a.b", "live/a.b" },
        { "live/2026-11-23", "live/2026-11-23" },
        { "live/\xe5\xa4\x9a", "live/\xe5\xa4\x9a" },
    };

    char    out[REC_DIR_MAX], back[REC_DIR_MAX];
    size_t  i, n;

    (void) state;

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        n = rec_path_dir(out, cases[i].stream, strlen(cases[i].stream));
        assert_string_equal(out, cases[i].folder);
        assert_int_equal(n, strlen(cases[i].folder));
        n = rec_path_stream(back, sizeof(back), out, n);
        assert_string_equal(back, cases[i].stream);
        assert_int_equal(n, strlen(cases[i].stream));
    }
}


static void test_no_folders(void **state)
{
    static const struct {
        const char  *text;
        size_t       len;
    }  cases[] = {
        { "", 0 }, { "live", 4 }, { "/", 1 }, { "live/", 5 }, { "/demo", 5 },
        { "live/a/b", 8 }, { "live/..", 7 }, { "../demo", 7 }, { "live/a..b", 9 },
        { "live/%2Ea", 9 }, { "live/a b", 8 }, { "live/a\\b", 8 }, { "live/a\0b", 8 },
        { "live/a\n", 7 }, { "live/\x7f", 6 }, { "live/a\"b", 8 }, { "live//demo", 10 },
    };

    char    out[REC_DIR_MAX], name[400], *copy;
    size_t  i;

    (void) state;

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        copy = exact(cases[i].text, cases[i].len);
        if (rec_path_dir(out, copy + (cases[i].len ? 0 : 1), cases[i].len) != 0) {
            fail_msg("\"%s\" has the folder \"%s\"", cases[i].text, out);
        }
        free(copy);
    }

    assert_int_equal(rec_path_stream(out, sizeof(out), "live/.demo", 10), 0);
    assert_int_equal(rec_path_stream(out, sizeof(out), ".open/demo", 10), 0);
    assert_int_equal(rec_path_stream(out, sizeof(out), "live/a%2Eb", 10), 0);
    assert_int_equal(rec_path_stream(out, sizeof(out), "live/%2E.", 9), 0);
    assert_int_equal(rec_path_stream(out, 9, "live/demo", 9), 0);
    assert_int_equal(rec_path_stream(out, 10, "live/demo", 9), 9);

    memset(name, 'n', sizeof(name));
    name[4] = '/';

    for (i = 6; i < sizeof(name); i++) {
        assert_int_equal(rec_path_dir(out, name, i), i < REC_DIR_MAX ? i : 0);
    }
}


static void test_files(void **state)
{
    static const struct {
        int64_t      utc;
        const char  *file;
    }  cases[] = {
        { 0, "1970-01-01/00-00-00.000.mp4" },
        { 951782400000, "2000-02-29/00-00-00.000.mp4" },
        { 1795442400123, "2026-11-23/14-00-00.123.mp4" },
        { 4107542399999, "2100-02-28/23-59-59.999.mp4" },
        { 4107542400000, "2100-03-01/00-00-00.000.mp4" },
        { UTC_MAX, "9999-12-31/23-59-59.999.mp4" },
    };

    char    out[REC_FILE_MAX], *copy;
    size_t  i, n;

    (void) state;

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        n = rec_path_file(out, cases[i].utc, "mp4");
        assert_string_equal(out, cases[i].file);
        assert_int_equal(n, strlen(out));
        copy = exact(out, n);
        assert_int_equal(rec_path_utc(copy, n, "mp4"), cases[i].utc);
        assert_int_equal(rec_path_utc(copy, n, "m3u8"), -1);
        free(copy);
    }

    assert_int_equal(rec_path_file(out, -1, "mp4"), 0);
    assert_int_equal(rec_path_file(out, UTC_MAX + 1, "mp4"), 0);
    assert_int_equal(rec_path_file(out, 0, "mp4mp4mp"), 0);
    assert_int_equal(rec_path_file(out, 0, "m3u8"), 28);
}


static void test_no_files(void **state)
{
    static const char *const  cases[] = {
        "", "2026-11-23", "2026-11-23/14-00-00.123", "2026-11-23/14-00-00.123.",
        "2026-11-23/14-00-00.123.mp4 ", "2026-11-23/14-00-00.123.mp",
        "x2026-11-23/14-00-00.123.mp4", "2026-11-23/14-00-00.123.m3u8",
        "2026-02-29/14-00-00.123.mp4", "2026-04-31/14-00-00.123.mp4", "2026-13-01/14-00-00.123.mp4",
        "2026-00-01/14-00-00.123.mp4", "2026-11-00/14-00-00.123.mp4", "2026-11-23/24-00-00.123.mp4",
        "2026-11-23/14-60-00.123.mp4", "2026-11-23/14-00-60.123.mp4", "2026-11-23/14-00-00.12.mp4",
        "2026-11-23/14-00-00.1234.mp4", "2026-11-23/../14-00-00.123.mp4",
        "2026-11-23//4-00-00.123.mp4", "1969-12-31/14-00-00.123.mp4", "2026-11-23/14:00:00.123.mp4",
        "2026-11-23/14-00-00,123.mp4", "+026-11-23/14-00-00.123.mp4", "2026-11-23/14-00-00.123.MP4",
    };

    char    *copy;
    size_t   i;

    (void) state;

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        copy = exact(cases[i], strlen(cases[i]));
        if (rec_path_utc(copy, strlen(cases[i]), "mp4") != -1) {
            fail_msg("\"%s\" is a file", cases[i]);
        }
        free(copy);
    }
}


static void test_markers(void **state)
{
    static const char  *const files[] = {
        "live/demo/2026-11-23/14-00-00.123.mp4", "live/%2Ex/2026-11-23/x.flv", "x",
    };

    char    out[REC_MARKER_MAX], back[REC_PATH_MAX], longest[REC_PATH_MAX + 1];
    size_t  i, n;

    (void) state;

    n = rec_path_marker(out, files[0]);
    assert_string_equal(out, ".open/live%2Fdemo%2F2026-11-23%2F14-00-00.123.mp4");
    assert_int_equal(n, strlen(out));

    for (i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
        assert_int_not_equal(rec_path_marker(out, files[i]), 0);
        assert_int_equal(rec_path_marked(back, out + 6), strlen(files[i]));
        assert_string_equal(back, files[i]);
    }

    memset(longest, 'n', REC_PATH_MAX);
    longest[REC_PATH_MAX] = '\0';
    assert_int_equal(rec_path_marker(out, longest), 0);
    assert_int_equal(rec_path_marked(back, longest), 0);
    longest[1] = longest[3] = longest[5] = '/';
    longest[REC_PATH_MAX - 1] = '\0';
    assert_int_equal(rec_path_marker(out, longest), REC_MARKER_MAX - 1);
    longest[7] = '/';
    assert_int_equal(rec_path_marker(out, longest), 0);
}


static void test_every_day(void **state)
{
    char       out[REC_FILE_MAX], want[REC_FILE_MAX];
    time_t     day;
    struct tm  tm;

    (void) state;

    for (day = 0; day * DAY_MS <= UTC_MAX; day += day % 97 == 0 ? 1 : 3) {
        time_t  seconds = day * 86400;

        assert_non_null(gmtime_r(&seconds, &tm));
        assert_true(strftime(want, sizeof(want), "%Y-%m-%d/00-00-00.000.x", &tm) > 0);
        assert_int_equal(rec_path_file(out, day * DAY_MS, "x"), 25);
        assert_string_equal(out, want);
        assert_int_equal(rec_path_utc(out, 25, "x"), day * DAY_MS);
    }
}


static void test_utc_read(void **state)
{
    static const struct {
        const char  *text;
        int64_t      utc;
    }  cases[] = {
        { "2026-11-23T14:00:00.123Z", 1795442400123 },
        { "2026-11-23t14:00:00.123z", 1795442400123 },
        { "2026-11-23T14:00:00Z", 1795442400000 },
        { "2026-11-23T14:00Z", 1795442400000 },
        { "2026-11-23T22:00+08:00", 1795442400000 },
        { "2026-11-23T08:30:00.5-05:30", 1795442400500 },
        { "2026-11-24T00:00:00.1239+10:00", 1795442400123 },
        { "2026-11-23T14:00:00.000000000Z", 1795442400000 },
        { "2016-12-31T23:59:60Z", 1483228800000 },       /* a leap second */
        { "1970-01-01T00:00Z", 0 },
        { "9999-12-31T23:59:59.999Z", UTC_MAX },
        { "1795442400123", 1795442400123 },
        { "0", 0 }, { "007", 7000 }, { "253402300799999", UTC_MAX },
        { "1795442400", 1795442400000 },                 /* seconds, as `date +%s` has them */
        { "99999999999", 99999999999000 }, { "100000000000", 100000000000 },

        { "", -1 }, { "-1", -1 }, { "+1", -1 }, { " 1", -1 }, { "1 ", -1 }, { "1.5", -1 },
        { "1e3", -1 }, { "253402300800000", -1 }, { "9999999999999999999999", -1 }, { "now", -1 },
        { "2026", 2026000 }, { "1795442400.5", -1 }, { "2026-", -1 }, { "2026-11-23", -1 },
        { "2026-11-23T14", -1 }, { "2026-11-23T14:00", -1 }, { "2026-11-23T14:00:00", -1 },
        { "2026-11-23 14:00:00Z", -1 }, { "2026-11-23T14:00:00.Z", -1 },
        { "2026-11-23T14:00.5Z", -1 }, { "2026-11-23T14:00:00Zx", -1 },
        { "2026-11-23T14:00:00+8:00", -1 }, { "2026-11-23T14:00:00+0800", -1 },
        { "2026-11-23T14:00:00+24:00", -1 }, { "2026-11-23T14:00:00+00:60", -1 },
        { "2026-11-23T14:00:61Z", -1 }, { "2026-11-23T24:00:00Z", -1 },
        { "2026-02-29T00:00:00Z", -1 }, { "1969-12-31T23:59:59Z", -1 },
        { "1970-01-01T00:00:00+00:01", -1 }, { "9999-12-31T23:59:59-00:01", -1 },
        { "9999-12-31T23:59:60Z", -1 }, { "0000-01-01T00:00:00Z", -1 },
    };

    size_t  i;

    (void) state;

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        int64_t  utc = read_utc(cases[i].text);

        if (utc != cases[i].utc) {
            fail_msg("\"%s\": %lld", cases[i].text, (long long) utc);
        }
    }
}


static void test_utc_write(void **state)
{
    char     out[UTC_TEXT_MAX];
    int64_t  utc;

    (void) state;

    for (utc = 0; utc <= UTC_MAX; utc = utc * 3 / 2 + 12345) {
        assert_int_equal(utc_write(out, utc), 24);
        assert_int_equal(strlen(out), 24);
        assert_int_equal(read_utc(out), utc);
    }

    assert_int_equal(utc_write(out, 1795442400123), 24);
    assert_string_equal(out, "2026-11-23T14:00:00.123Z");
    assert_int_equal(utc_write(out, -1), 0);
    assert_string_equal(out, "");
    assert_int_equal(utc_write(out, INT64_MAX), 0);
}


int main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(test_folders),
        cmocka_unit_test(test_no_folders),
        cmocka_unit_test(test_files),
        cmocka_unit_test(test_no_files),
        cmocka_unit_test(test_markers),
        cmocka_unit_test(test_every_day),
        cmocka_unit_test(test_utc_read),
        cmocka_unit_test(test_utc_write),
    };

    return cmocka_run_group_tests_name("media_rec_path", tests, NULL, NULL);
}
