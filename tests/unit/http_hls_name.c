/* Addresses of HLS, and the queries of playlists. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "../../modules/http/hls_name.h"

#define STREAM_MOST  161
#define LARGEST      "9223372036854775807"


/* Makes a copy without a zero, so that ASan detects a read past its end. */
static unsigned char *exact(const char *text)
{
    unsigned char  *copy = malloc(strlen(text) + 1);

    assert_non_null(copy);
    memcpy(copy + 1, text, strlen(text));

    return copy;
}


static int read_name(hls_name_t *n, const char *path, char token[64], char stream[256])
{
    int             good;
    unsigned char  *copy = exact(path);

    good = hls_name_read(n, copy + 1, strlen(path), STREAM_MOST);
    token[0] = stream[0] = '\0';

    if (good) {
        memcpy(token, n->path.token, n->path.token_len);
        token[n->path.token_len] = '\0';
        memcpy(stream, n->path.stream, n->path.stream_len);
        stream[n->path.stream_len] = '\0';
    }
    free(copy);

    return good;
}


static void test_names(void **state)
{
    static const struct {
        const char     *file;
        enum hls_file   kind;
        uint64_t        session, number, part;
    }  cases[] = {
        { "index.m3u8", HLS_INDEX, 0, 0, 0 },
        { "live.m3u8", HLS_LIST, 0, 0, 0 },
        { "1a209db2a7b-init-3.mp4", HLS_INIT, 0x1a209db2a7b, 3, 0 },
        { "1a209db2a7b-95442400.m4s", HLS_SEGMENT, 0x1a209db2a7b, 95442400, 0 },
        { "1a209db2a7b-95442400.0.m4s", HLS_PART, 0x1a209db2a7b, 95442400, 0 },
        { "f-0.17.m4s", HLS_PART, 15, 0, 17 },
        { "7fffffffffffffff-" LARGEST "." LARGEST ".m4s", HLS_PART, INT64_MAX, INT64_MAX,
          INT64_MAX },
    };

    char        path[128], token[64], stream[256], back[HLS_NAME_MAX];
    size_t      i;
    hls_name_t  n;

    (void) state;

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        snprintf(path, sizeof(path), "e30.e30.x/live/d\xc3\xa9mo/%s", cases[i].file);
        assert_true(read_name(&n, path, token, stream));
        assert_string_equal(token, "e30.e30.x");
        assert_string_equal(stream, "live/d\xc3\xa9mo");
        assert_int_equal(n.file, cases[i].kind);
        assert_int_equal(n.session, cases[i].session);
        assert_int_equal(n.number, cases[i].number);
        assert_int_equal(n.part, cases[i].part);

        assert_int_equal(hls_name_write(back, n.file, n.session, n.number, n.part),
                         strlen(cases[i].file));
        assert_string_equal(back, cases[i].file);
    }
}


static void test_no_files(void **state)
{
    static const char *const  cases[] = {
        "", "index", "Index.m3u8", "index.m3u8 ", "live.m3u", "live.m3u8.gz", "live.flv",
        "-1.m4s", "1-.m4s", "1-1", "1-1.", "1-1.mp4", "1-1.m4s.", "1-1..m4s", "1-1.1.1.m4s",
        "1-1.1.mp4", "01-1.m4s", "1-01.m4s", "1-1.01.m4s", "1-00.m4s", "1--1.m4s", "1-+1.m4s",
        "1- 1.m4s", "A-1.m4s", "g-1.m4s", "0x1-1.m4s", "1-1e3.m4s", "1-init.mp4", "1-init-.mp4",
        "1-init-1.m4s", "1-init-1.1.mp4", "1-init-01.mp4", "init-1.mp4",
        "8000000000000000-1.m4s", "1-9223372036854775808.m4s", "1-1.9223372036854775808.m4s",
        "1-99999999999999999999999999.m4s", "1-init-18446744073709551616.mp4",
        "11111111111111111-1.m4s",
    };

    char        path[128], token[64], stream[256];
    size_t      i;
    hls_name_t  n;

    (void) state;

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        snprintf(path, sizeof(path), "t/live/demo/%s", cases[i]);
        assert_true(read_name(&n, path, token, stream));
        if (n.file != HLS_NO_FILE) {
            fail_msg("\"%s\" is a file", cases[i]);
        }
    }
}


static void test_streams(void **state)
{
    static const char *const  bad[] = {
        "", "/", "index.m3u8", "/index.m3u8", "live/index.m3u8", "a/b/c/d/index.m3u8",
    };

    char        token[64], stream[256], path[256] = "t/live/";
    size_t      i;
    hls_name_t  n;

    (void) state;

    for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        if (read_name(&n, bad[i], token, stream)) {
            fail_msg("\"%s\" names the stream \"%s\"", bad[i], stream);
        }
    }

    assert_true(read_name(&n, "live/demo/index.m3u8", token, stream));
    assert_string_equal(token, "");
    assert_string_equal(stream, "live/demo");

    /* a name that is too long may be a token */
    memset(path + 7, 'n', 156);
    strcpy(path + 7 + 156, "/index.m3u8");
    assert_true(read_name(&n, path, token, stream));
    assert_int_equal(strlen(stream), STREAM_MOST);
    memset(path + 7, 'n', 157);
    strcpy(path + 7 + 157, "/index.m3u8");
    assert_false(read_name(&n, path, token, stream));
}


static int read_query(hls_query_t *q, const char *args, char why[HLS_WHY_MAX])
{
    int             good;
    unsigned char  *copy = exact(args);

    good = hls_query_read(q, copy + 1, strlen(args), why);
    free(copy);

    return good;
}


static void test_queries(void **state)
{
    static const struct {
        const char  *args;
        hls_query_t  want;
    }  cases[] = {
        { "", { 0 } },
        { "&", { 0 } },
        { "a=1&_HLS_report=x&_hls_msn=x&_HLS_msnx=1&x_HLS_msn=1&%5FHLS_msn=1&=&msn", { 0 } },
        { "_HLS_msn=7", { .msn = 7, .has_msn = 1 } },
        { "_HLS_msn=0", { .msn = 0, .has_msn = 1 } },
        { "_HLS_msn=7&_HLS_part=0", { .msn = 7, .has_msn = 1, .has_part = 1 } },
        { "_HLS_part=3&&a=b&_HLS_msn=7&", { .msn = 7, .part = 3, .has_msn = 1, .has_part = 1 } },
        { "_HLS_skip=YES", { .skip = 1 } },
        { "_HLS_msn=" LARGEST "&_HLS_part=" LARGEST "&_HLS_skip=v2&window=3600",
          { .msn = INT64_MAX, .part = INT64_MAX, .window = 3600, .has_msn = 1, .has_part = 1,
            .skip = 1 } },
    };

    char         why[HLS_WHY_MAX];
    size_t       i;
    hls_query_t  q;

    (void) state;

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        if (!read_query(&q, cases[i].args, why)) {
            fail_msg("\"%s\": %s", cases[i].args, why);
        }
        assert_string_equal(why, "");
        assert_int_equal(q.msn, cases[i].want.msn);
        assert_int_equal(q.part, cases[i].want.part);
        assert_int_equal(q.window, cases[i].want.window);
        assert_int_equal(q.has_msn, cases[i].want.has_msn);
        assert_int_equal(q.has_part, cases[i].want.has_part);
        assert_int_equal(q.skip, cases[i].want.skip);
    }

    assert_true(hls_query_read(&q, NULL, 0, why));
}


#define SECONDS " a number of seconds, 1 to 86400"
#define NUMBER  ": digits without leading zeros, at most " LARGEST

static void test_bad_queries(void **state)
{
    static const struct {
        const char  *args, *why;
    }  cases[] = {
        { "_HLS_msn=", "_HLS_msn is \"\", expected a media sequence number" NUMBER },
        { "_HLS_msn", "_HLS_msn is \"\", expected a media sequence number" NUMBER },
        { "_HLS_msn=-1", "_HLS_msn is \"-1\", expected a media sequence number" NUMBER },
        { "_HLS_msn=%31", "_HLS_msn is \"%31\", expected a media sequence number" NUMBER },
        { "a=b&_HLS_msn=1+1", "_HLS_msn is \"1+1\", expected a media sequence number" NUMBER },
        { "_HLS_msn=01", "_HLS_msn is \"01\", expected a media sequence number" NUMBER },
        { "_HLS_msn=9223372036854775808",
          "_HLS_msn is \"9223372036854775808\", expected a media sequence number" NUMBER },
        { "_HLS_msn=18446744073709551617",
          "_HLS_msn is \"18446744073709551617\", expected a media sequence number" NUMBER },
        { "_HLS_msn=0123456789012345678901234567890123456789",
          "_HLS_msn is \"01234567890123456789012345678901...\", expected a media sequence number"
          NUMBER },
        { "_HLS_msn=\xff\"\x1b[0m;\n=",
          "_HLS_msn is \"???[0m;?=\", expected a media sequence number" NUMBER },
        { "_HLS_msn=7&_HLS_part=1.5",
          "_HLS_part is \"1.5\", expected the number of a part" NUMBER },
        { "window=", "window is \"\", expected" SECONDS },
        { "window=0", "window is \"0\", expected" SECONDS },
        { "window=-5", "window is \"-5\", expected" SECONDS },
        { "window=1.5", "window is \"1.5\", expected" SECONDS },
        { "window=1e3", "window is \"1e3\", expected" SECONDS },
        { "window=86401", "window is \"86401\", expected" SECONDS },
        { "window=99999999999999999999",
          "window is \"99999999999999999999\", expected" SECONDS },
        { "window=60&window=60", "window is given twice, expected once" },
        { "_HLS_skip=yes", "_HLS_skip is \"yes\", expected YES or v2" },
        { "_HLS_skip=", "_HLS_skip is \"\", expected YES or v2" },
        { "_HLS_skip=YES2", "_HLS_skip is \"YES2\", expected YES or v2" },
        { "_HLS_msn=1&_HLS_msn=1", "_HLS_msn is given twice, expected once" },
        { "_HLS_skip=v2&_HLS_skip=", "_HLS_skip is given twice, expected once" },
        { "_HLS_part=0", "_HLS_part is given without _HLS_msn, expected both" },
    };

    char         why[HLS_WHY_MAX];
    size_t       i;
    hls_query_t  q;

    (void) state;

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        if (read_query(&q, cases[i].args, why)) {
            fail_msg("\"%s\" is accepted", cases[i].args);
        }
        assert_string_equal(why, cases[i].why);
    }
}


int main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_no_files),
        cmocka_unit_test(test_streams),
        cmocka_unit_test(test_queries),
        cmocka_unit_test(test_bad_queries),
    };

    return cmocka_run_group_tests_name("http_hls_name", tests, NULL, NULL);
}
