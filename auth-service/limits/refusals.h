#ifndef DUOLU_REFUSALS_H
#define DUOLU_REFUSALS_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

/*
 * Refusals that strangers cause at will. The service reports the first of a kind from
 * a place in full, counts the others and reports their number once a minute: the
 * database and the log stay small under a flood, and every refusal is counted. The
 * table has a fixed size; places that find no free entry share a count.
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
    int64_t   since;                /* time of the first counted one */
    int64_t   last;
} refusal_t;

typedef struct {
    pthread_mutex_t  lock;
    int64_t          minute;        /* when the current minute began */
    unsigned         together;      /* reported in full in it */
    refusal_t        entries[REFUSALS_MOST];
} refusals_t;

void refusals_init(refusals_t *refusals);

/* true: report it in full; false: it was counted. */
bool refusals_note(refusals_t *refusals, const char *address, const char *action,
                   const char *reason, int64_t now);

/* Takes the next count that is due (with all: any) and resets it to 0; false: there is none. */
bool refusals_take(refusals_t *refusals, bool all, int64_t now, refusal_t *out);

/* Puts back a count that was taken and could not be reported. */
void refusals_back(refusals_t *refusals, const refusal_t *refusal);

#endif
