#ifndef DUOLU_LOSS_H
#define DUOLU_LOSS_H

#include "rights.h"

#define LOSS_RIGHTS  (RIGHT_VIEW | RIGHT_PUBLISH | RIGHT_REPLAY)

/*
 * The rights that a change takes away: those of each user on each stream before it,
 * minus those after it. The scope is one user or one stream, since all pairs of
 * many users and many streams are too many to compare.
 */
typedef struct {
    uint64_t     user;          /* narrowed, if it is given, to: */
    const char  *app;
    uint64_t     stream;        /* without a user; narrowed, if it is given, to: */
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
/* leaves those pairs that lost a right, by stream */
store_result_t loss_after(loss_t *loss, store_t *store, const loss_scope_t *scope);
void loss_free(loss_t *loss);

/* For the unit tests: one row noted, the rows put in order, one row struck out. */
void loss_note(const store_access_t *access, void *loss);
void loss_sort(loss_t *loss);
void loss_strike(const store_access_t *access, void *loss);

#endif
