/*
 * Decides when a worker writes to its viewers.  At intervals it compares the streams'
 * heads and sends all new frames of a stream to a viewer in one write.
 *
 * The interval is fixed, or `auto`: then sending may take a quarter of the time that
 * the worker's other work leaves, so the interval is four times the duration of a
 * round, between HUB_FLUSH_MIN and the maximum.  Few viewers get each frame at once;
 * many viewers get several frames in one write.
 */

#ifndef DUOLU_HUB_TICKER_H
#define DUOLU_HUB_TICKER_H

#include <ngx_config.h>
#include <ngx_core.h>

typedef struct {
    ngx_msec_t  min, max;          /* equal: fixed */
} hub_flush_t;

typedef struct hub_tick_s  hub_tick_t;

typedef void (*hub_tick_pt)(hub_tick_t *tick);

/* Embedded in the state of the handler. */
struct hub_tick_s {
    ngx_queue_t  queue;
    hub_tick_pt  handler;          /* may remove its own tick and others */
};

/* Calls TICK's handler at intervals of FLUSH until TICK is removed. */
void hub_tick_add(const hub_flush_t *flush, hub_tick_t *tick,
    hub_tick_pt handler);
void hub_tick_remove(hub_tick_t *tick);

/* Has each round, of whatever interval, begin with CALL. */
void hub_ticker_before(void (*call)(void));

/* Sets the hub_flush_t at cmd->offset from a directive: TIME | auto [MAX]. */
char *hub_flush_slot(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);

void hub_flush_unset(hub_flush_t *flush);
void hub_flush_merge(hub_flush_t *flush, const hub_flush_t *prev);

#endif
