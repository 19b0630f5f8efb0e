/*
 * What those who follow streams are told, as server-sent events.
 */

#ifndef DUOLU_HTTP_EVENTS_H
#define DUOLU_HTTP_EVENTS_H

#include "answer.h"
#include "snapshot.h"

/* The streams, by their number in the database, that somebody may see. */
typedef struct {
    uint64_t  *ids;                /* sorted */
    size_t     n;
    unsigned   all:1;              /* those without a number too */
} events_rights_t;

/* Reads "3,5,9", "*" or nothing.  0, or -1: it is something else. */
int events_rights_read(ngx_pool_t *pool, const ngx_str_t *text,
    events_rights_t *rights);
int events_rights_hold(const events_rights_t *rights, uint64_t id);

/* All live streams among RIGHTS, as event "streams". */
void events_say_streams(text_t *t, const snapshot_t *s,
    const events_rights_t *rights);

/* A change, as event "stream"; ROW is of the same stream, or free. */
void events_say_stream(text_t *t, const hub_change_t *change,
    const snapshot_stream_t *row);

/* Viewers and bitrates that changed, for all who follow in this worker. */
typedef struct events_stat_s  events_stat_t;

typedef struct {
    events_stat_t  *stat;          /* what was said last, by slot */
    uint32_t       *changed;       /* slots of what is to be said now */
    uint32_t        nchanged;
    unsigned        anew:1;        /* somebody came: all counts as changed */
} events_stats_t;

/* 0, or -1: no memory. */
int events_stats_look(events_stats_t *stats, hub_t *h);

/* Those among RIGHTS as event "stats", or nothing when there are none. */
void events_say_stats(text_t *t, const events_stats_t *stats,
    const events_rights_t *rights);

#endif
