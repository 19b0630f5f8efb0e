/*
 * When viewers are written to.  A worker with viewers looks at the streams'
 * heads every so often and sends what is new: one write for all frames since.
 *
 * A fixed interval does as it says.  `auto` follows the work: sending may take
 * a quarter of the time the worker has left beside its other work, so the
 * interval is four times what a round takes, within HUB_FLUSH_MIN and the
 * maximum.  Few viewers get each frame at once; many get merged ones.
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

/* Embedded in what is to be called. */
struct hub_tick_s {
    ngx_queue_t  queue;
    hub_tick_pt  handler;          /* may remove its own tick and others */
};

/* Calls TICK's handler at intervals of FLUSH until it is removed. */
void hub_tick_add(const hub_flush_t *flush, hub_tick_t *tick,
    hub_tick_pt handler);
void hub_tick_remove(hub_tick_t *tick);

/* The directive's handler for a hub_flush_t at cmd->offset:
 * TIME | auto [MAX]. */
char *hub_flush_slot(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);

void hub_flush_unset(hub_flush_t *flush);
void hub_flush_merge(hub_flush_t *flush, const hub_flush_t *prev);

#endif
