#include "pieces.h"


/* Appends an empty buffer.  NULL: no memory. */
static ngx_buf_t *
add_link(pieces_t *p)
{
    ngx_buf_t    *b = ngx_calloc_buf(p->r->pool);
    ngx_chain_t  *link = ngx_alloc_chain_link(p->r->pool);

    if (b == NULL || link == NULL) {
        p->failed = 1;
        return NULL;
    }

    link->buf = b;
    link->next = NULL;

    if (p->last) {
        p->last->next = link;
    } else {
        p->first = link;
    }

    p->last = link;

    return b;
}


void
pieces_memory(pieces_t *p, uint8_t *bytes, size_t size)
{
    ngx_buf_t  *b = add_link(p);

    if (b) {
        b->start = b->pos = bytes;
        b->end = b->last = bytes + size;
        b->memory = size > 0;
    }
}


ngx_file_t *
pieces_file(pieces_t *p, const ngx_str_t *path, int fd)
{
    ngx_file_t  *file = ngx_pcalloc(p->r->pool, sizeof(ngx_file_t));

    if (file == NULL) {
        p->failed = 1;
        return NULL;
    }

    file->fd = fd;
    file->name = *path;
    file->log = p->r->connection->log;

    return file;
}


ngx_file_t *
pieces_recorded(pieces_t *p, const history_t *h, const char *file, int fd)
{
    ngx_str_t  path;

    if (history_path(p->r, h, file, &path) != NGX_OK) {
        p->failed = 1;
        return NULL;
    }

    return pieces_file(p, &path, fd);
}


void
pieces_bytes(pieces_t *p, ngx_file_t *file, uint64_t from, uint64_t to)
{
    ngx_buf_t  *b = file ? add_link(p) : NULL;

    if (b) {
        b->in_file = to > from;
        b->file = file;
        b->file_pos = (off_t) from;
        b->file_last = (off_t) to;
    }
}


ngx_int_t
pieces_send(pieces_t *p)
{
    ngx_int_t            rc;
    ngx_http_request_t  *r = p->r;

    if (p->failed) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    rc = ngx_http_send_header(r);
    if (rc == NGX_ERROR || rc > NGX_OK || r->header_only) {
        return rc;
    }

    p->last->buf->last_buf = r == r->main;
    p->last->buf->last_in_chain = 1;

    return ngx_http_output_filter(r, p->first);
}
