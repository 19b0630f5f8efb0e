/*
 * Stands in for ffmpeg in tests of duolu-thumb: does what its input tells it
 * behind the word "DO:", and says how that went as its last line.
 */

#define _GNU_SOURCE

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

static char  input[1024 * 1024];
static char  path[1024];         /* a file of the test's, behind the word */


static int do_socket(void) { return socket(AF_INET, SOCK_STREAM, 0); }
static int do_unix(void) { return socket(AF_UNIX, SOCK_STREAM, 0); }
static int do_netlink(void) { return socket(AF_NETLINK, SOCK_RAW, 0); }
static int do_pair(void) { return socketpair(AF_UNIX, SOCK_STREAM, 0, (int[2]) { 0 }); }
static int do_create(void) { return open(path, O_CREAT | O_WRONLY, 0600); }
static int do_write(void) { return open(path, O_WRONLY); }
static int do_both(void) { return open(path, O_RDWR); }
static int do_truncate(void) { return open(path, O_RDONLY | O_TRUNC); }
static int do_tmpfile(void) { return open("/tmp", O_TMPFILE | O_WRONLY, 0600); }
static int do_memfd(void) { return memfd_create("x", 0); }
static int do_mkdir(void) { return mkdir(path, 0700); }
static int do_unlink(void) { return unlink(path); }
static int do_rename(void) { return rename(path, "/tmp/x"); }
static int do_link(void) { return symlink(path, "/tmp/x"); }
static int do_chmod(void) { return chmod(path, 0777); }
static int do_read(void) { return open(path, O_RDONLY); }
static int do_list(void) { return open("/", O_RDONLY | O_DIRECTORY); }
static int do_proc(void) { return open("/proc/self/environ", O_RDONLY); }
static int do_fork(void) { return fork(); }
static int do_vfork(void) { return (int) syscall(SYS_vfork); }
static int do_clone(void) { return (int) syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0); }
static int do_kill(void) { return kill(getppid(), SIGTERM); }
static int do_ptrace(void) { return (int) ptrace(PTRACE_SEIZE, getppid(), 0, 0); }
static int do_mount(void) { return mount("none", "/tmp", "tmpfs", 0, ""); }
static int do_unshare(void) { return unshare(CLONE_NEWUSER); }
static int do_chroot(void) { return chroot("/tmp"); }
static int do_uid(void) { return setresuid(0, 0, 0); }
static int do_dumpable(void) { return prctl(PR_SET_DUMPABLE, 1); }
static int do_bpf(void) { return (int) syscall(SYS_bpf, 0, NULL, 0); }
static int do_keys(void) { return (int) syscall(SYS_keyctl, 0, 0, 0); }
static int do_ring(void) { return (int) syscall(SYS_io_uring_setup, 1, path); }
static int do_events(void) { return (int) syscall(SYS_perf_event_open, path, 0, -1, -1, 0); }
static int do_dup(void) { return dup(0); }
static int do_pipe(void) { return pipe((int[2]) { 0 }); }
static int do_stdin(void) { return (int) write(0, "x", 1); }


static int do_exec(void)
{
    return execl("/bin/true", "true", NULL);
}


static int do_execveat(void)
{
    return (int) syscall(SYS_execveat, AT_FDCWD, "/bin/true", NULL, NULL, 0);
}


/* Where the one execve came from is not known: tries what a program can see. */
static int do_exec_again(void)
{
    extern char  **environ;

    syscall(SYS_execve, environ, NULL, NULL);
    return (int) syscall(SYS_execve, "/proc/self/exe", NULL, NULL);
}


static int do_peek(void)
{
    struct iovec  here = { input, 16 }, there = { (void *) 0x400000, 16 };

    return (int) process_vm_readv(getppid(), &here, 1, &there, 1, 0);
}


static int do_limit(void)
{
    struct rlimit  limit;

    getrlimit(RLIMIT_AS, &limit);
    return setrlimit(RLIMIT_AS, &limit);
}


static int do_code(void)
{
    void  *p = mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS,
                    -1, 0);

    return p == MAP_FAILED ? -1 : 0;
}


static void *nothing(void *data) { return data; }


static int do_thread(void)
{
    pthread_t  thread;

    errno = pthread_create(&thread, NULL, nothing, NULL);
    return errno ? -1 : 0;
}


static int do_root(void)
{
    errno = EPERM;
    return geteuid() == 0 || getegid() == 0 ? 0 : -1;
}


/* No name and no descriptor came along. */
static int do_inherit(void)
{
    int           fd;
    char          here[8] = "";
    extern char  **environ;

    for (fd = 3; fd < 65536; fd++) {
        if (fcntl(fd, F_GETFD) != -1) {
            return 0;
        }
    }

    if (environ[0] != NULL) {
        return 0;
    }

    errno = syscall(SYS_getcwd, here, sizeof(here)) == 2 && here[0] == '/' ? EPERM : errno;
    return -1;
}


static int do_files(void)
{
    int  n = 0;

    while (open("/usr/lib", O_RDONLY | O_DIRECTORY) >= 0 && n < 1000) {
        n++;
    }
    return n < 1000 ? -1 : 0;
}


static int do_memory(void)
{
    size_t  size;

    for (size = 0; size < 4096; size++) {
        volatile char  *p = malloc(1024 * 1024);

        if (p == NULL) {
            return -1;
        }
        *p = 1;
    }
    return 0;
}


static void sleep_ms(unsigned ms)
{
    nanosleep(&(struct timespec) { ms / 1000, ms % 1000 * 1000000L }, NULL);
}


static __attribute__((noreturn)) int do_hang(void)
{
    for ( ;; ) {
        sleep_ms(1000);
    }
}


static int do_hang_silently(void)
{
    close(1);
    close(2);
    do_hang();
}


static __attribute__((noreturn)) int do_spin(void)
{
    volatile unsigned  n = 0;

    signal(SIGXCPU, SIG_IGN);
    for ( ;; ) {
        n++;
    }
}


static int do_flood(void)
{
    for ( ;; ) {
        if (write(1, input, sizeof(input)) < 0) {
            return -1;
        }
    }
}


static int do_chatter(void)
{
    memset(input, 'x', sizeof(input));
    for ( ;; ) {
        if (write(2, input, sizeof(input)) < 0) {
            return -1;
        }
    }
}


static int do_crash(void)
{
    raise(SIGSEGV);
    *(volatile char *) (uintptr_t) 8 = 0;
    return 0;
}


/* The smallest thing that passes for a picture. */
static int do_picture(void)
{
    exit(write(1, "\xff\xd8\xff\xe0 picture \xff\xd9", 15) != 15);
}


static int do_slowly(void)
{
    sleep_ms(150);
    return do_picture();
}


static int do_nothing(void) { exit(0); }
static int do_page(void) { exit(write(1, "<html>", 6) != 6); }

static const struct {
    const char  *name;
    int        (*run)(void);
} things[] = {
    { "socket", do_socket }, { "unix", do_unix }, { "netlink", do_netlink }, { "pair", do_pair },
    { "create", do_create }, { "write", do_write }, { "both", do_both },
    { "truncate", do_truncate }, { "tmpfile", do_tmpfile }, { "memfd", do_memfd },
    { "mkdir", do_mkdir }, { "unlink", do_unlink }, { "rename", do_rename }, { "link", do_link },
    { "chmod", do_chmod }, { "read", do_read }, { "list", do_list }, { "proc", do_proc },
    { "fork", do_fork }, { "vfork", do_vfork }, { "clone", do_clone }, { "thread", do_thread },
    { "exec", do_exec }, { "execveat", do_execveat }, { "exec-again", do_exec_again },
    { "kill", do_kill }, { "ptrace", do_ptrace }, { "peek", do_peek }, { "mount", do_mount },
    { "unshare", do_unshare }, { "chroot", do_chroot }, { "uid", do_uid }, { "root", do_root },
    { "dumpable", do_dumpable }, { "bpf", do_bpf }, { "keys", do_keys }, { "ring", do_ring },
    { "events", do_events }, { "dup", do_dup }, { "pipe", do_pipe }, { "stdin", do_stdin },
    { "limit", do_limit }, { "code", do_code }, { "inherit", do_inherit }, { "files", do_files },
    { "memory", do_memory }, { "hang", do_hang }, { "hang-silently", do_hang_silently },
    { "spin", do_spin }, { "flood", do_flood }, { "chatter", do_chatter }, { "crash", do_crash },
    { "picture", do_picture }, { "slowly", do_slowly }, { "nothing", do_nothing },
    { "page", do_page },
};


int main(void)
{
    int      result;
    char     name[32] = "", *order;
    size_t   i, used = 0;
    ssize_t  got;

    while ((got = read(0, input + used, sizeof(input) - 1 - used)) > 0) {
        used += (size_t) got;
    }

    order = memmem(input, used, "DO:", 3);
    if (order) {
        sscanf(order, "DO:%31s %1000s", name, path);
    }

    for (i = 0; i < sizeof(things) / sizeof(things[0]); i++) {
        if (strcmp(things[i].name, name) == 0) {
            errno = 0;
            result = things[i].run();
            fprintf(stderr, "%s: %s\n", name, result < 0 ? strerror(errno) : "ALLOWED");
            return 1;
        }
    }

    fprintf(stderr, "no order \"%s\"\n", name);
    return 2;
}
