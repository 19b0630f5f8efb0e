#include "refusals.h"
#include "backoff.h"

#include <stdio.h>
#include <string.h>

/* The last quarter of the table counts the refusals of places that found no free entry, by kind. */
#define REFUSALS_KEPT  (REFUSALS_MOST / 4)


void refusals_init(refusals_t *refusals)
{
    memset(refusals, 0, sizeof(*refusals));
    pthread_mutex_init(&refusals->lock, NULL);
}


static bool refusals_unused(const refusal_t *entry)
{
    return entry->full == 0 && entry->more == 0;
}


static bool refusals_same(const refusal_t *a, const refusal_t *b)
{
    return strcmp(a->place, b->place) == 0 && strcmp(a->action, b->action) == 0
           && strcmp(a->reason, b->reason) == 0;
}


/* Finds the entry of this kind and place in [from, to), or makes one; NULL when all are in use. */
static refusal_t *refusals_find(refusals_t *refusals, size_t from, size_t to,
                                const refusal_t *wanted)
{
    size_t      i;
    refusal_t  *entry, *unused = NULL;

    for (i = from; i < to; i++) {
        entry = &refusals->entries[i];
        if (refusals_unused(entry)) {
            unused = unused ? unused : entry;
        } else if (refusals_same(entry, wanted)) {
            return entry;
        }
    }

    if (unused) {
        *unused = *wanted;
    }
    return unused;
}


static refusal_t *refusals_entry(refusals_t *refusals, const char *place, const char *action,
                                 const char *reason)
{
    size_t      most = REFUSALS_MOST - REFUSALS_KEPT;
    refusal_t   wanted = { .more = 0 }, *entry;

    snprintf(wanted.place, sizeof(wanted.place), "%s", place);
    snprintf(wanted.action, sizeof(wanted.action), "%s", action);
    snprintf(wanted.reason, sizeof(wanted.reason), "%s", reason);

    entry = refusals_find(refusals, 0, most, &wanted);
    if (entry == NULL) {
        snprintf(wanted.place, sizeof(wanted.place), "%s", REFUSALS_OTHERS);
        entry = refusals_find(refusals, most, REFUSALS_MOST, &wanted);
    }

    return entry ? entry : &refusals->entries[REFUSALS_MOST - 1];
}


/* May one more refusal be reported in full in this minute? */
static bool refusals_room(refusals_t *refusals, int64_t now)
{
    if (now - refusals->minute >= REFUSALS_EACH_MS) {
        refusals->minute = now;
        refusals->together = 0;
    }

    return refusals->together < REFUSALS_TOGETHER;
}


bool refusals_note(refusals_t *refusals, const char *address, const char *action,
                   const char *reason, int64_t now)
{
    bool        full;
    char        place[sizeof(((refusal_t *) 0)->place)];
    refusal_t  *entry;

    backoff_network(address, 56, place, sizeof(place));

    pthread_mutex_lock(&refusals->lock);

    entry = refusals_entry(refusals, place, action, reason);
    entry->last = now;
    full = entry->more == 0 && entry->full < REFUSALS_FULL && refusals_room(refusals, now);

    if (full) {
        entry->full++;
        refusals->together++;
    } else {
        if (entry->more == 0) {
            entry->since = now;
        }
        entry->more++;
    }

    pthread_mutex_unlock(&refusals->lock);
    return full;
}


bool refusals_take(refusals_t *refusals, bool all, int64_t now, refusal_t *out)
{
    bool        due = false;
    size_t      i;
    refusal_t  *entry;

    pthread_mutex_lock(&refusals->lock);

    for (i = 0; i < REFUSALS_MOST && !due; i++) {
        entry = &refusals->entries[i];

        if (entry->more > 0) {
            due = all || now - entry->since >= REFUSALS_EACH_MS;
        } else if (entry->full > 0 && now - entry->last >= REFUSALS_EACH_MS) {
            entry->full = 0;        /* quiet again: report the next ones in full */
        }

        if (due) {
            *out = *entry;
            entry->more = 0;
            entry->full = REFUSALS_FULL;
        }
    }

    pthread_mutex_unlock(&refusals->lock);
    return due;
}


void refusals_back(refusals_t *refusals, const refusal_t *refusal)
{
    refusal_t  *entry;

    pthread_mutex_lock(&refusals->lock);

    entry = refusals_entry(refusals, refusal->place, refusal->action, refusal->reason);
    entry->full = REFUSALS_FULL;
    entry->more += refusal->more;
    entry->since = refusal->since;
    entry->last = refusal->last > entry->last ? refusal->last : entry->last;

    pthread_mutex_unlock(&refusals->lock);
}
