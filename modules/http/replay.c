#include "replay.h"

#include <sys/ioctl.h>

#include "answer.h"
#include "history_find.h"

#define REPLAY_CHECK_MS  1000


struct replay_s {
    ngx_queue_t          queue;
    ngx_http_request_t  *request;
    hub_client_t         client;
    off_t                before;     /* connection->sent at its beginning */
    ngx_array_t          files;      /* descriptors */
    const replay_pace_t *pace;
    ngx_msec_t           since;      /* start of the measured span */
    off_t                read;       /* read by the client at `since` */
    off_t                read_all;   /* the same, by its whole connection */
};


/* This worker's replays.  The timer runs while there are any. */
static struct {
    ngx_event_t       event;
    ngx_connection_t  dummy;         /* debug logs read its fd */
    ngx_queue_t       all;
} replays;


/* --- its end --- */

static void
replay_count(replay_t *replay)
{
    hub_store(&replay->client.session->bytes,
              (uint64_t) (replay->request->connection->sent - replay->before));
}


/* Closes the session when the request ends. */
static void
replay_cleanup(void *data)
{
    replay_t  *replay = data;

    if (replay->client.session) {
        replay_count(replay);
        hub_session_close(hub, &replay->client);
        ngx_queue_remove(&replay->queue);
    }
}


static void
replay_leave(void *data, const char *why)
{
    replay_t  *replay = data;

    ngx_log_error(NGX_LOG_NOTICE, replay->request->connection->log, 0,
                  "replay ended: %s", why);
    answer_take_back(replay->request);
}


/* --- while it lasts --- */

/* Bytes that the client acknowledged; the kernel may hold megabytes more. */
static off_t
replay_read(ngx_connection_t *c)
{
    int  queued = 0;

    (void) ioctl(c->fd, TIOCOUTQ, &queued);

    return c->sent - queued;
}


/* Bytes of the replay that the client has read.  HTTP/2 streams share a
 * connection: *ALL counts the bytes of all its streams.  *FULL: it has output
 * queued, so each of its streams may be slow because of the others. */
static off_t
replay_progress(const replay_t *replay, off_t *all, int *full)
{
    ngx_connection_t  *c = replay->request->connection;

    *all = 0;
    *full = 0;

#if (NGX_HTTP_V2)
    if (replay->request->stream) {
        *all = replay_read(replay->request->stream->connection->connection);
        *full = replay->request->stream->connection->last_out != NULL;
        return c->sent;
    }
#endif

    return replay_read(c);
}


/* Has the client read too little in the last span?  A span in which the client
 * waited for nginx does not count. */
static int
replay_is_slow(replay_t *replay)
{
    int                   full, slow;
    off_t                 read, all, least;
    ngx_http_request_t   *r = replay->request;
    const replay_pace_t  *pace = replay->pace;

    if (r->header_sent && !r->aio
        && ngx_current_msec - replay->since < pace->time)
    {
        return 0;
    }

    read = replay_progress(replay, &all, &full);
    least = (off_t) (pace->rate * pace->time / 1000);
    slow = pace->rate && r->header_sent && !r->aio
           && read - replay->read < least
           && !(full && all - replay->read_all >= least);

    replay->since = ngx_current_msec;
    replay->read = read;
    replay->read_all = all;

    return slow;
}


/* The reason to end the replay, NULL: none. */
static const char *
replay_end_reason(replay_t *replay)
{
    int         *fd = replay->files.elts;
    ngx_uint_t   i;

    for (i = 0; i < replay->files.nelts; i++) {
        if (history_is_deleted(fd[i])) {
            return "the recording was deleted";
        }
    }

    return replay_is_slow(replay)
           ? "the client reads less than hub_history_rate" : NULL;
}


/* Take the head of the queue each time: ending one replay may end others of the
 * same HTTP/2 connection. */
static void
replay_check_all(ngx_event_t *ev)
{
    replay_t     *replay;
    const char   *why;
    ngx_queue_t   rest, *q;

    ngx_queue_init(&rest);
    if (!ngx_queue_empty(&replays.all)) {
        ngx_queue_add(&rest, &replays.all);
        ngx_queue_init(&replays.all);
    }

    while (!ngx_queue_empty(&rest)) {
        q = ngx_queue_head(&rest);
        ngx_queue_remove(q);
        ngx_queue_insert_tail(&replays.all, q);
        replay = ngx_queue_data(q, replay_t, queue);

        replay_count(replay);
        why = replay_end_reason(replay);

        if (why) {
            replay_leave(replay, why);
        }
    }

    if (!ngx_queue_empty(&replays.all)) {
        ngx_add_timer(ev, REPLAY_CHECK_MS);
    }
}


static void
replay_start_timer(void)
{
    if (replays.event.handler == NULL) {
        replays.dummy.fd = (ngx_socket_t) -1;
        replays.event.handler = replay_check_all;
        replays.event.data = &replays.dummy;
        replays.event.log = ngx_cycle->log;
        replays.event.cancelable = 1;
        ngx_queue_init(&replays.all);
    }

    if (!replays.event.timer_set) {
        ngx_add_timer(&replays.event, REPLAY_CHECK_MS);
    }
}


/* --- its beginning --- */

static enum hub_refusal
replay_admit(replay_t *replay, enum hub_protocol protocol, ngx_str_t *stream,
    const access_holder_t *holder)
{
    hub_identity_t  identity;

    ngx_memzero(&identity, sizeof(hub_identity_t));
    identity.protocol = protocol;
    identity.uid = holder->uid;
    identity.issued = holder->issued;
    identity.address = replay->request->connection->addr_text;
    identity.name_hash = hub_name_hash(stream->data, stream->len);

    return hub_session_open(hub, &replay->client, &identity,
                            hub_find(hub, stream->data, stream->len),
                            replay_leave, replay);
}


replay_t *
replay_open(ngx_http_request_t *r, enum hub_protocol protocol,
    ngx_str_t *stream, const access_holder_t *holder,
    const replay_pace_t *pace, ngx_int_t *rc)
{
    int                  full;
    replay_t            *replay;
    enum hub_refusal     reason;
    ngx_http_cleanup_t  *cln = ngx_http_cleanup_add(r, sizeof(replay_t));

    *rc = NGX_HTTP_INTERNAL_SERVER_ERROR;

    if (cln == NULL) {
        return NULL;
    }

    replay = cln->data;
    ngx_memzero(replay, sizeof(replay_t));
    replay->request = r;
    replay->before = r->connection->sent;
    replay->pace = pace;
    replay->since = ngx_current_msec;
    replay->read = replay_progress(replay, &replay->read_all, &full);

    if (ngx_array_init(&replay->files, r->pool, 1, sizeof(int)) != NGX_OK) {
        return NULL;
    }

    reason = replay_admit(replay, protocol, stream, holder);

    if (reason != HUB_ADMITTED) {
        *rc = answer_refusal(r, "replay", stream, reason);
        return NULL;
    }

    replay_start_timer();
    ngx_queue_insert_tail(&replays.all, &replay->queue);
    cln->handler = replay_cleanup;

    return replay;
}


ngx_int_t
replay_watch_file(replay_t *replay, int fd)
{
    int  *file = ngx_array_push(&replay->files);

    if (file == NULL) {
        return NGX_ERROR;
    }

    *file = fd;

    return NGX_OK;
}
