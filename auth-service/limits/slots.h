#ifndef DUOLU_SLOTS_H
#define DUOLU_SLOTS_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

/*
 * Few slots for costly work, and a short queue before them. Whoever is known goes
 * before strangers; among equals the class (of addresses, an account) that has and wants the fewest.
 * In a full queue a newcomer takes the place of one that has less claim to it.
 */

#define SLOTS_MOST     64
#define SLOTS_WAIT_MS  3000     /* then the answer is "busy" */

typedef struct slots_wait_s  slots_wait_t;

typedef struct {
    pthread_mutex_t   lock;
    pthread_cond_t    changed;
    unsigned          slots;
    unsigned          queue_most;
    unsigned          taken;
    char              holders[SLOTS_MOST][64];  /* the classes of those who have one */
    unsigned          waiting;
    slots_wait_t     *queue;                    /* in order of arrival */
} slots_t;

void slots_init(slots_t *slots, unsigned count, unsigned queue_most);

/* false: busy. who: a class, below 64 bytes. */
bool slots_take(slots_t *slots, const char *who, bool known);
void slots_give(slots_t *slots, const char *who);

#endif
