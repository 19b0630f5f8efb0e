/* Tests refusals.c with a clock of its own: some refusals are reported in full, others counted. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "refusals.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>


static refusals_t *make(void)
{
    refusals_t  *refusals = malloc(sizeof(*refusals));

    assert_non_null(refusals);
    refusals_init(refusals);
    return refusals;
}


static unsigned note(refusals_t *refusals, unsigned times, const char *address,
                     const char *reason, int64_t now)
{
    unsigned  full = 0;

    while (times-- > 0) {
        full += refusals_note(refusals, address, "csrf", reason, now);
    }

    return full;
}


static void test_first_in_full_then_a_number_each_minute(void **state)
{
    refusal_t    more;
    refusals_t  *refusals = make();

    (void) state;
    assert_int_equal(note(refusals, 1000, "192.0.2.1", "why", 1000), REFUSALS_FULL);
    assert_false(refusals_take(refusals, false, 1000 + REFUSALS_EACH_MS - 1, &more));
    assert_true(refusals_take(refusals, false, 1000 + REFUSALS_EACH_MS, &more));
    assert_int_equal(more.more, 1000 - REFUSALS_FULL);
    assert_string_equal(more.place, "192.0.2.1");
    assert_string_equal(more.action, "csrf");
    assert_string_equal(more.reason, "why");

    /* the flood goes on: one count each minute, nothing in full */
    assert_int_equal(note(refusals, 5, "192.0.2.1", "why", 70000), 0);
    assert_false(refusals_take(refusals, false, 70000, &more));
    assert_true(refusals_take(refusals, false, 130000, &more));
    assert_int_equal(more.more, 5);

    /* other places and reasons are reported in full, and after a quiet minute this one is, too */
    assert_int_equal(note(refusals, 1, "192.0.2.2", "why", 130000), 1);
    assert_int_equal(note(refusals, 1, "192.0.2.1", "what", 130000), 1);
    assert_false(refusals_take(refusals, false, 190000, &more));
    assert_int_equal(note(refusals, 1, "192.0.2.1", "why", 190000), 1);

    free(refusals);
}


/* with any number of addresses the table and the reports stay bounded, and no refusal is lost */
static void test_many_places_are_bounded_and_none_is_lost(void **state)
{
    int          i;
    char         address[32];
    unsigned     full = 0, told = 0;
    uint64_t     counted = 0;
    refusal_t    more;
    refusals_t  *refusals = make();

    (void) state;
    for (i = 0; i < 100000; i++) {
        snprintf(address, sizeof(address), "10.%d.%d.%d", i >> 16, (i >> 8) & 255, i & 255);
        full += note(refusals, 1, address, i & 1 ? "why" : "what", 1000);
    }
    assert_int_equal(full, REFUSALS_TOGETHER);

    while (refusals_take(refusals, false, 1000 + REFUSALS_EACH_MS, &more)) {
        counted += more.more;
        told++;
    }
    assert_true(told <= REFUSALS_MOST);
    assert_int_equal(full + counted, 100000);
    assert_string_equal(more.place, REFUSALS_OTHERS);

    free(refusals);
}


static void test_reasons_without_end_are_bounded(void **state)
{
    int          i;
    char         reason[300];
    uint64_t     full = 0, counted = 0;
    refusal_t    more;
    refusals_t  *refusals = make();

    (void) state;
    memset(reason, 'x', sizeof(reason));
    for (i = 0; i < 10000; i++) {
        snprintf(reason, sizeof(reason), "%d", i);
        reason[strlen(reason)] = 'x';
        reason[299] = '\0';
        full += note(refusals, 1, "2001:db8::1", reason, 1000);
    }
    while (refusals_take(refusals, true, 1000, &more)) {
        counted += more.more;
    }
    assert_int_equal(full + counted, 10000);

    free(refusals);
}


static void test_networks_and_counts_put_back(void **state)
{
    refusal_t    more;
    refusals_t  *refusals = make();

    (void) state;
    assert_int_equal(note(refusals, 8, "2001:db8:1:2::1", "why", 0), 8);
    assert_int_equal(note(refusals, 8, "2001:db8:1:3::1", "why", 0), 2);
    assert_true(refusals_take(refusals, true, 0, &more));
    assert_string_equal(more.place, "2001:db8:1::/56");
    assert_int_equal(more.more, 6);

    refusals_back(refusals, &more);
    assert_int_equal(note(refusals, 1, "2001:db8:1:4::1", "why", 10), 0);
    assert_true(refusals_take(refusals, true, 10, &more));
    assert_int_equal(more.more, 7);
    assert_false(refusals_take(refusals, true, 10, &more));

    free(refusals);
}


int main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(test_first_in_full_then_a_number_each_minute),
        cmocka_unit_test(test_many_places_are_bounded_and_none_is_lost),
        cmocka_unit_test(test_reasons_without_end_are_bounded),
        cmocka_unit_test(test_networks_and_counts_put_back),
    };

    return cmocka_run_group_tests_name("auth_refusals", tests, NULL, NULL);
}
