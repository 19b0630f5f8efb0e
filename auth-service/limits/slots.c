#include "slots.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#define SLOTS_KNOWN_SHARE  2    /* a known class with more at once loses its priority */


/* On the stack of the thread that waits. */
struct slots_wait_s {
    slots_wait_t  *next;
    const char    *class;
    bool           known;
    enum { SLOTS_WAITS, SLOTS_TOOK, SLOTS_REFUSED }  state;
};


void slots_init(slots_t *slots, const slots_rule_t *rule)
{
    pthread_condattr_t  clock;

    memset(slots, 0, sizeof(*slots));
    slots->rule = *rule;
    if (slots->rule.slots > SLOTS_MOST) {
        slots->rule.slots = SLOTS_MOST;
    }
    if (slots->rule.each == 0) {
        slots->rule.each = slots->rule.slots;
    }

    pthread_mutex_init(&slots->lock, NULL);
    pthread_condattr_init(&clock);
    pthread_condattr_setclock(&clock, CLOCK_MONOTONIC);
    pthread_cond_init(&slots->changed, &clock);
    pthread_condattr_destroy(&clock);
}


/* Compares only as many bytes as holders[] stores of a name. */
static bool slots_same(const char *a, const char *b)
{
    return strncmp(a, b, SLOTS_CLASS_SIZE - 1) == 0;
}


/* Counts the slots this class has. */
static unsigned slots_held(const slots_t *slots, const char *class)
{
    unsigned  i, count = 0;

    for (i = 0; i < slots->taken; i++) {
        count += slots_same(slots->holders[i], class);
    }

    return count;
}


/* Counts the slots this class has and waits for. */
static unsigned slots_share(const slots_t *slots, const char *class)
{
    unsigned             count = slots_held(slots, class);
    const slots_wait_t  *wait;

    for (wait = slots->queue; wait; wait = wait->next) {
        count += slots_same(wait->class, class);
    }

    return count;
}


/* Is a slot free, and may this class have one more? */
static bool slots_free(const slots_t *slots, const char *class)
{
    return slots->taken < slots->rule.slots && slots_held(slots, class) < slots->rule.each;
}


/* Less than 0: A goes first; 0: they go in order of arrival. */
static int slots_compare(const slots_t *slots, const slots_wait_t *a, const slots_wait_t *b)
{
    int   a_share = (int) slots_share(slots, a->class);
    int   b_share = (int) slots_share(slots, b->class);
    bool  a_first = a->known && a_share <= SLOTS_KNOWN_SHARE;
    bool  b_first = b->known && b_share <= SLOTS_KNOWN_SHARE;

    return a_first != b_first ? (int) b_first - (int) a_first : a_share - b_share;
}


static void slots_leave(slots_t *slots, slots_wait_t *wait, int state)
{
    slots_wait_t  **at = &slots->queue;

    while (*at != wait) {
        at = &(*at)->next;
    }
    *at = wait->next;
    slots->waiting--;
    wait->state = state;
}


static void slots_hold(slots_t *slots, const char *class)
{
    snprintf(slots->holders[slots->taken++], sizeof(slots->holders[0]), "%s", class);
}


/* The first in order of the waiters whose class may have a slot now, or NULL. */
static slots_wait_t *slots_next(const slots_t *slots)
{
    slots_wait_t  *best = NULL, *wait;

    for (wait = slots->queue; wait; wait = wait->next) {
        if (slots_free(slots, wait->class) && (!best || slots_compare(slots, wait, best) < 0)) {
            best = wait;
        }
    }

    return best;
}


static void slots_serve(slots_t *slots)
{
    slots_wait_t  *next;

    while ((next = slots_next(slots)) != NULL) {
        slots_leave(slots, next, SLOTS_TOOK);
        slots_hold(slots, next->class);
    }

    pthread_cond_broadcast(&slots->changed);
}


/*
 * Appends the newcomer. If the queue is then too long, refuses the waiter that would go
 * last, maybe the newcomer.
 */
static void slots_join(slots_t *slots, slots_wait_t *newcomer)
{
    slots_wait_t  **at = &slots->queue, *worst, *wait;

    while (*at) {
        at = &(*at)->next;
    }
    *at = newcomer;
    slots->waiting++;

    if (slots->waiting <= slots->rule.queue) {
        return;
    }

    /* among equals refuse the latest: an equal newcomer must not displace an earlier waiter */
    worst = slots->queue;
    for (wait = worst->next; wait; wait = wait->next) {
        if (slots_compare(slots, wait, worst) >= 0) {
            worst = wait;
        }
    }
    slots_leave(slots, worst, SLOTS_REFUSED);
    pthread_cond_broadcast(&slots->changed);
}


bool slots_take(slots_t *slots, const char *class, bool known)
{
    slots_wait_t     self = { .class = class, .known = known };
    struct timespec  until;

    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += slots->rule.wait_s;

    pthread_mutex_lock(&slots->lock);

    if (slots_free(slots, class)) {
        slots_hold(slots, class);
        pthread_mutex_unlock(&slots->lock);
        return true;
    }

    slots_join(slots, &self);
    while (self.state == SLOTS_WAITS) {
        if (pthread_cond_timedwait(&slots->changed, &slots->lock, &until) != 0
            && self.state == SLOTS_WAITS)
        {
            slots_leave(slots, &self, SLOTS_REFUSED);
        }
    }

    pthread_mutex_unlock(&slots->lock);
    return self.state == SLOTS_TOOK;
}


void slots_give(slots_t *slots, const char *class)
{
    unsigned  i;

    pthread_mutex_lock(&slots->lock);

    for (i = 0; i < slots->taken && !slots_same(slots->holders[i], class); i++) {
        /* void */
    }
    if (i < slots->taken) {
        slots->taken--;
        memmove(slots->holders[i], slots->holders[slots->taken], sizeof(slots->holders[0]));
        slots_serve(slots);
    }

    pthread_mutex_unlock(&slots->lock);
}
