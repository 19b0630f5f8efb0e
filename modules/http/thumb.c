#include "thumb.h"

#include "answer.h"


/* How far before the moment a key frame may lie: two segments, of which the
 * second is still being written. */
#define THUMB_BACK_MS  (2 * REC_SEGMENT_MAX)

/* What is asked, then what was found.  It belongs to the request's pool. */
typedef struct {
    ngx_str_t  *location;
    ngx_str_t   file;
    uint64_t    init, offset, size;
} thumb_t;


static ngx_int_t thumb_variable(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data);


static const struct {
    ngx_str_t  name;
    size_t     number;           /* its place in thumb_t; 0: the file's name */
} thumb_variables[] = {
    { ngx_string("hub_history_file"), 0 },
    { ngx_string("hub_history_init"), offsetof(thumb_t, init) },
    { ngx_string("hub_history_offset"), offsetof(thumb_t, offset) },
    { ngx_string("hub_history_size"), offsetof(thumb_t, size) },
};


ngx_int_t
history_thumb_variables(ngx_conf_t *cf)
{
    size_t                i;
    ngx_str_t             name;
    ngx_http_variable_t  *v;

    for (i = 0; i < sizeof(thumb_variables) / sizeof(thumb_variables[0]); i++) {
        name = thumb_variables[i].name;

        v = ngx_http_add_variable(cf, &name, 0);
        if (v == NULL) {
            return NGX_ERROR;
        }

        v->get_handler = thumb_variable;
        v->data = thumb_variables[i].number;
    }

    return NGX_OK;
}


/* Marks the thumb_t of a request: the way to a named location forgets the
 * modules' contexts, but not what the pool cleans up. */
static void
thumb_cleanup(void *data)
{
    /* it goes with the pool */
}


static thumb_t *
thumb_of(ngx_http_request_t *r)
{
    ngx_pool_cleanup_t  *cln;

    for (cln = r->pool->cleanup; cln; cln = cln->next) {
        if (cln->handler == thumb_cleanup) {
            return cln->data;
        }
    }

    return NULL;
}


static ngx_int_t
thumb_variable(ngx_http_request_t *r, ngx_http_variable_value_t *v,
    uintptr_t data)
{
    u_char   *p;
    thumb_t  *thumb = thumb_of(r);

    if (thumb == NULL || thumb->file.len == 0) {
        v->not_found = 1;
        return NGX_OK;
    }

    v->valid = 1;
    v->no_cacheable = 0;
    v->not_found = 0;
    v->data = thumb->file.data;
    v->len = thumb->file.len;

    if (data != 0) {
        p = ngx_pnalloc(r->pool, NGX_INT64_LEN);
        if (p == NULL) {
            return NGX_ERROR;
        }

        v->data = p;
        v->len = ngx_sprintf(p, "%uL", *(uint64_t *) ((u_char *) thumb + data))
                 - p;
    }

    return NGX_OK;
}


/* The newest segment of FILE that begins with a key frame, at AT at the
 * latest. */
static const rec_segment_t *
thumb_find(const history_range_t *range, const history_file_t *file, int64_t at)
{
    uint32_t              n;
    const rec_segment_t  *segment;

    for (n = file->n; n > 0; n--) {
        segment = &range->segments[file->first + n - 1];

        if (!segment->dependent && segment->utc <= at) {
            return segment;
        }
    }

    return NULL;
}


static ngx_int_t
thumb_found(ngx_http_request_t *r, history_t *h)
{
    size_t                n;
    thumb_t              *thumb = h->data;
    history_file_t       *file;
    const rec_segment_t  *segment = NULL;

    for (n = h->range.nfiles; n > 0 && segment == NULL; n--) {
        file = &h->range.files[n - 1];
        segment = thumb_find(&h->range, file, h->to);

        if (segment
            && history_path(r, h, file->file, &thumb->file) == NGX_OK)
        {
            thumb->init = file->head.init_size;
            thumb->offset = segment->offset;
            thumb->size = segment->size;

            return ngx_http_named_location(r, thumb->location);
        }
    }

    return segment ? NGX_HTTP_INTERNAL_SERVER_ERROR
                   : answer_error(r, NGX_HTTP_NOT_FOUND,
                                  "nothing was recorded then");
}


ngx_int_t
history_thumb(ngx_http_request_t *r, history_t *h, ngx_thread_pool_t *pool,
    ngx_str_t *location)
{
    thumb_t             *thumb;
    ngx_pool_cleanup_t  *cln;

    cln = ngx_pool_cleanup_add(r->pool, sizeof(thumb_t));
    if (cln == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    thumb = cln->data;
    ngx_memzero(thumb, sizeof(thumb_t));
    thumb->location = location;
    cln->handler = thumb_cleanup;

    h->from = ngx_max(h->to - THUMB_BACK_MS, 0);
    h->data = thumb;
    h->done = thumb_found;

    return history_ask(h, pool);
}
