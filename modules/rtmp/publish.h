/* RTMP as a door of ingest, for the other files of RTMP. */

#ifndef DUOLU_RTMP_PUBLISH_H
#define DUOLU_RTMP_PUBLISH_H

#include "wire.h"
#include "../ingest/ingest.h"

typedef struct {
    ngx_flag_t     ingest;
    ingest_conf_t  publisher;        /* its gate also decides about players */
} ngx_rtmp_ingest_app_conf_t;

extern ngx_module_t  ngx_rtmp_ingest_module;

/* Does the connection publish, or wait for the gate to allow it? */
int ngx_rtmp_ingest_publishes(ngx_rtmp_session_t *s);

#endif
