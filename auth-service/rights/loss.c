#include "loss.h"

#include <stdlib.h>
#include <string.h>


void loss_note(const store_access_t *access, void *data)
{
    loss_t       *loss = data;
    size_t        size;
    unsigned      rights = rights_of_access(access) & LOSS_RIGHTS;
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
    size_t  i, kept = 0;

    if (loss->count == 0) {
        return;
    }

    qsort(loss->pairs, loss->count, sizeof(loss_pair_t), loss_compare);

    /* merge pairs that were noted twice, as with two grants */
    for (i = 1; i < loss->count; i++) {
        if (loss_compare(&loss->pairs[kept], &loss->pairs[i]) == 0) {
            loss->pairs[kept].rights |= loss->pairs[i].rights;
        } else {
            loss->pairs[++kept] = loss->pairs[i];
        }
    }
    loss->count = kept + 1;
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
        pair->rights &= ~rights_of_access(access);
    }
}


typedef struct {
    const loss_scope_t  *scope;
    const store_user_t  *user;
    store_access_each    each;
    loss_t              *loss;
} loss_scan_t;


static void loss_scan_stream(const store_stream_t *stream, void *data)
{
    loss_scan_t          *scan = data;
    const loss_scope_t   *scope = scan->scope;
    const store_user_t   *user = scan->user;
    const store_access_t  access = {
        .user = user->id, .admin = user->admin, .disabled = user->disabled,
        .stream = stream->id, .owner = stream->owner, .owner_disabled = stream->owner_disabled,
        .is_public = rights_is_public(stream->visibility), .granted = stream->granted
    };

    if ((scope->stream == 0 || scope->stream == stream->id)
        && (scope->app == NULL || strcmp(scope->app, stream->app) == 0))
    {
        scan->each(&access, scan->loss);
    }
}


static store_result_t loss_scan(loss_t *loss, store_t *store, const loss_scope_t *scope,
                                store_access_each each)
{
    store_user_t    user;
    loss_scan_t     scan = { scope, &user, each, loss };
    store_result_t  result;

    if (scope->user == 0) {
        return store_access_list(store, scope->stream, scope->group, each, loss);
    }

    result = store_user_by_id(store, scope->user, &user);
    return result == STORE_OK ? store_stream_list(store, user.id, loss_scan_stream, &scan) : result;
}


store_result_t loss_before(loss_t *loss, store_t *store, const loss_scope_t *scope)
{
    store_result_t  result = loss_scan(loss, store, scope, loss_note);

    loss_sort(loss);
    return result == STORE_OK && loss->failed ? STORE_ERROR : result;
}


store_result_t loss_after(loss_t *loss, store_t *store, const loss_scope_t *scope)
{
    size_t          i, kept = 0;
    store_result_t  result = loss_scan(loss, store, scope, loss_strike);

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
