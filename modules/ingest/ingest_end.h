/* The end of a publisher, for the files of ingest. */

#ifndef DUOLU_INGEST_END_H
#define DUOLU_INGEST_END_H

#include "ingest.h"

/* Ends a publisher: logs one line at LEVEL, tells the door FAULT and WHY. */
void ingest_end(ingest_t *in, ngx_uint_t level, enum ingest_fault fault,
    const char *why);

/* Logs one line: why the publisher ended and how many messages were skipped. */
void ingest_log_end(ingest_t *in, ngx_uint_t level, const char *why);

/* Releases hub, gate and held frames; may be called in any state. */
void ingest_release(ingest_t *in);

void ingest_drop_held(ingest_t *in);

#endif
