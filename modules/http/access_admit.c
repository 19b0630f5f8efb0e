/*
 * Admits a request by its token, for every module whose location needs one.
 */

#include "access.h"

#include "../hub/hub.h"


/* A stranger can be refused thousands of times a second: then most have no line. */
#define ACCESS_LINES_S  50


/* Is there a line left for this worker in this second? */
static int
access_has_line(ngx_log_t *log)
{
    static time_t      second;
    static ngx_uint_t  lines;

    if (second != ngx_time()) {
        if (lines > ACCESS_LINES_S) {
            ngx_log_error(NGX_LOG_WARN, log, 0, "%ui more requests were refused",
                          lines - ACCESS_LINES_S);
        }

        second = ngx_time();
        lines = 0;
    }

    return ++lines <= ACCESS_LINES_S;
}


ngx_int_t
access_refuse(ngx_http_request_t *r, const char *action, ngx_int_t status,
    const ngx_str_t *stream, const char *why)
{
    if (access_has_line(r->connection->log)) {
        ngx_log_error(NGX_LOG_WARN, r->connection->log, 0, "%s \"%V\" refused: %s",
                      action, stream, why);
    }

    return status;
}


ngx_int_t
access_admit(ngx_http_request_t *r, const char *action, ngx_str_t *token,
    ngx_str_t *stream, access_holder_t *holder)
{
    const char  *why;

    if (hub == NULL) {
        return access_refuse(r, action, NGX_HTTP_SERVICE_UNAVAILABLE, stream,
                             "server has no hub_zone");
    }

    if (token->len == 0) {
        hub_refuse(hub, HUB_TOKEN);
        return access_refuse(r, action, NGX_HTTP_UNAUTHORIZED, stream, "no token");
    }

    why = access_check(access_keys(r->loc_conf), token, stream, action, ngx_time(),
                       holder);
    if (why) {
        hub_refuse(hub, HUB_TOKEN);
        return access_refuse(r, action, NGX_HTTP_FORBIDDEN, stream, why);
    }

    if (hub_revoked(hub, holder->uid, hub_name_hash(stream->data, stream->len), 0,
                    holder->issued))
    {
        hub_refuse(hub, HUB_IS_REVOKED);
        return access_refuse(r, action, NGX_HTTP_FORBIDDEN, stream,
                             hub_refusal_text(HUB_IS_REVOKED));
    }

    return NGX_OK;
}


ngx_int_t
access_within(ngx_http_request_t *r, const access_holder_t *holder,
    const ngx_str_t *stream, int64_t from, int64_t to)
{
    if (from >= holder->from && to <= holder->to) {
        return NGX_OK;
    }

    hub_refuse(hub, HUB_TOKEN);

    return access_refuse(r, "clip", NGX_HTTP_FORBIDDEN, stream, "token is for another span");
}
