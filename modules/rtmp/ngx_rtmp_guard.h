#ifndef _NGX_RTMP_GUARD_H_INCLUDED_
#define _NGX_RTMP_GUARD_H_INCLUDED_


/*
 * The guard stands between the socket and nginx-rtmp: it wraps c->recv of
 * every accepted RTMP connection, and its message handlers run first.
 */

#include <ngx_config.h>
#include <ngx_core.h>
#include "ngx_rtmp.h"


/*
 * 1 when the guard watches this session, 0 when it is off for the server or
 * the session is not one of a remote client (relay, auto_push).  A watched
 * connection reads ahead 64 KB: nobody else needs to wrap c->recv.
 */
ngx_uint_t ngx_rtmp_guard_watches(ngx_rtmp_session_t *s);


/*
 * Refuses the session: logs "guard: refused ..." with the client's address (at
 * most a few lines per second and worker), and tells a client that has
 * connected, or is about to, on the wire.  Returns NGX_DONE when the close
 * follows later, so that the client can read why: nothing more is read until
 * then.  Returns NGX_ERROR when the caller is to close now.
 */
ngx_int_t ngx_rtmp_guard_refuse(ngx_rtmp_session_t *s, const char *fmt, ...);


/* Why the guard refused the session, NUL-terminated; NULL: it did not. */
const u_char *ngx_rtmp_guard_refusal(ngx_rtmp_session_t *s);


extern ngx_module_t  ngx_rtmp_guard_module;


#endif /* _NGX_RTMP_GUARD_H_INCLUDED_ */
