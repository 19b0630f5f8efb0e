#include "recover_flv.h"
#include "recover_mp4.h"
#include "spool.h"

#include "../rules/rec_index.h"
#include "../rules/rec_path.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

/* A marker holds the kernel's boot id. */
#define BOOT           "/proc/sys/kernel/random/boot_id"
#define BOOT_MAX       64


/* --- markers --- */

static int
join_path(char out[PATH_MAX], const char *root, const char *name)
{
    if (snprintf(out, PATH_MAX, "%s/%s", root, name) < PATH_MAX) {
        return 0;
    }

    errno = ENAMETOOLONG;

    return -1;
}


static int
marker_path(char out[PATH_MAX], const char *root, const char *file)
{
    char  marker[REC_MARKER_MAX];

    if (rec_path_marker(marker, file) == 0) {
        errno = EINVAL;
        return -1;
    }

    return join_path(out, root, marker);
}


static int
sync_folder(const char *path)
{
    int  fd, rc, failed;

    fd = open(path, O_RDONLY|O_DIRECTORY|O_CLOEXEC);
    if (fd == -1) {
        return -1;
    }

    rc = fsync(fd);
    failed = errno;
    (void) close(fd);
    errno = failed;

    return rc;
}


/* Reads the first bytes of a small file.  Returns 0 when it has none or cannot be
 * read. */
static size_t
read_small(const char *path, char *out, size_t max)
{
    int      fd;
    ssize_t  n;

    fd = open(path, O_RDONLY|O_NONBLOCK|O_CLOEXEC|O_NOFOLLOW);
    if (fd == -1) {
        return 0;
    }

    n = read(fd, out, max);
    (void) close(fd);

    return n > 0 ? (size_t) n : 0;
}


/* Was the file written before the machine booted?  Then a power cut may have lost
 * pages that the kernel had not written back. */
static int
is_in_doubt(const char *root, const char *file)
{
    char    path[PATH_MAX], now[BOOT_MAX], then[BOOT_MAX];
    size_t  n = read_small(BOOT, now, BOOT_MAX);

    return n == 0 || marker_path(path, root, file) == -1
           || read_small(path, then, BOOT_MAX) != n
           || memcmp(now, then, n) != 0;
}


int
marker_put(const char *root, const char *file)
{
    int     fd, failed;
    char    folder[PATH_MAX], path[PATH_MAX], boot[BOOT_MAX];
    size_t  n = read_small(BOOT, boot, BOOT_MAX);

    if (join_path(folder, root, REC_MARKERS) == -1
        || marker_path(path, root, file) == -1
        || (mkdir(folder, 0770) == -1 && errno != EEXIST))
    {
        return -1;
    }

    fd = open(path, O_WRONLY|O_CREAT|O_CLOEXEC, 0640);
    if (fd == -1) {
        return -1;
    }

    failed = n && write(fd, boot, n) == -1 ? errno : 0;
    (void) close(fd);
    errno = failed;

    /* sync the marker before any data of the file is written */
    return failed ? -1 : sync_folder(folder);
}


int
marker_remove(const char *root, const char *file)
{
    char  path[PATH_MAX];

    if (marker_path(path, root, file) == -1) {
        return -1;
    }

    return unlink(path) == -1 && errno != ENOENT ? -1 : 0;
}


int
marker_there(const char *root, const char *file)
{
    char  path[PATH_MAX];

    return marker_path(path, root, file) == 0 && access(path, F_OK) == 0;
}


/* --- one file --- */

/* A format's recovery function. */
typedef int (*recover_pt)(const recover_file_t *file, int fd, int keep,
    recovered_t *out);

typedef struct {
    const char  *format;             /* its name and extension */
    recover_pt   recover;
} format_t;

static const format_t  formats[] = {
    { "mp4", recover_mp4 },
    { "flv", recover_flv },
    { NULL, NULL }
};

typedef struct {
    const char      *root, *file;
    const format_t  *format;
    recover_file_t   names;
    char             stream[REC_STREAM_MAX + 1];
    char             path[PATH_MAX];
    unsigned         taken:1;
} target_t;


/* Where DAY begins in APP/NAME/DAY/TIME.EXT. */
static const char *
find_day(const char *file)
{
    int  n;

    for (n = 0; *file; file++) {
        if (*file == '/' && ++n == 2) {
            return file + 1;
        }
    }

    return NULL;
}


/* Parses FILE's path.  Returns 0, or -1 when it is not a recording's. */
static int
find_target(target_t *t, const char *root, const char *file)
{
    size_t           len;
    const char      *day = find_day(file), *dot = strrchr(file, '.');
    const format_t  *format;

    errno = EINVAL;

    if (day == NULL || dot == NULL
        || rec_path_stream(t->stream, sizeof(t->stream), file,
                           (size_t) (day - 1 - file)) == 0)
    {
        return -1;
    }

    for (format = formats; format->format; format++) {
        if (strcmp(format->format, dot + 1) == 0) {
            break;
        }
    }

    if (format->format == NULL) {
        return -1;
    }

    t->root = root;
    t->file = file;
    t->format = format;
    t->names.name = strrchr(file, '/') + 1;
    t->names.stream = t->stream;
    t->names.utc = rec_path_utc(day, strlen(day), format->format);

    if (t->names.utc == -1 || join_path(t->path, root, file) == -1) {
        return -1;
    }

    len = (size_t) snprintf(t->names.index, sizeof(t->names.index),
                            "%s/%.*s.m3u8", root, (int) (dot - file), file);
    if (len >= sizeof(t->names.index)) {
        errno = ENAMETOOLONG;
        return -1;
    }

    t->names.doubt = is_in_doubt(root, file);

    return 0;
}


int
recover_file(const char *root, const char *file, int fd, recovered_t *out)
{
    target_t  t;

    if (find_target(&t, root, file) == -1) {
        return -1;
    }

    return t.format->recover(&t.names, fd, 0, out);
}


/* --- all of them --- */

static int
put_event(const target_t *t, const recovered_t *r)
{
    spool_event_t  event;

    ngx_memzero(&event, sizeof(spool_event_t));

    event.event = "close";
    event.file = t->file;
    event.stream = t->stream;
    event.format = t->format->format;
    event.session = r->session ? r->session : (uint64_t) t->names.utc;
    event.from = r->size ? r->utc : t->names.utc;
    event.to = event.from + r->end;
    event.bytes = r->size;

    if (r->size == 0) {
        event.state = "interrupted";
        event.reason = "nothing in it can be played";

    } else if (r->ended && !r->interrupted) {
        event.state = "complete";
        event.reason = "the recorder ended it";

    } else {
        event.state = "interrupted";
        event.reason = "the recorder was interrupted";
    }

    return spool_put(t->root, &event);
}


static int
write_duration(int fd, const recovered_t *r)
{
    int      i;
    uint8_t  duration[8];

    for (i = 0; i < 8; i++) {
        duration[i] = (uint8_t) ((uint64_t) r->end >> (56 - 8 * i));
    }

    return pwrite(fd, duration, 8, (off_t) r->duration_at) == 8 ? 0 : -1;
}


/* Ends the index and syncs it. */
static int
end_index(const target_t *t, const recovered_t *r)
{
    int     fd, failed = 0;
    char    text[REC_LINES_MAX];
    size_t  size;

    fd = open(t->names.index, O_WRONLY|O_CLOEXEC|O_NOFOLLOW);
    if (fd == -1) {
        return -1;
    }

    if (!r->ended) {
        size = rec_index_end(text, 1);
        errno = ENOSPC;
        if (pwrite(fd, text, size, (off_t) r->index_size) != (ssize_t) size) {
            failed = errno;              /* the next recovery cuts it off */
        }
    }

    if (!failed && fdatasync(fd) == -1) {
        failed = errno;
    }

    (void) close(fd);
    errno = failed;

    return failed ? -1 : 0;
}


/* Closes the file for good.  A step may be repeated: the service gets the event
 * at least once. */
static int
close_file(const target_t *t, int fd, const recovered_t *r)
{
    if (r->init_size && write_duration(fd, r) == -1) {
        return -1;
    }

    if (fdatasync(fd) == -1 || (r->init_size && end_index(t, r) == -1)
        || put_event(t, r) == -1)
    {
        return -1;
    }

    return marker_remove(t->root, t->file);
}


/* For a file with nothing to play, or one that was never created. */
static int
delete_file(const target_t *t)
{
    recovered_t  none;

    ngx_memzero(&none, sizeof(recovered_t));

    /* delete before spooling: the event's reader may look for the file */
    if ((unlink(t->names.index) == -1 && errno != ENOENT)
        || (unlink(t->path) == -1 && errno != ENOENT)
        || put_event(t, &none) == -1)
    {
        return -1;
    }

    return marker_remove(t->root, t->file);
}


static int
recover_open(const target_t *t, int fd, ngx_log_t *log)
{
    int          rc;
    recovered_t  r;

    rc = t->format->recover(&t->names, fd, 1, &r);

    if (rc == -1 && errno == ENODATA) {
        rc = delete_file(t);
        if (rc == 0) {
            ngx_log_error(NGX_LOG_NOTICE, log, 0,
                          "recording \"%s/%s\" was interrupted and is deleted: "
                          "nothing in it can be played", t->root, t->file);
        }
        return rc;
    }

    if (rc == 0) {
        free(r.flv);
        rc = close_file(t, fd, &r);
    }

    if (rc == -1) {
        return -1;
    }

    ngx_log_error(NGX_LOG_NOTICE, log, 0,
                  "recording \"%s/%s\" was interrupted: recovered %uL bytes, "
                  "%L ms, and cut %uL bytes off", t->root, t->file, r.size,
                  r.end, r.cut);

    return 0;
}


/* Returns 0; 1 when a recorder is about to continue the file; -1 with errno. */
static int
recover_unlocked(const target_t *t, ngx_log_t *log)
{
    int  fd, rc, failed;

    fd = open(t->path, O_RDWR|O_CLOEXEC|O_NOFOLLOW);
    if (fd == -1) {
        return errno == ENOENT ? delete_file(t) : -1;
    }

    if (flock(fd, LOCK_EX|LOCK_NB) == -1) {
        rc = errno == EWOULDBLOCK ? 0 : -1;  /* its writer is alive */

    } else if (!marker_there(t->root, t->file)) {
        rc = 0;                              /* its writer has just ended it */

    } else {
        rc = t->taken ? 1 : recover_open(t, fd, log);
    }

    failed = errno;
    (void) close(fd);
    errno = failed;

    return rc;
}


/* All workers scan the markers when they start; the marker's lock lets only one
 * of them recover the file and spool its event. */
static int
recover_marked(const target_t *t, ngx_log_t *log)
{
    int          fd, rc, failed;
    char         path[PATH_MAX];
    struct stat  st;

    if (marker_path(path, t->root, t->file) == -1) {
        return -1;
    }

    fd = open(path, O_RDONLY|O_NONBLOCK|O_CLOEXEC|O_NOFOLLOW);
    if (fd == -1) {
        return errno == ENOENT ? 0 : -1;
    }

    if (flock(fd, LOCK_EX|LOCK_NB) == -1) {
        rc = errno == EWOULDBLOCK ? 0 : -1;

    } else {
        rc = fstat(fd, &st);
        if (rc == 0 && st.st_nlink > 0) {
            rc = recover_unlocked(t, log);
        }
    }

    failed = errno;
    (void) close(fd);
    errno = failed;

    return rc;
}


int
recover_other(const char *root, const char *file, ngx_log_t *log)
{
    int              len = (int) (strrchr(file, '.') - file);
    char             other[REC_PATH_MAX];
    target_t         t;
    const format_t  *format;

    ngx_memzero(&t, sizeof(target_t));

    for (format = formats; format->format; format++) {
        (void) snprintf(other, sizeof(other), "%.*s.%s", len, file,
                        format->format);

        if (strcmp(other, file) == 0 || find_target(&t, root, other) == -1
            || !marker_there(root, other))
        {
            continue;
        }

        if (recover_marked(&t, log) != 0) {
            return -1;
        }

        errno = EWOULDBLOCK;
        return marker_there(root, other) ? -1 : 1;
    }

    errno = ENOENT;
    return 0;
}


static int
is_taken(const char *file, const recover_taken_t *taken, size_t n)
{
    size_t  len = (size_t) (strrchr(file, '.') - file);

    while (n--) {
        if (strlen(taken[n]) == len && memcmp(taken[n], file, len) == 0) {
            return 1;
        }
    }

    return 0;
}


size_t
recover_all(const char *root, const recover_taken_t *taken, size_t n,
    ngx_log_t *log)
{
    int             rc;
    size_t          remaining = 0;
    DIR            *dir;
    char            folder[PATH_MAX], file[REC_PATH_MAX];
    target_t        t;
    struct dirent  *entry;

    if (join_path(folder, root, REC_MARKERS) == -1) {
        return 0;
    }

    dir = opendir(folder);
    if (dir == NULL) {
        if (errno != ENOENT) {
            ngx_log_error(NGX_LOG_ERR, log, errno,
                          "opendir() \"%s\" failed: interrupted recordings "
                          "are not recovered", folder);
            remaining++;
        }
        return remaining;
    }

    while ((entry = readdir(dir)) != NULL) {

        if (entry->d_name[0] == '.') {
            continue;
        }

        if (rec_path_marked(file, entry->d_name) == 0
            || find_target(&t, root, file) == -1)
        {
            ngx_log_error(NGX_LOG_ERR, log, 0,
                          "\"%s/%s\" is not the marker of a recording, expected "
                          "APP%%2FNAME%%2FDAY%%2FTIME.EXT",
                          folder, entry->d_name);
            continue;
        }

        t.taken = is_taken(file, taken, n);
        rc = recover_marked(&t, log);
        remaining += rc != 0;

        if (rc == -1) {
            ngx_log_error(NGX_LOG_ERR, log, errno,
                          "recording \"%s/%s\" was interrupted, recovery "
                          "will try again", root, file);
        }
    }

    (void) closedir(dir);

    return remaining;
}
