/*
 * Opens, hands over, leaves and ends streams, and gives slots to those of other servers.
 */

#include <unistd.h>

#include "hub.h"

#define HUB_TAKEOVER_MS     20       /* longest wait for an append under way */
#define HUB_TAKEOVER_US    100       /* between two checks */

#define HUB_LINGER_MS     3000       /* workers look after their streams each second */

#define HUB_SHARE_MIN        8      /* blocks that new streams leave to each stream */


/* Creates a stream in slot S.  The caller holds the mutex. */
static enum hub_refusal
hub_stream_create(hub_t *h, hub_stream_t *s, const u_char *name, size_t len)
{
    int       kind;
    size_t    begin = offsetof(hub_stream_t, state);
    uint32_t  *next = h->next, free = h->header->free;

    if ((free == HUB_NO_BLOCK || next[free] == HUB_NO_BLOCK)
        && hub_fullest(h, HUB_SHARE_MIN) == NULL)
    {
        return HUB_NO_ROOM;
    }

    /* bump the generation again: a session may have joined the previous stream just
     * after its end, and must not count as a viewer of this one */
    hub_store(&s->generation, s->generation + 1);
    hub_step();

    ngx_memzero((u_char *) s + begin, offsetof(hub_stream_t, index) - begin);

    for (kind = 0; kind < HUB_CONFIG_KINDS; kind++) {
        s->config[kind].size = 0;
    }

    if (hub_index_grow(h, s) != NGX_OK) {
        return HUB_NO_ROOM;
    }

    s->name_len = (uint32_t) len;
    ngx_memcpy(s->name, name, len);
    s->name_hash = hub_name_hash(name, len);
    s->created_ms = ngx_current_msec;
    hub_cut_start(h, s);

    return HUB_ADMITTED;
}


/* Finds the stream NAME and takes it from its writer, or creates it.  The caller
 * holds the mutex.  *AGAIN: the writer's append is still under way. */
static enum hub_refusal
hub_open_locked(hub_t *h, const u_char *name, size_t len,
    const u_char owner[20], const hub_identity_t *identity, hub_stream_t **out,
    int *again)
{
    uint32_t          i;
    hub_stream_t     *s;
    enum hub_refusal  reason;

    *again = 0;
    *out = s = hub_find(h, name, len);

    if (s && s->state == HUB_LIVE && ngx_memcmp(s->owner, owner, 20) != 0) {
        return HUB_BUSY;
    }

    reason = hub_session_admit(h, identity, s, hub_name_hash(name, len));
    if (reason != HUB_ADMITTED) {
        return reason;
    }

    if (s) {
        hub_writer_stop(s);
        *again = !hub_writer_is_out(h, s);
        return *again ? HUB_STUCK : HUB_ADMITTED;
    }

    i = hub_slot_take(h);
    if (i == HUB_NO_STREAM) {
        return HUB_NO_ROOM;
    }

    *out = &h->streams[i];
    reason = hub_stream_create(h, *out, name, len);

    if (reason != HUB_ADMITTED) {
        hub_slot_give(h, *out);
    }

    return reason;
}


/* Asks the session of the previous publisher to leave: the old connection of a
 * phone may be half open and never notice. */
static void
hub_tell_replaced(hub_t *h, const hub_stream_t *s)
{
    hub_session_t  *row = &h->sessions[s->session_row];

    if (row->id == s->session) {
        hub_session_tell(h, row, HUB_TAKEN_OVER);
    }
}


void
hub_due(hub_t *h, uint64_t ms)
{
    uint64_t  due;

    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    due = hub_load(&h->header->due_ms);

    while (ms < due
           && !__atomic_compare_exchange_n(&h->header->due_ms, &due, ms, 0,
                                           __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE))
    { /* void */ }
}


void
hub_stream_leave(hub_t *h, hub_stream_t *s)
{
    hub_writer_stop(s);
    s->grace_until_ms = ngx_current_msec + h->grace;
    hub_store(&s->state, HUB_GRACE);
    hub_due(h, s->grace_until_ms);
}


void
hub_stream_release(hub_t *h, hub_stream_t *s)
{
    if (!hub_writer_is_out(h, s)) {
        hub_due(h, ngx_current_msec);
        return;
    }

    /* keep the blocks' numbers: a concurrent reader may read another stream's entry,
     * then sees the changed generation in the check after use */
    hub_store(&s->generation, s->generation + 1);
    hub_step();
    hub_blocks_give(h, s, UINT64_MAX, UINT64_MAX);
    hub_step();
    hub_store(&s->state, HUB_FREE);
    hub_step();
    hub_slot_give(h, s);
}


/* Asks no session to leave: each reader notices the state.  Workers with viewers of HLS
 * make of the row what their last lists name, and have some time for that. */
void
hub_stream_end(hub_t *h, hub_stream_t *s)
{
    if (!hub_stream_is_on(s)) {
        return;
    }

    hub_writer_stop(s);
    s->grace_until_ms = hub_segments_wanted(s) ? ngx_current_msec + HUB_LINGER_MS : 0;
    hub_step();
    hub_store(&s->state, HUB_ENDING);
    hub_name_unlink(h, s);
    hub_changed(h, s, HUB_FREE);

    if (ngx_current_msec < s->grace_until_ms) {
        hub_due(h, s->grace_until_ms);
    } else {
        hub_stream_release(h, s);
    }
}


/* Makes IDENTITY the publisher of S, which has no writer now.  The caller holds the
 * mutex. */
static void
hub_hand_over(hub_t *h, hub_stream_t *s, const u_char owner[20],
    const hub_identity_t *identity, hub_client_t *c, hub_writer_t *w)
{
    w->returned = s->state != HUB_FREE;
    w->from = s->head;

    if (s->state == HUB_LIVE) {
        /* if a SIGKILL cuts this short, the stream must be in grace, not live
         * without a publisher */
        hub_stream_leave(h, s);
        hub_tell_replaced(h, s);
    }

    if (s->config_seq & 1) {                 /* the last writer died changing it */
        s->config[HUB_CONFIG_META].size = 0;
        s->config[HUB_CONFIG_VIDEO].size = 0;
        s->config[HUB_CONFIG_AUDIO].size = 0;
        hub_store(&s->config_at, s->head);
        hub_config_end(s);
    }

    ngx_memcpy(s->owner, owner, 20);
    ngx_memcpy(s->address, c->session->address, sizeof(s->address));
    s->uid = identity->uid;
    s->issued = identity->issued;
    s->session = c->session->id;
    s->session_row = (uint32_t) (c->session - h->sessions);
    s->started_ms = ngx_current_msec;
    s->worker = h->worker;
    hub_name_link(h, s);
    hub_store(&s->state, HUB_LIVE);

    w->ref.stream = s;
    w->ref.generation = s->generation;
    w->turn = hub_writer_turn(s);
    w->session = s->session;
    w->discontinuity = w->returned;
    w->wait_key = w->returned;               /* the last GOP is another writer's */
    w->rate_ms = ngx_current_msec;
}


enum hub_refusal
hub_open(hub_t *h, const u_char *name, size_t len, const u_char owner[20],
    const hub_identity_t *identity, hub_client_t *c, hub_end_pt end, void *data,
    hub_writer_t *w)
{
    int               again;
    ngx_msec_t        until;
    hub_stream_t     *s;
    enum hub_refusal  reason;

    ngx_memzero(w, sizeof(hub_writer_t));
    ngx_time_update();
    until = ngx_current_msec + HUB_TAKEOVER_MS;

    for ( ;; ) {
        ngx_shmtx_lock(&h->pool->mutex);

        reason = hub_open_locked(h, name, len, owner, identity, &s, &again);

        if (!again || (ngx_msec_int_t) (ngx_current_msec - until) >= 0) {
            break;
        }

        /* an append takes microseconds, but may be waiting for this mutex */
        ngx_shmtx_unlock(&h->pool->mutex);
        (void) usleep(HUB_TAKEOVER_US);
        ngx_time_update();
    }

    if (reason == HUB_ADMITTED) {
        hub_session_add(h, c, identity, s, end, data);
        hub_hand_over(h, s, owner, identity, c, w);
        s->id = identity->stream;
        s->max_kbps = identity->max_kbps;
        s->max_viewers = identity->max_viewers;
        hub_record_set(s, identity->record, s->head);
        hub_changed(h, s, HUB_LIVE);

    } else {
        hub_refuse(h, reason);
    }

    ngx_shmtx_unlock(&h->pool->mutex);

    return reason;
}


void
hub_close(hub_t *h, hub_client_t *c, hub_writer_t *w)
{
    hub_stream_t  *s = w->ref.stream;

    hub_session_close(h, c);

    if (s == NULL) {
        return;
    }

    ngx_shmtx_lock(&h->pool->mutex);

    /* compare sessions: a failed takeover has changed the turn, too */
    if (s->session == w->session && s->state == HUB_LIVE) {
        hub_stream_leave(h, s);
        hub_changed(h, s, HUB_GRACE);
    }

    ngx_shmtx_unlock(&h->pool->mutex);

    w->ref.stream = NULL;
}


/* Finds the stream NAME, or gives it a slot.  The caller holds the mutex. */
static hub_stream_t *
hub_carry_locked(hub_t *h, const u_char *name, size_t len)
{
    uint32_t       i;
    hub_stream_t  *s = hub_find(h, name, len);

    if (s) {
        return s;
    }

    i = hub_slot_take(h);
    if (i == HUB_NO_STREAM) {
        return NULL;
    }

    s = &h->streams[i];

    if (hub_stream_create(h, s, name, len) != HUB_ADMITTED) {
        hub_slot_give(h, s);
        return NULL;
    }

    s->started_ms = ngx_current_msec;
    s->grace_until_ms = ngx_current_msec + HUB_CARRY_MS;
    hub_name_link(h, s);
    hub_store(&s->state, HUB_CARRIED);
    hub_due(h, s->grace_until_ms);

    return s;
}


hub_stream_t *
hub_carry(hub_t *h, const u_char *name, size_t len)
{
    hub_stream_t  *s = hub_find(h, name, len);

    if (s == NULL) {
        ngx_shmtx_lock(&h->pool->mutex);
        s = hub_carry_locked(h, name, len);
        ngx_shmtx_unlock(&h->pool->mutex);

        if (s == NULL) {
            hub_refuse(h, HUB_NO_ROOM);
        }

    } else if (hub_load(&s->state) == HUB_CARRIED
               && (int64_t) (hub_load(&s->grace_until_ms) - ngx_current_msec)
                  < HUB_CARRY_MS / 2)
    {
        hub_store(&s->grace_until_ms, ngx_current_msec + HUB_CARRY_MS);
    }

    return s;
}
