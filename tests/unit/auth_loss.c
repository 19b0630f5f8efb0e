/* Tests loss.c, which finds the rights that a change takes away, and token_issue(). */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "loss.h"
#include "rights.h"
#include "token.h"

#include <string.h>


static store_access_t pair(uint64_t user, uint64_t stream, unsigned granted)
{
    return (store_access_t) { .user = user, .stream = stream, .owner = 1, .granted = granted };
}


/* Notes the pairs before, subtracts those after, and returns the rights that one pair lost. */
static unsigned lost(const store_access_t *before, size_t count, const store_access_t *after,
                     size_t left, uint64_t user, uint64_t stream)
{
    size_t    i;
    loss_t    loss = { 0 };
    unsigned  rights = 0;

    for (i = 0; i < count; i++) {
        loss_note(&before[i], &loss);
    }
    loss_sort(&loss);
    for (i = 0; i < left; i++) {
        loss_strike(&after[i], &loss);
    }
    for (i = 0; i < loss.count; i++) {
        if (loss.pairs[i].user == user && loss.pairs[i].stream == stream) {
            rights = loss.pairs[i].rights;
        }
    }

    loss_free(&loss);
    return rights;
}


static void test_two_grants_of_a_maker(void **state)
{
    /* user 7 has a grant, and another one through a group */
    store_access_t  made[] = { pair(7, 3, RIGHT_VIEW), pair(6, 3, RIGHT_VIEW),
                               pair(7, 3, RIGHT_REPLAY) };
    store_access_t  left = pair(7, 3, RIGHT_VIEW), none = pair(7, 3, 0);

    (void) state;
    assert_int_equal(lost(made, 3, &none, 1, 7, 3), RIGHT_VIEW | RIGHT_REPLAY);
    assert_int_equal(lost(made, 3, &left, 1, 7, 3), RIGHT_REPLAY);
    assert_int_equal(lost(made, 3, &left, 1, 6, 3), RIGHT_VIEW);
}


static void test_grant_taken(void **state)
{
    store_access_t  both = pair(7, 3, RIGHT_VIEW | RIGHT_PUBLISH), view = pair(7, 3, RIGHT_VIEW);
    store_access_t  none = pair(7, 3, 0), replay = pair(7, 3, RIGHT_REPLAY);
    store_access_t  manage = pair(7, 3, RIGHT_MANAGE);

    (void) state;
    assert_int_equal(lost(&both, 1, &both, 1, 7, 3), 0);
    assert_int_equal(lost(&both, 1, &view, 1, 7, 3), RIGHT_PUBLISH);
    assert_int_equal(lost(&both, 1, &none, 1, 7, 3), RIGHT_VIEW | RIGHT_PUBLISH);
    assert_int_equal(lost(&view, 1, &both, 1, 7, 3), 0);
    assert_int_equal(lost(&none, 1, &none, 1, 7, 3), 0);
    assert_int_equal(lost(&replay, 1, &replay, 1, 7, 3), 0);
    assert_int_equal(lost(&replay, 1, &none, 1, 7, 3), RIGHT_REPLAY);
    assert_int_equal(lost(&manage, 1, &none, 1, 7, 3), 0);

    /* a pair that is missing afterwards has lost all its rights */
    assert_int_equal(lost(&view, 1, NULL, 0, 7, 3), RIGHT_VIEW);
    assert_int_equal(lost(NULL, 0, &view, 1, 7, 3), 0);
}


static void test_stream_made_private(void **state)
{
    store_access_t  before[] = {
        { .user = 1, .stream = 3, .owner = 1, .is_public = true },
        { .user = 2, .stream = 3, .owner = 1, .is_public = true, .admin = true },
        { .user = 4, .stream = 3, .owner = 1, .is_public = true, .granted = RIGHT_VIEW },
        { .user = 5, .stream = 3, .owner = 1, .is_public = true, .granted = RIGHT_REPLAY },
        { .user = 6, .stream = 3, .owner = 1, .is_public = true, .disabled = true },
    };
    store_access_t  after[5];
    size_t          i;

    (void) state;

    memcpy(after, before, sizeof(before));
    for (i = 0; i < 5; i++) {
        after[i].is_public = false;
    }

    assert_int_equal(lost(before, 5, after, 5, 1, 3), 0);
    assert_int_equal(lost(before, 5, after, 5, 2, 3), 0);
    assert_int_equal(lost(before, 5, after, 5, 4, 3), 0);
    assert_int_equal(lost(before, 5, after, 5, 5, 3), RIGHT_VIEW);
    assert_int_equal(lost(before, 5, after, 5, 6, 3), 0);
}


/* more pairs than the first allocation holds, not in the order of their ids */
static void test_many(void **state)
{
    size_t          i;
    store_access_t  before[500], after[500];

    (void) state;

    for (i = 0; i < 500; i++) {
        before[i] = pair(1000 - i, i % 7 + 1, RIGHT_VIEW);
        after[i] = pair(1000 - i, i % 7 + 1, i % 5 ? RIGHT_VIEW : 0);
    }
    for (i = 0; i < 500; i++) {
        if (i % 50 == 0 || i % 50 == 1) {
            assert_int_equal(lost(before, 500, after, 500, 1000 - i, i % 7 + 1),
                             i % 5 ? 0 : RIGHT_VIEW);
        }
    }
}


static void test_issue(void **state)
{
    (void) state;
    assert_int_equal(token_issue(1000, 0), 1000);
    assert_int_equal(token_issue(1000, 999), 1000);
    assert_int_equal(token_issue(1000, 1000), 1001);
    assert_int_equal(token_issue(1000, 1003), 1004);
}


int main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(test_two_grants_of_a_maker),
        cmocka_unit_test(test_grant_taken),
        cmocka_unit_test(test_stream_made_private),
        cmocka_unit_test(test_many),
        cmocka_unit_test(test_issue),
    };

    return cmocka_run_group_tests_name("loss", tests, NULL, NULL);
}
