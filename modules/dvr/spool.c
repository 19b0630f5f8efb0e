#include "spool.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <unistd.h>

#define SPOOL_MS_DIGITS  13
#define SPOOL_LAST       999999      /* events of one ms and process */

/* The name of this process's newest event.  A thread holds the lock until its
 * event is renamed, so that events appear in the order of their names. */
static pthread_mutex_t  spool_lock = PTHREAD_MUTEX_INITIALIZER;
static uint64_t         spool_ms;
static unsigned         spool_n;


static uint64_t
spool_now(void)
{
    struct timeval  tv;

    (void) gettimeofday(&tv, NULL);

    return (uint64_t) tv.tv_sec * 1000 + (uint64_t) tv.tv_usec / 1000;
}


/* The clock may have been set back since the events in the spool were written:
 * start behind the newest of them. */
static void
spool_begin(const char *folder)
{
    DIR            *dir = opendir(folder);
    char           *end;
    uint64_t        ms;
    struct dirent  *entry;

    spool_ms = 1;

    if (dir == NULL) {
        return;
    }

    while ((entry = readdir(dir)) != NULL) {
        ms = strtoull(entry->d_name, &end, 10);

        if (end == entry->d_name + SPOOL_MS_DIGITS && *end == '-'
            && ms > spool_ms)
        {
            spool_ms = ms;
            spool_n = SPOOL_LAST;
        }
    }

    (void) closedir(dir);
}


/* Makes the next name, monotonic even when the clock is set back. */
static void
spool_next(const char *folder)
{
    uint64_t  now = spool_now();

    if (spool_ms == 0) {
        spool_begin(folder);
    }

    if (now > spool_ms) {
        spool_ms = now;
        spool_n = 0;

    } else if (spool_n < SPOOL_LAST) {
        spool_n++;

    } else {
        spool_ms++;
        spool_n = 0;
    }
}


static char *
spool_text(const spool_event_t *e)
{
    int      failed = 0;
    char    *text, session[24];
    json_t  *json;

    (void) snprintf(session, sizeof(session), "%llu",
                    (unsigned long long) e->session);

    json = json_pack("{ss ss ss ss sI ss sI}", "event", e->event, "file",
                     e->file, "stream", e->stream, "format", e->format,
                     "id", (json_int_t) e->id, "session", session,
                     "from", (json_int_t) e->from);
    if (json == NULL) {
        return NULL;
    }

    if (strcmp(e->event, "close") == 0) {
        failed |= json_object_set_new(json, "to", json_integer(e->to));
        failed |= json_object_set_new(json, "bytes",
                                      json_integer((json_int_t) e->bytes));
        failed |= json_object_set_new(json, "state", json_string(e->state));
        failed |= json_object_set_new(json, "reason", json_string(e->reason));
    }

    text = failed ? NULL : json_dumps(json, JSON_COMPACT);
    json_decref(json);

    return text;
}


/* Without fsync: if a power cut loses an event, recovery or the service's scan of
 * the files finds its file. */
static int
spool_write(const char *path, const char *text)
{
    int      fd, failed;
    size_t   len = strlen(text);
    ssize_t  n;

    fd = open(path, O_WRONLY|O_CREAT|O_TRUNC|O_CLOEXEC, 0640);
    if (fd == -1) {
        return -1;
    }

    n = write(fd, text, len);
    if (n >= 0 && (size_t) n < len) {
        errno = ENOSPC;
        n = -1;
    }

    failed = n == -1 ? errno : 0;

    if (close(fd) == -1 && !failed) {
        failed = errno;
    }

    errno = failed;

    return failed ? -1 : 0;
}


static int
spool_place(const char *root, const char *text)
{
    int   failed;
    char  folder[PATH_MAX], path[PATH_MAX], part[PATH_MAX];

    /* an event's file name is shorter than 64 bytes */
    if (snprintf(folder, sizeof(folder), "%s/.spool", root)
        >= (int) sizeof(folder) - 64)
    {
        errno = ENAMETOOLONG;
        return -1;
    }

    if (mkdir(folder, 0770) == -1 && errno != EEXIST) {
        return -1;
    }

    spool_next(folder);

    (void) snprintf(path, sizeof(path), "%.*s/%013llu-%010lu-%06u.json",
                    PATH_MAX - 64, folder, (unsigned long long) spool_ms,
                    (unsigned long) getpid(), spool_n);

    /* one temporary name per process: a process that gets the pid of a crashed one
     * overwrites its leftover */
    (void) snprintf(part, sizeof(part), "%.*s/%010lu.tmp", PATH_MAX - 64,
                    folder, (unsigned long) getpid());

    if (spool_write(part, text) == 0 && rename(part, path) == 0) {
        return 0;
    }

    failed = errno;
    (void) unlink(part);
    errno = failed;

    return -1;
}


int
spool_put(const char *root, const spool_event_t *event)
{
    int    rc, failed;
    char  *text = spool_text(event);

    if (text == NULL) {
        errno = EILSEQ;              /* jansson accepts only UTF-8 */
        return -1;
    }

    (void) pthread_mutex_lock(&spool_lock);
    rc = spool_place(root, text);
    failed = errno;
    (void) pthread_mutex_unlock(&spool_lock);

    free(text);
    errno = failed;

    return rc;
}
