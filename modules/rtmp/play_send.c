#include <ngx_event.h>

#include "play.h"
#include "../media/chunk.h"

#define PLAY_BATCH      (1024 * 1024)
#define PLAY_IOV        1024           /* IOV_MAX of Linux */
#define PLAY_SHARED_MAX 65536          /* a copy of more does not pay */
#define PLAY_GREETING   2048           /* player_greet() writes about 500 */
#define PLAY_OWN_MAX    (PLAY_GREETING + HUB_PREFIX_MAX \
                         + HUB_CONFIG_KINDS * CHUNK_HEADER_MAX)

/* The arguments of one writev(). */
typedef struct {
    struct iovec  iov[PLAY_IOV];
    u_char        head[PLAY_IOV][CHUNK_HEADER_MAX];
    int           n;
    size_t        size;
    size_t        own;           /* of `size`, the player's own bytes */
    int           shared;        /* it is the whole of play_shared */
} play_vector_t;

/* The messages of entries [from, to) of a stream, as RTMP for all its players. */
typedef struct {
    hub_ref_t  ref;
    uint64_t   from, to;
    uint64_t   pos;              /* where the entries end in the stream */
    size_t     chunk_size;
    size_t     size;
    u_char     bytes[PLAY_SHARED_MAX];
} play_shared_t;

static play_vector_t  play_vector;
static play_shared_t  play_shared;


static void
play_message(chunk_message_t *m, uint8_t type, size_t size, uint32_t timestamp)
{
    m->csid = type == FLV_AUDIO ? NGX_RTMP_CSID_AUDIO
              : type == FLV_VIDEO ? NGX_RTMP_CSID_VIDEO : NGX_RTMP_CSID_AMF;
    m->type = type;                          /* FLV and RTMP use the same */
    m->msid = NGX_RTMP_MSID;
    m->timestamp = timestamp;
    m->size = size;
}


static void
play_entry_message(chunk_message_t *m, const hub_entry_t *e)
{
    play_message(m, e->type, e->size - FLV_TAG_OVERHEAD, (uint32_t) e->dts);
}


/* Does MUTE leave the entry out?  A key frame ends the wait for a key frame. */
static int
play_mutes(const hub_entry_t *e, unsigned *mute)
{
    if (e->flags & HUB_CONFIG) {
        return 0;                            /* needed after unmuting */
    }

    if (e->type == FLV_AUDIO) {
        return *mute & PLAYER_NO_AUDIO;
    }

    if (e->flags & HUB_KEY) {
        *mute &= ~PLAYER_NO_INTER;
    }

    return e->type == FLV_VIDEO && (*mute & (PLAYER_NO_VIDEO|PLAYER_NO_INTER));
}


/* --- the player's own bytes --- */

static ngx_int_t
player_alloc_own(player_t *p, size_t size)
{
    p->own = ngx_alloc(size, p->session->connection->log);
    if (p->own == NULL) {
        return NGX_ERROR;
    }

    p->own_pos = p->own_last = p->own;
    p->own_end = p->own + size;

    return NGX_OK;
}


void
player_free_own(player_t *p)
{
    if (p->own) {
        ngx_free(p->own);
        p->own = p->own_pos = p->own_last = p->own_end = NULL;
    }
}


/* Copies a MESSAGE made by the wire layer to the player's own bytes and frees
 * it.  NULL: the wire layer had no memory.  Its links and buffers are not
 * aligned, so copy them before access. */
static ngx_int_t
player_queue_message(player_t *p, ngx_chain_t *message)
{
    size_t                     size;
    ngx_buf_t                  b;
    ngx_int_t                  rc = NGX_OK;
    ngx_chain_t                link;
    ngx_rtmp_core_srv_conf_t  *cscf;

    if (message == NULL) {
        return NGX_ERROR;
    }

    link.next = message;

    while (link.next && rc == NGX_OK) {
        ngx_memcpy(&link, (void *) link.next, sizeof(ngx_chain_t));
        ngx_memcpy(&b, (void *) link.buf, sizeof(ngx_buf_t));
        size = b.last - b.pos;

        if (size <= (size_t) (p->own_end - p->own_last)) {
            p->own_last = ngx_cpymem(p->own_last, b.pos, size);
        } else {
            rc = NGX_ERROR;
        }
    }

    cscf = ngx_rtmp_get_module_srv_conf(p->session, ngx_rtmp_core_module);
    ngx_rtmp_free_shared_chain(cscf, message);

    return rc;
}


ngx_int_t
player_greet(player_t *p)
{
    ngx_rtmp_session_t        *s = p->session;
    ngx_rtmp_core_srv_conf_t  *cscf;

    cscf = ngx_rtmp_get_module_srv_conf(s, ngx_rtmp_core_module);

    p->chunk_size = ngx_max((size_t) cscf->chunk_size, PLAY_CHUNK_SIZE);

    if (player_alloc_own(p, PLAY_OWN_MAX) != NGX_OK) {
        return NGX_ERROR;
    }

    /* the wire layer's own messages fit in one chunk, so they may come before
     * and after this one */
    if (p->chunk_size != (size_t) cscf->chunk_size
        && player_queue_message(p,
               ngx_rtmp_create_chunk_size(s, PLAY_CHUNK_SIZE)) != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (player_queue_message(p,
            ngx_rtmp_create_stream_begin(s, NGX_RTMP_MSID)) != NGX_OK
        || player_queue_message(p,
               ngx_rtmp_create_status(s, "NetStream.Play.Reset", "status",
                                      "Playing and resetting")) != NGX_OK
        || player_queue_message(p,
               ngx_rtmp_create_status(s, "NetStream.Play.Start", "status",
                                      "Started playing")) != NGX_OK
        || player_queue_message(p, ngx_rtmp_create_sample_access(s))
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    return NGX_OK;
}


/* Queues metadata and sequence headers.  NGX_AGAIN: not now. */
static ngx_int_t
player_queue_prefix(player_t *p)
{
    size_t           left, size;
    u_char          *tag;
    chunk_message_t  m;

    static u_char  tags[HUB_PREFIX_MAX];

    left = hub_reader_prefix(hub, &p->reader, 0, tags);
    if (left == 0) {
        return NGX_AGAIN;
    }

    for (tag = tags; left; tag += size + FLV_TAG_OVERHEAD) {
        size = (size_t) tag[1] << 16 | (size_t) tag[2] << 8 | tag[3];
        left -= size + FLV_TAG_OVERHEAD;

        if (tag[0] == FLV_SCRIPT && p->joined) {
            continue;                        /* timestamps would go back to 0 */
        }

        play_message(&m, tag[0], size,
                     (uint32_t) tag[4] << 16 | (uint32_t) tag[5] << 8
                     | tag[6] | (uint32_t) tag[7] << 24);

        p->own_last += chunk_write_header(p->own_last, &m, 0);
        p->own_last = ngx_cpymem(p->own_last, tag + FLV_TAG_HEADER_SIZE, size);
    }

    return NGX_OK;
}


/* Keeps only the first SIZE queued bytes. */
static void
player_unqueue(player_t *p, size_t size)
{
    if (size == 0) {
        player_free_own(p);
    } else {
        p->own_last = p->own + size;
    }
}


/* Positions the player at the newest key frame, or mutes the picture until the
 * next one, and queues headers.  The first batch is [*FROM, r->index).
 * NGX_AGAIN: there is no key frame yet. */
static ngx_int_t
player_join(player_t *p, uint64_t *from)
{
    size_t         queued = p->own_last - p->own;
    unsigned       blind;
    hub_reader_t  *r = &p->reader;

    r->joined = 0;

    if (p->own_pos > p->own || queued > PLAY_GREETING) {
        return NGX_AGAIN;                    /* earlier headers are not sent yet */
    }

    if (hub_reader_join(r) != NGX_OK) {
        return NGX_AGAIN;
    }

    if (p->own == NULL && player_alloc_own(p, PLAY_OWN_MAX) != NGX_OK) {
        return NGX_ERROR;
    }

    *from = r->index;
    blind = r->blind;
    r->blind = 0;                            /* PLAYER_NO_INTER skips pictures */

    if (player_queue_prefix(p) != NGX_OK
        || hub_reader_batch(r, PLAY_BATCH, p->lag) != NGX_OK)
    {
        player_unqueue(p, queued);
        r->joined = 0;
        return NGX_AGAIN;
    }

    p->mute &= ~PLAYER_NO_INTER;
    p->mute |= blind ? PLAYER_NO_INTER : 0;

    return NGX_OK;
}


/* --- one writev() --- */

static void
play_clear(play_vector_t *v)
{
    v->n = 0;
    v->size = 0;
    v->own = 0;
    v->shared = 0;
}


static void
play_put(play_vector_t *v, void *p, size_t size)
{
    v->iov[v->n].iov_base = p;
    v->iov[v->n++].iov_len = size;
    v->size += size;
}


static void
play_put_shared(play_vector_t *v)
{
    play_clear(v);
    play_put(v, play_shared.bytes, play_shared.size);
    v->shared = 1;
}


/* Adds the stream's bytes [FROM, TO).  Returns 1; 0 when the vector is full or
 * the stream is gone, which the check after use detects. */
static int
play_put_bytes(play_vector_t *v, const hub_reader_t *r, uint64_t from,
    uint64_t to)
{
    int           n;
    size_t        size;
    hub_reader_t  part = *r;

    part.pos = from;
    part.end = to;

    n = hub_reader_iov(hub, &part, v->iov + v->n, PLAY_IOV - v->n, &size);
    v->n += n;
    v->size += size;

    return size == to - from;
}


/* Adds the message of entry E from its byte OUT on.  Returns 1; 0 as above. */
static int
play_put_entry(play_vector_t *v, const hub_reader_t *r, const hub_entry_t *e,
    size_t chunk_size, size_t out)
{
    size_t           head, part, skip, at = 0;
    uint64_t         body = e->offset + FLV_TAG_HEADER_SIZE;
    chunk_message_t  m;

    play_entry_message(&m, e);

    do {
        part = ngx_min(m.size - at, chunk_size);
        head = chunk_header_size(&m, at);

        if (out < head) {
            if (v->n == PLAY_IOV) {
                return 0;
            }
            (void) chunk_write_header(v->head[v->n], &m, at);
            play_put(v, v->head[v->n] + out, head - out);
            out = head;
        }

        skip = ngx_min(out - head, part);
        out -= head + skip;

        if (skip < part && !play_put_bytes(v, r, body + at + skip,
                                           body + at + part))
        {
            return 0;
        }

        at += part;

    } while (at < m.size);

    return 1;
}


/* Fills the vector with the player's own bytes and the entries [FROM, TO).
 * Returns the first entry that does not fit completely. */
static uint64_t
play_fill(play_vector_t *v, const player_t *p, uint64_t from, uint64_t to)
{
    int           muted;
    size_t        out = p->out;
    unsigned      mute = p->mute;
    uint64_t      i;
    hub_entry_t  *e;

    play_clear(v);

    if (p->own_pos < p->own_last) {
        play_put(v, p->own_pos, p->own_last - p->own_pos);
    }

    v->own = v->size;

    for (i = from; i < to; i++, out = 0) {
        e = hub_entry(hub, p->reader.ref.stream, i);
        muted = play_mutes(e, &mute);

        if ((out || !muted)
            && !play_put_entry(v, &p->reader, e, p->chunk_size, out))
        {
            break;
        }
    }

    return i;
}


/* Copies the vector's bytes to play_shared, for the stream's other players. */
static void
play_share(play_vector_t *v, const player_t *p, uint64_t from, uint64_t to)
{
    int             i;
    u_char         *last = play_shared.bytes;
    hub_entry_t    *e;
    play_shared_t  *sh = &play_shared;

    sh->ref.stream = NULL;

    if (v->n < 3 || v->size > PLAY_SHARED_MAX) {
        return;                              /* sharing would save nothing */
    }

    for (i = 0; i < v->n; i++) {
        last = ngx_cpymem(last, v->iov[i].iov_base, v->iov[i].iov_len);
    }

    e = hub_entry(hub, p->reader.ref.stream, to - 1);
    sh->pos = e->offset + e->size;

    if (!hub_stream_holds(&p->reader, p->reader.pos)) {
        return;
    }

    sh->ref = p->reader.ref;
    sh->from = from;
    sh->to = to;
    sh->chunk_size = p->chunk_size;
    sh->size = v->size;

    play_put_shared(v);
}


/* As play_fill(), but uses play_shared where possible. */
static uint64_t
play_gather(play_vector_t *v, const player_t *p, uint64_t from, uint64_t to)
{
    uint64_t        last;
    play_shared_t  *sh = &play_shared;

    if (p->own || p->out || p->mute || from == to) {
        return play_fill(v, p, from, to);
    }

    if (sh->ref.stream == p->reader.ref.stream
        && sh->ref.generation == p->reader.ref.generation
        && sh->from == from && sh->to == to
        && sh->chunk_size == p->chunk_size)
    {
        play_put_shared(v);
        return to;
    }

    last = play_fill(v, p, from, to);

    if (last == to) {
        play_share(v, p, from, to);
    }

    return last;
}


/* Moves the player forward by N bytes of messages from entry FROM: at least to
 * TO, and not past LAST, since the hub may have overwritten the entries, with any
 * sizes. */
static void
player_advance(player_t *p, size_t n, uint64_t from, uint64_t to,
    uint64_t last)
{
    int              muted;
    size_t           left;
    unsigned         mute = p->mute;
    uint64_t         i;
    hub_entry_t     *e;
    hub_reader_t    *r = &p->reader;
    chunk_message_t  m;

    for (i = from; i < to || (n && i <= last); i++) {
        e = hub_entry(hub, r->ref.stream, i);
        muted = play_mutes(e, &mute);

        if (p->out || !muted) {
            play_entry_message(&m, e);
            left = chunk_message_size(&m, p->chunk_size) - p->out;

            if (n < left) {
                p->out += n;
                break;
            }

            n -= left;
            p->out = 0;
        }

        p->mute = mute;
        r->pos = e->offset + e->size;
    }

    r->index = i;
}


/* --- sending --- */

/* Does the wire layer have something to send? */
static int
player_wire_waits(const player_t *p)
{
    return p->session->out_chain || p->session->out_pos != p->session->out_last;
}


static ngx_int_t
player_drop(player_t *p)
{
    ngx_log_error(NGX_LOG_INFO, p->session->connection->log, 0,
                  "play %V/%V dropped: too slow, it fell out of hub_window",
                  &p->session->app, &p->name);

    p->torn = 1;
    p->why = "too slow";

    return NGX_ERROR;
}


/* Waits for the socket, with the wire layer's timeout. */
static ngx_int_t
player_block(player_t *p)
{
    ngx_connection_t  *c = p->session->connection;

    p->blocked = 1;
    c->write->ready = 0;
    ngx_add_timer(c->write, p->session->timeout);

    return ngx_handle_write_event(c->write, 0) == NGX_OK ? NGX_AGAIN
                                                         : NGX_ERROR;
}


/* Everything is sent: deactivate the write event, or the wire layer only queues. */
static ngx_int_t
player_unblock(ngx_connection_t *c)
{
    if (c->write->timer_set) {
        ngx_del_timer(c->write);
    }

    return c->write->active ? ngx_del_event(c->write, NGX_WRITE_EVENT, 0)
                            : NGX_OK;
}


static void
player_count(player_t *p, size_t n)
{
    ngx_rtmp_session_t  *s = p->session;

    s->connection->sent += n;
    s->out_bytes += n;
    s->ping_reset = 1;
    ngx_rtmp_update_bandwidth(&ngx_rtmp_bw_out, n);

    p->bytes += n;
    p->sent_ms = (uint32_t) ngx_current_msec;

    if (p->client.session) {
        p->client.session->bytes += n;
    }
}


/* Sends own bytes and entries [FROM, TO), as many as one call takes.  NGX_OK;
 * NGX_AGAIN: the socket is full; NGX_ERROR. */
static ngx_int_t
player_write(player_t *p, uint64_t from, uint64_t to)
{
    size_t             n, own;
    ssize_t            sent = 0;
    uint64_t           last, first = p->reader.pos;
    play_vector_t     *v = &play_vector;
    ngx_connection_t  *c = p->session->connection;

    to = last = play_gather(v, p, from, to);

    if (v->n) {
        sent = writev(c->fd, v->iov, v->n);
    } else if (from == to) {
        return player_drop(p);               /* the rest of a message is gone */
    }

    if (sent == -1) {
        return ngx_errno == NGX_EINTR ? NGX_OK
               : ngx_errno == NGX_EAGAIN ? player_block(p) : NGX_ERROR;
    }

    n = (size_t) sent;
    player_count(p, n);

    if (v->shared && n == v->size) {
        p->reader.index = to;
        p->reader.pos = play_shared.pos;
        p->joined = 1;
        return NGX_OK;
    }

    own = ngx_min(n, v->own);
    p->own_pos += own;

    if (p->own_pos == p->own_last) {
        player_free_own(p);
    }

    if (n < v->size) {
        to = from;                           /* count only the sent bytes */
    }

    if (n > own || to > from) {
        player_advance(p, n - own, from, to, last);
        p->joined = 1;

        if (!hub_stream_holds(&p->reader, first)) {
            return player_drop(p);
        }
    }

    return n < v->size ? player_block(p) : NGX_OK;
}


/* A player that announced a longer buffer may be that far behind. */
static ngx_msec_t
player_lag(const player_t *p)
{
    ngx_msec_t  buffer = ngx_min((ngx_msec_t) p->session->buflen, hub->window);

    return ngx_max(p->lag, buffer);
}


/* Finds the next batch.  A player's lateness includes the time that bytes spend
 * on the way; when that is long, take one message at a time. */
static ngx_int_t
player_batch(player_t *p)
{
    ngx_msec_t  lag = player_lag(p);
    ngx_msec_t  way = hub_way_ms(&p->way, p->session->connection);

    return hub_reader_batch(&p->reader, way < HUB_WAY_LONG_MS ? PLAY_BATCH : 1,
                            lag - ngx_min(lag, way));
}


ngx_int_t
player_check_lag(player_t *p)
{
    ngx_msec_t         late;
    ngx_connection_t  *c = p->session->connection;

    if (!hub_way_look(&p->way, c)) {
        return NGX_OK;
    }

    late = hub_reader_behind(&p->reader) + hub_way_ms(&p->way, c);

    if (p->client.session) {
        p->client.session->late = hub_session_late(p->paused ? 0 : late);
    }

    if (!hub_way_stuck(&p->way, player_lag(p))) {
        return NGX_OK;
    }

    ngx_log_error(NGX_LOG_INFO, c->log, 0, "play %V/%V dropped: it read "
                  "nothing for %M ms (play_lag), %M ms behind",
                  &p->session->app, &p->name, player_lag(p), late);

    p->torn = 1;                             /* discard unsent bytes */
    p->why = "it did not read in time";

    return NGX_ERROR;
}


/* Finds the entries [*FROM, *TO) to send, none when only own bytes are queued.
 * NGX_OK; NGX_AGAIN: nothing to send; NGX_DONE; NGX_ERROR. */
static ngx_int_t
player_next(player_t *p, uint64_t *from, uint64_t *to)
{
    ngx_int_t      rc = NGX_AGAIN;
    hub_reader_t  *r = &p->reader;

    *from = *to = r->index;

    if (p->state == PLAYER_LIVE) {

        if (!hub_reader_alive(r)) {
            return NGX_DONE;
        }

        if (p->out) {
            *to = *from + 1;                 /* finish the message, then check */
            return hub_stream_holds(r, r->pos) ? NGX_OK : player_drop(p);
        }

        if (!p->paused) {
            rc = r->joined ? player_batch(p) : NGX_DECLINED;

            if (rc == NGX_DECLINED) {
                rc = player_join(p, from);
            }
        }
    }

    if (rc == NGX_OK) {
        *to = r->index;
        r->index = *from;                    /* advances as bytes are sent */

    } else if (rc == NGX_AGAIN && p->own_pos < p->own_last) {
        *to = *from;
        rc = NGX_OK;
    }

    return rc;
}


/* Lets the wire layer send its queue.  NGX_OK when that is empty. */
static ngx_int_t
player_let_wire(player_t *p)
{
    ngx_connection_t  *c = p->session->connection;

    if (!player_wire_waits(p)) {
        return NGX_OK;
    }

    p->write(c->write);

    if (c->destroyed) {
        return NGX_ERROR;
    }

    p->blocked = player_wire_waits(p);

    return p->blocked ? NGX_AGAIN : NGX_OK;
}


ngx_int_t
player_send(player_t *p)
{
    unsigned           blocked = p->blocked;
    uint64_t           from, to;
    ngx_int_t          rc;
    ngx_connection_t  *c = p->session->connection;

    p->blocked = 0;

    for ( ;; ) {
        /* own bytes sent in part are an incomplete message, too */
        if (p->out == 0 && (p->own == NULL || p->own_pos == p->own)) {
            rc = player_let_wire(p);
            if (rc != NGX_OK) {
                return rc;
            }
        }

        rc = player_next(p, &from, &to);

        if (rc == NGX_AGAIN) {
            break;
        }

        if (rc == NGX_OK) {
            rc = player_write(p, from, to);
        }

        if (rc != NGX_OK) {
            return rc;
        }
    }

    return blocked ? player_unblock(c) : NGX_OK;
}


ngx_int_t
player_detach(player_t *p)
{
    int             i;
    play_vector_t  *v = &play_vector;

    if (p->out == 0) {
        return NGX_OK;
    }

    if (!hub_stream_holds(&p->reader, p->reader.pos)) {
        return NGX_ERROR;
    }

    /* own bytes are sent before a message starts, so none are queued */
    if (play_fill(v, p, p->reader.index, p->reader.index + 1)
        == p->reader.index
        || player_alloc_own(p, v->size + 1) != NGX_OK)
    {
        return NGX_ERROR;
    }

    p->own_pos = ++p->own_last;              /* looks like a message sent in part */

    for (i = 0; i < v->n; i++) {
        p->own_last = ngx_cpymem(p->own_last, v->iov[i].iov_base,
                                 v->iov[i].iov_len);
    }

    p->out = 0;

    return hub_stream_holds(&p->reader, p->reader.pos) ? NGX_OK : NGX_ERROR;
}
