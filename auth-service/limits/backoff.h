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
    unsigned  free_attempts;    /* this many in a row cause no wait */
    int64_t   first_ms;         /* the first wait, doubled each time */
    int64_t   longest_ms;
    int64_t   forget_ms;        /* an entry without attempts for so long starts afresh */
} backoff_rule_t;

typedef struct {
    pthread_mutex_t  lock;
    unsigned char    hash_key[16];
    backoff_rule_t   rule;
    backoff_entry_t  entries[BACKOFF_SETS][BACKOFF_WAYS];
} backoff_t;

void backoff_init(backoff_t *backoff, const backoff_rule_t *rule);

/* 0, or the milliseconds that an attempt would have to wait now; counts nothing. */
int64_t backoff_peek(backoff_t *backoff, const char *key, int64_t now);

/*
 * Call this right before the costly check. Returns 0 and counts the attempt, or
 * refuses it uncounted and returns the milliseconds to wait. Counting before the
 * check keeps parallel attempts from sharing one free try.
 */
int64_t backoff_attempt(backoff_t *backoff, const char *key, int64_t now);

/* The attempt succeeded: the key starts afresh. */
void backoff_success(backoff_t *backoff, const char *key);

/* Takes back the count of an attempt that did not run, or must not erase the failed ones. */
void backoff_forgive(backoff_t *backoff, const char *key);

/*
 * The network of an IPv6 address, "2001:db8:1::/48"; an IPv4 address is whole. A
 * customer holds a /64 at least, often a /56, and a site a /48. false: not IPv6.
 */
bool backoff_network(const char *address, unsigned bits, char *out, size_t size);

#endif
