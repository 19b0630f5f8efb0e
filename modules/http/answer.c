#include "answer.h"

#include "../hub/hub_socket.h"


static void
answer_free(void *data)
{
    text_free(data);
}


ngx_int_t
answer_begin(ngx_http_request_t *r, ngx_uint_t method)
{
    ngx_int_t  rc;

    if (r->method != method) {
        return NGX_HTTP_NOT_ALLOWED;
    }

    rc = ngx_http_discard_request_body(r);
    if (rc != NGX_OK) {
        return rc;
    }

    return hub ? NGX_OK : NGX_HTTP_SERVICE_UNAVAILABLE;
}


ngx_int_t
answer_send(ngx_http_request_t *r, ngx_uint_t status, const char *type,
    text_t *t)
{
    text_t                    *kept;
    ngx_str_t                  content_type;
    ngx_pool_cleanup_t        *cln;
    ngx_http_complex_value_t   body;

    cln = ngx_pool_cleanup_add(r->pool, sizeof(text_t));

    if (cln == NULL || t->failed) {
        text_free(t);
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    kept = cln->data;
    *kept = *t;
    cln->handler = answer_free;

    content_type.data = (u_char *) type;
    content_type.len = ngx_strlen(type);

    ngx_memzero(&body, sizeof(body));
    body.value.data = kept->start;
    body.value.len = text_size(kept);

    return ngx_http_send_response(r, status, &content_type, &body);
}


static ngx_int_t
answer_sentence(ngx_http_request_t *r, ngx_uint_t status, const char *cache,
    const char *format, va_list args)
{
    u_char  *p, *end, sentence[TEXT_STEP];
    text_t   t = { NULL, NULL, NULL, 0 };

    end = ngx_vslprintf(sentence, sentence + sizeof(sentence), format, args);

    /* ngx_utf8_length() counts bytes when UTF-8 is invalid or cut: mask them */
    if (ngx_utf8_length(sentence, end - sentence) == (size_t) (end - sentence)) {
        for (p = sentence; p < end; p++) {
            *p = *p < 0x80 ? *p : '?';
        }
    }

    text_add(&t, "{\"error\":");
    text_add_json(&t, sentence, end - sentence);
    text_add(&t, "}");

    if (answer_header(r, "Cache-Control", cache) == NULL) {
        text_free(&t);
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    return answer_send(r, status, ANSWER_JSON, &t);
}


ngx_int_t
answer_error(ngx_http_request_t *r, ngx_uint_t status, const char *format, ...)
{
    va_list    args;
    ngx_int_t  rc;

    va_start(args, format);
    rc = answer_sentence(r, status, "no-store", format, args);
    va_end(args);

    return rc;
}


ngx_int_t
answer_shared_error(ngx_http_request_t *r, ngx_uint_t status, const char *format, ...)
{
    va_list    args;
    ngx_int_t  rc;

    va_start(args, format);
    rc = answer_sentence(r, status, "max-age=1", format, args);
    va_end(args);

    return rc;
}


static ngx_uint_t
answer_status(enum hub_refusal reason)
{
    switch (reason) {

    case HUB_IS_REVOKED:
    case HUB_IS_KICKED:
        return NGX_HTTP_FORBIDDEN;

    case HUB_USER_SHARE:
    case HUB_ADDRESS_SHARE:
        return NGX_HTTP_TOO_MANY_REQUESTS;

    default:
        return NGX_HTTP_SERVICE_UNAVAILABLE;
    }
}


ngx_int_t
answer_refusal(ngx_http_request_t *r, const char *action,
    const ngx_str_t *stream, enum hub_refusal reason)
{
    const char  *why = hub_refusal_text(reason);

    if (stream) {
        ngx_log_error(NGX_LOG_WARN, r->connection->log, 0,
                      "%s \"%V\" refused: %s", action, stream, why);
    } else {
        ngx_log_error(NGX_LOG_WARN, r->connection->log, 0,
                      "%s refused: %s", action, why);
    }

    return answer_error(r, answer_status(reason), "%s", why);
}


void
answer_take_back(ngx_http_request_t *r)
{
    ngx_connection_t  *c = r->connection;

#if (NGX_HTTP_V2)
    if (r->stream == NULL)
#endif
    {
        hub_socket_take_back(c);
    }

    c->error = 1;
    ngx_http_finalize_request(r, NGX_ERROR);
    ngx_http_run_posted_requests(c);
}


ngx_table_elt_t *
answer_header(ngx_http_request_t *r, const char *name, const char *value)
{
    ngx_table_elt_t  *h = ngx_list_push(&r->headers_out.headers);

    if (h) {
        h->hash = 1;
        h->key.data = (u_char *) name;
        h->key.len = ngx_strlen(name);
        h->value.data = (u_char *) value;
        h->value.len = ngx_strlen(value);
    }

    return h;
}


char *
answer_at(ngx_conf_t *cf, ngx_http_handler_pt handler)
{
    ngx_str_t                 *value = cf->args->elts;
    ngx_http_core_loc_conf_t  *clcf;

    if (ngx_strcasecmp(value[1].data, (u_char *) "on") == 0) {
        clcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);
        clcf->handler = handler;
        return NGX_CONF_OK;
    }

    if (ngx_strcasecmp(value[1].data, (u_char *) "off") == 0) {
        return NGX_CONF_OK;
    }

    return "has a value that is neither \"on\" nor \"off\"";
}


ngx_int_t
answer_in_phase(ngx_conf_t *cf, ngx_http_phases phase, ngx_http_handler_pt handler)
{
    ngx_http_handler_pt        *place;
    ngx_http_core_main_conf_t  *cmcf;

    cmcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_core_module);

    place = ngx_array_push(&cmcf->phases[phase].handlers);
    if (place == NULL) {
        return NGX_ERROR;
    }

    *place = handler;

    return NGX_OK;
}
