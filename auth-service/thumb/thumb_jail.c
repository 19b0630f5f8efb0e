#define _GNU_SOURCE

#include "thumb_jail.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/landlock.h>
#include <linux/seccomp.h>
#include <seccomp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

/* 34 bits of page numbers; where addresses are shorter, the kernel takes this as a hint. */
#define JAIL_ADDRESSES  0x3ffffffff000ULL

#define JAIL_NOBODY  65534      /* nobody, nogroup: the kernel's id for ids that have no mapping */

#define JAIL_READ  (LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR)

/* Rights of Landlock's first version, without execution, which seccomp restricts. */
#define JAIL_HANDLED                                                            \
    (JAIL_READ | LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_REMOVE_DIR  \
     | LANDLOCK_ACCESS_FS_REMOVE_FILE | LANDLOCK_ACCESS_FS_MAKE_CHAR            \
     | LANDLOCK_ACCESS_FS_MAKE_DIR | LANDLOCK_ACCESS_FS_MAKE_REG                \
     | LANDLOCK_ACCESS_FS_MAKE_SOCK | LANDLOCK_ACCESS_FS_MAKE_FIFO              \
     | LANDLOCK_ACCESS_FS_MAKE_BLOCK | LANDLOCK_ACCESS_FS_MAKE_SYM)

/* Not every machine has all of these. */
static const char *const  jail_folders[] = {
    "/lib", "/lib64", "/usr/lib", "/usr/lib64", "/usr/local/lib"
};

static const struct {
    int     resource;
    rlim_t  soft, hard;
} jail_limits[] = {
    { RLIMIT_CPU,      JAIL_CPU_S,  JAIL_CPU_S + 1 },
    { RLIMIT_AS,       JAIL_MEMORY, JAIL_MEMORY },
    { RLIMIT_FSIZE,    0,           0 },
    { RLIMIT_NOFILE,   JAIL_FILES,  JAIL_FILES },
    { RLIMIT_CORE,     0,           0 },
    { RLIMIT_MEMLOCK,  0,           0 },
    { RLIMIT_MSGQUEUE, 0,           0 },
    /* not RLIMIT_NPROC: it counts nginx's processes too, and clone is denied */
};

/* System calls allowed with any arguments. */
static const int  jail_calls[] = {
    SCMP_SYS(arch_prctl), SCMP_SYS(brk), SCMP_SYS(clock_getres), SCMP_SYS(clock_gettime),
    SCMP_SYS(clock_nanosleep), SCMP_SYS(close), SCMP_SYS(exit), SCMP_SYS(exit_group),
    SCMP_SYS(fstat), SCMP_SYS(fstatfs), SCMP_SYS(futex), SCMP_SYS(getegid), SCMP_SYS(geteuid),
    SCMP_SYS(getgid), SCMP_SYS(getpid), SCMP_SYS(getrandom), SCMP_SYS(getrusage),
    SCMP_SYS(gettid), SCMP_SYS(gettimeofday), SCMP_SYS(getuid), SCMP_SYS(lseek),
    SCMP_SYS(madvise), SCMP_SYS(mremap), SCMP_SYS(munmap), SCMP_SYS(nanosleep),
    SCMP_SYS(newfstatat), SCMP_SYS(pread64), SCMP_SYS(read), SCMP_SYS(readv),
    SCMP_SYS(restart_syscall), SCMP_SYS(rseq), SCMP_SYS(rt_sigaction),
    SCMP_SYS(rt_sigprocmask), SCMP_SYS(rt_sigreturn), SCMP_SYS(sched_getaffinity),
    SCMP_SYS(sched_yield), SCMP_SYS(set_robust_list), SCMP_SYS(set_tid_address),
    SCMP_SYS(stat), SCMP_SYS(sysinfo), SCMP_SYS(time), SCMP_SYS(times), SCMP_SYS(uname),
};

/* System calls allowed if one argument, masked, has this value. */
static const struct {
    int       call;
    unsigned  argument;
    uint64_t  mask, value;
} jail_masked[] = {
    /* only for reading; O_TMPFILE contains O_DIRECTORY, which is allowed */
    { SCMP_SYS(open),   1, O_ACCMODE | O_CREAT | O_TRUNC | O_APPEND | (O_TMPFILE & ~O_DIRECTORY),
      O_RDONLY },
    { SCMP_SYS(openat), 2, O_ACCMODE | O_CREAT | O_TRUNC | O_APPEND | (O_TMPFILE & ~O_DIRECTORY),
      O_RDONLY },

    /* standard output and error */
    { SCMP_SYS(write),  0, UINT32_MAX, STDOUT_FILENO },
    { SCMP_SYS(write),  0, UINT32_MAX, STDERR_FILENO },
    { SCMP_SYS(writev), 0, UINT32_MAX, STDOUT_FILENO },
    { SCMP_SYS(writev), 0, UINT32_MAX, STDERR_FILENO },

    /* no memory both writable and executable: one of the two bits must be 0 */
    { SCMP_SYS(mmap),     2, PROT_EXEC, 0 },
    { SCMP_SYS(mmap),     2, PROT_WRITE, 0 },
    { SCMP_SYS(mprotect), 2, PROT_EXEC, 0 },
    { SCMP_SYS(mprotect), 2, PROT_WRITE, 0 },

    /* read limits, set none */
    { SCMP_SYS(prlimit64), 2, UINT64_MAX, 0 },

    { SCMP_SYS(fcntl), 1, UINT32_MAX, F_GETFD },
    { SCMP_SYS(fcntl), 1, UINT32_MAX, F_GETFL },
    { SCMP_SYS(fcntl), 1, UINT32_MAX, F_SETFD },
};

/* These fail with other errors than EPERM, so that the C library takes its fallback. */
static const struct {
    int       call;
    unsigned  error;
} jail_errors[] = {
    { SCMP_SYS(clone3),     ENOSYS },
    { SCMP_SYS(openat2),    ENOSYS },
    { SCMP_SYS(faccessat2), ENOSYS },
    { SCMP_SYS(access),     ENOENT },
    { SCMP_SYS(ioctl),      ENOTTY },
};

#define JAIL_COUNT(table)  (sizeof(table) / sizeof((table)[0]))


static bool jail_rules(scmp_filter_ctx filter, const char *program)
{
    int     failed;
    size_t  i;

    /* execve() only with this pointer, whose address a program cannot know, see jail_hide() */
    failed = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(execve), 1,
                              SCMP_CMP64(0, SCMP_CMP_EQ, (uintptr_t) program));

    for (i = 0; i < JAIL_COUNT(jail_calls); i++) {
        failed |= seccomp_rule_add(filter, SCMP_ACT_ALLOW, jail_calls[i], 0);
    }

    for (i = 0; i < JAIL_COUNT(jail_masked); i++) {
        failed |= seccomp_rule_add(filter, SCMP_ACT_ALLOW, jail_masked[i].call, 1,
                                   SCMP_CMP64(jail_masked[i].argument, SCMP_CMP_MASKED_EQ,
                                              jail_masked[i].mask, jail_masked[i].value));
    }

    for (i = 0; i < JAIL_COUNT(jail_errors); i++) {
        failed |= seccomp_rule_add(filter, SCMP_ACT_ERRNO(jail_errors[i].error),
                                   jail_errors[i].call, 0);
    }

    return failed == 0;
}


/* Call this before any fork: libseccomp allocates memory and takes locks. */
static bool jail_compile(jail_t *jail)
{
    int              fd = memfd_create("filter", MFD_CLOEXEC);
    off_t            size = 0;
    scmp_filter_ctx  filter = seccomp_init(SCMP_ACT_ERRNO(EPERM));

    if (filter && fd >= 0
        && seccomp_attr_set(filter, SCMP_FLTATR_CTL_OPTIMIZE, 2) == 0
        && jail_rules(filter, jail->program) && seccomp_export_bpf(filter, fd) == 0)
    {
        size = lseek(fd, 0, SEEK_END);
        jail->filter = malloc((size_t) size);
        jail->filter_size = (size_t) size;
    }

    if (jail->filter && pread(fd, jail->filter, jail->filter_size, 0) != size) {
        free(jail->filter);
        jail->filter = NULL;
    }

    if (filter) {
        seccomp_release(filter);
    }
    if (fd >= 0) {
        close(fd);
    }

    return jail->filter != NULL;
}


/*
 * Copies the path to a random address. seccomp compares only the pointer, so a program
 * that knew the address could put another path there and run that.
 */
static char *jail_hide(const char *program)
{
    char      *hidden;
    size_t     size = strlen(program) + 1;
    uint64_t   hint;

    if (getrandom(&hint, sizeof(hint), 0) != sizeof(hint)) {
        return NULL;
    }
    hint &= JAIL_ADDRESSES;

    hidden = mmap((void *) (uintptr_t) hint, size, PROT_READ | PROT_WRITE,
                  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (hidden == MAP_FAILED) {
        return NULL;
    }

    memcpy(hidden, program, size);
    return hidden;
}


bool jail_prepare(jail_t *jail, const char *program, char *error, size_t error_size)
{
    long  version;

    memset(jail, 0, sizeof(*jail));

    if (access(program, X_OK) < 0) {
        snprintf(error, error_size, "%s: %s; expected the program ffmpeg", program,
                 strerror(errno));
        return false;
    }

    /* with a filter at NULL a kernel with seccomp fails with EFAULT, another with EINVAL */
    if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, NULL) != -1 || errno != EFAULT) {
        snprintf(error, error_size, "the kernel has no seccomp filters (%s), without which no "
                 "video is decoded", strerror(errno));
        return false;
    }

    jail->program = jail_hide(program);

    if (jail->program == NULL || !jail_compile(jail)) {
        snprintf(error, error_size, "libseccomp cannot make the filter");
        return false;
    }

    version = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
    jail->landlock = version > 0 ? (int) version : 0;
    return true;
}


static void jail_allow_read(int ruleset, const char *path, uint64_t access)
{
    struct landlock_path_beneath_attr  rule = { .allowed_access = access };

    rule.parent_fd = open(path, O_PATH | O_CLOEXEC);
    if (rule.parent_fd >= 0) {
        syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH, &rule, 0);
        close(rule.parent_fd);
    }
}


/* Opens the files for each child, since an upgrade may have replaced them. */
static bool jail_landlock(const char *program)
{
    int                              ruleset;
    bool                             done;
    size_t                           i;
    struct landlock_ruleset_attr     handled = { .handled_access_fs = JAIL_HANDLED };

    ruleset = (int) syscall(SYS_landlock_create_ruleset, &handled,
                            sizeof(handled.handled_access_fs), 0);
    if (ruleset < 0) {
        return false;
    }

    for (i = 0; i < JAIL_COUNT(jail_folders); i++) {
        jail_allow_read(ruleset, jail_folders[i], JAIL_READ);
    }
    jail_allow_read(ruleset, "/etc/ld.so.cache", LANDLOCK_ACCESS_FS_READ_FILE);
    jail_allow_read(ruleset, program, LANDLOCK_ACCESS_FS_READ_FILE);

    done = syscall(SYS_landlock_restrict_self, ruleset, 0) == 0;
    close(ruleset);
    return done;
}


static void jail_close_range(unsigned first, unsigned last)
{
    if (syscall(SYS_close_range, first, last, 0) == 0) {
        return;
    }

    /* an old kernel or a container may lack the call */
    for (last = last < 65536 ? last : 65536; first <= last; first++) {
        close((int) first);
    }
}


/*
 * Drops root where the stack runs as root. Uses raw system calls: the C library's would
 * signal its other threads, which do not exist after the fork. In a container without
 * such a user (EINVAL) the rest of the jail has to suffice.
 */
static bool jail_leave_root(void)
{
    return geteuid() != 0
           || (syscall(SYS_setgroups, 0, NULL) == 0
               && syscall(SYS_setresgid, JAIL_NOBODY, JAIL_NOBODY, JAIL_NOBODY) == 0
               && syscall(SYS_setresuid, JAIL_NOBODY, JAIL_NOBODY, JAIL_NOBODY) == 0)
           || errno == EINVAL;
}


static void jail_signals(void)
{
    sigset_t  none;

    signal(SIGPIPE, SIG_DFL);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
}


const char *jail_exec(const jail_t *jail, char *const argv[], const int fds[3],
                      pid_t parent)
{
    size_t             i;
    struct rlimit      limit;
    struct sock_fprog  filter = {
        .len = (unsigned short) (jail->filter_size / sizeof(struct sock_filter)),
        .filter = jail->filter,
    };
    char *const        environment[] = { NULL };

    jail_signals();

    /* thumb_hold_standard() made sure that the pipes' numbers are above 2 */
    if (dup2(fds[0], 0) < 0 || dup2(fds[1], 1) < 0 || dup2(fds[2], 2) < 0) {
        return "pipes";
    }

    jail_close_range(3, UINT32_MAX);

    if (!jail_leave_root()) {
        return "another user than root";
    }

    /* it must die with its parent: `down` would not find it by its working folder */
    if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || getppid() != parent) {
        return "parent's end";
    }

    /* live media has priority over pictures */
    (void) !nice(10);

    if (chdir("/") < 0 || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0) {
        return "no new privileges";
    }

    if (jail->landlock && !jail_landlock(jail->program)) {
        return "Landlock";
    }

    for (i = 0; i < JAIL_COUNT(jail_limits); i++) {
        limit.rlim_cur = jail_limits[i].soft;
        limit.rlim_max = jail_limits[i].hard;
        if (setrlimit(jail_limits[i].resource, &limit) < 0) {
            return "limits";
        }
    }

    if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter) < 0) {
        return "seccomp";
    }

    execve(jail->program, argv, environment);
    return jail->program;
}
