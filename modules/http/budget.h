/*
 * Limits the memory that a worker holds for clients that read slowly: counts
 * bytes in total and for each user, who may hold a quarter.  Pool threads may
 * call it too, before they allocate.
 */

#ifndef DUOLU_HTTP_BUDGET_H
#define DUOLU_HTTP_BUDGET_H

#include <ngx_config.h>
#include <ngx_core.h>

typedef struct {
    ngx_thread_mutex_t  mutex;
    ngx_queue_t         holds;
    size_t              held;
    unsigned            ready:1;
} budget_t;

/* Zeroed at first; part of the object that holds the memory. */
typedef struct {
    ngx_queue_t  queue;
    budget_t    *budget;             /* NULL: it holds nothing */
    uint64_t     uid;
    size_t       bytes;
} budget_hold_t;

/* Event loop, before the first use of B in this process. */
ngx_int_t budget_init(budget_t *b, ngx_log_t *log);

/* Takes BYTES of the limit MOST for user UID.  NGX_OK: the caller must call
 * budget_give() later; NGX_BUSY: all users together hold too much; NGX_DECLINED:
 * this user holds too much.  *HELD: bytes that all users, or this user, hold. */
ngx_int_t budget_take(budget_t *b, budget_hold_t *hold, uint64_t uid,
    size_t bytes, size_t most, size_t *held);

/* Harmless when nothing is held. */
void budget_give(budget_hold_t *hold);

#endif
