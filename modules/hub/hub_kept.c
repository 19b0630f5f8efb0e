/*
 * The file of hub_revocations, which restores the table after a restart.
 *
 * A line of it:  AT[ user=ID][ key=ID][ stream=APP/NAME], or for the entry that covers
 * everybody:  AT everybody
 *
 * hub_revocation_keep() appends a line for each new revocation.  When there are twice
 * as many lines as entries, the worker replaces the file by one with a line for each
 * entry; a start does so, too.
 *
 * A worker locks the file before it appends or replaces it; the kernel releases the
 * lock of a killed process.  If the file was replaced before the worker got the lock,
 * it opens the new one and locks that.  The new file is complete and on the disk before
 * its rename, so a crash leaves either the old or the new one.
 */

#include <nginx.h>
#include <libgen.h>
#include <sys/stat.h>

#include "hub.h"

#define HUB_LINE_MAX    (HUB_NAME_MAX + 128)
#define HUB_LINES_SPARE 256         /* beyond twice the entries */
#define HUB_LOCK_MS     500         /* then the service sends it again */

/* Ends a torn line so that no start takes it for a whole one. */
#define HUB_TORN        " torn\n"
#define HUB_TORN_LEN    (sizeof(HUB_TORN) - 1)


/* Makes a rename durable before hub_revocation_keep() reports lines as kept. */
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


/* --- its lock --- */

/* The lock belongs to the process, and closing any descriptor of the file releases it. */
static int
hub_file_try(ngx_fd_t fd, short type)
{
    struct flock  lock = { .l_type = type, .l_whence = SEEK_SET };

    return fcntl(fd, F_SETLK, &lock);
}


static int
hub_file_has_name(ngx_fd_t fd, const ngx_str_t *name)
{
    struct stat  mine, named;

    return fstat(fd, &mine) == 0 && stat((char *) name->data, &named) == 0
           && mine.st_dev == named.st_dev && mine.st_ino == named.st_ino;
}


/* Opens the file that has the name now, and closes the previous one. */
static ngx_int_t
hub_file_reopen(ngx_open_file_t *file)
{
    ngx_fd_t  fd = open((char *) file->name.data,
                        O_WRONLY|O_APPEND|O_CREAT|O_CLOEXEC,
                        NGX_FILE_DEFAULT_ACCESS);

    if (fd == NGX_INVALID_FILE) {
        return NGX_ERROR;
    }

    hub_sync_folder((char *) file->name.data);
    (void) ngx_close_file(file->fd);
    file->fd = fd;

    return NGX_OK;
}


static void
hub_file_unlock(hub_t *h)
{
    (void) hub_file_try(h->revocations->fd, F_UNLCK);
}


static ngx_int_t
hub_file_lock(hub_t *h)
{
    ngx_msec_t  until;

    ngx_time_update();
    until = ngx_current_msec + HUB_LOCK_MS;

    while ((ngx_msec_int_t) (ngx_current_msec - until) < 0) {

        if (hub_file_try(h->revocations->fd, F_WRLCK) == 0) {

            if (hub_file_has_name(h->revocations->fd, &h->revocations->name)) {
                return NGX_OK;
            }

            if (hub_file_reopen(h->revocations) != NGX_OK) {
                hub_file_unlock(h);
                return NGX_ERROR;
            }

        } else if (errno != EAGAIN && errno != EACCES) {
            return NGX_ERROR;

        } else {
            (void) usleep(1000);
        }

        ngx_time_update();
    }

    ngx_set_errno(NGX_ETIMEDOUT);

    return NGX_ERROR;
}


/* --- reading --- */

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


/* Returns the file's text, which the caller frees, or NULL.  The caller closes *FD. */
static u_char *
hub_read_file(const ngx_str_t *name, size_t *size, ngx_fd_t *fd, ngx_log_t *log)
{
    ssize_t          n = -1;
    u_char          *text = NULL;
    ngx_file_info_t  info;

    *fd = ngx_open_file(name->data, NGX_FILE_RDONLY, NGX_FILE_OPEN, 0);

    if (*fd != NGX_INVALID_FILE && ngx_fd_info(*fd, &info) != NGX_FILE_ERROR) {
        *size = (size_t) ngx_file_size(&info);
        text = ngx_alloc(*size + 1, log);
        n = text ? ngx_read_fd(*fd, text, *size) : -1;
    }

    /* the lines will count as kept: a killed worker may not have synced them */
    if (n > 0 && !ngx_test_config && fdatasync(*fd) != 0) {
        n = -1;
    }

    if (n < 0 || (size_t) n != *size) {
        ngx_log_error(NGX_LOG_EMERG, log, ngx_errno,
                      "hub_revocations \"%V\" cannot be read", name);
        ngx_free(text);
        text = NULL;
    }

    return text;
}


static void
hub_close_read(ngx_fd_t fd)
{
    if (fd != NGX_INVALID_FILE) {
        (void) ngx_close_file(fd);
    }
}


/* Invalidates a torn last line: half an id may be another user's.  Nobody relies on
 * it, as the request to revoke did not succeed. */
static void
hub_revocation_torn(hub_t *h, ngx_log_t *log)
{
    ngx_log_error(NGX_LOG_WARN, log, 0,
                  "hub_revocations \"%V\" ends within a line, which is ignored",
                  &h->revocations->name);

    if (!ngx_test_config
        && ngx_write_fd(h->revocations->fd, HUB_TORN, HUB_TORN_LEN)
           != (ssize_t) HUB_TORN_LEN)
    {
        hub_store(&h->header->half_line, 1); /* the next line begins a new one */
        ngx_log_error(NGX_LOG_ALERT, log, ngx_errno,
                      "hub_revocations \"%V\" cannot be written",
                      &h->revocations->name);
    }
}


static void
hub_line_is_odd(const hub_t *h, ngx_uint_t line, const u_char *p,
    const u_char *eol, ngx_log_t *log)
{
    ngx_log_error(NGX_LOG_WARN, log, 0,
                  "hub_revocations \"%V\" line %ui is \"%*s\", expected AT with "
                  "user=ID, key=ID, stream=APP/NAME or everybody: ignored",
                  &h->revocations->name, line, (size_t) (eol - p), p);
}


/* Reads the lines of TEXT into the table, and logs those that it ignores unless LOG is
 * NULL.  Returns the number of lines. */
static ngx_uint_t
hub_revocations_take(hub_t *h, u_char *text, u_char *end, ngx_log_t *log)
{
    u_char            *p, *eol;
    ngx_uint_t         line = 0;
    hub_revocation_t   r, *e;

    for (p = text; p < end; p = eol + 1) {
        eol = ngx_strlchr(p, end, '\n');
        line++;

        if (eol == NULL) {
            if (log) {
                hub_revocation_torn(h, log);
            }
            break;
        }

        if (hub_read_line(p, eol, &r)) {
            ngx_shmtx_lock(&h->pool->mutex);
            e = hub_revocation_add(h, &r);
            if (hub_revocation_is_of(e, &r)) {
                e->kept = ngx_max(e->kept, r.at);
            }
            ngx_shmtx_unlock(&h->pool->mutex);

        } else if (eol > p && log) {
            hub_line_is_odd(h, line, p, eol, log);
        }
    }

    return line;
}


/* The file has LINES now.  The next compaction is due at twice the entries, or later when
 * this one could not replace the file. */
static void
hub_revocations_counted(hub_t *h, ngx_uint_t lines)
{
    ngx_uint_t  most = 2 * hub_load(&h->header->nrevoked);

    h->header->lines = lines;
    h->header->lines_most = ngx_max(lines, most) + HUB_LINES_SPARE;
}


ngx_int_t
hub_revocations_read(hub_t *h, ngx_log_t *log)
{
    u_char    *text;
    size_t     size;
    ngx_fd_t   fd;

    text = hub_read_file(&h->revocations->name, &size, &fd, log);
    hub_close_read(fd);

    if (text == NULL) {
        return NGX_ERROR;
    }

    hub_revocations_counted(h, hub_revocations_take(h, text, text + size, log));
    ngx_free(text);

    return NGX_OK;
}


/* --- compacting --- */

typedef struct {
    hub_revocation_t  entry[HUB_REVOCATIONS];    /* `kept`: time of its newest line */
    uint32_t          n;
    ngx_uint_t        had, lines;                /* before, after */
} hub_compact_t;


/* The entry of C that the line from P to EOL is of, or NULL. */
static hub_revocation_t *
hub_compact_find(hub_compact_t *c, const u_char *p, const u_char *eol,
    hub_revocation_t *r)
{
    uint32_t  i;

    if (eol == NULL || !hub_read_line(p, eol, r)) {
        return NULL;
    }

    for (i = 1; i < c->n; i++) {
        if (hub_revocation_is_of(&c->entry[i], r)) {
            return &c->entry[i];
        }
    }

    return NULL;
}


/* Copies to OUT the newest line of each entry from TEXT, behind a line for everybody.
 * An entry may be newer than all its lines, while another worker waits to append.
 * OUT has room for TEXT and HUB_LINE_MAX bytes.  Returns its end. */
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
        c->entry[i].kept = 0;
    }

    for (p = text; p < end; p = eol ? eol + 1 : end) {
        eol = ngx_strlchr(p, end, '\n');
        c->had++;
        e = hub_compact_find(c, p, eol, &r);

        if (e) {
            e->kept = ngx_max(e->kept, r.at);
        }
    }

    for (p = text; p < end; p = eol ? eol + 1 : end) {
        eol = ngx_strlchr(p, end, '\n');
        e = hub_compact_find(c, p, eol, &r);

        if (e && e->kept == r.at) {
            out = ngx_cpymem(out, p, eol + 1 - p);
            e->kept = -1;                    /* once */
            c->lines++;
        }
    }

    return out;
}


/* Replaces the open file OLD by one with the SIZE bytes at TEXT and the same mode, and
 * the same owner if root runs this.  Locks it before others can open it.  Returns its
 * descriptor, or NGX_INVALID_FILE. */
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

    if ((fchown(fd, st.st_uid, st.st_gid) != 0 && geteuid() == 0)
        || fchmod(fd, st.st_mode & 0777) != 0 || hub_file_try(fd, F_WRLCK) != 0
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
            c->lines = c->had;
        } else {
            (void) ngx_close_file(h->revocations->fd);
            h->revocations->fd = fd;
            hub_store(&h->header->half_line, 0);
            ngx_log_error(NGX_LOG_NOTICE, log, 0,
                          "hub_revocations \"%V\" had %ui lines and was "
                          "rewritten with %ui", name, c->had, c->lines);
        }
    }

    ngx_free(out);
}


/* Adds to the table what workers of another zone appended, in a reload,
 * then leaves out the lines that the table does not need.  The caller holds the lock and
 * may have lost it afterwards. */
static void
hub_file_compact(hub_t *h, ngx_log_t *log)
{
    u_char         *text;
    size_t          size;
    ngx_fd_t        fd;
    hub_compact_t  *c = ngx_alloc(sizeof(hub_compact_t), log);

    if (c == NULL) {
        return;
    }

    text = hub_read_file(&h->revocations->name, &size, &fd, log);
    c->had = c->lines = 0;

    if (text) {
        (void) hub_revocations_take(h, text, text + size, NULL);

        ngx_shmtx_lock(&h->pool->mutex);
        c->n = h->header->nrevoked;
        ngx_memcpy(c->entry, h->revoked, sizeof(c->entry));
        ngx_shmtx_unlock(&h->pool->mutex);

        hub_revocations_replace(h, c, text, size, log);
        hub_revocations_counted(h, c->lines);
    }

    ngx_free(text);
    ngx_free(c);
    hub_close_read(fd);
}


void
hub_revocations_rewrite(hub_t *h, ngx_log_t *log)
{
    if (hub_file_lock(h) == NGX_OK) {
        hub_file_compact(h, log);
        hub_file_unlock(h);

    } else {
        ngx_log_error(NGX_LOG_WARN, log, ngx_errno,
                      "hub_revocations \"%V\" cannot be locked: it is not read "
                      "again", &h->revocations->name);
    }
}


/* --- adding --- */

/* Writes R as a line to P, which has room for HUB_LINE_MAX bytes.  Returns its end. */
static u_char *
hub_line(u_char *p, const hub_revocation_t *r, const ngx_str_t *name)
{
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

    return p;
}


/* Appends the line from P to END.  The caller holds the lock. */
static ngx_int_t
hub_file_add(hub_t *h, const u_char *p, const u_char *end)
{
    ssize_t   n;
    uint64_t  half = hub_load(&h->header->half_line);

    hub_store(&h->header->half_line, 1);     /* in case of a SIGKILL */
    n = write(h->revocations->fd, p, (size_t) (end - p));

    if (n != end - p) {
        hub_store(&h->header->half_line, n > 0 ? 1 : half);
        return NGX_ERROR;
    }

    hub_store(&h->header->half_line, 0);
    h->header->lines++;

    return fdatasync(h->revocations->fd) == 0 ? NGX_OK : NGX_ERROR;
}


ngx_int_t
hub_revocation_keep(hub_t *h, const hub_revocation_t *r, const ngx_str_t *name,
    ngx_log_t *log)
{
    u_char     *p, line[HUB_TORN_LEN + HUB_LINE_MAX];
    ngx_err_t   err;
    ngx_int_t   rc;

    if (h->revocations == NULL) {
        return NGX_OK;
    }

    rc = hub_file_lock(h);

    if (rc == NGX_OK) {
        p = line;

        if (hub_load(&h->header->half_line)) {
            p = ngx_cpymem(p, HUB_TORN, HUB_TORN_LEN);   /* the disk was full */
        }

        rc = hub_file_add(h, line, hub_line(p, r, name));
        err = ngx_errno;

        if (rc == NGX_OK && h->header->lines >= h->header->lines_most) {
            hub_file_compact(h, log);
        }

        hub_file_unlock(h);
        ngx_set_errno(err);
    }

    if (rc != NGX_OK) {
        ngx_log_error(NGX_LOG_ALERT, log, ngx_errno,
                      "hub: a revocation could not be written to \"%V\": it "
                      "is lost when nginx restarts", &h->revocations->name);
    }

    return rc;
}
