/*
 * Paced reading: a busy worker reads its publishers in turns, as a network card
 * coalesces interrupts.
 *
 * Each message of a publisher costs an event, a recv() with the acknowledgement
 * that it sends, and misses of the cache: the row, the index, a block and the
 * session of one publisher among hundreds.  Viewers get the frames of a whole flush
 * in one write, so most of this buys nothing.  When the publishers of a worker send
 * `busy` messages a second, it has the kernel report a publisher only when
 * PACE_LOWAT bytes are there (SO_RCVLOWAT), and reads all publishers one after
 * another:
 *
 *   - when a round of its viewers begins, unless an earlier round less than a fifth
 *     of `longest` ago began so.  These viewers get their frames at the same time as
 *     before, or that much later at most when their flush is shorter, or a round of
 *     viewers with another flush has just read.
 *   - at the latest `longest` after the last reading: the recorder and the viewers
 *     of other workers get their frames that much later at most.
 *
 * A worker with few publishers reads each one when it sends.  A burst of more than
 * PACE_LOWAT bytes is read at once, so no window fills up, and so is the end: the
 * kernel reports FIN and RST whatever the limit.  A unix socket does not have such a
 * limit, so RTMPS, whose TLS nginx's stream module ends, is not paced.
 *
 * No event is lost: the worker reads a paced publisher without one, and the kernel
 * reports the bytes that are there when the limit goes down again.
 */

#include "ingest_pace.h"
#include "../hub/hub_socket.h"
#include "../hub/hub_ticker.h"

#define PACE_LONGEST     100            /* ms; default */
#define PACE_SHARE       5
#define PACE_BUSY        2000           /* default: 27 publishers of 30 fps */
#define PACE_LIMIT       500            /* ms; of the directive */
#define PACE_WINDOW_MS   500
#define PACE_CALM        10             /* windows below half of `busy` end it */
#define PACE_LOWAT       (32 * 1024)


/* Of this worker. */
typedef struct {
    ingest_pace_conf_t  conf;
    ngx_msec_t          window_ms;      /* begin of the window */
    ngx_uint_t          messages;       /* in the window */
    ngx_uint_t          calm;           /* calm windows in a row */
    ngx_msec_t          read_ms;        /* begin of the last reading */
    ngx_msec_t          round_ms;       /* last round that began with a reading */
    ngx_event_t         timer;
    ngx_queue_t         publishers;     /* those that are paced */
    unsigned            on:1;
} ingest_pace_t;

static ingest_pace_t  pace;


/* --- reading --- */

/* Asks for the memory that reading IN needs. */
static void
pace_prefetch(const ingest_t *in)
{
    __builtin_prefetch(in->connection);
    __builtin_prefetch(in->connection->read, 1);
    hub_append_soon(&in->client, &in->writer);
}


/* Reads IN as if the kernel had just reported it.  May end IN, and others. */
static void
pace_read_one(ingest_t *in)
{
    ngx_event_t  *rev = in->connection->read;

    rev->ready = 1;
    rev->available = -1;                     /* unknown, as after an event */
    rev->handler(rev);
}


static void
pace_read_all(void)
{
    ingest_t     *in;
    ngx_queue_t   rest, *q;

    pace.read_ms = ngx_current_msec;

    if (pace.timer.timer_set) {
        ngx_del_timer(&pace.timer);
    }

    ngx_add_timer(&pace.timer, pace.conf.longest);

    ngx_queue_init(&rest);
    ngx_queue_add(&rest, &pace.publishers);
    ngx_queue_init(&pace.publishers);

    while (!ngx_queue_empty(&rest)) {
        q = ngx_queue_head(&rest);
        ngx_queue_remove(q);
        ngx_queue_insert_tail(&pace.publishers, q);
        in = ngx_queue_data(q, ingest_t, pace);

        if (!ngx_queue_empty(&rest)) {
            pace_prefetch(ngx_queue_data(ngx_queue_head(&rest), ingest_t, pace));
        }

        pace_read_one(in);
    }
}


/* A round of viewers begins.  The timer may have read just before it. */
static void
pace_round(void)
{
    if (ngx_queue_empty(&pace.publishers)
        || ngx_current_msec - pace.round_ms < pace.conf.longest / PACE_SHARE)
    {
        return;
    }

    pace.round_ms = ngx_current_msec;

    if (ngx_current_msec - pace.read_ms > 1) {
        pace_read_all();
    }
}


static void
pace_timeout(ngx_event_t *ev)
{
    if (!ngx_queue_empty(&pace.publishers)) {
        pace_read_all();
    }
}


/* --- whom --- */

/* Has the kernel report IN when BYTES of it are there. */
static int
pace_set_lowat(const ingest_t *in, int bytes)
{
    return setsockopt(in->connection->fd, SOL_SOCKET, SO_RCVLOWAT, &bytes,
                      sizeof(int));
}


static void
pace_add(ingest_t *in)
{
    int         buffer;
    socklen_t   size = sizeof(int);

    if (hub_socket_is_unix(in->connection)
        || getsockopt(in->connection->fd, SOL_SOCKET, SO_RCVBUF, &buffer, &size)
           == -1
        || pace_set_lowat(in, ngx_min(PACE_LOWAT, buffer / 4)) == -1)
    {
        return;
    }

    in->paced = 1;
    ngx_queue_insert_tail(&pace.publishers, &in->pace);

    if (!pace.timer.timer_set) {
        ngx_add_timer(&pace.timer, pace.conf.longest);
    }
}


ngx_msec_t
ingest_pace_delay(const ingest_t *in)
{
    return in->paced ? pace.conf.longest : 0;
}


void
ingest_pace_stop(ingest_t *in)
{
    if (!in->paced) {
        return;
    }

    in->paced = 0;
    ngx_queue_remove(&in->pace);

    if (!in->connection->destroyed) {
        (void) pace_set_lowat(in, 1);
    }
}


/* --- when --- */

static void
pace_switch(ngx_uint_t on, ngx_uint_t rate)
{
    pace.on = on;
    pace.calm = 0;

    ngx_log_error(NGX_LOG_INFO, ngx_cycle->log, 0,
                  "ingest: %ui messages a second, publishers of this worker are "
                  "read %s (ingest_pace)", rate,
                  on ? "in turns" : "when they send");
}


/* Ends a window of MS: is the worker busy? */
static void
pace_end_window(ngx_msec_t ms)
{
    ngx_uint_t  rate = pace.messages * 1000 / ms;

    pace.messages = 0;
    pace.window_ms = ngx_current_msec;

    if (!pace.on) {
        if (rate >= pace.conf.busy) {
            pace_switch(1, rate);
        }

        return;
    }

    pace.calm = rate < pace.conf.busy / 2 ? pace.calm + 1 : 0;

    if (pace.calm == PACE_CALM) {
        pace_switch(0, rate);
    }
}


void
ingest_pace_message(ingest_t *in)
{
    ngx_msec_t  ms = ngx_current_msec - pace.window_ms;

    if (pace.conf.longest == 0) {
        return;
    }

    pace.messages++;

    if (ms >= PACE_WINDOW_MS) {
        pace_end_window(ms);
    }

    if (in->paced == pace.on) {
        return;
    }

    if (pace.on) {
        pace_add(in);
    } else {
        ingest_pace_stop(in);
    }
}


void
ingest_pace_start(const ingest_pace_conf_t *conf)
{
    pace.conf = *conf;
    pace.window_ms = ngx_current_msec;
    ngx_queue_init(&pace.publishers);

    pace.timer.handler = pace_timeout;
    pace.timer.data = &pace;
    pace.timer.log = ngx_cycle->log;
    pace.timer.cancelable = 1;

    hub_ticker_before(pace_round);
}


/* --- configuration --- */

void *
ingest_pace_create_conf(ngx_conf_t *cf)
{
    ingest_pace_conf_t  *conf = ngx_pcalloc(cf->pool, sizeof(*conf));

    if (conf) {
        conf->longest = NGX_CONF_UNSET_MSEC;
        conf->busy = NGX_CONF_UNSET_UINT;
    }

    return conf;
}


char *
ingest_pace_init_conf(ngx_conf_t *cf, void *conf)
{
    ingest_pace_conf_t  *own = conf;

    ngx_conf_init_msec_value(own->longest, PACE_LONGEST);
    ngx_conf_init_uint_value(own->busy, PACE_BUSY);

    return NGX_CONF_OK;
}


char *
ingest_pace_set(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_int_t            ms, busy = PACE_BUSY;
    ngx_str_t           *value = cf->args->elts;
    ingest_pace_conf_t  *own = conf;

    if (own->longest != NGX_CONF_UNSET_MSEC) {
        return "is duplicate";
    }

    if (ngx_strcmp(value[1].data, "off") == 0 && cf->args->nelts == 2) {
        own->longest = 0;
        return NGX_CONF_OK;
    }

    ms = ngx_parse_time(&value[1], 0);

    if (cf->args->nelts == 3) {
        busy = ngx_atoi(value[2].data, value[2].len);
    }

    if (ms < 1 || ms > PACE_LIMIT || busy < 1) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "%V is \"%V%s%s\", expected off, or 1ms to %dms and a "
                           "number of messages a second", &cmd->name, &value[1],
                           cf->args->nelts == 3 ? " " : "",
                           cf->args->nelts == 3 ? (char *) value[2].data : "",
                           PACE_LIMIT);
        return NGX_CONF_ERROR;
    }

    own->longest = (ngx_msec_t) ms;
    own->busy = (ngx_uint_t) busy;

    return NGX_CONF_OK;
}
