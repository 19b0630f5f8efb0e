/* Tests slots.c with real threads: the order of getting slots, and the answer "busy". */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "slots.h"

#include <sched.h>
#include <stdlib.h>
#include <string.h>

typedef struct {
    slots_t     *slots;
    const char  *class;
    bool         known;
    bool         taken;
    pthread_t    thread;
} guest_t;

static pthread_mutex_t  order_lock = PTHREAD_MUTEX_INITIALIZER;
static char             order[256];     /* classes in the order of their slots, "a b c " */


static void *guest_run(void *data)
{
    guest_t  *guest = data;

    guest->taken = slots_take(guest->slots, guest->class, guest->known);
    if (guest->taken) {
        pthread_mutex_lock(&order_lock);
        strcat(order, guest->class);
        strcat(order, " ");
        pthread_mutex_unlock(&order_lock);
        slots_give(guest->slots, guest->class);
    }

    return NULL;
}


/* Starts the guests in this order: waits until each stands in the queue, or was refused. */
static void guests_come(slots_t *slots, guest_t *guests, size_t count)
{
    bool        there;
    size_t      i;
    unsigned    waiting;

    order[0] = '\0';
    for (i = 0; i < count; i++) {
        pthread_mutex_lock(&slots->lock);
        waiting = slots->waiting;
        pthread_mutex_unlock(&slots->lock);

        guests[i].slots = slots;
        pthread_create(&guests[i].thread, NULL, guest_run, &guests[i]);

        for (there = false; !there && waiting < slots->rule.queue; sched_yield()) {
            pthread_mutex_lock(&slots->lock);
            there = slots->waiting > waiting;
            pthread_mutex_unlock(&slots->lock);
        }
    }
}


static void guests_leave(guest_t *guests, size_t count)
{
    size_t  i;

    for (i = 0; i < count; i++) {
        pthread_join(guests[i].thread, NULL);
    }
}


static void test_class_with_many_requests_waits_longer(void **state)
{
    slots_t  slots;
    guest_t  guests[] = { { .class = "flood" }, { .class = "flood" }, { .class = "flood" },
                          { .class = "owner" } };

    (void) state;
    slots_init(&slots, &(slots_rule_t) { .slots = 1, .queue = 4, .wait_s = 30 });
    assert_true(slots_take(&slots, "flood", false));
    guests_come(&slots, guests, 4);
    slots_give(&slots, "flood");
    guests_leave(guests, 4);
    assert_string_equal(order, "owner flood flood flood ");
}


static void test_known_goes_before_strangers(void **state)
{
    slots_t  slots;
    guest_t  guests[] = { { .class = "a" }, { .class = "b" },
                          { .class = "user 1", .known = true } };

    (void) state;
    slots_init(&slots, &(slots_rule_t) { .slots = 1, .queue = 3, .wait_s = 30 });
    assert_true(slots_take(&slots, "c", false));
    guests_come(&slots, guests, 3);
    slots_give(&slots, "c");
    guests_leave(guests, 3);
    assert_string_equal(order, "user 1 a b ");
}


static void test_known_takes_a_place_in_a_full_queue(void **state)
{
    slots_t  slots;
    guest_t  guests[] = { { .class = "a" }, { .class = "b" },
                          { .class = "user 1", .known = true } };

    (void) state;
    slots_init(&slots, &(slots_rule_t) { .slots = 1, .queue = 2, .wait_s = 30 });
    assert_true(slots_take(&slots, "c", false));
    guests_come(&slots, guests, 3);
    pthread_join(guests[1].thread, NULL);       /* displaced before any slot was free */
    assert_false(guests[1].taken);
    slots_give(&slots, "c");
    pthread_join(guests[0].thread, NULL);
    pthread_join(guests[2].thread, NULL);
    assert_string_equal(order, "user 1 a ");
}


/* a newcomer displaces no equal, and a known class cannot take all places */
static void test_full_queue_refuses_the_newcomer(void **state)
{
    slots_t  slots;
    guest_t  known = { .slots = &slots, .class = "user 1", .known = true };
    guest_t  guests[] = { { .class = "a" }, { .class = "b" } };

    (void) state;
    slots_init(&slots, &(slots_rule_t) { .slots = 2, .queue = 2, .wait_s = 30 });
    assert_true(slots_take(&slots, "user 1", true));
    assert_true(slots_take(&slots, "user 1", true));
    guests_come(&slots, guests, 2);

    assert_false(slots_take(&slots, "c", false));
    guest_run(&known);
    assert_false(known.taken);

    slots_give(&slots, "user 1");
    slots_give(&slots, "user 1");
    guests_leave(guests, 2);
    assert_true(guests[0].taken && guests[1].taken);
}


/* a class gives back only its own slot, however long the names are */
static void test_class_gives_back_its_own_slot(void **state)
{
    char     first[SLOTS_CLASS_SIZE + 20], second[SLOTS_CLASS_SIZE + 20];
    slots_t  slots;

    (void) state;
    memset(first, 'a', sizeof(first) - 1);
    memset(second, 'b', sizeof(second) - 1);
    first[sizeof(first) - 1] = second[sizeof(second) - 1] = '\0';

    slots_init(&slots, &(slots_rule_t) { .slots = 3, .wait_s = 30 });
    assert_true(slots_take(&slots, first, false));
    assert_true(slots_take(&slots, second, false));
    assert_true(slots_take(&slots, "c", false));

    slots_give(&slots, first);
    assert_int_equal(slots.taken, 2);
    assert_string_equal(slots.holders[0], "c");
    assert_memory_equal(slots.holders[1], second, SLOTS_CLASS_SIZE - 1);

    slots_give(&slots, "nobody");
    assert_int_equal(slots.taken, 2);
    slots_give(&slots, "c");
    assert_memory_equal(slots.holders[0], second, SLOTS_CLASS_SIZE - 1);
}


/* one class never has all slots, and its waiters do not block a later class */
static void test_one_class_has_its_share_at_most(void **state)
{
    slots_t  slots;
    guest_t  guests[] = { { .class = "flood" }, { .class = "flood" } };

    (void) state;
    slots_init(&slots, &(slots_rule_t) { .slots = 3, .each = 2, .queue = 2, .wait_s = 30 });
    assert_true(slots_take(&slots, "flood", false));
    assert_true(slots_take(&slots, "flood", false));
    guests_come(&slots, guests, 2);
    assert_int_equal(slots.taken, 2);

    assert_true(slots_take(&slots, "owner", false));
    slots_give(&slots, "owner");
    assert_int_equal(slots.taken, 2);
    slots_give(&slots, "flood");
    slots_give(&slots, "flood");
    guests_leave(guests, 2);
    assert_true(guests[0].taken && guests[1].taken);
}


int main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(test_class_with_many_requests_waits_longer),
        cmocka_unit_test(test_known_goes_before_strangers),
        cmocka_unit_test(test_known_takes_a_place_in_a_full_queue),
        cmocka_unit_test(test_full_queue_refuses_the_newcomer),
        cmocka_unit_test(test_class_gives_back_its_own_slot),
        cmocka_unit_test(test_one_class_has_its_share_at_most),
    };

    return cmocka_run_group_tests_name("auth_slots", tests, NULL, NULL);
}
