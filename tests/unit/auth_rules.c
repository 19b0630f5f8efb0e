/* Tests names.c, rights.c, migrate_next_statement() and log_quote(). */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "cases.h"
#include "log.h"
#include "migrate.h"
#include "names.h"
#include "rights.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>


static void test_app_names(void **state)
{
    (void) state;
    assert_true(name_app_valid("live"));
    assert_true(name_app_valid("A-z_09"));
    assert_true(name_app_valid("12345678901234567890123456789012"));
    assert_false(name_app_valid("123456789012345678901234567890123"));
    assert_false(name_app_valid(""));
    assert_false(name_app_valid("li.ve"));
    assert_false(name_app_valid("live/x"));
    assert_false(name_app_valid("\xe5\xa4\x9a"));
}


static void stream_name_case(char *column[CASES_COLUMNS])
{
    cases_bytes(column[0]);
    if (name_stream_valid(column[0]) != (strcmp(column[1], "yes") == 0)) {
        fail_msg("\"%s\": expected %s", column[0], column[1]);
    }
}


static void test_stream_names(void **state)
{
    char  longest[NAME_STREAM_MAX + 2];

    (void) state;
    cases_read("stream_names.tsv", 50, stream_name_case);

    memset(longest, 'a', sizeof(longest));
    longest[NAME_STREAM_MAX] = '\0';
    assert_true(name_stream_valid(longest));
    longest[NAME_STREAM_MAX] = 'a';
    longest[NAME_STREAM_MAX + 1] = '\0';
    assert_false(name_stream_valid(longest));
}


/* names from before the rule are still found, but none that leaves its folder */
static void test_known_stream_names(void **state)
{
    char  app[NAME_APP_MAX + 1], name[NAME_STREAM_MAX + 1];

    (void) state;
    assert_true(name_stream_known("it's"));
    assert_true(name_stream_known("a\xe2\x80\xae" "b"));
    assert_true(name_split("live/it's", app, name));
    assert_false(name_stream_known("a/b"));
    assert_false(name_stream_known("a..b"));
    assert_false(name_stream_known("a\nb"));
    assert_false(name_stream_known("\xff"));
}


static void test_titles(void **state)
{
    static const char *const  good[] = {
        "", "Front door", "it's \"mine\" <b>", "caf\xc3\xa9 \xe5\xa4\x9a\xe8\xb7\xaf",
        "\xd9\x85\xd8\xb1\xd8\xad\xd8\xa8\xd8\xa7",                    /* Arabic */
        "\xd9\x86\xd9\x85\xdb\x8c\xe2\x80\x8c\xd8\xae",                /* Persian, U+200C */
        "\xf0\x9f\x91\xa9\xe2\x80\x8d\xf0\x9f\x9a\x80 \xe2\x9d\xa4\xef\xb8\x8f"     /* U+200D */
    };
    static const char *const  bad[] = {
        "a\nb", "a\tb", "\x1b[31mred", "a\x7f", "live \xe2\x80\xaegpj.exe", "a\xe2\x81\xa6",
        "a\xe2\x80\x8bmin", "\xef\xbb\xbf", "a\xc2\x85", "a\xd8\x9c", "\xff"
    };

    char    longest[NAME_TITLE_MAX * 2 + 2] = "";
    size_t  i;

    (void) state;
    for (i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        if (!name_title_valid(good[i]) || !name_label_valid(good[i])) {
            fail_msg("refused: %s", good[i]);
        }
    }
    for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        if (name_title_valid(bad[i]) || name_label_valid(bad[i])) {
            fail_msg("accepted: case %zu", i);
        }
    }

    for (i = 0; i < NAME_TITLE_MAX; i++) {
        strcat(longest, "\xc3\xa9");
    }
    assert_true(name_title_valid(longest));
    strcat(longest, "a");
    assert_false(name_title_valid(longest));
}


static void test_plain_names(void **state)
{
    size_t  i;
    char    out[16];

    static const char *const  cases[][2] = {
        { "Kitchen", "kitchen" },
        { "Mei's Phone 2", "mei-s-phone-2" },
        { "  --a..b__c  ", "a-b-c" },
        { "\xe5\x8e\xa8\xe6\x88\xbf", "" },
        { "\xe5\x8e\xa8\xe6\x88\xbf 3", "3" },
        { "", "" },
        { "/?&#%\"<>", "" },
        { "abcdefghijklmnopqr", "abcdefghijklmn" },
        { "abcdefghijklm nop", "abcdefghijklm-n" },
    };

    (void) state;
    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        name_plain(cases[i][0], out, sizeof(out));
        assert_string_equal(out, cases[i][1]);
        assert_true(out[0] == '\0' || name_stream_valid(out));
    }
}


static void test_split(void **state)
{
    char  app[NAME_APP_MAX + 1], name[NAME_STREAM_MAX + 1], huge[400];

    (void) state;
    assert_true(name_split("live/demo", app, name));
    assert_string_equal(app, "live");
    assert_string_equal(name, "demo");
    assert_false(name_split("live", app, name));
    assert_false(name_split("live/", app, name));
    assert_false(name_split("/demo", app, name));
    assert_false(name_split("live/a/b", app, name));

    memset(huge, 'a', sizeof(huge) - 1);
    huge[sizeof(huge) - 1] = '\0';
    assert_false(name_split(huge, app, name));
    huge[4] = '/';
    assert_false(name_split(huge, app, name));
}


static void test_query(void **state)
{
    static const struct {
        const char      *query;
        query_result_t   result;
        const char      *value;
    }  cases[] = {
        { "key=abc", QUERY_FOUND, "abc" },
        { "a=1&key=abc&b=2", QUERY_FOUND, "abc" },
        { "key=", QUERY_FOUND, "" },
        { "key=a%62c", QUERY_FOUND, "abc" },
        { "key=1&key=2", QUERY_FOUND, "1" },
        { "", QUERY_ABSENT, NULL },
        { "key", QUERY_ABSENT, NULL },
        { "xkey=abc", QUERY_ABSENT, NULL },
        { "keyx=abc", QUERY_ABSENT, NULL },
        { "&&&", QUERY_ABSENT, NULL },
        { "key=%", QUERY_BAD, NULL },
        { "key=%2", QUERY_BAD, NULL },
        { "key=%zz", QUERY_BAD, NULL },
        { "key=%00", QUERY_BAD, NULL },
        { "key=1234567890123456", QUERY_BAD, NULL },
        { "key=123456789012345", QUERY_FOUND, "123456789012345" },
    };

    char            value[16];
    size_t          i;
    query_result_t  result;

    (void) state;

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        result = query_value(cases[i].query, "key", value, sizeof(value));
        if (result != cases[i].result
            || (cases[i].value && strcmp(value, cases[i].value) != 0))
        {
            fail_msg("\"%s\": %d \"%s\"", cases[i].query, result, value);
        }
    }
}


#define P  RIGHT_PUBLISH
#define V  RIGHT_VIEW
#define R  RIGHT_REPLAY
#define M  RIGHT_MANAGE

static void test_rights(void **state)
{
    /* user, admin, disabled, owner, owner disabled, public, granted, open */
    static const struct {
        const char     *what;
        rights_case_t   the;
        unsigned        rights;
    }  cases[] = {
        { "default deny",              { 2, 0, 0, 1, 0, 0, 0, 0 }, 0 },
        { "nobody",                    { 0, 0, 0, 1, 0, 1, RIGHTS_ALL, 0 }, 0 },
        { "nobody and no owner",       { 0, 0, 0, 0, 0, 1, 0, 0 }, 0 },
        { "a visitor of an open stream", { 0, 0, 0, 1, 0, 1, RIGHTS_ALL, 1 }, V },
        { "a visitor who claims to be an admin", { 0, 1, 0, 0, 0, 0, 0, 0 }, 0 },
        { "open, a user: as public",   { 2, 0, 0, 1, 0, 1, R, 1 }, V | R },
        { "open, a disabled user",     { 2, 0, 1, 1, 0, 1, 0, 1 }, 0 },
        { "a grant is what it says",   { 2, 0, 0, 1, 0, 0, V, 0 }, V },
        { "unknown bits give nothing", { 2, 0, 0, 1, 0, 0, 0xf0, 0 }, 0 },
        { "public: view, not replay",  { 2, 0, 0, 1, 0, 1, 0, 0 }, V },
        { "public and a grant",        { 2, 0, 0, 1, 0, 1, P | R, 0 }, P | V | R },
        { "owner",                     { 1, 0, 0, 1, 0, 0, 0, 0 }, RIGHTS_ALL },
        { "admin",                     { 2, 1, 0, 1, 0, 0, 0, 0 }, RIGHTS_ALL },
        { "disabled user",             { 2, 0, 1, 1, 0, 1, RIGHTS_ALL, 0 }, 0 },
        { "disabled admin",            { 2, 1, 1, 1, 0, 0, 0, 0 }, 0 },
        { "disabled owner",            { 1, 0, 1, 1, 1, 0, 0, 0 }, 0 },
        { "owner disabled: no publish", { 2, 0, 0, 1, 1, 0, P | V, 0 }, V },
        { "owner disabled, admin",     { 2, 1, 0, 1, 1, 0, 0, 0 }, V | R | M },
    };

    size_t  i;

    (void) state;
    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        if (rights_decide(&cases[i].the) != cases[i].rights) {
            fail_msg("%s: %u, expected %u", cases[i].what, rights_decide(&cases[i].the),
                     cases[i].rights);
        }
    }
}


static void test_rights_words(void **state)
{
    char  text[RIGHTS_TEXT_SIZE];

    (void) state;
    assert_int_equal(rights_parse("view"), V);
    assert_int_equal(rights_parse("manage,publish"), M | P);
    assert_int_equal(rights_parse("publish,view,replay,manage"), RIGHTS_ALL);
    assert_int_equal(rights_parse(""), 0);
    assert_int_equal(rights_parse("view,"), 0);
    assert_int_equal(rights_parse("view,all"), 0);
    assert_int_equal(rights_parse("View"), 0);
    assert_string_equal(rights_format(RIGHTS_ALL, text), "publish,view,replay,manage");
    assert_string_equal(rights_format(0, text), "");
}


static void test_statements(void **state)
{
    char  text[] = "-- first; comment\nCREATE TABLE a (b TEXT DEFAULT ';');\n"
                   "/* two; */ INSERT INTO a VALUES ('it''s; \\'x'); # last;\n;; \n"
                   "SELECT 1\n-- the end\n";
    char  *rest = text, *statement;

    (void) state;
    statement = migrate_next_statement(&rest);
    assert_non_null(strstr(statement, "CREATE TABLE a (b TEXT DEFAULT ';')"));
    statement = migrate_next_statement(&rest);
    assert_non_null(strstr(statement, "INSERT INTO a VALUES ('it''s; \\'x')"));
    statement = migrate_next_statement(&rest);
    assert_non_null(strstr(statement, "SELECT 1"));
    assert_null(migrate_next_statement(&rest));
}


static void test_log_quote(void **state)
{
    char  out[24];

    (void) state;
    assert_string_equal(log_quote(out, sizeof(out), "a\nb\"c\\d"), "a\\x0ab\\x22c\\x5cd");
    assert_string_equal(log_quote(out, sizeof(out), "123456789012345678901234567890"),
                        "12345678901234567890123");
    assert_string_equal(log_quote(out, 4, "\n"), "");
    /* escapes an override of direction and a zero width space, not letters */
    assert_string_equal(log_quote(out, sizeof(out), "a\xe2\x80\xaeg"), "a\\u{202e}g");
    assert_string_equal(log_quote(out, sizeof(out), "\xe2\x80\x8b\xc3\xa9\xff"),
                        "\\u{200b}\xc3\xa9\xff");
}


int main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(test_app_names),
        cmocka_unit_test(test_stream_names),
        cmocka_unit_test(test_known_stream_names),
        cmocka_unit_test(test_titles),
        cmocka_unit_test(test_plain_names),
        cmocka_unit_test(test_split),
        cmocka_unit_test(test_query),
        cmocka_unit_test(test_rights),
        cmocka_unit_test(test_rights_words),
        cmocka_unit_test(test_statements),
        cmocka_unit_test(test_log_quote),
    };

    return cmocka_run_group_tests_name("auth_rules", tests, NULL, NULL);
}
