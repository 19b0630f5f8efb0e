/* Tests backoff.c with a clock of its own, and password.c. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "backoff.h"
#include "password.h"

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const backoff_rule_t  rule = { 3, 1000, 8000, 60000 };


static backoff_t *make(void)
{
    backoff_t  *backoff = malloc(sizeof(*backoff));

    assert_non_null(backoff);
    backoff_init(backoff, &rule);
    return backoff;
}


static void test_doubles_up_to_longest(void **state)
{
    static const int64_t  waits[] = { 0, 0, 1000, 2000, 4000, 8000, 8000, 8000 };

    size_t      i;
    int64_t     now = 5000;
    backoff_t  *backoff = make();

    (void) state;

    for (i = 0; i < sizeof(waits) / sizeof(waits[0]); i++) {
        assert_int_equal(backoff_attempt(backoff, "alice", now), 0);
        if (waits[i]) {
            assert_int_equal(backoff_attempt(backoff, "alice", now), waits[i]);
            assert_int_equal(backoff_attempt(backoff, "alice", now + waits[i] - 1), 1);
        }
        now += waits[i];
    }

    free(backoff);
}


/* refused attempts do not count: trying again does not lengthen the wait */
static void test_refused_is_free(void **state)
{
    int         i;
    backoff_t  *backoff = make();

    (void) state;
    for (i = 0; i < 3; i++) {
        assert_int_equal(backoff_attempt(backoff, "alice", 0), 0);
    }
    for (i = 0; i < 1000; i++) {
        assert_int_equal(backoff_attempt(backoff, "alice", 500), 500);
    }
    assert_int_equal(backoff_attempt(backoff, "alice", 1000), 0);

    free(backoff);
}


static void test_success_and_time_forget(void **state)
{
    int         i;
    backoff_t  *backoff = make();

    (void) state;
    for (i = 0; i < 3; i++) {
        backoff_attempt(backoff, "alice", 0);
    }
    assert_int_not_equal(backoff_attempt(backoff, "alice", 0), 0);
    assert_int_equal(backoff_attempt(backoff, "bob", 0), 0);

    backoff_success(backoff, "alice");
    for (i = 0; i < 3; i++) {
        assert_int_equal(backoff_attempt(backoff, "alice", 1), 0);
    }
    assert_int_not_equal(backoff_attempt(backoff, "alice", 1), 0);

    for (i = 0; i < 3; i++) {
        assert_int_equal(backoff_attempt(backoff, "alice", 60001), 0);
    }
    assert_int_not_equal(backoff_attempt(backoff, "alice", 60001), 0);

    free(backoff);
}


/* a flood of other keys does not replace a key that has to wait */
static void test_flood_keeps_the_worst(void **state)
{
    int         i;
    char        key[32];
    backoff_t  *backoff = make();

    (void) state;
    for (i = 0; i < 3; i++) {
        backoff_attempt(backoff, "alice", i);
    }
    for (i = 0; i < 100000; i++) {
        snprintf(key, sizeof(key), "flood-%d", i);
        assert_int_equal(backoff_attempt(backoff, key, 10), 0);
    }
    assert_int_not_equal(backoff_attempt(backoff, "alice", 20), 0);

    free(backoff);
}


/* a forgiven attempt leaves no trace, and peeking counts nothing */
static void test_forgiven_is_not_counted(void **state)
{
    int         i;
    backoff_t  *backoff = make();

    (void) state;
    for (i = 0; i < 100; i++) {
        assert_int_equal(backoff_peek(backoff, "alice", 0), 0);
        assert_int_equal(backoff_attempt(backoff, "alice", 0), 0);
        backoff_forgive(backoff, "alice");
    }
    backoff_forgive(backoff, "alice");
    backoff_forgive(backoff, "bob");

    for (i = 0; i < 3; i++) {
        assert_int_equal(backoff_attempt(backoff, "alice", 1), 0);
    }
    assert_int_equal(backoff_peek(backoff, "alice", 1), 1000);

    free(backoff);
}


static void test_network(void **state)
{
    static const struct {
        const char  *address;
        unsigned     bits;
        const char  *network;
    }  cases[] = {
        { "192.0.2.1", 64, "192.0.2.1" },
        { "2001:db8:1:2:3:4:5:6", 64, "2001:db8:1:2::/64" },
        { "2001:db8:1:2ff:ffff::1", 56, "2001:db8:1:200::/56" },
        { "2001:db8:1:2ff:ffff::1", 48, "2001:db8:1::/48" },
        { "::ffff:192.0.2.1", 48, "::ffff:192.0.2.1" },
        { "unix:", 64, "unix:" },
        { "", 64, "" },
    };

    char    network[64];
    size_t  i;

    (void) state;
    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        assert_int_equal(backoff_network(cases[i].address, cases[i].bits, network, sizeof(network)),
                         strchr(cases[i].network, '/') != NULL);
        assert_string_equal(network, cases[i].network);
    }
}


static void test_password(void **state)
{
    char  hash[PASSWORD_HASH_SIZE];

    (void) state;
    assert_true(password_hash("correct horse", hash));
    /* RFC 9106's string form: argon2id, 19 MiB in KiB, two passes */
    assert_int_equal(strncmp(hash, "$argon2id$v=19$m=19456,t=2,p=1$", 31), 0);
    assert_int_equal(password_verify("correct horse", hash), PASSWORD_RIGHT);
    assert_int_equal(password_verify("correct horsf", hash), PASSWORD_WRONG);
    assert_int_equal(password_verify("", hash), PASSWORD_WRONG);
    assert_int_equal(password_verify("correct horse", NULL), PASSWORD_WRONG);
    assert_int_equal(password_verify("correct horse", "no hash"), PASSWORD_WRONG);

    assert_false(password_valid("1234567"));
    assert_true(password_valid("12345678"));
    assert_false(password_valid("1234567\xff"));
}


static void test_random(void **state)
{
    char  one[SECRET_SIZE], two[SECRET_SIZE];

    (void) state;
    password_random(one, sizeof(one), 16);
    password_random(two, sizeof(two), 16);
    assert_int_equal(strlen(one), KEY_TEXT_LENGTH);
    assert_string_not_equal(one, two);
    password_random(one, sizeof(one), 32);
    assert_int_equal(strlen(one), 43);
}


int main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(test_doubles_up_to_longest),
        cmocka_unit_test(test_refused_is_free),
        cmocka_unit_test(test_success_and_time_forget),
        cmocka_unit_test(test_flood_keeps_the_worst),
        cmocka_unit_test(test_forgiven_is_not_counted),
        cmocka_unit_test(test_network),
        cmocka_unit_test(test_password),
        cmocka_unit_test(test_random),
    };

    if (sodium_init() < 0) {
        return 1;
    }

    return cmocka_run_group_tests_name("auth_backoff", tests, NULL, NULL);
}
