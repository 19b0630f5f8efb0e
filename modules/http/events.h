/*
 * The text of the server-sent events about streams.
 */

#ifndef DUOLU_HTTP_EVENTS_H
#define DUOLU_HTTP_EVENTS_H

#include "answer.h"
#include "snapshot.h"

/* The streams that a user may see, by their numbers in the database. */
typedef struct {
    uint64_t  *ids;                /* sorted */
    size_t     n;
    unsigned   all:1;              /* even streams without a number */
} events_rights_t;

/* Parses "3,5,9", "*" or an empty text.  Returns 0, or -1 for anything else. */
int events_rights_read(ngx_pool_t *pool, const ngx_str_t *text,
    events_rights_t *rights);
int events_rights_hold(const events_rights_t *rights, uint64_t id);

/* Writes the event "streams": all streams of S that RIGHTS include. */
void events_write_streams(text_t *t, const snapshot_t *s,
    const events_rights_t *rights);

/* Writes the event "stream" for a change; ROW is the stream's, HUB_FREE if it has
 * ended. */
void events_write_stream(text_t *t, const hub_change_t *change,
    const snapshot_stream_t *row);

/* Viewers and bitrates that changed, shared by all followers of this worker. */
typedef struct events_stat_s  events_stat_t;

typedef struct {
    events_stat_t  *stat;          /* the last values sent, by slot */
    uint32_t       *changed;       /* slots with other values now */
    uint32_t        nchanged;
    unsigned        send_all:1;    /* there is a new follower: send all slots */
} events_stats_t;

/* Compares with the hub's current values.  Returns 0, or -1: no memory. */
int events_stats_update(events_stats_t *stats, hub_t *h);

/* Writes the event "stats": the changed streams that RIGHTS include, if any. */
void events_write_stats(text_t *t, const events_stats_t *stats,
    const events_rights_t *rights);

#endif
