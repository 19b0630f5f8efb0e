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
 * 1 when the guard watches this session; 0 when the server has it off, or the
 * session is not a remote client's (relay, auto_push).  The guard reads a
 * watched connection 64 KB ahead, so other modules need not wrap c->recv.
 */
ngx_uint_t ngx_rtmp_guard_watches(ngx_rtmp_session_t *s);


/*
 * Refuses the session: logs "guard: refused ..." with the client's address (at
 * most a few lines per second and worker), and sends the reason to a client
 * that has sent its connect.  Returns NGX_DONE when the connection closes
 * later, to give the client time to read the reason; until then the guard
 * reads nothing.  Returns NGX_ERROR when the caller must close it now.
 */
ngx_int_t ngx_rtmp_guard_refuse(ngx_rtmp_session_t *s, const char *fmt, ...);


/* The reason of the guard's refusal, NUL-terminated; NULL: not refused. */
const u_char *ngx_rtmp_guard_refusal(ngx_rtmp_session_t *s);


extern ngx_module_t  ngx_rtmp_guard_module;


#endif /* _NGX_RTMP_GUARD_H_INCLUDED_ */
