/*
 * A slow disk, for one process: its threads (not the first one) are held
 * where they ask the kernel to change files, as a disk that does not answer
 * would hold them.
 *
 *     slowdisk PID [MS]
 *
 * Without MS they are held until the end of stdin, with it each call takes MS
 * longer.  Prints "ready" when it watches every thread, and at the end how
 * many calls it held.  Whatever ends this program lets the threads go on.
 *
 * A thread is stopped only where such a call begins: never with a lock of its
 * program's in its hands, which no disk could do either.
 */

#define _GNU_SOURCE

#include <dirent.h>
#include <errno.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <linux/ptrace.h>

#define MAX_THREADS   256
#define LOOK_MS       2

enum { RUNNING = 0, HELD };

typedef struct {
    pid_t    tid;
    int      state;
    int64_t  until_ms;
} thread_t;

static pid_t     process;
static thread_t  threads[MAX_THREADS];
static int       nthreads;
static long      held;

static const long  by_path[] = {
    SYS_openat, SYS_mkdirat, SYS_unlinkat, SYS_renameat2, SYS_linkat,
#ifdef SYS_open
    SYS_open, SYS_mkdir, SYS_unlink, SYS_rename, SYS_rmdir, SYS_link,
#endif
#ifdef SYS_renameat
    SYS_renameat,
#endif
};

static const long  by_file[] = {
    SYS_write, SYS_pwrite64, SYS_writev, SYS_pwritev, SYS_pwritev2, SYS_fsync,
    SYS_fdatasync, SYS_ftruncate, SYS_fallocate, SYS_sync_file_range,
};


static void
die(const char *what, const char *value)
{
    fprintf(stderr, "slowdisk: %s \"%s\": %s\n", what, value, strerror(errno));
    exit(1);
}


static int64_t
now_ms(void)
{
    struct timespec  t;

    clock_gettime(CLOCK_MONOTONIC, &t);

    return (int64_t) t.tv_sec * 1000 + t.tv_nsec / 1000000;
}


/* A wake-up through an eventfd, or a line of a log pipe, is no disk's. */
static int
is_file(uint64_t fd)
{
    char         path[64];
    struct stat  st;

    snprintf(path, sizeof(path), "/proc/%d/fd/%d", process, (int) fd);

    return stat(path, &st) == 0 && S_ISREG(st.st_mode);
}


static int
changes_files(const struct ptrace_syscall_info *call)
{
    size_t  i;

    for (i = 0; i < sizeof(by_path) / sizeof(by_path[0]); i++) {
        if ((long) call->entry.nr == by_path[i]) {
            return 1;
        }
    }

    for (i = 0; i < sizeof(by_file) / sizeof(by_file[0]); i++) {
        if ((long) call->entry.nr == by_file[i]) {
            return is_file(call->entry.args[0]);
        }
    }

    return 0;
}


static void
attach_all(void)
{
    DIR            *dir;
    pid_t           tid;
    char            path[64];
    struct dirent  *entry;

    snprintf(path, sizeof(path), "/proc/%d/task", process);
    dir = opendir(path);
    if (dir == NULL) {
        die("process", path);
    }

    while ((entry = readdir(dir)) != NULL) {
        tid = (pid_t) atoi(entry->d_name);
        if (tid == 0 || tid == process) {
            continue;
        }
        if (nthreads == MAX_THREADS
            || ptrace(PTRACE_SEIZE, tid, NULL, PTRACE_O_TRACESYSGOOD) == -1
            || ptrace(PTRACE_INTERRUPT, tid, NULL, NULL) == -1)
        {
            die("thread", entry->d_name);
        }
        threads[nthreads++].tid = tid;
    }

    closedir(dir);

    if (nthreads == 0) {
        errno = ESRCH;
        die("threads of process", path);
    }
}


/* A thread that runs is stopped at its next call.  Returns 0 when it ended. */
static int
go_on(thread_t *t, int sig)
{
    t->state = RUNNING;

    return ptrace(PTRACE_SYSCALL, t->tid, NULL, (void *) (long) sig) == 0;
}


static void
on_stop(thread_t *t, int status, int64_t delay_ms)
{
    int                         sig = WSTOPSIG(status);
    struct ptrace_syscall_info  call;

    if (sig != (SIGTRAP | 0x80)) {
        go_on(t, status >> 16 ? 0 : sig);       /* an event, or a real signal */
        return;
    }

    if (ptrace(PTRACE_GET_SYSCALL_INFO, t->tid, sizeof(call), &call) > 0
        && call.op == PTRACE_SYSCALL_INFO_ENTRY && changes_files(&call))
    {
        held++;
        t->state = HELD;
        t->until_ms = now_ms() + delay_ms;
        return;
    }

    go_on(t, 0);
}


static void
watch(int64_t delay_ms, int forever)
{
    int            i, status;
    struct pollfd  in = { .fd = 0, .events = POLLIN };

    for ( ;; ) {
        for (i = 0; i < nthreads; i++) {
            if (waitpid(threads[i].tid, &status, __WALL | WNOHANG) > 0
                && WIFSTOPPED(status))
            {
                on_stop(&threads[i], status, delay_ms);
            }
            if (threads[i].state == HELD && !forever
                && threads[i].until_ms <= now_ms())
            {
                go_on(&threads[i], 0);
            }
        }

        if (poll(&in, 1, LOOK_MS) > 0) {
            return;
        }
    }
}


int
main(int argc, char **argv)
{
    int      i, status;
    int64_t  delay_ms = argc > 2 ? atoi(argv[2]) : 0;

    if (argc < 2 || argc > 3 || (process = (pid_t) atoi(argv[1])) <= 0) {
        fprintf(stderr, "slowdisk: expected PID [MS]\n");
        return 2;
    }

    attach_all();

    for (i = 0; i < nthreads; i++) {
        if (waitpid(threads[i].tid, &status, __WALL) > 0
            && WIFSTOPPED(status))
        {
            go_on(&threads[i], 0);
        }
    }

    printf("ready\n");
    fflush(stdout);
    watch(delay_ms, argc == 2);
    printf("%ld\n", held);

    return 0;                                   /* which detaches them all */
}
