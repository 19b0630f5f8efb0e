/* Tests settings.c: the texts of settings, in the environment and in rows. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "settings.h"

#include <string.h>


static void test_texts(void **state)
{
    /* out: NULL if the text is not valid */
    static const struct { const char *name, *text, *out; }  cases[] = {
        { "rec_days", "0", "0" }, { "rec_days", "36500", "36500" }, { "rec_days", "007", "7" },
        { "rec_days", "36501", NULL }, { "rec_days", "", NULL }, { "rec_days", "-1", NULL },
        { "rec_days", " 1", NULL }, { "rec_days", "1d", NULL }, { "rec_days", "5%", NULL },
        { "rec_total", "2048", "2k" }, { "rec_total", "2000", "2000" },
        { "rec_total", "524288000k", "500g" }, { "rec_total", "3T", "3t" },
        { "rec_total", "2048t", "2048t" }, { "rec_total", "5%", NULL },
        { "rec_total", "1gb", NULL },
        { "rec_free", "5%", "5%" }, { "rec_free", "0%", "0" }, { "rec_free", "20g", "20g" },
        { "rec_free", "100%", NULL }, { "rec_free", "%", NULL }, { "rec_free", "5%%", NULL },
        { "rec_quota", "80%", "80%" }, { "rec_quota", "0", "0" },
        { "audit_rows", "2000000000", "2000000000" }, { "audit_rows", "2000000001", NULL },
        { "max_kbps", "10000000", "10000000" }, { "max_kbps", "10000001", NULL },
    };

    char              text[SETTINGS_TEXT_SIZE];
    bool              good;
    size_t            i;
    settings_t        settings;
    const setting_t  *setting;

    (void) state;
    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        memset(&settings, 0, sizeof(settings));
        setting = settings_find(cases[i].name);
        assert_non_null(setting);

        good = settings_put(setting, &settings, cases[i].text);
        if (good != (cases[i].out != NULL)) {
            fail_msg("%s=\"%s\" is %s", cases[i].name, cases[i].text, good ? "valid" : "refused");
        }
        if (good) {
            assert_string_equal(settings_text(setting, &settings, text), cases[i].out);
        }
    }

    assert_null(settings_find("rec_day"));
    assert_null(settings_find(""));
}


/* A share replaces the one before it as a whole. */
static void test_share(void **state)
{
    settings_t        settings = { 0 }, other = { 0 };
    const setting_t  *quota = settings_find("rec_quota");

    (void) state;
    assert_true(settings_put(quota, &settings, "1000"));
    assert_int_equal(settings_share(&settings.rec_quota, 5000), 1000);
    assert_true(settings_put(quota, &settings, "50%"));
    assert_int_equal(settings_share(&settings.rec_quota, 5000), 2500);
    assert_false(settings_put(quota, &settings, "much"));
    assert_int_equal(settings_share(&settings.rec_quota, 5000), 2500);

    assert_false(settings_same(&settings, &other));
    assert_true(settings_put(quota, &other, "50%"));
    assert_true(settings_same(&settings, &other));
}


/* Every default is valid, and no text outgrows its room. */
static void test_defaults(void **state)
{
    char        text[SETTINGS_TEXT_SIZE], rule[SETTINGS_RULE_SIZE];
    size_t      i;
    settings_t  settings;

    (void) state;
    memset(&settings, 0xff, sizeof(settings));

    for (i = 0; i < SETTINGS_COUNT; i++) {
        assert_true(strlen(settings_all[i].name) < SETTINGS_NAME_SIZE);
        assert_true(strlen(settings_text(&settings_all[i], &settings, text)) + 1 < sizeof(text));
        assert_true(strlen(settings_rule(&settings_all[i], rule)) + 1 < sizeof(rule));
        assert_true(settings_put(&settings_all[i], &settings, settings_all[i].otherwise));
        assert_string_equal(settings_text(&settings_all[i], &settings, text),
                            settings_all[i].otherwise);
    }
}


int main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(test_texts),
        cmocka_unit_test(test_share),
        cmocka_unit_test(test_defaults),
    };

    return cmocka_run_group_tests_name("auth_settings", tests, NULL, NULL);
}
