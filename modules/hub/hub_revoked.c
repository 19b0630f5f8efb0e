/*
 * Revocations: what was issued to a user, a stream or a key up to a moment is
 * void.  The table lies in the zone, so all workers obey it and a reload keeps
 * it; the file of hub_revocations brings it back after a restart.
 *
 * The table never forgets on its own.  When it is full, the oldest entry is
 * folded into one that stands for everybody: more is refused then, never less.
 *
 * A line of the file:  AT[ user=ID][ key=ID][ stream=APP/NAME]
 */

#include "hub.h"

#define HUB_LINE_MAX  (HUB_NAME_MAX + 128)


int
hub_revocation_names(const hub_revocation_t *r, uint64_t uid, uint64_t stream,
    uint64_t key)
{
    return (r->uid == 0 || r->uid == uid)
           && (r->stream == 0 || r->stream == stream)
           && (r->key == 0 || r->key == key);
}


int
hub_revoked(hub_t *h, uint64_t uid, uint64_t stream, uint64_t key,
    int64_t issued)
{
    uint32_t                 i, n = hub_load(&h->header->nrevoked);
    const hub_revocation_t  *r;

    for (i = 0; i < n; i++) {
        r = &h->revoked[i];

        if (issued <= hub_load(&r->at)
            && hub_revocation_names(r, uid, stream, key))
        {
            return 1;
        }
    }

    return 0;
}


/* The entry to write R to: its own earlier one, a new one, or the oldest.
 * Entry 0 stands for everybody.  The caller holds the mutex. */
static hub_revocation_t *
hub_revocation_place(hub_t *h, const hub_revocation_t *r)
{
    uint32_t           i, n = h->header->nrevoked;
    hub_revocation_t  *e, *oldest = NULL;

    for (i = 1; i < n; i++) {
        e = &h->revoked[i];

        if (e->uid == r->uid && e->stream == r->stream && e->key == r->key) {
            return e;
        }

        if (oldest == NULL || e->at < oldest->at) {
            oldest = e;
        }
    }

    if (n < HUB_REVOCATIONS) {
        ngx_memzero(&h->revoked[n], sizeof(hub_revocation_t));
        return &h->revoked[n];
    }

    hub_store(&h->revoked[0].at, ngx_max(h->revoked[0].at, oldest->at));
    hub_step();
    oldest->at = oldest->kept = 0;
    hub_step();                              /* void until it says all of it */

    return oldest;
}


hub_revocation_t *
hub_revocation_add(hub_t *h, const hub_revocation_t *r)
{
    hub_revocation_t  *e;

    if (h->header->nrevoked == 0) {
        ngx_memzero(&h->revoked[0], sizeof(hub_revocation_t));
        hub_store(&h->header->nrevoked, 1);
    }

    e = hub_revocation_place(h, r);
    e->uid = r->uid;
    e->stream = r->stream;
    e->key = r->key;
    hub_store(&e->at, ngx_max(e->at, r->at));

    if (e == &h->revoked[h->header->nrevoked]) {
        hub_store(&h->header->nrevoked, h->header->nrevoked + 1);
    }

    return e;
}


/* --- the file --- */

ngx_int_t
hub_revocation_keep(hub_t *h, const hub_revocation_t *r, const ngx_str_t *name,
    ngx_log_t *log)
{
    u_char  *p, line[HUB_LINE_MAX];

    if (h->revocations == NULL) {
        return NGX_OK;
    }

    p = ngx_sprintf(line, "%L", r->at);

    if (r->uid) {
        p = ngx_sprintf(p, " user=%uL", r->uid);
    }

    if (r->key) {
        p = ngx_sprintf(p, " key=%uL", r->key);
    }

    if (r->stream) {
        p = ngx_sprintf(p, " stream=%V", name);
    }

    *p++ = '\n';

    if (ngx_write_fd(h->revocations->fd, line, p - line) != p - line
        || fdatasync(h->revocations->fd) != 0)
    {
        ngx_log_error(NGX_LOG_ALERT, log, ngx_errno,
                      "hub: a revocation could not be written to \"%V\": it "
                      "holds until nginx is restarted", &h->revocations->name);
        return NGX_ERROR;
    }

    return NGX_OK;
}


static const u_char *
hub_read_number(const u_char *p, const u_char *end, uint64_t *n)
{
    *n = 0;

    while (p < end && *p >= '0' && *p <= '9' && *n < (uint64_t) 1 << 59) {
        *n = *n * 10 + (*p++ - '0');
    }

    return p;
}


static int
hub_read_line(const u_char *p, const u_char *end, hub_revocation_t *r)
{
    uint64_t  n;

    ngx_memzero(r, sizeof(hub_revocation_t));
    p = hub_read_number(p, end, &n);
    r->at = (int64_t) n;

    while (p < end) {
        if (end - p > 6 && ngx_memcmp(p, " user=", 6) == 0) {
            p = hub_read_number(p + 6, end, &r->uid);

        } else if (end - p > 5 && ngx_memcmp(p, " key=", 5) == 0) {
            p = hub_read_number(p + 5, end, &r->key);

        } else if (end - p > 8 && ngx_memcmp(p, " stream=", 8) == 0) {
            r->stream = hub_name_hash(p + 8, end - p - 8);
            p = end;

        } else {
            return 0;
        }
    }

    return r->at && (r->uid || r->key || r->stream);
}


/* Returns the file's text, to be freed, or NULL. */
static u_char *
hub_read_file(const ngx_str_t *name, size_t *size, ngx_log_t *log)
{
    ssize_t          n = -1;
    u_char          *text = NULL;
    ngx_fd_t         fd;
    ngx_file_info_t  info;

    fd = ngx_open_file(name->data, NGX_FILE_RDONLY, NGX_FILE_OPEN, 0);

    if (fd != NGX_INVALID_FILE && ngx_fd_info(fd, &info) != NGX_FILE_ERROR) {
        *size = (size_t) ngx_file_size(&info);
        text = ngx_alloc(*size + 1, log);
        n = text ? ngx_read_fd(fd, text, *size) : -1;
    }

    if (n < 0 || (size_t) n != *size) {
        ngx_log_error(NGX_LOG_EMERG, log, ngx_errno,
                      "hub_revocations \"%V\" cannot be read", name);
        ngx_free(text);
        text = NULL;
    }

    if (fd != NGX_INVALID_FILE) {
        (void) ngx_close_file(fd);
    }

    return text;
}


/* The last line was never told to anybody as kept; half of it may name
 * somebody else, so it is made to name nobody. */
static void
hub_revocation_torn(hub_t *h, ngx_log_t *log)
{
    static u_char  mark[] = " torn\n";

    ngx_log_error(NGX_LOG_WARN, log, 0,
                  "hub_revocations \"%V\" ends within a line: it is left out",
                  &h->revocations->name);

    if (!ngx_test_config
        && ngx_write_fd(h->revocations->fd, mark, 6) != 6)
    {
        ngx_log_error(NGX_LOG_ALERT, log, ngx_errno,
                      "hub_revocations \"%V\" cannot be written",
                      &h->revocations->name);
    }
}


ngx_int_t
hub_revocations_read(hub_t *h, ngx_log_t *log)
{
    u_char            *text, *p, *end, *eol;
    size_t             size;
    ngx_uint_t         line = 0;
    hub_revocation_t   r, *e;

    text = hub_read_file(&h->revocations->name, &size, log);
    if (text == NULL) {
        return NGX_ERROR;
    }

    end = text + size;

    for (p = text; p < end; p = eol + 1) {
        eol = ngx_strlchr(p, end, '\n');
        line++;

        if (eol == NULL) {
            hub_revocation_torn(h, log);
            break;
        }

        if (hub_read_line(p, eol, &r)) {
            e = hub_revocation_add(h, &r);
            e->kept = e->at;

        } else if (eol > p) {
            ngx_log_error(NGX_LOG_WARN, log, 0,
                          "hub_revocations \"%V\" line %ui is \"%*s\", expected "
                          "AT with user=ID, key=ID or stream=APP/NAME: "
                          "left out", &h->revocations->name, line,
                          (size_t) (eol - p), p);
        }
    }

    ngx_free(text);

    return NGX_OK;
}
