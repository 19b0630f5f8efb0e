/*
 * The server-sent events for followers of streams.
 */

#ifndef DUOLU_HTTP_EVENTS_H
#define DUOLU_HTTP_EVENTS_H

#include "answer.h"
#include "snapshot.h"

/* The streams that a user may see, by their number in the database. */
typedef struct {
    uint64_t  *ids;                /* sorted */
    size_t     n;
    unsigned   all:1;              /* also those without a number */
} events_rights_t;

/* Reads "3,5,9", "*" or an empty text.  0, or -1: it is something else. */
int events_rights_read(ngx_pool_t *pool, const ngx_str_t *text,
    events_rights_t *rights);
int events_rights_hold(const events_rights_t *rights, uint64_t id);

/* Writes all live streams among RIGHTS as event "streams". */
void events_say_streams(text_t *t, const snapshot_t *s,
    const events_rights_t *rights);

/* Writes a change as event "stream"; ROW is of the same stream, or free. */
void events_say_stream(text_t *t, const hub_change_t *change,
    const snapshot_stream_t *row);

/* Viewers and bitrates that changed, for all followers of this worker. */
typedef struct events_stat_s  events_stat_t;

typedef struct {
    events_stat_t  *stat;          /* what was last sent, by slot */
    uint32_t       *changed;       /* slots to send now */
    uint32_t        nchanged;
    unsigned        anew:1;        /* a new follower: send all slots */
} events_stats_t;

/* 0, or -1: no memory. */
int events_stats_look(events_stats_t *stats, hub_t *h);

/* Writes the changed ones among RIGHTS as event "stats"; nothing when none. */
void events_say_stats(text_t *t, const events_stats_t *stats,
    const events_rights_t *rights);

#endif
