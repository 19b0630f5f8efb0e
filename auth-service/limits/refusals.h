#ifndef DUOLU_REFUSALS_H
#define DUOLU_REFUSALS_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

/*
 * Refusals that strangers cause at will. The first of a kind from a place are told
 * in full, the others counted, and their number is told once a minute: the database
 * and the log stay small under a flood, and nothing is lost. The table is fixed;
 * where it is full, the places that did not fit are counted together.
 */

#define REFUSALS_MOST     256
#define REFUSALS_FULL     10        /* of one kind, until a minute without it has passed */
#define REFUSALS_TOGETHER 120       /* of all kinds and places, a minute */
#define REFUSALS_EACH_MS  60000
#define REFUSALS_OTHERS   "others"

typedef struct {
    char      place[64];            /* an address, of IPv6 its /56; or "others" */
    char      action[32];
    char      reason[128];
    unsigned  full;
    uint64_t  more;                 /* 0 in both: free */
    int64_t   since;                /* when the ones counted began */
    int64_t   last;
} refusal_t;

typedef struct {
    pthread_mutex_t  lock;
    int64_t          minute;        /* when the present one began */
    unsigned         together;      /* told in full in it */
    refusal_t        entries[REFUSALS_MOST];
} refusals_t;

void refusals_init(refusals_t *refusals);

/* true: tell it in full; false: it is counted. */
bool refusals_note(refusals_t *refusals, const char *address, const char *action,
                   const char *reason, int64_t now);

/* The next count that is due, or with all any; false: there is none. It is set back to 0. */
bool refusals_take(refusals_t *refusals, bool all, int64_t now, refusal_t *out);

/* One that was taken and could not be told. */
void refusals_back(refusals_t *refusals, const refusal_t *refusal);

#endif
