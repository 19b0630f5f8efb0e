#ifndef DUOLU_DENIALS_H
#define DUOLU_DENIALS_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

/*
 * The newest refusal of a publisher for each stream and, where no stream was found, for each
 * address: the page tells it to the user who is setting a phone up. The audit would not do,
 * since it only counts the refusals of a phone that keeps trying. The tables have a fixed
 * size; a new entry takes the place of the oldest.
 */

#define DENIALS_MOST  256

typedef struct {
    uint64_t  stream;           /* 0: no stream was found */
    char      address[48];
    char      reason[64];
    int64_t   at;               /* unix ms; 0: free */
} denial_t;

typedef struct {
    pthread_mutex_t  lock;
    denial_t         by_stream[DENIALS_MOST];
    denial_t         by_address[DENIALS_MOST];
} denials_t;

void denials_init(denials_t *denials);

void denials_note(denials_t *denials, uint64_t stream, const char *address, const char *reason,
                  int64_t now);

/*
 * Finds the newest refusal since then for the stream, or from the address for no stream at all;
 * false when there was none.
 */
bool denials_find(denials_t *denials, uint64_t stream, const char *address, int64_t since,
                  denial_t *out);

#endif
