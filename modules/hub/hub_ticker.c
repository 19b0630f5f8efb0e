#include <ngx_event.h>
#include <time.h>

#include "hub_ticker.h"

#define HUB_TICKERS       8        /* different intervals in one nginx.conf */
#define HUB_FLUSH_MIN     2        /* ms; of auto */
#define HUB_FLUSH_MAX     350
#define HUB_FLUSH_LIMIT   1000
#define HUB_SHARE         4        /* sending takes 1/4 of the spare time */
#define HUB_SPARE_LEAST   64       /* of 1024 */

/* The timer runs while there are ticks, and keeps an exiting worker alive for that
 * time. */
typedef struct {
    hub_flush_t   flush;
    ngx_event_t   event;
    ngx_queue_t   ticks;
    uint64_t      began_us;        /* begin of the previous round */
    uint64_t      cpu_us;          /* CPU time of the process then */
    uint64_t      round_us;        /* duration of a round, smoothed */
    uint64_t      spare;           /* time left by other work, of 1024 */
} hub_ticker_t;

static hub_ticker_t  hub_tickers[HUB_TICKERS];
static void        (*hub_before_round)(void);


static uint64_t
hub_clock_us(clockid_t id)
{
    struct timespec  ts;

    (void) clock_gettime(id, &ts);

    return (uint64_t) ts.tv_sec * 1000000 + (uint64_t) ts.tv_nsec / 1000;
}


/* Smooths the duration of a round, US of real time.  Follows longer rounds at once
 * and shorter ones slowly, as a round without new frames is always short. */
static void
hub_ticker_learn(hub_ticker_t *t, uint64_t began, uint64_t us, uint64_t cpu)
{
    uint64_t  wall = began - t->began_us, other, spare;

    if (us > t->round_us) {
        t->round_us += (us - t->round_us + 1) / 2;
    } else {
        t->round_us -= (t->round_us - us) / 16;
    }

    if (t->began_us && wall) {
        /* CPU time between two rounds */
        other = ngx_min(cpu * 1024 / wall, 1024);
        spare = ngx_max(1024 - other, HUB_SPARE_LEAST);
        t->spare = (t->spare * 15 + spare) / 16;
    }

    t->began_us = began;
}


static ngx_msec_t
hub_ticker_interval(const hub_ticker_t *t)
{
    ngx_msec_t  ms;

    ms = (ngx_msec_t) (t->round_us * HUB_SHARE * 1024 / t->spare / 1000);

    return ngx_max(t->flush.min, ngx_min(ms, t->flush.max));
}


/* A handler may end other viewers with its own (HTTP/2) and remove their ticks, so
 * take the head of the queue each time. */
static void
hub_ticker_round(hub_ticker_t *t)
{
    hub_tick_t   *tick;
    ngx_queue_t   rest, *q;

    ngx_queue_init(&rest);
    ngx_queue_add(&rest, &t->ticks);
    ngx_queue_init(&t->ticks);

    while (!ngx_queue_empty(&rest)) {
        q = ngx_queue_head(&rest);
        ngx_queue_remove(q);
        ngx_queue_insert_tail(&t->ticks, q);
        tick = ngx_queue_data(q, hub_tick_t, queue);
        tick->handler(tick);
    }
}


static void
hub_ticker_event(ngx_event_t *ev)
{
    uint64_t       began = 0, cpu = 0;
    hub_ticker_t  *t = ev->data;

    if (hub_before_round) {
        hub_before_round();
    }

    if (t->flush.min != t->flush.max) {
        cpu = hub_clock_us(CLOCK_PROCESS_CPUTIME_ID) - t->cpu_us;
        began = hub_clock_us(CLOCK_MONOTONIC);
    }

    hub_ticker_round(t);

    if (t->flush.min != t->flush.max) {
        hub_ticker_learn(t, began, hub_clock_us(CLOCK_MONOTONIC) - began, cpu);
        t->cpu_us = hub_clock_us(CLOCK_PROCESS_CPUTIME_ID);
    }

    if (!ngx_queue_empty(&t->ticks)) {
        ngx_add_timer(ev, hub_ticker_interval(t));
    }
}


static hub_ticker_t *
hub_ticker(const hub_flush_t *flush)
{
    ngx_uint_t     i;
    hub_ticker_t  *t = hub_tickers;

    for (i = 0; i < HUB_TICKERS; i++, t++) {
        if (t->flush.max == 0
            || (t->flush.min == flush->min && t->flush.max == flush->max))
        {
            break;
        }
    }

    if (i == HUB_TICKERS) {
        t = hub_tickers;                     /* too many intervals: share one */
    }

    if (t->flush.max == 0) {
        t->flush = *flush;
        t->spare = 1024;
        ngx_queue_init(&t->ticks);
        t->event.data = t;
        t->event.handler = hub_ticker_event;
        t->event.log = ngx_cycle->log;
    }

    return t;
}


void
hub_tick_add(const hub_flush_t *flush, hub_tick_t *tick, hub_tick_pt handler)
{
    hub_ticker_t  *t = hub_ticker(flush);

    tick->handler = handler;
    ngx_queue_insert_tail(&t->ticks, &tick->queue);

    if (!t->event.timer_set) {
        t->began_us = 0;
        ngx_add_timer(&t->event, hub_ticker_interval(t));
    }
}


void
hub_tick_remove(hub_tick_t *tick)
{
    ngx_queue_remove(&tick->queue);
}


void
hub_ticker_before(void (*call)(void))
{
    hub_before_round = call;
}


/* --- configuration --- */

char *
hub_flush_slot(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_str_t    *value = cf->args->elts, *time = &value[1];
    ngx_msec_t    ms = HUB_FLUSH_MAX;
    hub_flush_t  *flush = (hub_flush_t *) ((char *) conf + cmd->offset);
    ngx_uint_t    adapts;

    if (flush->max != NGX_CONF_UNSET_MSEC) {
        return "is duplicate";
    }

    adapts = ngx_strcmp(value[1].data, "auto") == 0;

    if (adapts) {
        time = cf->args->nelts == 3 ? &value[2] : NULL;

    } else if (cf->args->nelts == 3) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "%V has \"%V %V\", expected TIME or auto [MAX]",
                           &cmd->name, &value[1], &value[2]);
        return NGX_CONF_ERROR;
    }

    if (time) {
        ms = (ngx_msec_t) ngx_parse_time(time, 0);
    }

    if (ms == (ngx_msec_t) NGX_ERROR || ms > HUB_FLUSH_LIMIT
        || ms < (adapts ? HUB_FLUSH_MIN : 1))
    {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "%V is \"%V\", expected %dms to 1s, or auto with a "
                           "maximum in that range", &cmd->name, time,
                           adapts ? HUB_FLUSH_MIN : 1);
        return NGX_CONF_ERROR;
    }

    flush->max = ms;
    flush->min = adapts ? HUB_FLUSH_MIN : ms;

    return NGX_CONF_OK;
}


void
hub_flush_unset(hub_flush_t *flush)
{
    flush->min = flush->max = NGX_CONF_UNSET_MSEC;
}


void
hub_flush_merge(hub_flush_t *flush, const hub_flush_t *prev)
{
    if (flush->max != NGX_CONF_UNSET_MSEC) {
        return;
    }

    if (prev->max != NGX_CONF_UNSET_MSEC) {
        *flush = *prev;
        return;
    }

    flush->min = HUB_FLUSH_MIN;
    flush->max = HUB_FLUSH_MAX;
}
