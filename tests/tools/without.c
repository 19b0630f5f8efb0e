/*
 * Runs a command without some system calls, as a sandbox or a container does that
 * refuses them:
 *
 *     without CALL[,CALL…] COMMAND…
 *
 * Each of the calls fails with EPERM, in the command and in its children.
 */

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <seccomp.h>

int
main(int argc, char **argv)
{
    char            *name;
    scmp_filter_ctx  filter = seccomp_init(SCMP_ACT_ALLOW);

    if (argc < 3 || filter == NULL) {
        fprintf(stderr, "usage: without CALL[,CALL...] COMMAND...\n");
        return 2;
    }

    for (name = strtok(argv[1], ","); name; name = strtok(NULL, ",")) {
        if (seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM),
                             seccomp_syscall_resolve_name(name), 0) != 0)
        {
            fprintf(stderr, "without: '%s' cannot be refused: expected a system call\n", name);
            return 2;
        }
    }

    if (seccomp_load(filter) != 0) {
        fprintf(stderr, "without: the kernel does not take the filter\n");
        return 2;
    }

    execvp(argv[2], argv + 2);
    perror(argv[2]);
    return 2;
}
