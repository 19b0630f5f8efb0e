#include "denials.h"

#include <stdio.h>
#include <string.h>


void denials_init(denials_t *denials)
{
    memset(denials, 0, sizeof(*denials));
    pthread_mutex_init(&denials->lock, NULL);
}


static bool denials_same(const denial_t *a, const denial_t *b)
{
    return a->at && a->stream == b->stream
           && (a->stream || strcmp(a->address, b->address) == 0);
}


/* Returns the entry for the same stream or address, else the oldest one, which may be free. */
static denial_t *denials_place(denial_t *table, const denial_t *wanted)
{
    size_t     i;
    denial_t  *oldest = table;

    for (i = 0; i < DENIALS_MOST; i++) {
        if (denials_same(&table[i], wanted)) {
            return &table[i];
        }
        if (table[i].at < oldest->at) {
            oldest = &table[i];
        }
    }

    return oldest;
}


void denials_note(denials_t *denials, uint64_t stream, const char *address, const char *reason,
                  int64_t now)
{
    denial_t  denial = { .stream = stream, .at = now };

    snprintf(denial.address, sizeof(denial.address), "%s", address);
    snprintf(denial.reason, sizeof(denial.reason), "%s", reason);

    pthread_mutex_lock(&denials->lock);
    *denials_place(stream ? denials->by_stream : denials->by_address, &denial) = denial;
    pthread_mutex_unlock(&denials->lock);
}


bool denials_find(denials_t *denials, uint64_t stream, const char *address, int64_t since,
                  denial_t *out)
{
    bool       found = false;
    size_t     i;
    denial_t   wanted = { .stream = stream }, *place;
    denial_t  *tables[] = { denials->by_stream, denials->by_address };

    snprintf(wanted.address, sizeof(wanted.address), "%s", address);
    out->at = since;

    pthread_mutex_lock(&denials->lock);

    for (i = 0; i < 2; i++) {
        wanted.stream = i == 0 ? stream : 0;
        place = denials_place(tables[i], &wanted);
        if (denials_same(place, &wanted) && place->at >= out->at) {
            *out = *place;
            found = true;
        }
    }

    pthread_mutex_unlock(&denials->lock);
    return found;
}
