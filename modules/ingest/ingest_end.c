#include "ingest_end.h"
#include "ingest_pace.h"


/* Sends "done" to the service, which has an open session for each publisher that it
 * allowed, even if that never was live. */
static void
ingest_report(ingest_t *in)
{
    gate_question_t  q;

    ngx_memzero(&q, sizeof(gate_question_t));
    ngx_str_set(&q.kind, "done");
    ngx_str_set(&q.of, "publish");
    q.app = in->app;
    q.name = in->name;
    q.address = in->connection->addr_text;
    q.session = in->id;
    q.reason.data = (u_char *) (in->why[0] ? in->why : "closed by the client");
    q.reason.len = ngx_strlen(q.reason.data);
    q.bytes = in->bytes;
    q.duration = in->started_ms ? ngx_current_msec - in->started_ms : 0;

    in->admitted = 0;
    (void) gate_ask(&in->conf->gate, &q, NULL, NULL);
}


void
ingest_drop_held(ingest_t *in)
{
    if (in->held_pool) {
        ngx_destroy_pool(in->held_pool);
        in->held_pool = NULL;
        in->held = NULL;
    }
}


void
ingest_release(ingest_t *in)
{
    if (in->request) {
        gate_forget(in->request);
        in->request = NULL;
    }

    if (in->state == INGEST_LIVE) {
        hub_close(hub, &in->client, &in->writer);
    }

    if (in->admitted) {
        ingest_report(in);
    }

    ingest_drop_held(in);

    ingest_pace_stop(in);

    if (in->silence.timer_set) {
        ngx_del_timer(&in->silence);
    }

    in->state = INGEST_IDLE;
}


void
ingest_log_end(ingest_t *in, ngx_uint_t level, const char *why)
{
    u_char  skipped[64];

    skipped[0] = '\0';

    if (in->skipped) {
        ngx_sprintf(skipped, ", %uL message%s skipped%Z",
                    in->skipped, in->skipped == 1 ? " was" : "s were");
    }

    ngx_log_error(level, in->connection->log, 0, "publish %V/%V %s: %s%s",
                  &in->app, &in->name,
                  in->state == INGEST_LIVE ? "ended" : "refused", why, skipped);
}


void
ingest_end(ingest_t *in, ngx_uint_t level, enum ingest_fault fault,
    const char *why)
{
    ngx_cpystrn((u_char *) in->why, (u_char *) why, sizeof(in->why));
    ingest_log_end(in, level, in->why);

    ingest_release(in);
    in->state = INGEST_ENDED;
    in->door->ended(in->data, fault, in->why);
}
