#include "answer.h"


/* Makes room for SIZE bytes more. */
static int
text_room(text_t *t, size_t size)
{
    size_t   used = t->last - t->start, all;
    u_char  *p;

    if (t->failed || (size_t) (t->end - t->last) >= size) {
        return !t->failed;
    }

    all = ngx_max(2 * (size_t) (t->end - t->start), used + size);
    all = ngx_max(all, 2 * TEXT_STEP);

    p = realloc(t->start, all);
    if (p == NULL) {
        t->failed = 1;
        return 0;
    }

    t->start = p;
    t->last = p + used;
    t->end = p + all;

    return 1;
}


void
text_add(text_t *t, const char *format, ...)
{
    va_list  args;

    if (!text_room(t, TEXT_STEP)) {
        return;
    }

    va_start(args, format);
    t->last = ngx_vslprintf(t->last, t->last + TEXT_STEP, format, args);
    va_end(args);
}


void
text_append(text_t *t, const u_char *p, size_t size)
{
    if (size && text_room(t, size)) {
        t->last = ngx_cpymem(t->last, p, size);
    }
}


void
text_add_json(text_t *t, const u_char *string, size_t len)
{
    size_t  more = ngx_escape_json(NULL, (u_char *) string, len);

    if (!text_room(t, len + more + 2)) {
        return;
    }

    *t->last++ = '"';
    t->last = (u_char *) ngx_escape_json(t->last, (u_char *) string, len);
    *t->last++ = '"';
}


void
text_free(text_t *t)
{
    free(t->start);
    ngx_memzero(t, sizeof(text_t));
}


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


ngx_int_t
answer_error(ngx_http_request_t *r, ngx_uint_t status, const char *format, ...)
{
    u_char  *p, *end, sentence[TEXT_STEP];
    text_t   t = { NULL, NULL, NULL, 0 };
    va_list  args;

    va_start(args, format);
    end = ngx_vslprintf(sentence, sentence + sizeof(sentence), format, args);
    va_end(args);

    /* ngx_utf8_length() counts bytes when UTF-8 is invalid or cut: mask them */
    if (ngx_utf8_length(sentence, end - sentence) == (size_t) (end - sentence)) {
        for (p = sentence; p < end; p++) {
            *p = *p < 0x80 ? *p : '?';
        }
    }

    text_add(&t, "{\"error\":");
    text_add_json(&t, sentence, end - sentence);
    text_add(&t, "}");

    if (answer_header(r, "Cache-Control", "no-store") == NULL) {
        text_free(&t);
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    return answer_send(r, status, ANSWER_JSON, &t);
}


static ngx_uint_t
answer_status(enum hub_refusal reason)
{
    switch (reason) {

    case HUB_IS_REVOKED:
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
