/*
 * Questions about a stream's recordings: a handler asks on the event loop, a
 * pool thread reads folders and indexes, the event loop sends the answer.
 *
 *     history_t *h = history_create(r, &root, &stream);
 *     h->from = …; h->to = …;
 *     h->work = …; h->done = …; h->data = …;
 *     return history_ask(h, pool);              of the content handler
 *
 * The client may leave meanwhile: then `done` is not called, and the question
 * is freed when the thread has finished.
 *
 * On the thread side nothing touches nginx's pools, the request or the hub:
 * memory is malloc()ed.  A path is opened folder by folder below ROOT, and
 * nothing in it may be a symbolic link.
 */

#ifndef DUOLU_HTTP_HISTORY_H
#define DUOLU_HTTP_HISTORY_H

#include "history_find.h"

/* Creates a question of user UID about STREAM ("app/name") in ROOT.  The request R
 * owns it.  NULL: no memory.  Its `status` is 404 when no recording can have such
 * a name. */
history_t *history_create(ngx_http_request_t *r, const ngx_str_t *root,
    const ngx_str_t *stream, uint64_t uid);

/* For `return` in a content handler: NGX_DONE, or a status; 429 when too many
 * questions of this user wait for a thread. */
ngx_int_t history_ask(history_t *h, ngx_thread_pool_t *pool);

/* Sends {"error": why}.  For a `done` whose question has another `status` than
 * 200. */
ngx_int_t history_refuse(ngx_http_request_t *r, history_t *h);

/* For a directive's `set`: reads its folder to ROOT. */
char *history_root(ngx_conf_t *cf, ngx_str_t *root);

/* Event loop.  The absolute path of FILE, zero-terminated, from R's pool. */
ngx_int_t history_path(ngx_http_request_t *r, const history_t *h,
    const char *file, ngx_str_t *path);

/* Event loop: UTC in ms. */
static ngx_inline int64_t
history_now(void)
{
    ngx_time_t  *tp = ngx_timeofday();

    return (int64_t) tp->sec * 1000 + (int64_t) tp->msec;
}

#endif
