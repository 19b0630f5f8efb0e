/* When a worker reads its publishers: ingest_pace.c says why. */

#ifndef DUOLU_INGEST_PACE_H
#define DUOLU_INGEST_PACE_H

#include "ingest.h"

typedef struct {
    ngx_msec_t  longest;             /* time between two readings; 0: off */
    ngx_uint_t  busy;                /* messages a second of a busy worker */
} ingest_pace_conf_t;

/* For a main configuration that is an ingest_pace_conf_t, and its directive:
 * off | TIME [MESSAGES]. */
void *ingest_pace_create_conf(ngx_conf_t *cf);
char *ingest_pace_init_conf(ngx_conf_t *cf, void *conf);
char *ingest_pace_set(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);

/* Once in each worker, before any publisher. */
void ingest_pace_start(const ingest_pace_conf_t *conf);

/* Counts a message of IN, which is live, and decides how IN is read from now on. */
void ingest_pace_message(ingest_t *in);

/* Returns how long frames of IN may wait to be read, ms. */
ngx_msec_t ingest_pace_delay(const ingest_t *in);

/* Reads IN when it sends from now on. */
void ingest_pace_stop(ingest_t *in);

#endif
