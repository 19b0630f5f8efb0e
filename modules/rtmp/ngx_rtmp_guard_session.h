#ifndef _NGX_RTMP_GUARD_SESSION_H_INCLUDED_
#define _NGX_RTMP_GUARD_SESSION_H_INCLUDED_


/* what the guard's own files share; ngx_rtmp_guard.h is for other modules */

#include "ngx_rtmp_guard.h"


typedef struct {
    ngx_flag_t              enable;
    ngx_msec_t              deadline;
    size_t                  pending;
    size_t                  chunk_min;
    size_t                  chunk_max;
    ngx_uint_t              amf_depth;
    ngx_uint_t              conn_per_ip;
} ngx_rtmp_guard_srv_conf_t;


typedef enum {
    guard_accepted = 0,     /* nginx-rtmp may still look for a PROXY line */
    guard_handshake,
    guard_header,           /* the next byte begins a chunk */
    guard_payload
} ngx_rtmp_guard_stage_e;


typedef struct {
    ngx_recv_pt             recv;       /* what we wrap */
    ngx_rtmp_guard_stage_e  stage;
    ngx_rtmp_session_t     *session;
    ngx_shm_zone_t         *zone;
    uint32_t                zone_entry;

    u_char                 *start;      /* read ahead; NULL while empty */
    u_char                 *pos;
    u_char                 *last;
    size_t                  left;       /* bytes that may pass before a check */
    size_t                  turn;

    size_t                  pending;    /* bytes in unfinished messages */
    ngx_event_t             deadline;
    unsigned                publishing:1;
    unsigned                refused:1;
} ngx_rtmp_guard_ctx_t;


/*
 * Stands in for c->recv: lets pass what nginx-rtmp survives, reads ahead.
 * Returns what ngx_unix_recv does; a refusal is NGX_ERROR.
 */
ssize_t ngx_rtmp_guard_recv(ngx_connection_t *c, u_char *buf, size_t size);

/* gives the read-ahead buffer back */
void ngx_rtmp_guard_release(ngx_rtmp_guard_ctx_t *ctx);

/* puts the handlers of ngx_rtmp_guard_message.c first */
ngx_int_t ngx_rtmp_guard_add_handlers(ngx_rtmp_core_main_conf_t *cmcf);

/* NGX_OK, or NGX_ERROR when the address has too many connections */
ngx_int_t ngx_rtmp_guard_admit(ngx_rtmp_session_t *s,
    ngx_rtmp_guard_ctx_t *ctx);


#endif /* _NGX_RTMP_GUARD_SESSION_H_INCLUDED_ */
