#ifndef DUOLU_THUMB_JAIL_H
#define DUOLU_THUMB_JAIL_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/*
 * A jail for a program that reads a stranger's video. The program may compute, read its
 * standard input and the system's libraries, and write to its standard output and error.
 * It gets no files, network, processes, threads or second program, and bounded time and
 * memory.
 *
 *   seccomp    a list of system calls; all others fail with EPERM
 *   Landlock   reading only below the library folders, if the kernel has Landlock
 *   rlimits    CPU, memory, descriptors, no file may grow
 *   the rest   no new privileges, no environment, no descriptor but 0, 1, 2,
 *              "/" as its folder, dies with the thread that made it
 */

#define JAIL_CPU_S     5
#define JAIL_MEMORY    (768UL * 1024 * 1024)    /* 4K HEVC takes 400 MB */
#define JAIL_FILES     16

typedef struct {
    char    *program;       /* its path, at a random address */
    void    *filter;        /* struct sock_filter[], compiled once */
    size_t   filter_size;   /* in bytes */
    int      landlock;      /* the kernel's version of it, 0: none */
} jail_t;

/* Call it before starting threads. Returns false and a message, as without seccomp. */
bool jail_prepare(jail_t *jail, const char *program, char *error, size_t error_size);

/*
 * Call it in the child of a fork: makes in, out and err descriptors 0, 1 and 2, and runs
 * the program in the jail. Async-signal-safe. Returns only on failure: the name of the
 * step that failed, with errno.
 */
const char *jail_exec(const jail_t *jail, char *const argv[], const int fds[3],
                      pid_t parent);

#endif
