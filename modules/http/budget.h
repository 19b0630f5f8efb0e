/*
 * Memory that a worker holds for clients that take their time to read: counted
 * in bytes, in total and for each user, who may have a quarter of it.  Threads
 * of a pool may ask, too, before they make what is to be held.
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

/* Zeroed at first, inside of what it is held for. */
typedef struct {
    ngx_queue_t  queue;
    budget_t    *of;                 /* NULL: it holds nothing */
    uint64_t     uid;
    size_t       bytes;
} budget_hold_t;

/* Event loop, before the first use of B in this process. */
ngx_int_t budget_init(budget_t *b, ngx_log_t *log);

/* Takes BYTES of the MOST that there are for user UID.  NGX_OK, then
 * budget_give() follows; NGX_BUSY: all users together hold too much; or
 * NGX_DECLINED: this one alone.  *HELD is how much they, or it, hold. */
ngx_int_t budget_take(budget_t *b, budget_hold_t *hold, uint64_t uid,
    size_t bytes, size_t most, size_t *held);

/* Harmless when nothing is held. */
void budget_give(budget_hold_t *hold);

#endif
