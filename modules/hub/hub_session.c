/*
 * Sessions: one row in shared memory for each client, so that any worker can list all
 * clients and ask any of them to leave.  Rows are taken and given back under the
 * mutex.  In between, only the client's worker writes `bytes`; any worker may set
 * `kick`, which the client's worker checks in its sweep.  hub_visit.c has the rows of
 * clients that all workers serve.
 *
 * No client can take all rows: some are reserved for publishers, and one user or
 * address may take only a share of the others, and of each limit on viewers.
 */

#include "hub.h"

#define HUB_ROWS_EACH   2            /* of a stream: during a takeover it has two
                                        publishers */

static ngx_queue_t  hub_clients;             /* of this process */
static uint64_t     hub_kicks_seen;


static const struct { const char *name, *text; }  hub_refusals[] = {
    { "admitted", "admitted" },
    { "room", "hub_zone has no room for another stream" },
    { "busy", "stream is already live with another key" },
    { "sessions", "hub_zone has no room for another session" },
    { "workers", "this worker waits for a slot in hub_zone: workers, also old "
                 "ones of earlier reloads, hold all of them" },
    { "revoked", "access was revoked" },
    { "viewers_total", "server has as many viewers as hub_viewers_max allows" },
    { "viewers_stream", "stream has as many viewers as its limit allows" },
    { "user_share", "user has as many sessions as hub_user_share allows" },
    { "address_share",
      "address has as many sessions as hub_address_share allows" },
    { "publishers_user", "user publishes as many streams as their limit allows" },
    { "bitrate", "stream exceeds its bitrate limit" },
    { "denied", "refused by the auth service" },
    { "token", "no valid token" },
    { "stuck", "stream cannot be taken over yet: the worker of its previous "
               "publisher does not respond" },
    { "kicked", "kicked by an administrator" }
};

static const char  *hub_kick_texts[] = {
    NULL, "kicked by an administrator", "access was revoked",
    "replaced by a newer connection with the same key",
    "rights may have changed: connect again",
    "server has shut down: connect again"
};


const char *
hub_refusal_text(enum hub_refusal reason)
{
    return hub_refusals[reason].text;
}


const char *
hub_refusal_name(enum hub_refusal reason)
{
    return hub_refusals[reason].name;
}


const char *
hub_kick_text(enum hub_kick kick)
{
    return hub_kick_texts[kick];
}


const char *
hub_protocol_name(enum hub_protocol protocol)
{
    /* together with the kind each is unique */
    static const char  *names[] = { "rtmp", "flv", "ws", "rtmp", "hls", "sse",
                                    "mp4", "file", "hls" };

    return names[protocol];
}


const char *
hub_protocol_kind(enum hub_protocol protocol)
{
    static const char  *kinds[] = { "publish", "view", "view", "view", "view",
                                    "events", "replay", "replay", "replay" };

    return kinds[protocol];
}


void
hub_refuse(hub_t *h, enum hub_refusal reason)
{
    hub_add(&h->header->refused[reason], 1);
}


uint64_t
hub_session_id(hub_t *h)
{
    return hub_add(&h->header->session_id, 1);
}


/* Is ROW a session on stream S? */
static int
hub_session_is_on(const hub_t *h, const hub_session_t *row,
    const hub_stream_t *s)
{
    return row->stream == (uint32_t) (s - h->streams)
           && row->generation == s->generation;
}


/* The number of streams that UID publishes, not counting S, which a new publisher
 * would take over. */
static uint32_t
hub_publishers_of(const hub_t *h, uint64_t uid, const hub_stream_t *s)
{
    int                   takes_over = 0;
    uint32_t              rows;
    const hub_session_t  *row;

    if (s) {
        row = &h->sessions[s->session_row];
        takes_over = row->id == s->session && row->uid == uid
                     && row->kick == HUB_STAYS && hub_session_is_on(h, row, s);
    }

    rows = hub_counts_of(h, HUB_COUNT_PUBLISHER, uid, NULL).rows;

    return rows - ngx_min(rows, (uint32_t) takes_over);
}


uint64_t
hub_origin(const ngx_str_t *address)
{
    u_char     ipv6[16];
    in_addr_t  ipv4 = ngx_inet_addr(address->data, address->len);

    if (ipv4 != INADDR_NONE) {
        return hub_name_hash((u_char *) &ipv4, sizeof(ipv4));
    }

    if (ngx_inet6_addr(address->data, address->len, ipv6) != NGX_OK) {
        return 0;
    }

    return IN6_IS_ADDR_V4MAPPED((struct in6_addr *) ipv6)
           ? hub_name_hash(ipv6 + 12, 4) : hub_name_hash(ipv6, 7);
}


/* Does HAS use up the SHARE of LIMIT?  A LIMIT of 0 is none. */
static int
hub_share_is_full(const hub_share_t *share, uint32_t limit, uint32_t has)
{
    return limit && has >= ngx_max(limit * share->percent / 100, share->least);
}


/* The lower of two limits; 0 is no limit. */
static uint32_t
hub_limit(uint32_t a, uint32_t b)
{
    return a && b ? ngx_min(a, b) : a + b;
}


/* The number of rows that are not reserved for publishers. */
static uint32_t
hub_session_rows(const hub_t *h)
{
    return h->header->nsessions - HUB_ROWS_EACH * h->header->nstreams;
}


/* Is there room in the shares of the client's user and address? */
static enum hub_refusal
hub_shares_fit(const hub_t *h, const hub_identity_t *identity, const hub_stream_t *s)
{
    uint32_t            i, in_all = (uint32_t) h->viewers_max, on_stream = 0;
    uint64_t            id[2] = { identity->uid, hub_origin(&identity->address) };
    hub_count_t         has, here;
    const hub_share_t  *share[2] = { &h->user_share, &h->address_share };
    int                 watches = hub_watches(identity->protocol);

    static const enum hub_count_kind  kind[] = { HUB_COUNT_USER,
                                                 HUB_COUNT_ADDRESS };
    static const enum hub_refusal     full[] = { HUB_USER_SHARE,
                                                 HUB_ADDRESS_SHARE };

    if (watches) {
        on_stream = hub_limit(s->max_viewers,
                              (uint32_t) h->stream_viewers_max);
    }

    for (i = 0; i < 2; i++) {
        has = hub_counts_of(h, kind[i], id[i], NULL);
        here = hub_counts_of(h, kind[i], id[i], watches ? s : NULL);

        if (hub_share_is_full(share[i], hub_session_rows(h), has.rows)
            || (watches
                && (hub_share_is_full(share[i], in_all, has.viewers)
                    || hub_share_is_full(share[i], on_stream, here.rows))))
        {
            return full[i];
        }
    }

    return HUB_ADMITTED;
}


/* Is there room for one more viewer of S? */
static enum hub_refusal
hub_viewers_fit(const hub_t *h, const hub_stream_t *s)
{
    uint32_t  most = hub_limit(s->max_viewers, (uint32_t) h->stream_viewers_max);

    if (h->viewers_max && h->header->viewers >= (uint32_t) h->viewers_max) {
        return HUB_VIEWERS_TOTAL;
    }

    return most && s->viewers >= most ? HUB_VIEWERS_STREAM : HUB_ADMITTED;
}


enum hub_refusal
hub_session_admit(hub_t *h, const hub_identity_t *identity, const hub_stream_t *s,
    uint64_t name_hash)
{
    enum hub_refusal  reason;

    if (h->worker == HUB_NO_SLOT) {
        return HUB_NO_WORKER;
    }

    if (h->header->session_free == HUB_NO_ROW) {
        return HUB_NO_SESSION;
    }

    if (hub_revoked(h, identity->uid, name_hash, identity->key, identity->issued)) {
        return HUB_IS_REVOKED;
    }

    if (identity->protocol == HUB_PUBLISH) {
        return identity->max_publishers
               && hub_publishers_of(h, identity->uid, s) >= identity->max_publishers
               ? HUB_PUBLISHERS_USER : HUB_ADMITTED;
    }

    if (h->header->sessions - h->header->publishing >= hub_session_rows(h)) {
        return HUB_NO_SESSION;
    }

    reason = hub_watches(identity->protocol) ? hub_viewers_fit(h, s) : HUB_ADMITTED;

    return reason == HUB_ADMITTED ? hub_shares_fit(h, identity, s) : reason;
}


/* The stream of session ROW, NULL when it has ended. */
static hub_stream_t *
hub_session_stream(const hub_t *h, const hub_session_t *row)
{
    return row->stream != HUB_NO_STREAM
           && hub_session_is_on(h, row, &h->streams[row->stream])
           ? &h->streams[row->stream] : NULL;
}


/* The slot of ROW's worker, NULL when all workers serve its client. */
static hub_worker_t *
hub_session_worker(const hub_t *h, const hub_session_t *row)
{
    return row->worker == HUB_ANY_WORKER ? NULL : &h->workers[row->worker];
}


/* Adds the viewer of ROW to all counts of viewers or, with N of -1, removes it; on S,
 * too, if not NULL. */
static void
hub_viewer_count(hub_t *h, const hub_session_t *row, hub_stream_t *s, int n)
{
    hub_worker_t  *worker = hub_session_worker(h, row);

    h->header->viewers += n;

    if (worker) {
        worker->viewers += n;
    }

    if (s) {
        s->viewers += n;
    }
}


void
hub_session_tell(hub_t *h, hub_session_t *row, enum hub_kick kick)
{
    unsigned  stays = row->id && row->kick == HUB_STAYS;

    row->kick = (uint8_t) kick;
    hub_step();

    if (stays) {
        hub_counts_row(h, row, 0);           /* its share is free again */

        if (hub_session_is_barred(row)) {
            hub_viewer_count(h, row, hub_session_stream(h, row), -1);
        }
    }

    hub_add(&h->header->kicks, 1);
}


/* Adds ROW to all counts or, with N of -1, removes it; on S, too, if not NULL. */
static void
hub_session_count(hub_t *h, const hub_session_t *row, hub_stream_t *s, int n)
{
    hub_worker_t  *worker = hub_session_worker(h, row);

    h->header->sessions += n;

    if (worker) {
        worker->sessions += n;
    }

    if (row->kick == HUB_STAYS) {
        hub_counts_row(h, row, n > 0);
    }

    if (row->protocol == HUB_PUBLISH) {
        h->header->publishing += n;
    }

    if (hub_session_watches(row)) {
        hub_viewer_count(h, row, s, n);
    }
}


hub_session_t *
hub_session_take(hub_t *h, const hub_identity_t *identity, const hub_stream_t *s)
{
    uint32_t        i = h->header->session_free;
    hub_session_t  *row = &h->sessions[i];

    h->header->session_free = row->next;
    h->header->session_end = ngx_max(h->header->session_end, i + 1);
    h->header->admitted[identity->protocol]++;
    hub_step();

    ngx_memzero(row, sizeof(hub_session_t));
    row->uid = identity->uid;
    row->origin = hub_origin(&identity->address);
    row->key = identity->key;
    row->issued = identity->issued;
    row->started_ms = ngx_current_msec;
    row->protocol = (uint8_t) identity->protocol;
    row->worker = (uint16_t) h->worker;
    row->stream = s ? (uint32_t) (s - h->streams) : HUB_NO_STREAM;
    row->generation = s ? s->generation : 0;
    row->name_hash = s ? s->name_hash : identity->name_hash;
    ngx_memcpy(row->address, identity->address.data,
               ngx_min(identity->address.len, (size_t) HUB_ADDRESS_MAX));

    return row;
}


/* A row is counted before it gets an id, and loses the id before it is counted out.
 * So a SIGKILL may leave one session too many in the counts, never a count below 0,
 * until hub_sessions_forget() counts again. */
void
hub_session_begin(hub_t *h, hub_session_t *row, hub_stream_t *s, uint64_t id)
{
    hub_session_count(h, row, s, 1);
    hub_store(&row->id, id ? id : hub_session_id(h));
}


void
hub_session_add(hub_t *h, hub_client_t *c, const hub_identity_t *identity,
    hub_stream_t *s, hub_end_pt end, void *data)
{
    hub_session_t  *row = hub_session_take(h, identity, s);

    if (identity->protocol == HUB_EVENTS
        && identity->asked_ms <= h->header->refreshed_ms)
    {
        hub_session_tell(h, row, HUB_REFRESHED);
    }

    hub_session_begin(h, row, s, identity->id);

    c->session = row;
    c->end = end;
    c->data = data;
    ngx_queue_insert_tail(&hub_clients, &c->queue);
}


enum hub_refusal
hub_session_open(hub_t *h, hub_client_t *c, const hub_identity_t *identity,
    hub_stream_t *s, hub_end_pt end, void *data)
{
    enum hub_refusal  reason;

    ngx_shmtx_lock(&h->pool->mutex);

    if (s && identity->name_hash && s->name_hash != identity->name_hash) {
        s = NULL;                            /* another stream got the slot */
    }

    reason = hub_session_admit(h, identity, s,
                               s ? s->name_hash : identity->name_hash);

    if (reason == HUB_ADMITTED) {
        hub_session_add(h, c, identity, s, end, data);
    } else {
        hub_refuse(h, reason);
    }

    ngx_shmtx_unlock(&h->pool->mutex);

    return reason;
}


/* Frees ROW and adds its bytes to the totals. */
static void
hub_session_end(hub_t *h, hub_session_t *row)
{
    hub_stream_t  *s = hub_session_stream(h, row);

    hub_store(&row->id, 0);
    hub_step();

    if (row->protocol == HUB_PUBLISH) {
        h->header->bytes_in += row->bytes;

    } else {
        h->header->bytes_out += row->bytes;

        if (s) {
            s->bytes_out += row->bytes;
        }
    }
}


void
hub_session_free(hub_t *h, hub_session_t *row)
{
    hub_session_end(h, row);
    hub_session_count(h, row, hub_session_stream(h, row), -1);

    row->next = h->header->session_free;
    hub_step();
    h->header->session_free = (uint32_t) (row - h->sessions);

    while (h->header->session_end
           && h->sessions[h->header->session_end - 1].id == 0)
    {
        h->header->session_end--;
    }
}


void
hub_session_close(hub_t *h, hub_client_t *c)
{
    if (c->session == NULL) {
        return;
    }

    ngx_queue_remove(&c->queue);

    if (h->worker != HUB_NO_SLOT) {          /* else the row is already free */
        ngx_shmtx_lock(&h->pool->mutex);
        hub_session_free(h, c->session);
        ngx_shmtx_unlock(&h->pool->mutex);
    }

    c->session = NULL;
}


const char *
hub_session_leaves(const hub_client_t *c)
{
    return c->session ? hub_kick_text(hub_load(&c->session->kick)) : NULL;
}


/* Links the free rows and counts the others again: a killed worker may have left a
 * row in neither state. */
static void
hub_sessions_rebuild(hub_t *h)
{
    uint32_t              i, next = HUB_NO_ROW;
    hub_stream_t         *s;
    hub_worker_t         *worker;
    const hub_session_t  *row;
    hub_header_t         *z = h->header;

    uint32_t  end = 0, all = 0, publishing = 0, viewers = 0;

    z->session_free = HUB_NO_ROW;            /* in case of another SIGKILL */
    hub_step();

    hub_counts_clear(h);

    for (i = 0; i < z->stream_end; i++) {
        h->streams[i].viewers_now = 0;
    }

    for (i = 0; i < z->nworkers; i++) {
        h->workers[i].sessions = h->workers[i].viewers = 0;
    }

    for (i = z->nsessions; i > 0; i--) {
        row = &h->sessions[i - 1];

        if (row->id == 0) {
            h->sessions[i - 1].next = next;
            next = i - 1;
            continue;
        }

        end = ngx_max(end, i);
        all++;
        publishing += row->protocol == HUB_PUBLISH;
        worker = hub_session_worker(h, row);

        if (worker) {
            worker->sessions++;
        }

        if (row->kick == HUB_STAYS) {
            hub_counts_row(h, row, 1);
        }

        if (hub_session_watches(row)) {
            viewers++;

            if (worker) {
                worker->viewers++;
            }

            s = hub_session_stream(h, row);

            if (s) {
                s->viewers_now++;
            }
        }
    }

    for (i = 0; i < z->stream_end; i++) {
        h->streams[i].viewers = h->streams[i].viewers_now;
    }

    z->session_end = end;
    z->sessions = all;
    z->publishing = publishing;
    z->viewers = viewers;
    hub_step();
    z->session_free = next;
}


void
hub_sessions_forget(hub_t *h, uint32_t worker)
{
    uint32_t        i;
    hub_session_t  *row;

    for (i = 0; i < h->header->session_end; i++) {
        row = &h->sessions[i];

        if (row->id && row->worker == worker) {
            hub_session_end(h, row);
        }
    }

    hub_sessions_rebuild(h);
}


uint32_t
hub_kick(hub_t *h, uint64_t id)
{
    uint32_t        i, n = 0;
    hub_session_t  *row;

    ngx_shmtx_lock(&h->pool->mutex);

    for (i = 0; id && i < h->header->session_end; i++) {
        row = &h->sessions[i];

        if (row->id == id) {
            hub_session_tell(h, row, HUB_KICKED);
            n++;
        }
    }

    ngx_shmtx_unlock(&h->pool->mutex);

    return n;
}


uint32_t
hub_refresh(hub_t *h, uint64_t uid)
{
    uint32_t        i, n = 0;
    ngx_time_t     *now;
    hub_session_t  *row;

    ngx_time_update();
    now = ngx_timeofday();

    ngx_shmtx_lock(&h->pool->mutex);

    h->header->refreshed_ms = (int64_t) now->sec * 1000 + now->msec;

    for (i = 0; i < h->header->session_end; i++) {
        row = &h->sessions[i];

        if (row->id && row->protocol == HUB_EVENTS
            && (uid == 0 || row->uid == uid))
        {
            hub_session_tell(h, row, HUB_REFRESHED);
            n++;
        }
    }

    ngx_shmtx_unlock(&h->pool->mutex);

    return n;
}


void
hub_sessions_start(void)
{
    ngx_queue_init(&hub_clients);
}


/* Ending one client may end others with it (HTTP/2) and remove them from the queue,
 * so take the head of the queue each time. */
void
hub_session_sweep(hub_t *h)
{
    uint64_t       kicks = hub_load(&h->header->kicks);
    const char    *why;
    ngx_queue_t    rest, *q;
    hub_client_t  *c;

    if (kicks == hub_kicks_seen || ngx_queue_empty(&hub_clients)) {
        hub_kicks_seen = kicks;
        return;
    }

    hub_kicks_seen = kicks;

    ngx_queue_init(&rest);
    ngx_queue_add(&rest, &hub_clients);
    ngx_queue_init(&hub_clients);

    while (!ngx_queue_empty(&rest)) {
        q = ngx_queue_head(&rest);
        ngx_queue_remove(q);
        ngx_queue_insert_tail(&hub_clients, q);
        c = ngx_queue_data(q, hub_client_t, queue);

        why = hub_session_leaves(c);

        if (why) {
            c->end(c->data, why);
        }
    }
}
