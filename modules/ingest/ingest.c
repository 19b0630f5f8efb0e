/* A publisher from begin to end: checks its name, asks the gate, opens the hub, and
 * ends it when it sends no media. */

#include <ngx_sha1.h>

#include "ingest_end.h"
#include "ingest_message.h"
#include "ingest_pace.h"
#include "../rules/text.h"

#define INGEST_HOLD_MAX  (4 * 1024 * 1024)

struct ingest_held_s {
    ingest_held_t  *next;
    uint64_t        arrived_ms;
    uint32_t        timestamp;
    uint8_t         type;
    size_t          size;            /* of the body, which follows */
};


static void
ingest_refuse(ingest_t *in, const char *why)
{
    ingest_end(in, NGX_LOG_WARN, INGEST_NAME_DENIED, why);
}


/* --- frames that come before the gate has answered --- */

static void
ingest_hold(ingest_t *in, uint8_t type, uint32_t ts, ngx_chain_t *chain)
{
    size_t          len = chain_size(chain);
    ingest_held_t  *held, **last;

    if (in->held_full || in->held_bytes + len > INGEST_HOLD_MAX) {
        in->held_full = 1;
        return;
    }

    held = ngx_palloc(in->held_pool, sizeof(ingest_held_t) + len);
    if (held == NULL) {
        in->held_full = 1;
        return;
    }

    held->next = NULL;
    held->arrived_ms = ngx_current_msec;
    held->type = type;
    held->timestamp = ts;
    held->size = chain_copy(chain, 0, (u_char *) (held + 1), len);
    in->held_bytes += len;

    for (last = &in->held; *last; last = &(*last)->next) { /* void */ }
    *last = held;
}


/* The publisher is live: handles the frames that were held. */
static void
ingest_flush_held(ingest_t *in)
{
    ngx_buf_t       b;
    ngx_chain_t     chain;
    ingest_held_t  *held, *next;

    /* a frame that ends the publisher frees all held frames */
    for (held = in->held; held && in->state == INGEST_LIVE; held = next) {
        next = held->next;
        ngx_memzero(&b, sizeof(ngx_buf_t));
        b.pos = (u_char *) (held + 1);
        b.last = b.pos + held->size;
        chain.buf = &b;
        chain.next = NULL;
        in->writer.arrived_ms = held->arrived_ms;
        ingest_frame(in, held->type, held->timestamp, &chain);
    }

    in->writer.arrived_ms = 0;

    if (in->held_full) {
        in->writer.wait_key = 1;
    }

    ingest_drop_held(in);
}


/* --- live --- */

static void
ingest_watch_silence(ngx_event_t *ev)
{
    u_char       why[sizeof(((ingest_t *) 0)->why)], *p;
    ingest_t    *in = ev->data;
    ngx_msec_t   idle = ngx_current_msec - in->media_ms;
    ngx_msec_t   timeout = in->conf->timeout + ingest_pace_delay(in);
    const char  *reason;

    if (idle < timeout) {
        ngx_add_timer(ev, timeout - idle);
        return;
    }

    reason = !in->uncarried ? NULL
             : in->track[0].why ? in->track[0].why
             : in->track[1].why ? in->track[1].why
             : in->skipped ? in->skip_why : NULL;

    p = ngx_snprintf(why, sizeof(why) - 1,
                     reason ? "no media for %M ms that can be carried: %s"
                            : "no media for %M ms", idle, reason);
    *p = '\0';
    ingest_end(in, NGX_LOG_WARN, INGEST_MEDIA_UNFIT, (char *) why);
}


/* Decodes the value of key= in the query string ARGS, or all of ARGS without key=, in
 * the same way as the service.  Returns the end of OUT. */
static u_char *
ingest_key(const ngx_str_t *args, u_char *out)
{
    u_char  *key = args->data, *last = key + args->len, *end;

    while (key < last
           && (last - key < 4 || ngx_strncmp(key, "key=", 4) != 0))
    {
        end = ngx_strlchr(key, last, '&');
        key = end ? end + 1 : last;
    }

    if (key < last) {
        key += 4;
        end = ngx_strlchr(key, last, '&');
        last = end ? end : last;

    } else {
        key = args->data;
    }

    ngx_unescape_uri(&out, &key, last - key, 0);

    return out;
}


/* Identifies the publisher's credential: only a publisher with the same one may
 * take over its live stream.  SHA-1 of the key's number from the gate, or of
 * the key when there is no number. */
static void
ingest_owner(ingest_t *in, u_char owner[20])
{
    u_char      *end, text[INGEST_ARGS_MAX];
    ngx_sha1_t   sha1;

    end = in->identity.key ? ngx_sprintf(text, "number %uL", in->identity.key)
                           : ingest_key(&in->args, text);

    ngx_sha1_init(&sha1);
    ngx_sha1_update(&sha1, text, end - text);
    ngx_sha1_final(owner, &sha1);
}


/* The hub asks the publisher to leave. */
static void
ingest_leave(void *data, const char *why)
{
    ingest_end(data, NGX_LOG_NOTICE, INGEST_NAME_DENIED, why);
}


static void
ingest_start(ingest_t *in)
{
    enum hub_refusal  reason;
    u_char            full[HUB_NAME_MAX + 1], owner[20];
    size_t            len;

    len = ngx_snprintf(full, HUB_NAME_MAX, "%V/%V", &in->app, &in->name) - full;
    ingest_owner(in, owner);

    reason = hub_open(hub, full, len, owner, &in->identity, &in->client,
                      ingest_leave, in, &in->writer);

    if (reason != HUB_ADMITTED) {
        ingest_refuse(in, hub_refusal_text(reason));
        return;
    }

    in->state = INGEST_LIVE;
    in->started_ms = in->media_ms = ngx_current_msec;
    ngx_add_timer(&in->silence, in->conf->timeout);

    ngx_log_error(NGX_LOG_NOTICE, in->connection->log, 0,
                  "publish %V/%V %s", &in->app, &in->name,
                  in->writer.returned ? "returned" : "started");

    if (in->door->started(in->data) == NGX_OK) {
        ingest_flush_held(in);
    }
}


/* --- the gate --- */

static void
ingest_answered(void *data, const gate_answer_t *answer)
{
    ingest_t    *in = data;
    const char  *why;

    in->request = NULL;
    in->admitted = answer->allow;

    if (in->connection->destroyed || in->state != INGEST_ASKING) {
        ingest_release(in);                  /* the client closed meanwhile */
        return;
    }

    if (!answer->allow) {
        hub_refuse(hub, HUB_DENIED);
        ingest_refuse(in, answer->reason);
        return;
    }

    in->identity.issued = gate_issued(answer, in->identity.issued);
    in->identity.uid = answer->uid;
    in->identity.key = answer->key;
    in->identity.stream = answer->stream;
    in->identity.record = answer->record;
    in->identity.max_kbps = (uint32_t) answer->max_kbps;
    in->identity.max_viewers = (uint32_t) answer->max_viewers;
    in->identity.max_publishers = (uint32_t) answer->max_publishers;

    why = in->door->admit(in->data);

    if (why) {
        ingest_refuse(in, why);
        return;
    }

    ingest_start(in);
}


static ngx_int_t
ingest_ask(ingest_t *in)
{
    gate_question_t  q;

    ngx_memzero(&in->identity, sizeof(hub_identity_t));
    in->identity.protocol = HUB_PUBLISH;
    in->identity.id = hub_session_id(hub);
    in->identity.issued = ngx_time();
    in->identity.address = in->connection->addr_text;
    in->id.data = in->id_text;
    in->id.len = ngx_sprintf(in->id_text, "%uL", in->identity.id) - in->id_text;

    ngx_memzero(&q, sizeof(gate_question_t));
    ngx_str_set(&q.kind, "publish");
    q.app = in->app;
    q.name = in->name;
    q.args = in->args;
    q.address = in->connection->addr_text;
    q.session = in->id;
    q.agent = in->agent;

    in->held_pool = ngx_create_pool(16384, in->connection->log);
    if (in->held_pool == NULL) {
        return NGX_ERROR;
    }

    in->state = INGEST_ASKING;
    in->request = gate_ask(&in->conf->gate, &q, ingest_answered, in);

    return in->request ? NGX_OK : NGX_ERROR;
}


/* --- calls of a door --- */

void
ingest_init(ingest_t *in, const ingest_door_t *door, void *data,
    ngx_connection_t *c)
{
    in->door = door;
    in->data = data;
    in->connection = c;
    in->silence.data = in;
    in->silence.log = c->log;
    in->silence.handler = ingest_watch_silence;
}


/* Forgets an earlier publish of the connection. */
static void
ingest_reset(ingest_t *in)
{
    in->why[0] = '\0';
    in->starved = 0;
    in->bytes = 0;
    in->started_ms = 0;
    in->held_bytes = 0;
    in->clock_logged = 0;
    in->held_full = in->sets_due = in->uncarried = 0;
    in->sets_size = 0;
    in->skipped = 0;
    in->prefix = 4;                          /* until a header gives it */
    ngx_memzero(in->track, sizeof(in->track));
}


ngx_int_t
ingest_publish(ingest_t *in)
{
    const char  *bad;

    ingest_reset(in);

    bad = stream_name_bad((const char *) in->name.data, in->name.len);

    if (bad) {
        ngx_str_set(&in->name, "(bad name)");

    } else if (in->args.len >= INGEST_ARGS_MAX) {
        bad = "key is too long";

    } else if (hub == NULL) {
        bad = "server has no hub_zone";
    }

    if (bad) {
        ingest_refuse(in, bad);
        return NGX_OK;
    }

    return ingest_ask(in);
}


void
ingest_message(ingest_t *in, uint8_t type, uint32_t timestamp,
    ngx_chain_t *chain)
{
    if (in->state == INGEST_ASKING) {
        ingest_hold(in, type, timestamp, chain);
        return;
    }

    if (in->state != INGEST_LIVE) {
        return;
    }

    ingest_pace_message(in);
    ingest_frame(in, type, timestamp, chain);

    if (in->writer.kept_ms && !in->clock_logged) {
        in->clock_logged = 1;
        ngx_log_error(NGX_LOG_WARN, in->connection->log, 0,
                      "publish %V/%V: the publisher's clock does not keep pace "
                      "with real time, its frames are timed by their arrival",
                      &in->app, &in->name);
    }
}


int
ingest_close(ingest_t *in, const char *why)
{
    int  live = in->state == INGEST_LIVE;

    if (live && in->why[0] == '\0') {
        ingest_log_end(in, why ? NGX_LOG_WARN : NGX_LOG_NOTICE,
                       why ? why : "closed by the client");

        if (why) {
            ngx_cpystrn((u_char *) in->why, (u_char *) why, sizeof(in->why));
        }
    }

    if (in->request && !in->connection->destroyed) {
        in->state = INGEST_IDLE;             /* the gate has yet to answer */
        ingest_drop_held(in);

    } else if (in->state != INGEST_ENDED || in->connection->destroyed) {
        ingest_release(in);
    }

    return live;
}
