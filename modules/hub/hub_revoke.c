/*
 * Applies a revocation: ends the sessions and the streams that it covers.
 */

#include "hub.h"


/* Does R cover the publisher that S waits for?  In grace S has no session of its
 * publisher any more, but still the user's id. */
static int
hub_awaits_revoked(const hub_stream_t *s, const hub_revocation_t *r)
{
    return s->state == HUB_GRACE && r->key == 0 && s->issued <= r->at
           && hub_revocation_names(r, s->uid, s->name_hash, 0);
}


/* Ends the streams of revoked publishers, live or awaited.  The caller holds the
 * mutex. */
static void
hub_revoke_streams(hub_t *h, const hub_revocation_t *r)
{
    uint32_t        i;
    hub_stream_t   *s;
    hub_session_t  *row;

    for (i = 0; i < h->header->session_end; i++) {
        row = &h->sessions[i];

        if (row->id && row->protocol == HUB_PUBLISH && row->kick == HUB_REVOKED
            && row->stream != HUB_NO_STREAM)
        {
            s = &h->streams[row->stream];

            if (s->generation == row->generation && s->session == row->id) {
                hub_stream_end(h, s);
            }
        }
    }

    for (i = 0; i < h->header->stream_end; i++) {
        if (hub_awaits_revoked(&h->streams[i], r)) {
            hub_stream_end(h, &h->streams[i]);
        }
    }
}


/* Asks the sessions that R covers to leave.  The caller holds the mutex. */
static uint32_t
hub_revoke_sessions(hub_t *h, const hub_revocation_t *r)
{
    uint32_t        i, n = 0;
    hub_session_t  *row;

    for (i = 0; i < h->header->session_end; i++) {
        row = &h->sessions[i];

        if (row->id == 0 || row->issued > r->at
            || !hub_revocation_names(r, row->uid, row->name_hash,
                                     hub_session_key(row)))
        {
            continue;
        }

        hub_session_tell(h, row, HUB_REVOKED);
        n++;
    }

    return n;
}


ngx_int_t
hub_revoke(hub_t *h, const hub_revocation_t *r, const ngx_str_t *name,
    uint32_t *ended, ngx_log_t *log)
{
    int                kept, replaced;
    hub_revocation_t  *e;

    ngx_shmtx_lock(&h->pool->mutex);

    e = hub_revocation_add(h, r);
    kept = e->kept >= r->at;                 /* repeated: no second line */
    replaced = h->header->replaced;          /* if not, the next zone inherits R */
    *ended = hub_revoke_sessions(h, r);

    hub_revoke_streams(h, r);                /* it looks for revoked sessions */

    ngx_shmtx_unlock(&h->pool->mutex);

    if (!kept) {
        if (hub_revocation_keep(h, r, name, log) != NGX_OK) {
            return NGX_ERROR;
        }

        ngx_shmtx_lock(&h->pool->mutex);
        if (hub_revocation_is_of(e, r)) {
            e->kept = ngx_max(e->kept, r->at);
        }
        ngx_shmtx_unlock(&h->pool->mutex);
    }

    return replaced ? NGX_AGAIN : NGX_OK;
}
