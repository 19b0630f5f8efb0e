#ifndef _NGX_RTMP_GUARD_AMF_H_INCLUDED_
#define _NGX_RTMP_GUARD_AMF_H_INCLUDED_


/*
 * Checks AMF0 and aggregate messages before nginx-rtmp's recursive readers see
 * them.  Nothing here recurses or allocates.
 */

#include <ngx_config.h>
#include <ngx_core.h>


#define NGX_RTMP_GUARD_AMF_DEPTH_MAX  64


typedef struct {
    ngx_chain_t  *link;
    u_char       *pos;
} ngx_rtmp_guard_cursor_t;


typedef struct {
    u_char        name[128];    /* the command, as nginx-rtmp reads it */
    ngx_uint_t    foreign;      /* values of types nginx-rtmp can't read */
    ngx_uint_t    tag_type;     /* aggregates: type of the last tag checked */
} ngx_rtmp_guard_amf_t;


void ngx_rtmp_guard_cursor(ngx_rtmp_guard_cursor_t *cur, ngx_chain_t *in,
    size_t skip);

/*
 * Checks a message body (`shared`: its name has no type byte).
 *   NGX_OK     depth is within the limit; amf->name and amf->foreign are set
 *   NGX_ERROR  nested deeper than max_depth
 * The walk ends, with NGX_OK, at a value that it can't read: nginx-rtmp stops
 * at the same value.
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
 * Checks that an aggregate holds nothing but whole audio, video and data tags.
 *   NGX_OK, NGX_DECLINED (amf->tag_type is not allowed), NGX_ERROR (cut short)
 */
ngx_int_t ngx_rtmp_guard_aggregate_check(ngx_chain_t *in,
    ngx_rtmp_guard_amf_t *amf);


#endif /* _NGX_RTMP_GUARD_AMF_H_INCLUDED_ */
