#include "thumb_kept.h"
#include "../base/log.h"
#include "../base/names.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define KEPT_PATH   1400
#define KEPT_SINCE  32      /* of its first line */
#define KEPT_EVERY  64      /* files are written between two checks of the limits */
#define KEPT_NEW    ".new"

typedef struct {
    char     name[NAME_FULL_MAX + 1];
    time_t   at;
    int64_t  bytes;
} kept_file_t;

typedef struct {
    kept_file_t  *files;
    size_t        count, room;
} kept_list_t;


void kept_init(kept_t *kept, const char *folder)
{
    memset(kept, 0, sizeof(*kept));
    kept->folder = folder;
    kept->written = KEPT_EVERY;     /* checks the limits with the first one */
    pthread_mutex_init(&kept->lock, NULL);
}


/* A name of an app has no colon, so names of files are unique. */
static bool kept_path(const kept_t *kept, const char *stream, char path[KEPT_PATH])
{
    char  app[NAME_APP_MAX + 1], name[NAME_STREAM_MAX + 1];

    return name_split(stream, app, name)
           && snprintf(path, KEPT_PATH, "%s/%s:%s", kept->folder, app, name) < KEPT_PATH;
}


/* --- the limits; the caller holds the lock --- */

/* The name has at most NAME_FULL_MAX bytes. */
static void kept_list_add(kept_list_t *list, const char *name, const struct stat *info)
{
    kept_file_t  *more;

    if (list->count == list->room) {
        more = realloc(list->files, (list->room * 2 + 64) * sizeof(kept_file_t));
        if (more == NULL) {
            return;
        }
        list->files = more;
        list->room = list->room * 2 + 64;
    }

    list->files[list->count].at = info->st_mtime;
    list->files[list->count].bytes = info->st_size;
    strcpy(list->files[list->count].name, name);
    list->count++;
}


static int kept_compare(const void *a, const void *b)
{
    const kept_file_t  *one = a, *other = b;

    return (one->at < other->at) - (one->at > other->at);    /* newest first */
}


static void kept_limit(kept_t *kept)
{
    DIR            *folder = opendir(kept->folder);
    size_t          i;
    int64_t         bytes = 0;
    kept_list_t     list = { 0 };
    struct stat     info;
    struct dirent  *entry;

    if (folder == NULL) {
        return;
    }

    while ((entry = readdir(folder)) != NULL) {
        if (strlen(entry->d_name) <= NAME_FULL_MAX
            && fstatat(dirfd(folder), entry->d_name, &info, AT_SYMLINK_NOFOLLOW) == 0
            && S_ISREG(info.st_mode))
        {
            kept_list_add(&list, entry->d_name, &info);
        }
    }

    qsort(list.files, list.count, sizeof(kept_file_t), kept_compare);

    for (i = 0; i < list.count; i++) {
        bytes += list.files[i].bytes;
        if (i >= KEPT_FILES_MAX || bytes > KEPT_BYTES_MAX) {
            (void) unlinkat(dirfd(folder), list.files[i].name, 0);
        }
    }

    free(list.files);
    closedir(folder);
}


/* --- files --- */

static bool kept_write_all(int fd, const void *bytes, size_t size)
{
    ssize_t  done;

    while (size > 0) {
        done = write(fd, bytes, size);
        if (done <= 0) {
            return false;
        }
        bytes = (const uint8_t *) bytes + done;
        size -= (size_t) done;
    }

    return true;
}


/* Writes beside it and renames: a reader gets the old picture or the new one. The caller holds
 * the lock. */
static bool kept_replace(const kept_t *kept, const char *path, const char *line,
                         const uint8_t *picture, size_t size)
{
    int   fd;
    bool  done;
    char  new[KEPT_PATH + sizeof(KEPT_NEW)];

    snprintf(new, sizeof(new), "%s/" KEPT_NEW, kept->folder);

    fd = open(new, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0) {
        return false;
    }

    done = kept_write_all(fd, line, strlen(line)) && kept_write_all(fd, picture, size);
    close(fd);

    return done && rename(new, path) == 0;
}


void kept_write(kept_t *kept, const char *stream, const char *since, const uint8_t *picture,
                size_t size)
{
    char  path[KEPT_PATH], line[KEPT_SINCE + 2];

    if (strlen(since) > KEPT_SINCE || !kept_path(kept, stream, path)) {
        return;
    }
    snprintf(line, sizeof(line), "%s\n", since);

    pthread_mutex_lock(&kept->lock);

    if ((mkdir(kept->folder, 0700) == 0 || errno == EEXIST)
        && kept_replace(kept, path, line, picture, size))
    {
        kept->failed = false;
        if (++kept->written >= KEPT_EVERY) {
            kept->written = 0;
            kept_limit(kept);
        }

    } else if (!kept->failed) {
        kept->failed = true;
        log_warning("cannot keep the last picture of \"%s\" in %s: %s",
                    log_quote((char [512]) { 0 }, 512, stream), kept->folder, strerror(errno));
    }

    pthread_mutex_unlock(&kept->lock);
}


/* Splits the first line off. Returns the size of the rest; 0: it was made under other rights. */
static size_t kept_cut(uint8_t *bytes, size_t size, const char *since)
{
    size_t  line = strlen(since);

    if (size <= line || memcmp(bytes, since, line) != 0 || bytes[line] != '\n') {
        return 0;
    }

    memmove(bytes, bytes + line + 1, size - line - 1);
    return size - line - 1;
}


/* The caller holds the lock. */
static size_t kept_take(const char *path, const char *since, uint8_t picture[THUMB_PICTURE_MAX])
{
    int       fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    size_t    size = 0;
    ssize_t   got;
    uint8_t  *bytes = fd < 0 ? NULL : malloc(KEPT_SINCE + 1 + THUMB_PICTURE_MAX);

    if (bytes) {
        got = read(fd, bytes, KEPT_SINCE + 1 + THUMB_PICTURE_MAX);
        size = got > 0 ? kept_cut(bytes, (size_t) got, since) : 0;

        if (size == 0 || size > THUMB_PICTURE_MAX) {
            size = 0;
            (void) unlink(path);
        }
        memcpy(picture, bytes, size);
    }

    free(bytes);
    if (fd >= 0) {
        close(fd);
    }

    return size;
}


size_t kept_read(kept_t *kept, const char *stream, const char *since,
                 uint8_t picture[THUMB_PICTURE_MAX])
{
    char    path[KEPT_PATH];
    size_t  size;

    if (strlen(since) > KEPT_SINCE || !kept_path(kept, stream, path)) {
        return 0;
    }

    pthread_mutex_lock(&kept->lock);
    size = kept_take(path, since, picture);
    pthread_mutex_unlock(&kept->lock);

    return size;
}
