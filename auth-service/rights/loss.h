#ifndef DUOLU_LOSS_H
#define DUOLU_LOSS_H

#include "rights.h"

#define LOSS_RIGHTS  (RIGHT_VIEW | RIGHT_PUBLISH | RIGHT_REPLAY)

/*
 * Finds the rights that a change takes away: those of each user on each stream before
 * it, minus those after it. The scope is one user or one stream: all pairs of many users
 * and many streams would be too many to compare.
 */
typedef struct {
    uint64_t     user;          /* all streams of this user, or only those in: */
    const char  *app;
    uint64_t     stream;        /* or all users of this stream, or only those in: */
    uint64_t     group;
} loss_scope_t;

typedef struct {
    uint64_t  stream;
    uint64_t  user;
    unsigned  rights;
} loss_pair_t;

typedef struct {
    loss_pair_t  *pairs;
    size_t        count;
    size_t        size;
    bool          failed;       /* no memory */
} loss_t;

store_result_t loss_before(loss_t *loss, store_t *store, const loss_scope_t *scope);
/* leaves the pairs that lost a right, sorted by stream */
store_result_t loss_after(loss_t *loss, store_t *store, const loss_scope_t *scope);
void loss_free(loss_t *loss);

/* For the unit tests: adds a row, sorts and merges the rows, subtracts a row. */
void loss_note(const store_access_t *access, void *loss);
void loss_sort(loss_t *loss);
void loss_strike(const store_access_t *access, void *loss);

#endif
