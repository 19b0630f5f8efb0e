#include "sharing.h"
#include "rights.h"
#include "../base/token.h"

#include <stdlib.h>


unsigned sharing_rights(bool clip)
{
    return RIGHT_MANAGE | (clip ? RIGHT_REPLAY : RIGHT_VIEW);
}


store_result_t sharing_allowed(store_t *store, const store_link_t *link, bool *may)
{
    store_access_t  access;
    store_result_t  result = STORE_OK;

    *may = true;
    if (link->maker) {
        result = store_access_one(store, link->stream, link->maker, &access);
        *may = result == STORE_OK
               && rights_has_all(rights_of_access(&access), sharing_rights(link->clip));
    }

    return result;
}


typedef struct {
    store_t         *store;
    bool             clip;
    store_access_t  *makers;
    size_t           count;
    size_t           size;
    bool             failed;        /* no memory */
    store_id_each    revoke;
    void            *data;
} sharing_orphans_t;


static void sharing_note(const store_access_t *maker, void *data)
{
    size_t              size;
    store_access_t     *grown;
    sharing_orphans_t  *orphans = data;

    if (rights_has_all(rights_of_access(maker), sharing_rights(orphans->clip))) {
        return;
    }

    if (orphans->count == orphans->size) {
        size = orphans->size ? 2 * orphans->size : 8;
        grown = realloc(orphans->makers, size * sizeof(*grown));
        if (grown == NULL) {
            orphans->failed = true;
            return;
        }
        orphans->makers = grown;
        orphans->size = size;
    }

    orphans->makers[orphans->count++] = *maker;
}


static store_result_t sharing_find(sharing_orphans_t *orphans)
{
    store_result_t  result = store_access_sharers(orphans->store, orphans->clip, sharing_note,
                                                  orphans);

    return result == STORE_OK && orphans->failed ? STORE_ERROR : result;
}


store_result_t sharing_count_orphans(store_t *store, unsigned *count)
{
    int             clip;
    store_result_t  result = STORE_OK;

    for (clip = 0; clip < 2 && result == STORE_OK; clip++) {
        sharing_orphans_t  orphans = { .store = store, .clip = clip };

        result = sharing_find(&orphans);
        *count += (unsigned) orphans.count;
        free(orphans.makers);
    }

    return result;
}


static void sharing_revoke(uint64_t id, void *data)
{
    sharing_orphans_t  *orphans = data;

    orphans->revoke(TOKEN_LINKS + id, orphans->data);
}


static store_result_t sharing_end_made(sharing_orphans_t *orphans, const store_access_t *maker)
{
    store_t         *store = orphans->store;
    store_result_t   result;

    result = store_link_seen(store, maker->stream, maker->user, orphans->clip, sharing_revoke,
                             orphans);
    if (result == STORE_OK) {
        result = store_link_revoke_made(store, maker->stream, maker->user, orphans->clip);
    }

    return result == STORE_OK ? store_access_audit(store, maker->stream, maker->user) : result;
}


store_result_t sharing_end_orphans(store_t *store, store_id_each revoke, void *data,
                                   unsigned *count)
{
    int             clip;
    size_t          i;
    store_result_t  result = STORE_OK;

    for (clip = 0; clip < 2 && result == STORE_OK; clip++) {
        sharing_orphans_t  orphans = { .store = store, .clip = clip, .revoke = revoke,
                                       .data = data };

        result = sharing_find(&orphans);
        for (i = 0; i < orphans.count && result == STORE_OK; i++) {
            result = sharing_end_made(&orphans, &orphans.makers[i]);
        }
        *count += (unsigned) orphans.count;
        free(orphans.makers);
    }

    return result;
}
