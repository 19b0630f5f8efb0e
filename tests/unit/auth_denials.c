/* Tests denials.c: the newest refusal of a stream or an address, in tables that do not grow. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "denials.h"

#include <stdio.h>
#include <stdlib.h>


static denials_t *make(void)
{
    denials_t  *denials = malloc(sizeof(*denials));

    assert_non_null(denials);
    denials_init(denials);
    return denials;
}


static void test_a_stream_has_its_newest_refusal_since_a_time(void **state)
{
    denial_t    found;
    denials_t  *denials = make();

    (void) state;
    assert_false(denials_find(denials, 3, "192.0.2.1", 0, &found));

    denials_note(denials, 3, "192.0.2.7", "key revoked", 1000);
    denials_note(denials, 4, "192.0.2.7", "no key", 1500);
    denials_note(denials, 3, "192.0.2.8", "wrong key", 2000);

    assert_true(denials_find(denials, 3, "192.0.2.1", 2000, &found));
    assert_string_equal(found.reason, "wrong key");
    assert_string_equal(found.address, "192.0.2.8");
    assert_int_equal(found.at, 2000);
    assert_false(denials_find(denials, 3, "192.0.2.1", 2001, &found));
    assert_false(denials_find(denials, 5, "192.0.2.7", 0, &found));

    free(denials);
}


static void test_an_address_has_refusals_for_no_stream_alone(void **state)
{
    denial_t    found;
    denials_t  *denials = make();

    (void) state;
    denials_note(denials, 0, "192.0.2.7", "unknown stream", 1000);
    assert_false(denials_find(denials, 3, "192.0.2.8", 0, &found));
    assert_true(denials_find(denials, 3, "192.0.2.7", 0, &found));
    assert_string_equal(found.reason, "unknown stream");

    /* the newer one of both counts */
    denials_note(denials, 3, "192.0.2.9", "no key", 900);
    assert_true(denials_find(denials, 3, "192.0.2.7", 0, &found));
    assert_string_equal(found.reason, "unknown stream");
    denials_note(denials, 3, "192.0.2.9", "no key", 1100);
    assert_true(denials_find(denials, 3, "192.0.2.7", 0, &found));
    assert_string_equal(found.reason, "no key");

    free(denials);
}


static void test_a_flood_replaces_the_oldest_and_leaves_streams_alone(void **state)
{
    int         i;
    char        address[48];
    denial_t    found;
    denials_t  *denials = make();

    (void) state;
    denials_note(denials, 3, "192.0.2.7", "key revoked", 1);
    for (i = 0; i < 10 * DENIALS_MOST; i++) {
        snprintf(address, sizeof(address), "2001:db8::%x", (unsigned) i);
        denials_note(denials, 0, address, "unknown stream", 2 + i);
    }
    assert_true(denials_find(denials, 3, "192.0.2.7", 0, &found));
    assert_string_equal(found.reason, "key revoked");
    assert_true(denials_find(denials, 9, address, 0, &found));
    assert_false(denials_find(denials, 9, "2001:db8::0", 0, &found));

    for (i = 0; i < DENIALS_MOST; i++) {
        denials_note(denials, 100 + (uint64_t) i, "192.0.2.7", "no key", 5000 + i);
    }
    assert_false(denials_find(denials, 3, "192.0.2.7", 0, &found));

    free(denials);
}


int main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(test_a_stream_has_its_newest_refusal_since_a_time),
        cmocka_unit_test(test_an_address_has_refusals_for_no_stream_alone),
        cmocka_unit_test(test_a_flood_replaces_the_oldest_and_leaves_streams_alone),
    };

    return cmocka_run_group_tests_name("auth_denials", tests, NULL, NULL);
}
