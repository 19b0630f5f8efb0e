#define _GNU_SOURCE             /* O_PATH */

#include "below.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <unistd.h>


int below_open(const char *root, const char *path, int flags)
{
    int     next, failed, fd = open(root, O_PATH | O_DIRECTORY | O_CLOEXEC);
    char    name[NAME_MAX + 1];
    size_t  length;

    while (fd != -1 && *path) {
        length = strcspn(path, "/");
        if (length >= sizeof(name)) {
            close(fd);
            errno = ENAMETOOLONG;
            return -1;
        }
        memcpy(name, path, length);
        name[length] = '\0';
        path += length + (path[length] == '/');

        next = openat(fd, name, (*path ? O_PATH | O_DIRECTORY : flags) | O_NOFOLLOW | O_CLOEXEC);
        failed = errno;
        close(fd);
        errno = failed;
        fd = next;
    }

    return fd;
}
