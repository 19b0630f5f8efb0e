/*
 * Admits a request by its token, for every module whose location needs one.
 */

#include "access.h"

#include "../hub/hub.h"


ngx_int_t
access_refuse(ngx_http_request_t *r, const char *action, ngx_int_t status,
    const ngx_str_t *stream, const char *why)
{
    ngx_log_error(NGX_LOG_WARN, r->connection->log, 0, "%s \"%V\" refused: %s", action,
                  stream, why);

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
