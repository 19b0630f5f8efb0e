#include "loss.h"
#include "rights.h"

#include <stdlib.h>

#define LOSS_RIGHTS  (RIGHT_VIEW | RIGHT_PUBLISH)


static unsigned loss_rights(const store_access_t *access)
{
    rights_case_t  the = {
        .user = access->user, .admin = access->admin, .disabled = access->disabled,
        .owner = access->owner, .owner_disabled = access->owner_disabled,
        .is_public = access->is_public, .granted = access->granted
    };

    return rights_decide(&the) & LOSS_RIGHTS;
}


void loss_note(const store_access_t *access, void *data)
{
    loss_t       *loss = data;
    size_t        size;
    unsigned      rights = loss_rights(access);
    loss_pair_t  *grown;

    if (rights == 0) {
        return;
    }

    if (loss->count == loss->size) {
        size = loss->size ? 2 * loss->size : 64;
        grown = realloc(loss->pairs, size * sizeof(*grown));
        if (grown == NULL) {
            loss->failed = true;
            return;
        }
        loss->pairs = grown;
        loss->size = size;
    }

    loss->pairs[loss->count++] = (loss_pair_t) { access->stream, access->user, rights };
}


static int loss_compare(const void *one, const void *two)
{
    const loss_pair_t  *a = one, *b = two;

    if (a->stream != b->stream) {
        return a->stream < b->stream ? -1 : 1;
    }
    return a->user < b->user ? -1 : a->user > b->user;
}


void loss_sort(loss_t *loss)
{
    if (loss->count) {
        qsort(loss->pairs, loss->count, sizeof(loss_pair_t), loss_compare);
    }
}


void loss_strike(const store_access_t *access, void *data)
{
    loss_t       *loss = data;
    loss_pair_t  *pair, key = { access->stream, access->user, 0 };

    if (loss->count == 0) {
        return;
    }

    pair = bsearch(&key, loss->pairs, loss->count, sizeof(key), loss_compare);
    if (pair) {
        pair->rights &= ~loss_rights(access);
    }
}


store_result_t loss_before(loss_t *loss, store_t *store, const store_scope_t *scope)
{
    store_result_t  result = store_access_list(store, scope, loss_note, loss);

    loss_sort(loss);
    return result == STORE_OK && loss->failed ? STORE_ERROR : result;
}


store_result_t loss_after(loss_t *loss, store_t *store, const store_scope_t *scope)
{
    size_t          i, kept = 0;
    store_result_t  result = store_access_list(store, scope, loss_strike, loss);

    for (i = 0; i < loss->count; i++) {
        if (loss->pairs[i].rights) {
            loss->pairs[kept++] = loss->pairs[i];
        }
    }

    loss->count = kept;
    return result;
}


void loss_free(loss_t *loss)
{
    free(loss->pairs);
}
