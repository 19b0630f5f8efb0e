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
 * Logs "guard: refused ..." with the client's address, at most a few lines
 * per second and worker; always returns NGX_ERROR.
 */
ngx_int_t ngx_rtmp_guard_refuse(ngx_rtmp_session_t *s, const char *fmt, ...);


extern ngx_module_t  ngx_rtmp_guard_module;


#endif /* _NGX_RTMP_GUARD_H_INCLUDED_ */
