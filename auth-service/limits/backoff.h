#ifndef DUOLU_BACKOFF_H
#define DUOLU_BACKOFF_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * Failed attempts per key (an account, an address), in a table of fixed size:
 * a flood of new keys replaces the least dangerous entries and never grows it.
 * The caller passes the time, in milliseconds of a monotonic clock.
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
    unsigned  free_attempts;    /* attempts in a row that cause no wait */
    int64_t   first_ms;         /* the first wait, doubled each time */
    int64_t   longest_ms;
    int64_t   forget_ms;        /* after this long without an attempt, an entry starts afresh */
} backoff_rule_t;

typedef struct {
    pthread_mutex_t  lock;
    unsigned char    hash_key[16];
    backoff_rule_t   rule;
    backoff_entry_t  entries[BACKOFF_SETS][BACKOFF_WAYS];
} backoff_t;

void backoff_init(backoff_t *backoff, const backoff_rule_t *rule);

/* Returns the milliseconds that an attempt would have to wait now, or 0. Counts nothing. */
int64_t backoff_peek(backoff_t *backoff, const char *key, int64_t now);

/*
 * Call this right before the costly check. Counts the attempt and returns 0, or
 * returns the milliseconds to wait and does not count it. Counting before the check
 * keeps parallel attempts from sharing one free try.
 */
int64_t backoff_attempt(backoff_t *backoff, const char *key, int64_t now);

/* The attempt succeeded: the key starts afresh. */
void backoff_success(backoff_t *backoff, const char *key);

/* Takes back the count of an attempt that did not run, or must not erase the failed ones. */
void backoff_forgive(backoff_t *backoff, const char *key);

/*
 * Writes the network of an IPv6 address, such as "2001:db8:1::/48", or an IPv4 address
 * as it is, and then returns false. A customer holds at least a /64, often a /56, and a
 * site a /48.
 */
bool backoff_network(const char *address, unsigned bits, char *out, size_t size);

#endif
