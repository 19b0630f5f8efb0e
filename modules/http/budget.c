#include "budget.h"

#define BUDGET_USER  4               /* a user's share is 1/4 */


ngx_int_t
budget_init(budget_t *b, ngx_log_t *log)
{
    if (b->ready) {
        return NGX_OK;
    }

    if (ngx_thread_mutex_create(&b->mutex, log) != NGX_OK) {
        return NGX_ERROR;
    }

    ngx_queue_init(&b->holds);
    b->ready = 1;

    return NGX_OK;
}


/* Bytes that the user holds.  The caller has the mutex. */
static size_t
budget_held_by(const budget_t *b, uint64_t uid)
{
    size_t                held = 0;
    ngx_queue_t          *q;
    const budget_hold_t  *hold;

    for (q = ngx_queue_head(&b->holds); q != ngx_queue_sentinel(&b->holds);
         q = ngx_queue_next(q))
    {
        hold = ngx_queue_data(q, budget_hold_t, queue);
        held += hold->uid == uid ? hold->bytes : 0;
    }

    return held;
}


ngx_int_t
budget_take(budget_t *b, budget_hold_t *hold, uint64_t uid, size_t bytes,
    size_t most, size_t *held)
{
    ngx_int_t  rc = NGX_OK;

    (void) ngx_thread_mutex_lock(&b->mutex, ngx_cycle->log);

    *held = b->held;

    if (bytes > most || b->held > most - bytes) {
        rc = NGX_BUSY;

    } else {
        *held = budget_held_by(b, uid);

        /* a user's first hold may exceed the share */
        if (*held && *held + bytes > most / BUDGET_USER) {
            rc = NGX_DECLINED;
        }
    }

    if (rc == NGX_OK) {
        hold->budget = b;
        hold->uid = uid;
        hold->bytes = bytes;
        b->held += bytes;
        ngx_queue_insert_tail(&b->holds, &hold->queue);
    }

    (void) ngx_thread_mutex_unlock(&b->mutex, ngx_cycle->log);

    return rc;
}


void
budget_give(budget_hold_t *hold)
{
    budget_t  *b = hold->budget;

    if (b == NULL) {
        return;
    }

    (void) ngx_thread_mutex_lock(&b->mutex, ngx_cycle->log);

    ngx_queue_remove(&hold->queue);
    b->held -= hold->bytes;
    hold->budget = NULL;

    (void) ngx_thread_mutex_unlock(&b->mutex, ngx_cycle->log);
}
