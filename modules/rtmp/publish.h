/* RTMP as a door of ingest, for the other files of RTMP. */

#ifndef DUOLU_RTMP_PUBLISH_H
#define DUOLU_RTMP_PUBLISH_H

#include "wire.h"
#include "../ingest/ingest.h"

typedef struct {
    ngx_flag_t     ingest;
    ingest_conf_t  publisher;        /* its gate is also asked who may play */
} ngx_rtmp_ingest_app_conf_t;

extern ngx_module_t  ngx_rtmp_ingest_module;

/* Whether the connection publishes, or is about to. */
int ngx_rtmp_ingest_publishes(ngx_rtmp_session_t *s);

#endif
