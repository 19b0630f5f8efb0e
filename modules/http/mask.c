#include "mask.h"


/* A log's writer before the mask: of syslog or memory; a file has none. */
typedef struct {
    ngx_log_t          *log;
    ngx_log_writer_pt   writer;
    void               *data;
} mask_before_t;


/* The bytes of a token in any spelling, percent-encoded included.  A table, since each
 * request's line is read byte by byte. */
static const u_char  spelling[256] = {
    ['0' ... '9'] = 1, ['A' ... 'Z'] = 1, ['a' ... 'z'] = 1,
    ['_'] = 1, ['-'] = 1, ['.'] = 1, ['%'] = 1, ['~'] = 1, ['+'] = 1, ['='] = 1
};


u_char *
mask_copy(u_char *dst, const u_char *src, size_t len)
{
    size_t  i, start;

    for (i = 0; i < len; /* void */ ) {

        for (start = i; i < len && spelling[src[i]]; i++) {
            /* void */
        }

        if (i - start >= MASK_RUN) {
            dst = ngx_cpymem(dst, "***", 3);

        } else {
            ngx_memmove(dst, src + start, i - start);
            dst += i - start;
        }

        if (i < len) {
            *dst++ = src[i++];
        }
    }

    return dst;
}


static void
mask_write_file(ngx_log_t *log, u_char *line, size_t len)
{
    if (log->disk_full_time == ngx_time()) {
        return;                          /* retry once a second, as nginx does */
    }

    if (ngx_write_fd(log->file->fd, line, len) == -1
        && ngx_errno == NGX_ENOSPC)
    {
        log->disk_full_time = ngx_time();
    }
}


/* Masks a copy: the next logs in the list get the original line. */

static void
mask_write(ngx_log_t *log, ngx_uint_t level, u_char *buf, size_t len)
{
    u_char          line[NGX_MAX_ERROR_STR];
    ngx_log_t       inner;
    mask_before_t  *before = log->wdata;

    len = mask_copy(line, buf, ngx_min(len, sizeof(line))) - line;

    if (before->writer == NULL) {
        mask_write_file(log, line, len);
        return;
    }

    inner = *log;
    inner.wdata = before->data;
    before->writer(&inner, level, line, len);
}


/* Restores the writer: this library may be unloaded before the pool's last log
 * line. */

static void
mask_remove(void *data)
{
    mask_before_t  *before = data;

    before->log->writer = before->writer;
    before->log->wdata = before->data;
}


ngx_int_t
mask_log(ngx_pool_t *pool, ngx_log_t *log)
{
    mask_before_t       *before;
    ngx_pool_cleanup_t  *cln;

    for ( /* void */ ; log; log = log->next) {

        if (log->writer == mask_write) {
            continue;
        }

        cln = ngx_pool_cleanup_add(pool, sizeof(mask_before_t));
        if (cln == NULL) {
            return NGX_ERROR;
        }

        before = cln->data;
        before->log = log;
        before->writer = log->writer;
        before->data = log->wdata;
        cln->handler = mask_remove;

        log->wdata = before;
        log->writer = mask_write;
    }

    return NGX_OK;
}
