#ifndef _NGX_RTMP_GUARD_SESSION_H_INCLUDED_
#define _NGX_RTMP_GUARD_SESSION_H_INCLUDED_


/* for the guard's own files; ngx_rtmp_guard.h is for other modules */

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


typedef struct {
    size_t                  zone_size;
    ngx_shm_zone_t         *zone;
} ngx_rtmp_guard_main_conf_t;


typedef enum {
    guard_accepted = 0,     /* nginx-rtmp may still look for a PROXY line */
    guard_handshake,
    guard_header,           /* all that may pass has passed: check the next */
    guard_payload,
    guard_closing           /* refused: reads nothing more */
} ngx_rtmp_guard_stage_e;


#define NGX_RTMP_GUARD_HEADER_MAX  NGX_RTMP_MAX_CHUNK_HEADER


typedef struct {
    ngx_recv_pt             recv;       /* the wrapped c->recv */
    ngx_rtmp_guard_stage_e  stage;
    ngx_rtmp_session_t     *session;
    ngx_shm_zone_t         *zone;
    uint32_t                zone_entry;

    u_char                 *start;      /* read ahead; NULL while empty */
    u_char                 *pos;
    u_char                 *last;
    size_t                  left;       /* bytes that may pass before a check */
    size_t                  turn;

    /*
     * The wire layer's chunks may differ from the client's in size and chunk
     * stream number: see ngx_rtmp_guard_recv.c.
     */
    u_char                  head[NGX_RTMP_GUARD_HEADER_MAX];  /* to pass next */
    uint8_t                 head_pos;
    uint8_t                 head_len;
    uint32_t                chunk_size; /* the client's */
    uint32_t                slot;       /* of the current chunk stream */
    uint32_t               *csids;      /* the client's numbers, by slot; 0: free */
    size_t                  chunk_left; /* payload until the client's next header */
    size_t                  wire_left;  /* payload until the wire layer's */

    size_t                  pending;    /* bytes in unfinished messages */
    ngx_event_t             deadline;
    double                  connecting; /* transaction of a connect not yet
                                           answered, or 0 */
    u_char                 *why;        /* of the refusal, NUL-terminated */
    unsigned                publishing:1;
    unsigned                unrepeated:1;   /* the client's chunks of format 3 within
                                               a message have no extended timestamp */
} ngx_rtmp_guard_ctx_t;


/* --- ngx_rtmp_guard_session.c; its refuse() is in ngx_rtmp_guard.h --- */

#define NGX_RTMP_GUARD_READ_AHEAD  65536

/* take and give back the read-ahead buffer */
ngx_int_t ngx_rtmp_guard_obtain(ngx_rtmp_guard_ctx_t *ctx, ngx_log_t *log);
void ngx_rtmp_guard_release(ngx_rtmp_guard_ctx_t *ctx);

/* NGX_OK, or NGX_ERROR when the client's address has too many connections */
ngx_int_t ngx_rtmp_guard_admit(ngx_rtmp_session_t *s,
    ngx_rtmp_guard_ctx_t *ctx);


/* --- the files above it --- */

/*
 * Replaces c->recv: reads ahead, checks chunks and passes them to nginx-rtmp.
 * Returns as ngx_unix_recv() does; NGX_ERROR also for a refusal.
 */
ssize_t ngx_rtmp_guard_recv(ngx_connection_t *c, u_char *buf, size_t size);

/* adds the handlers of ngx_rtmp_guard_message.c before all others */
ngx_int_t ngx_rtmp_guard_add_handlers(ngx_rtmp_core_main_conf_t *cmcf);

/* checks the application before the wire layer handles a connect */
void ngx_rtmp_guard_add_connect(void);

/* the slot of the client's chunk stream CSID; 0: none */
uint32_t ngx_rtmp_guard_find_slot(ngx_rtmp_guard_ctx_t *ctx, uint32_t csid,
    uint32_t max);

#endif /* _NGX_RTMP_GUARD_SESSION_H_INCLUDED_ */
