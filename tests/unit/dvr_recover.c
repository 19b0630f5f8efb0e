/*
 * The recovery and the spool of modules/dvr, driven by dvr-recover.test.mjs: a
 * command per line on standard input, an answer per line on standard output.
 *
 *   recover ROOT FILE   recover_file() under the file's lock
 *   all ROOT [PATH]     recover_all() except PATH, a file in use; lines "log: …"
 *                       come first
 *   mark ROOT FILE      marker_put()
 *   lock PATH           takes the lock of a file, until `unlock`
 *   unlock
 *   spool ROOT N TEXT   N events with TEXT as their reason
 *   fault N WHAT        from now on call N to the disk fails with ENOSPC or EIO, or
 *                       with `kill` ends the process; 0: no call fails
 *
 * A call that fails with ENOSPC first does half of its work.  The linker sends
 * the calls here (--wrap, see the Makefile).
 */

#include "spool.h"
#include "recover.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/wait.h>

#define KILLED  99

static int  fault_at, fault_error, calls, locked = -1;


/* --- the disk --- */

static int faulty(void)
{
    if (++calls != fault_at) {
        return 0;
    }

    if (fault_error == 0) {
        _exit(KILLED);
    }

    errno = fault_error;
    return 1;
}

#define WRAP(type, name, parameters, arguments)                               \
    type __real_##name parameters;                                            \
    type __wrap_##name parameters;                                            \
    type __wrap_##name parameters                                             \
    {                                                                         \
        return faulty() ? (type) -1 : __real_##name arguments;                \
    }

WRAP(ssize_t, pread64, (int fd, void *p, size_t n, off_t at), (fd, p, n, at))
WRAP(int, ftruncate64, (int fd, off_t size), (fd, size))
WRAP(int, fdatasync, (int fd), (fd))
WRAP(int, fsync, (int fd), (fd))
WRAP(int, rename, (const char *from, const char *to), (from, to))
WRAP(int, unlink, (const char *path), (path))

ssize_t __real_pwrite64(int fd, const void *p, size_t n, off_t at);
ssize_t __wrap_pwrite64(int fd, const void *p, size_t n, off_t at);
ssize_t __wrap_pwrite64(int fd, const void *p, size_t n, off_t at)
{
    if (!faulty()) {
        return __real_pwrite64(fd, p, n, at);
    }

    return errno == ENOSPC && n > 1 ? __real_pwrite64(fd, p, n / 2, at) : -1;
}

ssize_t __real_write(int fd, const void *p, size_t n);
ssize_t __wrap_write(int fd, const void *p, size_t n);
ssize_t __wrap_write(int fd, const void *p, size_t n)
{
    if (!faulty()) {
        return __real_write(fd, p, n);
    }

    return errno == ENOSPC && n > 1 ? __real_write(fd, p, n / 2) : -1;
}

int __real_open64(const char *path, int flags, ...);
int __wrap_open64(const char *path, int flags, ...);
int __wrap_open64(const char *path, int flags, ...)
{
    int      mode;
    va_list  args;

    va_start(args, flags);
    mode = flags & O_CREAT ? va_arg(args, int) : 0;
    va_end(args);

    return faulty() ? -1 : __real_open64(path, flags, mode);
}


/* --- functions of nginx --- */

void ngx_log_error_core(ngx_uint_t level, ngx_log_t *log, ngx_err_t error,
    const char *format, ...)
{
    int          i;
    va_list      args;
    const char  *text[4] = { "", "", "", "" };

    /* all lines begin with one or two strings */
    va_start(args, format);
    for (i = 0; i < 2 && format[0] != 'o'; i++) {
        text[i] = va_arg(args, const char *);
    }
    va_end(args);

    (void) log;
    printf("log: %lu %d %s/%s\n", (unsigned long) level, error, text[0], text[1]);
}


/* --- commands --- */

static void do_recover(const char *root, const char *file)
{
    int          fd, rc;
    char         path[PATH_MAX];
    recovered_t  r;

    (void) snprintf(path, sizeof(path), "%s/%s", root, file);

    fd = __real_open64(path, O_RDWR);
    if (fd == -1 || flock(fd, LOCK_EX|LOCK_NB) == -1) {
        printf("error %s\n", strerrorname_np(errno));
        return;
    }

    calls = 0;
    rc = recover_file(root, file, fd, &r);

    if (rc == -1) {
        printf("error %s\n", strerrorname_np(errno));

    } else {
        printf("{\"size\":%llu,\"index\":%llu,\"init\":%llu,\"durationAt\":%llu,"
               "\"sequence\":%u,\"dts\":[%lld,%lld],\"end\":%lld,\"utc\":%lld,"
               "\"session\":\"%llu\",\"cut\":%llu,\"ended\":%d,"
               "\"interrupted\":%d,\"calls\":%d}\n",
               (unsigned long long) r.size, (unsigned long long) r.index_size,
               (unsigned long long) r.init_size,
               (unsigned long long) r.duration_at, r.sequence,
               (long long) r.dts[0], (long long) r.dts[1], (long long) r.end,
               (long long) r.utc, (unsigned long long) r.session,
               (unsigned long long) r.cut, r.ended, r.interrupted, calls);
        free(r.flv);
    }

    (void) close(fd);
}


static void do_all(const char *root, const char *except)
{
    size_t           left;
    ngx_log_t        log;
    recover_taken_t  taken[1];

    (void) snprintf(taken[0], sizeof(taken[0]), "%s", except ? except : "");

    memset(&log, 0, sizeof(log));
    log.log_level = NGX_LOG_NOTICE;

    calls = 0;
    left = recover_all(root, taken, taken[0][0] != 0, &log);
    printf("done %d %lu\n", calls, (unsigned long) left);
}


static void do_spool(const char *root, int n, const char *text)
{
    int            i;
    spool_event_t  event;

    memset(&event, 0, sizeof(event));
    event.event = "close";
    event.stream = "live/demo";
    event.format = "mp4";
    event.file = "live/demo/2026-11-23/14-00-00.123.mp4";
    event.id = 3;
    event.session = 1795403212345;
    event.state = "complete";
    event.reason = text;

    calls = 0;
    for (i = 0; i < n; i++) {
        event.bytes = (uint64_t) i;
        if (spool_put(root, &event) == -1) {
            printf("error %s\n", strerrorname_np(errno));
            return;
        }
    }

    printf("done %d\n", calls);
}


static void do_lock(const char *path)
{
    locked = __real_open64(path, O_RDWR);
    printf(locked != -1 && flock(locked, LOCK_EX|LOCK_NB) == 0
           ? "done\n" : "error\n");
}


static void set_fault(int at, const char *what)
{
    fault_at = at;
    fault_error = strcmp(what, "kill") == 0 ? 0
                  : strcmp(what, "EIO") == 0 ? EIO : ENOSPC;
    printf("done\n");
}


static void obey(char *line)
{
    char  *word[4] = { NULL, NULL, NULL, NULL }, *rest = line;
    int    n;

    for (n = 0; n < 4 && rest; n++) {
        word[n] = strsep(&rest, " ");
    }

    if (strcmp(word[0], "recover") == 0) {
        do_recover(word[1], word[2]);

    } else if (strcmp(word[0], "all") == 0) {
        do_all(word[1], word[2]);

    } else if (strcmp(word[0], "mark") == 0) {
        printf(marker_put(word[1], word[2]) == 0 ? "done\n" : "error\n");

    } else if (strcmp(word[0], "lock") == 0) {
        do_lock(word[1]);

    } else if (strcmp(word[0], "unlock") == 0) {
        (void) close(locked);
        printf("done\n");

    } else if (strcmp(word[0], "spool") == 0) {
        do_spool(word[1], atoi(word[2]), word[3]);

    } else if (strcmp(word[0], "fault") == 0) {
        set_fault(atoi(word[1]), word[2]);

    } else {
        printf("error no such command\n");
    }
}


/* Obeys LINE in a child process, which a fault may kill. */
static void obey_and_die(char *line)
{
    int    status;
    pid_t  pid = fork();

    if (pid == 0) {
        obey(line);
        (void) fflush(stdout);
        _exit(0);
    }

    (void) waitpid(pid, &status, 0);

    if (status) {
        printf(WIFEXITED(status) && WEXITSTATUS(status) == KILLED
               ? "killed\n" : "error crashed\n");
    }
}


int main(void)
{
    char     *line = NULL;
    size_t    max = 0;
    ssize_t   n;

    while ((n = getline(&line, &max, stdin)) > 0) {
        line[n - 1] = '\0';

        if (fault_at && fault_error == 0 && strncmp(line, "fault", 5) != 0) {
            obey_and_die(line);
        } else {
            obey(line);
        }

        (void) fflush(stdout);
    }

    free(line);

    return 0;
}
