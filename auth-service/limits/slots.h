#ifndef DUOLU_SLOTS_H
#define DUOLU_SLOTS_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

/*
 * A few slots for costly work, and a short queue. Known callers go before strangers;
 * among equals, the class (an account, a site) that holds and waits for the fewest slots
 * goes first. In a full queue a newcomer displaces a waiter that would go later.
 */

#define SLOTS_MOST        128
#define SLOTS_CLASS_SIZE  64

typedef struct slots_wait_s  slots_wait_t;

typedef struct {
    unsigned  slots;
    unsigned  each;             /* slots of one class at once; 0: all */
    unsigned  queue;            /* the most waiters */
    unsigned  wait_s;           /* the longest wait; then slots_take() fails */
} slots_rule_t;

typedef struct {
    pthread_mutex_t   lock;
    pthread_cond_t    changed;
    slots_rule_t      rule;
    unsigned          taken;
    char              holders[SLOTS_MOST][SLOTS_CLASS_SIZE];  /* the class of each taken slot */
    unsigned          waiting;
    slots_wait_t     *queue;                    /* in order of arrival */
} slots_t;

void slots_init(slots_t *slots, const slots_rule_t *rule);

/* Returns false when busy. Names with the same first 63 bytes are the same class. */
bool slots_take(slots_t *slots, const char *class, bool known);

/* Gives back a slot of this class; does nothing if the class has none. */
void slots_give(slots_t *slots, const char *class);

#endif
