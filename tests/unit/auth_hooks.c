/* Tests hook_rules.c. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "hook_rules.h"

#include <sodium.h>
#include <stdio.h>
#include <string.h>


static void test_urls(void **state)
{
    static const struct { const char *url; bool valid; }  cases[] = {
        { "https://example.com/hook?x=1", true },
        { "https://example.com", true },
        { "http://127.0.0.1:9/hook", true },
        { "http://[::1]:80/", true },
        { "http://n8n:5678/webhook/1", true },
        { "", false },
        { "example.com/hook", false },
        { "ftp://example.com/", false },
        { "file:///etc/passwd", false },
        { "gopher://127.0.0.1/", false },
        { "https://", false },
        { "https://user@example.com/", false },
        { "https://user:pass@example.com/", false },
        { "https://example.com/#part", false },
        { "https://example.com/a b", false },
        { "https://example.com/\r\nX: y", false },
        { "https://example.com/\xc3\xa9", false },
        { "https://example.com:99999/", false },
    };

    char    longest[WEBHOOK_URL_MAX + 2] = "https://e/";
    size_t  i;

    (void) state;
    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        if (hook_url_valid(cases[i].url) != cases[i].valid) {
            fail_msg("%s: expected %s", cases[i].url, cases[i].valid ? "valid" : "not valid");
        }
    }

    memset(longest + 10, 'x', WEBHOOK_URL_MAX - 10);
    assert_true(hook_url_valid(longest));
    longest[WEBHOOK_URL_MAX] = 'x';
    assert_false(hook_url_valid(longest));
}


static void test_private_addresses(void **state)
{
    static const char *const  own[] = { "127.0.0.1", "127.9.9.9", "10.1.2.3", "172.16.0.1",
        "172.31.255.255", "192.168.1.1", "100.64.0.1", "::1", "fd00::1", "::ffff:10.0.0.1" };
    static const char *const  others[] = { "", "8.8.8.8", "172.32.0.1", "192.0.2.1",
        "169.254.169.254", "100.128.0.1", "0.0.0.0", "fe80::1", "2001:db8::1", "::ffff:8.8.8.8",
        "localhost" };

    size_t  i;

    (void) state;
    for (i = 0; i < sizeof(own) / sizeof(own[0]); i++) {
        if (!hook_address_private(own[i])) {
            fail_msg("%s: expected private", own[i]);
        }
    }
    for (i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
        if (hook_address_private(others[i])) {
            fail_msg("%s: expected not private", others[i]);
        }
    }
}


static void test_events(void **state)
{
    hook_form_t  form = { .set = { .url = NULL } };

    (void) state;
    assert_true(hook_events_valid("published"));
    assert_true(hook_events_valid("gap,phone_offline"));
    assert_false(hook_events_valid(""));
    assert_false(hook_events_valid("published,"));
    assert_false(hook_events_valid(",published"));
    assert_false(hook_events_valid("test"));
    assert_false(hook_events_valid("publish"));

    hook_form_default(&form);
    assert_true(hook_events_valid(form.set.events));
    assert_int_equal(*form.set.enabled, 1);
    assert_int_equal(*form.set.offline_minutes, HOOK_OFFLINE_DEFAULT);
}


static void test_signature(void **state)
{
    char  signature[HOOK_SIGNATURE_SIZE];

    (void) state;
    hook_sign(signature, "secret", 1795403212, "{\"id\":\"1\"}");
    assert_string_equal(signature, "t=1795403212,"
        "v1=e811f12c07bbff7c27b8d6271f9ccaf762c3db9b1921908b3415ef8f63001790");
}


static void test_pauses(void **state)
{
    (void) state;
    assert_int_equal(hook_pause(0, 0), 10);
    assert_int_equal(hook_pause(1, 10), 20);
    assert_int_equal(hook_pause(8, 2000), 2560);
    assert_int_equal(hook_pause(9, 4000), 3600);
    assert_int_equal(hook_pause(4000000000U, 86399), 3600);
    assert_int_equal(hook_pause(3, 86400), 0);
}


static void test_names(void **state)
{
    char  name[HOOK_NAME_SIZE];

    (void) state;
    assert_string_equal(hook_name(7, "https://example.com/secret/path", name), "7 example.com");
    assert_string_equal(hook_name(7, "", name), "7 ?");
}


int main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(test_urls),
        cmocka_unit_test(test_private_addresses),
        cmocka_unit_test(test_events),
        cmocka_unit_test(test_signature),
        cmocka_unit_test(test_pauses),
        cmocka_unit_test(test_names),
    };

    if (sodium_init() < 0) {
        return 1;
    }

    return cmocka_run_group_tests_name("auth_hooks", tests, NULL, NULL);
}
