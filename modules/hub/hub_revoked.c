/*
 * Revocations: tokens and sessions of a user, a stream or a key that were issued up
 * to some time are void.  The table is in the zone, so all workers obey it and a
 * reload keeps it; the file of hub_revocations restores it after a restart.
 *
 * Entries do not expire.  When the table is full, the oldest entry is merged into
 * the one that covers everybody: that refuses more than asked for, never less.
 *
 * A line of the file:  AT[ user=ID][ key=ID][ stream=APP/NAME], or for the entry
 * that covers everybody:  AT everybody
 *
 * hub_revocation_keep() appends a line for each new revocation.  A start rewrites the
 * file with one line for each entry, unless it already has exactly these.
 */

#include <nginx.h>
#include <libgen.h>
#include <sys/stat.h>

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


static int
hub_revocation_is_of(const hub_revocation_t *e, const hub_revocation_t *r)
{
    return e->uid == r->uid && e->stream == r->stream && e->key == r->key;
}


/* Returns the entry for R: the one with the same user, stream and key, else a new
 * one, else the oldest.  Entry 0 covers everybody.  The caller holds the mutex. */
static hub_revocation_t *
hub_revocation_place(hub_t *h, const hub_revocation_t *r)
{
    uint32_t           i, n = h->header->nrevoked;
    hub_revocation_t  *e, *oldest = NULL;

    if (hub_revocation_is_of(&h->revoked[0], r)) {
        return &h->revoked[0];
    }

    for (i = 1; i < n; i++) {
        e = &h->revoked[i];

        if (hub_revocation_is_of(e, r)) {
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
    hub_step();                              /* unused until all fields are set */

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
    u_char       *p, line[HUB_LINE_MAX + 1];
    ssize_t       n;
    struct stat   st;

    if (h->revocations == NULL) {
        return NGX_OK;
    }

    p = line;

    if (hub_load(&h->header->half_line)) {
        *p++ = '\n';                         /* the disk was full before */
    }

    p = ngx_sprintf(p, "%L", r->at);

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

    n = ngx_write_fd(h->revocations->fd, line, p - line);

    if (n > 0) {
        hub_store(&h->header->half_line, n != p - line);
    }

    if (n != p - line || fdatasync(h->revocations->fd) != 0) {
        ngx_log_error(NGX_LOG_ALERT, log, ngx_errno,
                      "hub: a revocation could not be written to \"%V\": it "
                      "is lost when nginx restarts", &h->revocations->name);
        return NGX_ERROR;
    }

    if (fstat(h->revocations->fd, &st) == 0 && st.st_nlink == 0) {
        ngx_log_error(NGX_LOG_WARN, log, 0,
                      "hub: a revocation was written to \"%V\" after that file "
                      "had been replaced or removed: the service must send it "
                      "again", &h->revocations->name);
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
            return r->at && end - p == 10
                   && ngx_memcmp(p, " everybody", 10) == 0
                   && r->uid == 0 && r->key == 0;
        }
    }

    return r->at && (r->uid || r->key || r->stream);
}


/* Returns the file's text, which the caller frees, or NULL. */
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


/* Invalidates a torn last line: half an id may be another user's.  Nobody relies on
 * it, as the request to revoke did not succeed. */
static void
hub_revocation_torn(hub_t *h, ngx_log_t *log)
{
    static u_char  mark[] = " torn\n";

    ngx_log_error(NGX_LOG_WARN, log, 0,
                  "hub_revocations \"%V\" ends within a line, which is ignored",
                  &h->revocations->name);

    if (!ngx_test_config
        && ngx_write_fd(h->revocations->fd, mark, 6) != 6)
    {
        ngx_log_error(NGX_LOG_ALERT, log, ngx_errno,
                      "hub_revocations \"%V\" cannot be written",
                      &h->revocations->name);
    }
}


/* Reads the lines of TEXT into the table. */
static void
hub_revocations_take(hub_t *h, u_char *text, u_char *end, ngx_log_t *log)
{
    u_char            *p, *eol;
    ngx_uint_t         line = 0;
    hub_revocation_t   r, *e;

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
                          "AT with user=ID, key=ID, stream=APP/NAME or "
                          "everybody: ignored", &h->revocations->name, line,
                          (size_t) (eol - p), p);
        }
    }
}


typedef struct {
    hub_revocation_t  entry[HUB_REVOCATIONS];    /* `kept`: its line is written */
    uint32_t          n;
    ngx_uint_t        had, lines;                /* before, after */
} hub_compact_t;


/* Copies to OUT the lines of TEXT that match the table, each once, behind a line for
 * everybody.  OUT has room for TEXT and HUB_LINE_MAX bytes.  Returns its end. */
static u_char *
hub_revocations_compact(hub_compact_t *c, u_char *text, u_char *end, u_char *out)
{
    u_char            *p, *eol;
    uint32_t           i;
    hub_revocation_t   r, *e;

    if (c->n && c->entry[0].at) {
        out = ngx_sprintf(out, "%L everybody\n", c->entry[0].at);
        c->lines++;
    }

    for (i = 0; i < c->n; i++) {
        c->entry[i].kept = i ? 0 : c->entry[0].at;
    }

    for (p = text; p < end; p = eol + 1) {
        eol = ngx_strlchr(p, end, '\n');
        c->had++;

        if (eol == NULL) {
            break;
        }

        if (!hub_read_line(p, eol, &r)) {
            continue;
        }

        for (i = 0; i < c->n && !hub_revocation_is_of(&c->entry[i], &r); i++) {
            /* void */
        }

        e = &c->entry[i];

        if (i < c->n && e->at == r.at && e->kept != e->at) {
            out = ngx_cpymem(out, p, eol + 1 - p);
            e->kept = e->at;
            c->lines++;
        }
    }

    return out;
}


/* Makes the rename durable before hub_revocation_keep() reports lines as kept. */
static void
hub_sync_folder(const char *name)
{
    int   fd;
    char  path[NGX_MAX_PATH];

    (void) snprintf(path, sizeof(path), "%s", name);
    fd = open(dirname(path), O_RDONLY|O_DIRECTORY|O_CLOEXEC);

    if (fd != -1) {
        (void) fsync(fd);
        (void) close(fd);
    }
}


/* Replaces the open file OLD by one with the SIZE bytes at TEXT, and the same owner
 * and mode.  Returns its descriptor, or NGX_INVALID_FILE. */
static ngx_fd_t
hub_file_replace(const char *name, ngx_fd_t old, const u_char *text, size_t size)
{
    char         fresh[NGX_MAX_PATH];
    ngx_fd_t     fd;
    struct stat  st;

    if (snprintf(fresh, sizeof(fresh), "%s.new", name) >= (int) sizeof(fresh)
        || lstat(name, &st) == -1 || !S_ISREG(st.st_mode)
        || fstat(old, &st) == -1)
    {
        return NGX_INVALID_FILE;
    }

    (void) unlink(fresh);
    fd = open(fresh, O_WRONLY|O_APPEND|O_CREAT|O_EXCL|O_CLOEXEC, 0600);

    if (fd == NGX_INVALID_FILE) {
        return fd;
    }

    if (fchown(fd, st.st_uid, st.st_gid) != 0
        || fchmod(fd, st.st_mode & 07777) != 0
        || write(fd, text, size) != (ssize_t) size || fsync(fd) != 0
        || rename(fresh, name) != 0)
    {
        (void) unlink(fresh);
        (void) close(fd);
        return NGX_INVALID_FILE;
    }

    hub_sync_folder(name);

    return fd;
}


static void
hub_revocations_replace(hub_t *h, hub_compact_t *c, u_char *text, size_t size,
    ngx_log_t *log)
{
    u_char     *out, *last;
    ngx_fd_t    fd;
    ngx_str_t  *name = &h->revocations->name;

    out = ngx_alloc(size + HUB_LINE_MAX, log);
    if (out == NULL) {
        return;
    }

    last = hub_revocations_compact(c, text, text + size, out);

    if (c->lines != c->had) {
        fd = hub_file_replace((char *) name->data, h->revocations->fd, out,
                              last - out);

        if (fd == NGX_INVALID_FILE) {
            ngx_log_error(NGX_LOG_WARN, log, ngx_errno,
                          "hub_revocations \"%V\" has %ui lines, expected %ui, "
                          "and cannot be replaced: it is left unchanged", name,
                          c->had, c->lines);
        } else {
            (void) ngx_close_file(h->revocations->fd);
            h->revocations->fd = fd;
            ngx_log_error(NGX_LOG_NOTICE, log, 0,
                          "hub_revocations \"%V\" had %ui lines and was "
                          "rewritten with %ui", name, c->had, c->lines);
        }
    }

    ngx_free(out);
}


void
hub_revocations_rewrite(hub_t *h, ngx_log_t *log)
{
    u_char         *text;
    size_t          size;
    hub_compact_t  *c = ngx_alloc(sizeof(hub_compact_t), log);

    /* during an upgrade of the binary, old workers still append to the file */
    if (c == NULL || getenv(NGINX_VAR)) {
        ngx_free(c);
        return;
    }

    text = hub_read_file(&h->revocations->name, &size, log);

    ngx_shmtx_lock(&h->pool->mutex);
    c->n = h->header->nrevoked;
    ngx_memcpy(c->entry, h->revoked, sizeof(c->entry));
    ngx_shmtx_unlock(&h->pool->mutex);

    c->had = c->lines = 0;

    if (text) {
        hub_revocations_replace(h, c, text, size, log);
    }

    ngx_free(text);
    ngx_free(c);
}


ngx_int_t
hub_revocations_read(hub_t *h, ngx_log_t *log)
{
    u_char  *text;
    size_t   size;

    text = hub_read_file(&h->revocations->name, &size, log);
    if (text == NULL) {
        return NGX_ERROR;
    }

    hub_revocations_take(h, text, text + size, log);
    ngx_free(text);

    return NGX_OK;
}
