#ifndef _NGX_RTMP_GUARD_AMF_H_INCLUDED_
#define _NGX_RTMP_GUARD_AMF_H_INCLUDED_


/*
 * AMF0 and aggregate messages looked at before nginx-rtmp's recursive
 * readers see them.  Nothing here recurses or allocates.
 */

#include <ngx_config.h>
#include <ngx_core.h>


#define NGX_RTMP_GUARD_AMF_DEPTH_MAX  64


typedef struct {
    ngx_chain_t  *link;
    u_char       *pos;
} ngx_rtmp_guard_cursor_t;


typedef struct {
    u_char        name[128];    /* what nginx-rtmp takes for the command */
    ngx_uint_t    foreign;      /* values of types nginx-rtmp can't read */
    ngx_uint_t    tag_type;     /* of an aggregate: the type refused */
} ngx_rtmp_guard_amf_t;


void ngx_rtmp_guard_cursor(ngx_rtmp_guard_cursor_t *cur, ngx_chain_t *in,
    size_t skip);

/*
 * Walks a message body (`shared`: its name has no type byte).
 *   NGX_OK     depth is within the limit; amf->name and amf->foreign are set
 *   NGX_ERROR  nested deeper than max_depth
 * What can't be read any further is left to nginx-rtmp, which stops at the
 * same place.
 */
ngx_int_t ngx_rtmp_guard_amf_walk(ngx_rtmp_guard_cursor_t in,
    ngx_uint_t shared, ngx_uint_t max_depth, ngx_rtmp_guard_amf_t *amf);

/*
 * Rewrites, in place, values of types nginx-rtmp can't read: Date becomes
 * Number, LongString and XML become String (cut at 65535 bytes), a typed
 * object loses its class name, Reference and Unsupported become Null.  The
 * message never grows.  Call it only after a walk that returned NGX_OK.
 */
void ngx_rtmp_guard_amf_rewrite(ngx_rtmp_guard_cursor_t in,
    ngx_uint_t shared);

/*
 * Checks that an aggregate holds whole audio, video and data tags only.
 *   NGX_OK, NGX_DECLINED (amf->tag_type may not be there), NGX_ERROR (cut)
 */
ngx_int_t ngx_rtmp_guard_aggregate_check(ngx_chain_t *in,
    ngx_rtmp_guard_amf_t *amf);


#endif /* _NGX_RTMP_GUARD_AMF_H_INCLUDED_ */
