#ifndef DUOLU_REFUSALS_H
#define DUOLU_REFUSALS_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

/*
 * Strangers can cause refusals at will. The service reports the first ones of a kind
 * from a place in full, counts the others, and reports their number once a minute: a
 * flood fills neither the database nor the log, and no refusal is lost. The table has a
 * fixed size; places that find no free entry share a count.
 */

#define REFUSALS_MOST     256
#define REFUSALS_FULL     10        /* of one kind and place, until a quiet minute has passed */
#define REFUSALS_TOGETHER 120       /* of all kinds and places, in one minute */
#define REFUSALS_EACH_MS  60000
#define REFUSALS_OTHERS   "others"

typedef struct {
    char      place[64];            /* an IPv4 address, an IPv6 /56, or "others" */
    char      action[32];
    char      reason[128];
    unsigned  full;
    uint64_t  more;                 /* counted; free when both are 0 */
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

/* Returns true if the caller should report it in full; otherwise counts it. */
bool refusals_note(refusals_t *refusals, const char *address, const char *action,
                   const char *reason, int64_t now);

/* Takes the next count that is due (with ALL: any) and resets it to 0; false when there is none. */
bool refusals_take(refusals_t *refusals, bool all, int64_t now, refusal_t *out);

/* Puts back a count that was taken and could not be reported. */
void refusals_back(refusals_t *refusals, const refusal_t *refusal);

#endif
