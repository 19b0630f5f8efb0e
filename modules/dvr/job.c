/*
 * The pool threads' work for the recorder.  A job that failed half way can be
 * repeated: every write has a fixed offset, and a failed write is cut off.
 */

#include "dvr.h"

#include <sys/file.h>
#include <sys/statvfs.h>

#define JOB_TRIES  4                 /* one per folder that may be deleted */


static int
job_fail(dvr_job_t *job, const char *verb)
{
    job->error = errno ? errno : EIO;
    job->failed = verb;

    return -1;
}


static int
job_write_at(int fd, const void *data, size_t len, uint64_t at)
{
    ssize_t        n;
    const u_char  *p = data;

    while (len) {
        n = pwrite(fd, p, len, (off_t) at);

        if (n < 0 && errno == EINTR) {
            continue;
        }

        if (n <= 0) {
            errno = n == 0 ? ENOSPC : errno;
            return -1;
        }

        p += n;
        at += (size_t) n;
        len -= (size_t) n;
    }

    return 0;
}


/* Writes the parts of a fragment: in one call, unless that writes too little. */
static int
job_write_media(dvr_job_t *job)
{
    int           i, n = 0;
    size_t        all = 0;
    ssize_t       done;
    uint64_t      at = job->offset;
    dvr_buf_t    *part[3] = { &job->head, &job->media[0], &job->media[1] };
    struct iovec  iov[3];

    for (i = 0; i < 3; i++) {
        if (part[i]->len) {
            iov[n].iov_base = part[i]->data;
            iov[n++].iov_len = part[i]->len;
            all += part[i]->len;
        }
    }

    done = all ? pwritev(job->fd, iov, n, (off_t) at) : 0;

    if (done == (ssize_t) all) {
        return 0;
    }

    if (done < 0 && errno != EINTR) {
        return -1;
    }

    for (i = 0; i < 3; i++) {
        if (job_write_at(job->fd, part[i]->data, part[i]->len, at) != 0) {
            return -1;
        }
        at += part[i]->len;
    }

    return 0;
}


static int
job_check_space(dvr_job_t *job)
{
    uint64_t           available, floor;
    struct statvfs     fs;
    const dvr_conf_t  *conf = job->conf;

    if (conf->free == 0 && conf->free_part == 0 && job->action != DVR_OPEN) {
        return 0;
    }

    if (statvfs((char *) conf->root.data, &fs) != 0) {
        return -1;
    }

    available = (uint64_t) fs.f_bavail * fs.f_frsize;

    floor = (uint64_t) fs.f_blocks * fs.f_frsize / 100 * conf->free_part;
    floor = ngx_max(floor, (uint64_t) conf->free);

    /* a new file needs a margin, or it would stop again at once */
    if (available < floor + (job->action == DVR_OPEN ? FRAGMENT_BYTES : 0)) {
        errno = ENOSPC;
        return -1;
    }

    return 0;
}


/* Creates the folders above the file. */
static int
job_create_folders(const char *root, const char *file)
{
    char   path[NGX_MAX_PATH];
    char  *p, *below;
    int    n;

    n = snprintf(path, sizeof(path), "%s/%s", root, file);

    if (n < 0 || (size_t) n >= sizeof(path)) {
        errno = ENAMETOOLONG;
        return -1;
    }

    below = path + strlen(root) + 1;

    for (p = strchr(below, '/'); p; p = strchr(p + 1, '/')) {
        *p = '\0';
        if (mkdir(path, 0770) != 0 && errno != EEXIST) {
            return -1;
        }
        *p = '/';
    }

    return 0;
}


static int
job_open_file(dvr_job_t *job, const char *file, int flags)
{
    int   fd;
    char  path[NGX_MAX_PATH];

    (void) snprintf(path, sizeof(path), "%s/%s", job->conf->root.data, file);

    fd = open(path, flags | O_RDWR | O_CLOEXEC | O_NOFOLLOW, 0640);

    return fd;
}


/*
 * Creates the file.  Retries on ENOENT: the service deletes empty folders, innermost
 * first, and may do so after job_create_folders() (a race).
 */
static int
job_create_file(dvr_job_t *job)
{
    int  tries = JOB_TRIES;

    do {
        if (job_create_folders((char *) job->conf->root.data, job->file) == 0) {
            job->fd = job_open_file(job, job->file, O_CREAT|O_EXCL);

        } else {
            job->fd = -1;
        }
    } while (job->fd == -1 && errno == ENOENT && --tries);

    return job->fd == -1 ? -1 : 0;
}


static void
job_unlink(dvr_job_t *job, const char *file)
{
    char  path[NGX_MAX_PATH];

    (void) snprintf(path, sizeof(path), "%s/%s", job->conf->root.data, file);
    (void) unlink(path);
}


static void
job_close_files(dvr_job_t *job)
{
    if (job->fd != -1) {
        (void) close(job->fd);
        job->fd = -1;
    }

    if (job->index_fd != -1) {
        (void) close(job->index_fd);
        job->index_fd = -1;
    }
}


static int
job_create(dvr_job_t *job)
{
    const char  *root = (char *) job->conf->root.data;

    if (job_check_space(job) != 0) {
        return job_fail(job, "find space for");
    }

    if (job_create_file(job) != 0) {
        return job_fail(job, "create");
    }

    /* lock before marking: recovery takes any marked, unlocked file */
    if (flock(job->fd, LOCK_EX|LOCK_NB) != 0) {
        return job_fail(job, "lock");
    }

    if (marker_put(root, job->file) != 0) {
        return job_fail(job, "write the marker of");
    }

    if (job->index[0]) {
        job->index_fd = job_open_file(job, job->index, O_CREAT|O_EXCL);

        if (job->index_fd == -1) {
            return job_fail(job, "create the index of");
        }
    }

    return 0;
}


static void
job_open(dvr_job_t *job)
{
    if (job_create(job) == 0
        && (job_write_media(job) != 0
            || job_write_at(job->index_fd, job->lines, job->lines_len, 0) != 0
            || spool_put((char *) job->conf->root.data, &job->event) != 0))
    {
        (void) job_fail(job, "begin");
    }

    if (job->error && job->fd != -1) {       /* leave nothing behind */
        job_unlink(job, job->file);
        if (job->index[0]) {
            job_unlink(job, job->index);
        }
        (void) marker_remove((char *) job->conf->root.data, job->file);
        job_close_files(job);
    }

    job->synced_ms = ngx_current_msec;
}


/* Rewrites the head of the file that was just begun. */
static void
job_rewrite_head(dvr_job_t *job)
{
    if (ftruncate(job->fd, 0) != 0
        || (job->index_fd != -1 && ftruncate(job->index_fd, 0) != 0)
        || job_write_media(job) != 0
        || job_write_at(job->index_fd, job->lines, job->lines_len, 0) != 0)
    {
        (void) job_fail(job, "rewrite the head of");
        job_close_files(job);            /* recovery deletes the file */
    }
}


static void
job_sync(dvr_job_t *job)
{
    ngx_msec_t  every = job->conf->sync;

    if (every == 0 || ngx_current_msec - job->synced_ms < every) {
        return;
    }

    /* only start the write-back: on a busy disk, waiting for its end could take
     * longer than the hub's window lasts */
    (void) sync_file_range(job->fd, 0, 0, SYNC_FILE_RANGE_WRITE);
    if (job->index_fd != -1) {
        (void) sync_file_range(job->index_fd, 0, 0, SYNC_FILE_RANGE_WRITE);
    }

    job->synced_ms = ngx_current_msec;
}


/* Is FILE still the name of FD's file?  Yes, unless that can be disproved. */
static int
job_is_named(const dvr_job_t *job, const char *file, int fd)
{
    char         path[NGX_MAX_PATH];
    struct stat  named, ours;

    (void) snprintf(path, sizeof(path), "%s/%s", job->conf->root.data, file);

    if (fstat(fd, &ours) == -1) {
        return 1;
    }

    if (lstat(path, &named) == -1) {
        return errno != ENOENT && errno != ENOTDIR;
    }

    return named.st_ino == ours.st_ino && named.st_dev == ours.st_dev;
}


/* Fails when somebody removed, moved or replaced the file or its index: nobody
 * would ever find the frames. */
static int
job_check_files(dvr_job_t *job)
{
    if (job_is_named(job, job->file, job->fd)
        && (!job->index[0] || job_is_named(job, job->index, job->index_fd)))
    {
        return 0;
    }

    job->gone = 1;
    job_close_files(job);
    errno = ENOENT;

    return job_fail(job, "find");
}


static void
job_write(dvr_job_t *job)
{
    if (job_check_files(job) != 0) {
        return;
    }

    if (job_check_space(job) != 0 || job_write_media(job) != 0
        || job_write_at(job->fd, job->patch.data, job->patch.len, job->patch_at)
           != 0
        || job_write_at(job->index_fd, job->lines, job->lines_len,
                        job->index_offset) != 0)
    {
        (void) job_fail(job, "write");

        /* cut off a part of a fragment: the next write may be shorter */
        if (ftruncate(job->fd, (off_t) job->offset) != 0
            || (job->index_fd != -1
                && ftruncate(job->index_fd, (off_t) job->index_offset) != 0))
        {
            job->failed = "write, then truncate,";
        }
        return;
    }

    job_sync(job);
}


static void
job_finish(dvr_job_t *job)
{
    const char  *root = (char *) job->conf->root.data;

    if (job_check_files(job) != 0) {
        return;
    }

    if ((job->cut && ftruncate(job->fd, (off_t) job->offset) != 0)
        || (job->cut && job->index_fd != -1
            && ftruncate(job->index_fd, (off_t) job->index_offset) != 0)
        || job_write_at(job->fd, job->patch.data, job->patch.len, job->patch_at)
           != 0
        || job_write_at(job->index_fd, job->lines, job->lines_len,
                        job->index_offset) != 0)
    {
        (void) job_fail(job, "close");
        return;
    }

    if (!job->spooled && spool_put(root, &job->event) != 0) {
        (void) job_fail(job, "spool the end of");
        return;
    }

    job->spooled = 1;
}


void
dvr_closed_run(dvr_closed_t *closed)
{
    if (closed->conf->sync) {
        (void) fdatasync(closed->fd);
        if (closed->index_fd != -1) {
            (void) fdatasync(closed->index_fd);
        }
    }

    /* if this fails, recovery harmlessly checks the file once more */
    (void) marker_remove((char *) closed->conf->root.data, closed->file);

    (void) close(closed->fd);
    if (closed->index_fd != -1) {
        (void) close(closed->index_fd);
    }
}


/* Reopens the file of a worker that died, to continue it. */
static void
job_resume(dvr_job_t *job)
{
    job->fd = job_open_file(job, job->file, 0);

    if (job->fd == -1) {
        if (errno == ENOENT) {           /* dvr_format may have changed */
            job->other = recover_other((char *) job->conf->root.data, job->file,
                                       ngx_cycle->log) == 1;
        }
        (void) job_fail(job, "reopen");
        return;
    }

    /* a file without a marker was closed and its end was spooled */
    if (flock(job->fd, LOCK_EX|LOCK_NB) != 0
        || !marker_there((char *) job->conf->root.data, job->file)
        || recover_file((char *) job->conf->root.data, job->file, job->fd,
                        &job->recovered) != 0)
    {
        (void) job_fail(job, "continue");
        job_close_files(job);
        return;
    }

    if (job->index[0]) {
        job->index_fd = job_open_file(job, job->index, 0);

        if (job->index_fd == -1) {
            (void) job_fail(job, "reopen the index of");
            job_close_files(job);
        }
    }

    job->synced_ms = ngx_current_msec;
}


void
dvr_job_run(dvr_job_t *job)
{
    job->error = 0;
    job->gone = 0;
    job->other = 0;
    errno = 0;

    switch (job->action) {

    case DVR_OPEN:
        job_open(job);
        break;

    case DVR_REWRITE:
        job_rewrite_head(job);
        break;

    case DVR_WRITE:
        job_write(job);
        break;

    case DVR_CLOSE:
        job_finish(job);
        break;

    case DVR_CHECK:
        (void) job_check_files(job);
        break;

    default: /* DVR_RESUME */
        job_resume(job);
    }
}
