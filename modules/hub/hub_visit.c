/*
 * Viewers that come by single requests (HLS).  Each is one row, whichever workers
 * serve its requests.  The row is no worker's: it stays when workers drain or die, and
 * any worker's sweep ends it when the viewer has stayed away.
 *
 * A chain of the visitor's hash leads to the row.  Chains change under the mutex, and
 * a request walks its chain without: a row that matches is right, whichever way led
 * there, and a miss is repeated under the mutex.  So is a match that a sweep may end
 * soon.  A row is in a chain only while it has an id, also after a SIGKILL.
 */

#include "hub.h"

#define HUB_VISIT_FRESH_MS  (HUB_VISIT_MS / 2)
#define HUB_VISIT_STEP_MS   500      /* between two stores of seen_ms */
#define HUB_VISIT_SWEEP_MS  1000


/* --- the chains --- */

static uint32_t *
hub_visit_chain(const hub_t *h, uint64_t visitor)
{
    return &h->visitors[(visitor ^ visitor >> 32) % h->header->nsessions].first;
}


/* Is row I the session of VISITOR on S? */
static int
hub_visit_matches(const hub_t *h, uint32_t i, const hub_stream_t *s, uint64_t visitor)
{
    const hub_session_t  *row = &h->sessions[i];

    return hub_load(&row->id) && row->protocol == HUB_HLS && row->key == visitor
           && row->stream == (uint32_t) (s - h->streams)
           && row->generation == hub_load(&s->generation);
}


/* The row of VISITOR on S, or HUB_NO_ROW.  Without the mutex the walk may be led into
 * other chains, so it has an end. */
static uint32_t
hub_visit_find(const hub_t *h, const hub_stream_t *s, uint64_t visitor)
{
    uint32_t  i, n;

    i = hub_load(hub_visit_chain(h, visitor));

    for (n = 0; i != HUB_NO_ROW && n < h->header->nsessions; n++) {
        if (hub_visit_matches(h, i, s, visitor)) {
            return i;
        }

        i = hub_load(&h->visitors[i].next);
    }

    return HUB_NO_ROW;
}


static void
hub_visit_link(hub_t *h, uint32_t i)
{
    uint32_t  *first = hub_visit_chain(h, h->sessions[i].key);

    hub_store(&h->visitors[i].next, *first);
    hub_step();
    hub_store(first, i);
}


static void
hub_visit_unlink(hub_t *h, uint32_t i)
{
    uint32_t  *at = hub_visit_chain(h, h->sessions[i].key);

    while (*at != HUB_NO_ROW && *at != i) {
        at = &h->visitors[*at].next;
    }

    if (*at == i) {                          /* else a SIGKILL came before the link */
        hub_store(at, h->visitors[i].next);
        hub_step();
    }
}


void
hub_visits_link(hub_t *h)
{
    uint32_t  i;

    if (h->header->visit_end == 0) {
        return;
    }

    for (i = 0; i < h->header->nsessions; i++) {
        hub_store(&h->visitors[i].first, HUB_NO_ROW);
    }

    hub_step();

    for (i = 0; i < h->header->visit_end; i++) {
        if (h->sessions[i].id && h->sessions[i].protocol == HUB_HLS) {
            hub_visit_link(h, i);
        }
    }
}


/* --- a request --- */

/* How long ago row I was kept; a worker's clock may be some ms behind another's. */
static int64_t
hub_visit_age(const hub_t *h, uint32_t i)
{
    return (int64_t) (ngx_current_msec - hub_load(&h->visitors[i].seen_ms));
}


/* Keeps row I, unless its visitor's rights were revoked.  Returns why the visitor is
 * refused, else HUB_ADMITTED. */
static enum hub_refusal
hub_visit_keep(hub_t *h, uint32_t i)
{
    uint8_t  kick = hub_load(&h->sessions[i].kick);

    if (kick == HUB_REVOKED) {
        return HUB_IS_REVOKED;
    }

    if (hub_visit_age(h, i) >= HUB_VISIT_STEP_MS) {
        hub_store(&h->visitors[i].seen_ms, ngx_current_msec);
    }

    return kick == HUB_STAYS ? HUB_ADMITTED : HUB_IS_KICKED;
}


/* Opens a session in row *I.  The caller holds the mutex. */
static enum hub_refusal
hub_visit_open(hub_t *h, const hub_identity_t *identity, hub_stream_t *s,
    uint64_t visitor, uint32_t *i)
{
    hub_session_t     *row;
    enum hub_refusal   reason;

    reason = hub_session_admit(h, identity, s, s->name_hash);
    if (reason != HUB_ADMITTED) {
        return reason;
    }

    row = hub_session_take(h, identity, s);
    row->key = visitor;
    row->worker = HUB_ANY_WORKER;

    *i = (uint32_t) (row - h->sessions);
    h->header->visit_end = ngx_max(h->header->visit_end, *i + 1);
    hub_store(&h->visitors[*i].seen_ms, ngx_current_msec);
    hub_step();                              /* from its id on a sweep must see it */

    hub_session_begin(h, row, s, 0);
    hub_visit_link(h, *i);

    return HUB_ADMITTED;
}


enum hub_refusal
hub_visit(hub_t *h, const hub_identity_t *identity, hub_stream_t *s, uint64_t visitor,
    hub_visit_t *visit)
{
    uint32_t          i = hub_visit_find(h, s, visitor);
    enum hub_refusal  reason;

    ngx_memzero(visit, sizeof(hub_visit_t));

    if (i != HUB_NO_ROW && hub_visit_age(h, i) < HUB_VISIT_FRESH_MS) {
        reason = hub_visit_keep(h, i);

    } else {
        ngx_shmtx_lock(&h->pool->mutex);

        i = hub_visit_find(h, s, visitor);

        if (i != HUB_NO_ROW) {
            reason = hub_visit_keep(h, i);

        } else if (identity->name_hash == 0
                   || s->name_hash == identity->name_hash)
        {
            reason = hub_visit_open(h, identity, s, visitor, &i);

        } else {
            reason = HUB_ADMITTED;           /* another stream got the slot */
        }

        ngx_shmtx_unlock(&h->pool->mutex);
    }

    if (reason != HUB_ADMITTED) {
        hub_refuse(h, reason);
        return reason;
    }

    if (i == HUB_NO_ROW) {
        return HUB_ADMITTED;
    }

    visit->hub = h;
    visit->row = &h->sessions[i];
    visit->id = hub_load(&visit->row->id);
    visit->visitor = visitor;

    return HUB_ADMITTED;
}


static uint32_t
hub_visit_row(const hub_visit_t *visit)
{
    return (uint32_t) (visit->row - visit->hub->sessions);
}


int
hub_visit_lasts(const hub_visit_t *visit)
{
    return hub_load(&visit->row->id) == visit->id;
}


void
hub_visit_sent(hub_visit_t *visit, size_t bytes)
{
    hub_t  *h = visit->hub;

    if (hub_visit_lasts(visit)) {
        (void) hub_add(&visit->row->bytes, bytes);
        (void) hub_visit_keep(h, hub_visit_row(visit));
        return;
    }

    ngx_shmtx_lock(&h->pool->mutex);
    h->header->bytes_out += bytes;           /* the session has ended meanwhile */
    ngx_shmtx_unlock(&h->pool->mutex);
}


const char *
hub_visit_leaves(hub_visit_t *visit)
{
    uint8_t  kick = hub_load(&visit->row->kick);

    if (!hub_visit_lasts(visit)) {
        return "session has ended: ask again";
    }

    (void) hub_visit_keep(visit->hub, hub_visit_row(visit));

    return hub_kick_text(kick);
}


/* --- the sweep --- */

/* Has the visitor of row I stayed away, or has its stream ended?  Also true when I was
 * kept although it is no visitor's any more. */
static int
hub_visit_is_over(const hub_t *h, uint32_t i)
{
    uint32_t              stream;
    const hub_session_t  *row = &h->sessions[i];

    if (hub_load(&h->visitors[i].seen_ms) == 0) {
        return 0;
    }

    stream = hub_load(&row->stream);         /* another client's row may have none */

    return hub_visit_age(h, i) >= HUB_VISIT_MS || stream >= h->header->nstreams
           || !hub_stream_is_on(&h->streams[stream])
           || hub_load(&row->generation) != hub_load(&h->streams[stream].generation);
}


/* Ends the session in row I if it is still over.  The caller holds the mutex. */
static void
hub_visit_end(hub_t *h, uint32_t i)
{
    hub_header_t   *z = h->header;
    hub_session_t  *row = &h->sessions[i];

    if (!hub_visit_is_over(h, i)) {
        return;
    }

    if (row->id && row->protocol == HUB_HLS) {
        hub_visit_unlink(h, i);
        hub_session_free(h, row);
    }

    hub_store(&h->visitors[i].seen_ms, 0);

    while (z->visit_end && h->visitors[z->visit_end - 1].seen_ms == 0) {
        z->visit_end--;
    }
}


/* One worker does it for all, which another continues if it dies. */
void
hub_visit_sweep(hub_t *h)
{
    uint32_t  i, end = hub_load(&h->header->visit_end);
    uint64_t  at = hub_load(&h->header->visits_swept_ms);

    if (end == 0 || h->worker == HUB_NO_SLOT
        || (int64_t) (ngx_current_msec - at) < HUB_VISIT_SWEEP_MS
        || !__atomic_compare_exchange_n(&h->header->visits_swept_ms, &at,
                                        (uint64_t) ngx_current_msec, 0,
                                        __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE))
    {
        return;
    }

    for (i = 0; i < end; i++) {
        if (hub_visit_is_over(h, i)) {
            ngx_shmtx_lock(&h->pool->mutex);
            hub_visit_end(h, i);
            ngx_shmtx_unlock(&h->pool->mutex);
        }
    }
}
