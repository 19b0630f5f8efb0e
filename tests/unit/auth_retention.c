/* Tests retention.c, which chooses recordings to delete, sizes in names.c, paths in rec_file.c. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "rec_file.h"
#include "retention.h"

#include <string.h>

#define DAY  86400000LL
#define NOW  (100 * DAY)

#define MOST  8

typedef struct {
    const char         *what;
    retention_rules_t   rules;
    retention_file_t    files[MOST];    /* up to one without an id */
    const char         *expected;       /* a letter each: - stays, Age, Quota, Total, Free */
    unsigned            broken;
} retention_case_t;

/* id, owner, quota, ended (days ago), bytes, fixed */
#define FILE_OF(id, owner, quota, days, bytes, fixed) \
    { id, owner, quota, NOW - (days) * DAY, bytes, fixed, false, RETENTION_STAYS }
#define PLAIN(id, days, bytes)  FILE_OF(id, 1, 0, days, bytes, false)
#define FIXED(id, days, bytes)  FILE_OF(id, 1, 0, days, bytes, true)

static const retention_case_t  retention_cases[] = {
    { "without a rule nothing is deleted", { NOW, 0, 0, 0, 0 },
      { PLAIN(1, 99, 1000), PLAIN(2, 0, 1000) }, "--", 0 },
    { "without files every rule is met but the space",  { NOW, 1, 1, 1, 0 }, { { 0 } }, "",
      RETENTION_FREE },

    { "age: older than the limit, not exactly as old", { NOW, 7, 0, 0, 0 },
      { PLAIN(1, 8, 1), PLAIN(2, 7, 1), PLAIN(3, 6, 1) }, "A--", 0 },
    { "age: a kept file stays, and breaks no rule", { NOW, 7, 0, 0, 0 },
      { FIXED(1, 30, 1), PLAIN(2, 29, 1) }, "-A", 0 },

    { "total: the oldest, until it fits", { NOW, 0, 250, 0, 0 },
      { PLAIN(1, 4, 100), PLAIN(2, 3, 100), PLAIN(3, 2, 100), PLAIN(4, 1, 100) }, "TT--", 0 },
    { "total: exactly the limit is allowed", { NOW, 0, 200, 0, 0 },
      { PLAIN(1, 4, 100), PLAIN(2, 3, 100) }, "--", 0 },
    { "total: a kept file counts, the next one is deleted", { NOW, 0, 250, 0, 0 },
      { FIXED(1, 4, 100), PLAIN(2, 3, 100), PLAIN(3, 2, 100), PLAIN(4, 1, 100) }, "-TT-", 0 },
    { "total: all kept", { NOW, 0, 50, 0, 0 },
      { FIXED(1, 4, 100), FIXED(2, 3, 100) }, "--", RETENTION_TOTAL },
    { "total: deleting all that may go is not enough", { NOW, 0, 50, 0, 0 },
      { FIXED(1, 4, 100), PLAIN(2, 3, 100) }, "-T", RETENTION_TOTAL },

    { "quota: of each owner separately", { NOW, 0, 0, 0, 0 },
      { FILE_OF(1, 1, 150, 5, 100, false), FILE_OF(2, 2, 0, 4, 100, false),
        FILE_OF(3, 3, 100, 3, 100, false), FILE_OF(4, 1, 150, 2, 100, false),
        FILE_OF(5, 3, 100, 1, 100, false), FILE_OF(6, 1, 150, 0, 50, false) }, "Q-Q---", 0 },
    { "quota: recordings without an owner have none", { NOW, 0, 0, 0, 0 },
      { FILE_OF(1, 0, 1, 5, 100, false), FILE_OF(2, 0, 1, 4, 100, false) }, "--", 0 },
    { "quota: a kept file counts", { NOW, 0, 0, 0, 0 },
      { FILE_OF(1, 1, 150, 5, 100, true), FILE_OF(2, 1, 150, 4, 100, false) }, "-Q", 0 },
    { "quota: all kept", { NOW, 0, 0, 0, 0 },
      { FILE_OF(1, 1, 50, 5, 100, true), FILE_OF(2, 2, 50, 4, 50, true) }, "--",
      RETENTION_QUOTA },

    { "space: the oldest, until enough is free", { NOW, 0, 0, 1000, 850 },
      { PLAIN(1, 3, 100), PLAIN(2, 2, 100), PLAIN(3, 1, 100) }, "FF-", 0 },
    { "space: enough is free", { NOW, 0, 0, 1000, 1000 }, { PLAIN(1, 3, 100) }, "-", 0 },
    { "space: files being written and kept files stay", { NOW, 0, 0, 1000, 850 },
      { FIXED(1, 3, 500), PLAIN(2, 2, 100), FIXED(3, 0, 500) }, "-F-", RETENTION_FREE },

    { "a file that one rule deletes counts for the next", { NOW, 10, 250, 1000, 800 },
      { PLAIN(1, 20, 100), PLAIN(2, 5, 100), PLAIN(3, 4, 100), PLAIN(4, 3, 100) }, "AT--", 0 },
    { "empty files free no space", { NOW, 0, 0, 10, 0 },
      { PLAIN(1, 3, 0), PLAIN(2, 2, 10), PLAIN(3, 1, 10) }, "FF-", 0 },
};


static void test_choose(void **state)
{
    char      got[MOST + 1];
    size_t    i, k, count;
    unsigned  broken;

    (void) state;

    for (i = 0; i < sizeof(retention_cases) / sizeof(retention_cases[0]); i++) {
        const retention_case_t  *the = &retention_cases[i];
        retention_file_t         files[MOST];

        memcpy(files, the->files, sizeof(files));
        for (count = 0; count < MOST && files[count].id; count++) { /* counts */ }

        broken = retention_choose(&the->rules, files, count);

        for (k = 0; k < count; k++) {
            switch (files[k].why) {
            case RETENTION_STAYS: got[k] = '-'; break;
            case RETENTION_AGE:   got[k] = 'A'; break;
            case RETENTION_QUOTA: got[k] = 'Q'; break;
            case RETENTION_TOTAL: got[k] = 'T'; break;
            case RETENTION_FREE:  got[k] = 'F'; break;
            case RETENTION_ASKED: got[k] = '?'; break;
            }
        }
        got[count] = '\0';

        if (strcmp(got, the->expected) != 0 || broken != the->broken) {
            fail_msg("%s: %s and %u, expected %s and %u", the->what, got, broken, the->expected,
                     the->broken);
        }
    }
}


static void test_sizes(void **state)
{
    static const struct { const char *text; bool good; uint64_t bytes; }  cases[] = {
        { "0", true, 0 }, { "1", true, 1 }, { "500m", true, 500ull << 20 },
        { "2K", true, 2048 }, { "1g", true, 1ull << 30 }, { "3T", true, 3ull << 40 },
        { "999999999999999", true, 999999999999999ull },
        { "", false, 0 }, { "g", false, 0 }, { "1gb", false, 0 }, { "-1", false, 0 },
        { "1.5g", false, 0 }, { " 1", false, 0 }, { "1 g", false, 0 }, { "1p", false, 0 },
        { "9999999999999999", false, 0 }, { "99999999t", false, 0 }, { "0x10", false, 0 },
    };

    size_t    i;
    uint64_t  bytes;

    (void) state;

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        bytes = 0;
        if (name_size_parse(cases[i].text, &bytes) != cases[i].good
            || (cases[i].good && bytes != cases[i].bytes))
        {
            fail_msg("\"%s\": %llu", cases[i].text, (unsigned long long) bytes);
        }
    }
}


static void test_choose_older(void **state)
{
    retention_file_t  files[] = {
        PLAIN(1, 9, 1), FIXED(2, 8, 1), PLAIN(3, 7, 1), PLAIN(4, 6, 1)
    };

    (void) state;
    retention_choose_older(files, 4, NOW - 7 * DAY);
    assert_int_equal(files[0].why, RETENTION_ASKED);
    assert_int_equal(files[1].why, RETENTION_STAYS);    /* kept */
    assert_int_equal(files[2].why, RETENTION_STAYS);    /* ended at that very time */
    assert_int_equal(files[3].why, RETENTION_STAYS);
}


static void test_names(void **state)
{
    static const struct { const char *file, *app, *name, *format; int64_t from; }  cases[] = {
        { "live/demo/1970-01-02/00-00-01.002.mp4", "live", "demo", "mp4", DAY + 1002 },
        { "live/demo/1970-01-02/00-00-01.002.flv", "live", "demo", "flv", DAY + 1002 },
        { "live/%2Ehidden/1970-01-02/00-00-00.000.mp4", "live", ".hidden", "mp4", DAY },
        { "live/\xe7\x9b\xb8/1970-01-02/00-00-00.000.mp4", "live", "\xe7\x9b\xb8", "mp4", DAY },
    };
    static const char *const  wrong[] = {
        "", "x", "live/demo", "live/demo/1970-01-02/00-00-01.002.m3u8",
        "/demo/1970-01-02/00-00-01.002.mp4", "live//1970-01-02/00-00-01.002.mp4",
        "demo/1970-01-02/00-00-01.002.mp4", "a/live/demo/1970-01-02/00-00-01.002.mp4",
        "live/demo/1970-02-30/00-00-01.002.mp4", "live/demo/1970-01-02/24-00-01.002.mp4",
        "live/../1970-01-02/00-00-01.002.mp4", "../demo/1970-01-02/00-00-01.002.mp4",
        ".open/demo/1970-01-02/00-00-01.002.mp4", "live/.x/1970-01-02/00-00-01.002.mp4",
        "live/demo/1970-01-02/00-00-01.002.mp4/", "live/demo/1970-01-02/../00-00-01.002.mp4",
        "live/de mo/1970-01-02/00-00-01.002.mp4", "li.ve/demo/1970-01-02/00-00-01.002.mp4",
    };

    size_t             i;
    store_recording_t  recording;

    (void) state;

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        if (!rec_file_name(cases[i].file, &recording)) {
            fail_msg("\"%s\" was not taken for a recording's path", cases[i].file);
        }
        assert_string_equal(recording.file, cases[i].file);
        assert_string_equal(recording.app, cases[i].app);
        assert_string_equal(recording.name, cases[i].name);
        assert_string_equal(recording.format, cases[i].format);
        assert_int_equal(recording.from, cases[i].from);
    }
    for (i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        if (rec_file_name(wrong[i], &recording)) {
            fail_msg("\"%s\" was taken for a recording's path", wrong[i]);
        }
    }

    assert_string_equal(rec_file_tail("live/demo/1970-01-02/00-00-01.002.mp4"),
                        "1970-01-02/00-00-01.002.mp4");
}


int main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(test_choose),
        cmocka_unit_test(test_choose_older),
        cmocka_unit_test(test_sizes),
        cmocka_unit_test(test_names),
    };

    return cmocka_run_group_tests_name("auth_retention", tests, NULL, NULL);
}
