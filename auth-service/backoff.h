#ifndef DUOLU_BACKOFF_H
#define DUOLU_BACKOFF_H

#include <pthread.h>
#include <stdint.h>

/*
 * Failed attempts per key (an account, an address), in a table of fixed size:
 * a flood of new keys replaces the least dangerous entries and never grows it.
 * Time is handed in, in milliseconds of a clock that only moves forward.
 */

#define BACKOFF_SETS  512
#define BACKOFF_WAYS  8

typedef struct {
    uint64_t  key;              /* keyed hash; 0: free */
    int64_t   until;            /* refused before this time */
    int64_t   last;
    uint32_t  attempts;
} backoff_entry_t;

typedef struct {
    unsigned  free_attempts;    /* that many in a row cost nothing */
    int64_t   first_ms;         /* the first wait, doubled each time */
    int64_t   longest_ms;
    int64_t   forget_ms;        /* an entry left alone that long is fresh again */
} backoff_rule_t;

typedef struct {
    pthread_mutex_t  lock;
    unsigned char    hash_key[16];
    backoff_rule_t   rule;
    backoff_entry_t  entries[BACKOFF_SETS][BACKOFF_WAYS];
} backoff_t;

void backoff_init(backoff_t *backoff, const backoff_rule_t *rule);

/*
 * To be called before the costly check. Returns 0 and counts the attempt, or
 * the milliseconds to wait, and then the attempt is refused and not counted.
 * Counting up front keeps parallel attempts from sharing one free try.
 */
int64_t backoff_attempt(backoff_t *backoff, const char *key, int64_t now);

/* The attempt was a good one: the key starts afresh. */
void backoff_success(backoff_t *backoff, const char *key);

/* The part of an address that one customer holds: IPv4 whole, IPv6 /64. */
void backoff_address_key(const char *address, char *out, size_t size);

#endif
