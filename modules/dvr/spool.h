/*
 * Events of recordings for the auth-service: one small JSON file per event in
 * ROOT/.spool, ordered by name, written atomically.  The service reads them in
 * that order and deletes each when its row is in the database, so nginx and the
 * service need not run at the same time.
 *
 * Called from pool threads: nothing here touches nginx's pools or the hub.
 */

#ifndef DUOLU_DVR_SPOOL_H
#define DUOLU_DVR_SPOOL_H

#include <ngx_config.h>
#include <ngx_core.h>

typedef struct {
    const char  *event;          /* "open" or "close" */
    const char  *file;           /* path below ROOT */
    const char  *stream;         /* "app/name" */
    const char  *format;         /* "mp4" or "flv" */
    uint64_t     id;             /* the stream's in the database, 0: not known */
    uint64_t     session;        /* utc ms of its start */
    int64_t      from, to;       /* utc ms; `to` and below with "close" */
    uint64_t     bytes;
    const char  *state;          /* "complete" or "interrupted" */
    const char  *reason;         /* a sentence */
} spool_event_t;

/* Returns 0, or -1 with errno: then there is no event, try again later. */
int spool_put(const char *root, const spool_event_t *event);

#endif
