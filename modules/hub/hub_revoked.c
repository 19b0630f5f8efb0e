/*
 * Revocations: tokens and sessions of a user, a stream or a key that were issued up
 * to some time are void.  The table is in the zone, so all workers obey it and a
 * reload keeps it; hub_kept.c restores it after a restart.
 *
 * Entries do not expire.  When the table is full, the oldest entry is merged into
 * the one that covers everybody: that refuses more than asked for, never less.
 */

#include "hub.h"


int
hub_revocation_names(const hub_revocation_t *r, uint64_t uid, uint64_t stream,
    uint64_t key)
{
    return (r->uid == 0 || r->uid == uid)
           && (r->stream == 0 || r->stream == stream)
           && (r->key == 0 || r->key == key);
}


int64_t
hub_revoked_until(hub_t *h, uint64_t uid, uint64_t stream, uint64_t key)
{
    int64_t                  at, until = INT64_MIN;
    uint32_t                 i, n = hub_load(&h->header->nrevoked);
    const hub_revocation_t  *r;

    for (i = 0; i < n; i++) {
        r = &h->revoked[i];
        at = hub_load(&r->at);

        if (at > until && hub_revocation_names(r, uid, stream, key)) {
            until = at;
        }
    }

    return until;
}


int
hub_revoked(hub_t *h, uint64_t uid, uint64_t stream, uint64_t key,
    int64_t issued)
{
    return issued <= hub_revoked_until(h, uid, stream, key);
}


int
hub_revocation_is_of(const hub_revocation_t *e, const hub_revocation_t *r)
{
    return e->uid == r->uid && e->stream == r->stream && e->key == r->key;
}


/* Returns the entry for R: the one with the same user, stream and key, else a new
 * one, else the oldest.  Entry 0 covers everybody.  The caller holds the mutex. */
static hub_revocation_t *
hub_revocation_place(hub_t *h, const hub_revocation_t *r)
{
    uint32_t           i, n = h->header->nrevoked;
    hub_revocation_t  *e, *oldest = NULL;

    if (hub_revocation_is_of(&h->revoked[0], r)) {
        return &h->revoked[0];
    }

    for (i = 1; i < n; i++) {
        e = &h->revoked[i];

        if (hub_revocation_is_of(e, r)) {
            return e;
        }

        if (oldest == NULL || e->at < oldest->at) {
            oldest = e;
        }
    }

    if (n < HUB_REVOCATIONS) {
        ngx_memzero(&h->revoked[n], sizeof(hub_revocation_t));
        return &h->revoked[n];
    }

    hub_store(&h->revoked[0].at, ngx_max(h->revoked[0].at, oldest->at));
    hub_step();
    oldest->at = oldest->kept = 0;
    hub_step();                              /* unused until all fields are set */

    return oldest;
}


hub_revocation_t *
hub_revocation_add(hub_t *h, const hub_revocation_t *r)
{
    hub_revocation_t  *e;

    if (h->header->nrevoked == 0) {
        ngx_memzero(&h->revoked[0], sizeof(hub_revocation_t));
        hub_store(&h->header->nrevoked, 1);
    }

    if (r->at <= h->revoked[0].at) {
        return &h->revoked[0];               /* which covers R */
    }

    e = hub_revocation_place(h, r);
    e->uid = r->uid;
    e->stream = r->stream;
    e->key = r->key;
    hub_store(&e->at, ngx_max(e->at, r->at));

    if (e == &h->revoked[h->header->nrevoked]) {
        hub_store(&h->header->nrevoked, h->header->nrevoked + 1);
    }

    return e;
}


void
hub_revocations_inherit(hub_t *h, hub_t *old)
{
    uint32_t  i;

    ngx_shmtx_lock(&old->pool->mutex);
    ngx_shmtx_lock(&h->pool->mutex);

    old->header->replaced = 1;

    for (i = 0; i < old->header->nrevoked; i++) {
        (void) hub_revocation_add(h, &old->revoked[i]);
    }

    ngx_shmtx_unlock(&h->pool->mutex);
    ngx_shmtx_unlock(&old->pool->mutex);
}
