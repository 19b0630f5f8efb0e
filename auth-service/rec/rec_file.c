#include "rec_file.h"
#include "../base/below.h"
#include "../../modules/rules/flv_tag.h"
#include "../../modules/rules/rec_path.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

#define REC_INDEX_MAX     (64 * 1024 * 1024)    /* an hour has 300 KB */

static const char *const  rec_formats[] = { "mp4", "flv" };

#define REC_FORMATS  (sizeof(rec_formats) / sizeof(rec_formats[0]))


const char *rec_file_tail(const char *file)
{
    int          slashes = 0;
    const char  *p = file + strlen(file);

    while (p > file && slashes < 2) {
        slashes += *--p == '/';
    }

    return slashes == 2 ? p + 1 : file;
}


static bool rec_file_time(const char *tail, store_recording_t *recording)
{
    size_t  i;

    for (i = 0; i < REC_FORMATS; i++) {
        recording->from = rec_path_utc(tail, strlen(tail), rec_formats[i]);
        if (recording->from >= 0) {
            strcpy(recording->format, rec_formats[i]);
            return true;
        }
    }

    return false;
}


bool rec_file_name(const char *file, store_recording_t *recording)
{
    char         stream[REC_STREAM_MAX + 1];
    size_t       length;
    const char  *tail = rec_file_tail(file);

    if (tail == file || strlen(file) > RECORDING_FILE_MAX) {
        return false;
    }

    length = rec_path_stream(stream, sizeof(stream), file, (size_t) (tail - file) - 1);

    if (length == 0 || !name_split(stream, recording->app, recording->name)
        || !rec_file_time(tail, recording))
    {
        return false;
    }

    strcpy(recording->file, file);
    return true;
}


/* Writes "ROOT/FILE", with this extension unless it is NULL; false if it is too long. */
static bool rec_path_join(char out[PATH_MAX], const char *root, const char *file,
                          const char *extension)
{
    int     length;
    size_t  part = strlen(file) - (extension ? 3 : 0);

    length = snprintf(out, PATH_MAX, "%s/%.*s%s", root, (int) part, file,
                      extension ? extension : "");
    if (length >= PATH_MAX) {
        errno = ENAMETOOLONG;
        return false;
    }

    return true;
}


bool rec_file_root(const char *root)
{
    char         path[PATH_MAX];
    struct stat  info;

    return rec_path_join(path, root, ".spool", NULL) && stat(path, &info) == 0;
}


int rec_file_lock(const char *root, unsigned wait_s)
{
    int              fd, tries = (int) wait_s * 20;
    char             path[PATH_MAX];
    struct timespec  pause = { 0, 50 * 1000000L };

    fd = rec_path_join(path, root, ".spool", NULL)
         ? open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;

    while (fd != -1 && flock(fd, LOCK_EX | LOCK_NB) == -1) {
        if (errno != EWOULDBLOCK || tries-- == 0) {
            close(fd);
            errno = EWOULDBLOCK;
            return -1;
        }
        nanosleep(&pause, NULL);
    }

    return fd;
}


bool rec_file_missing(const char *root, const char *file)
{
    char         path[PATH_MAX];
    struct stat  info;

    return rec_path_join(path, root, file, NULL) && stat(path, &info) == -1
           && (errno == ENOENT || errno == ENOTDIR);
}


uint64_t rec_file_bytes(const char *root, const store_recording_t *recording)
{
    char         path[PATH_MAX];
    struct stat  info;

    return recording->to == 0 && rec_path_join(path, root, recording->file, NULL)
           && stat(path, &info) == 0 && (uint64_t) info.st_size > recording->bytes
           ? (uint64_t) info.st_size : recording->bytes;
}


/*
 * Look for the marker before trying the lock: a writer locks its file first and then
 * makes the marker, and its lock must not fail because of our test.
 */
bool rec_file_marked(const char *root, const char *file)
{
    char         path[PATH_MAX], marker[REC_MARKER_MAX];
    struct stat  info;

    return rec_path_marker(marker, file) > 0 && rec_path_join(path, root, marker, NULL)
           && stat(path, &info) == 0;
}


bool rec_file_busy(const char *root, const char *file)
{
    int   fd;
    char  path[PATH_MAX];
    bool  busy;

    if (!rec_file_marked(root, file) || !rec_path_join(path, root, file, NULL)) {
        return false;
    }

    fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd == -1) {
        return false;
    }

    busy = flock(fd, LOCK_SH | LOCK_NB) == -1 && errno == EWOULDBLOCK;
    close(fd);
    return busy;
}


/* --- deleting --- */

/* The folder that holds the file, or -1 with errno. */
static int rec_folder(const char *root, const char *file)
{
    char  folder[RECORDING_FILE_MAX + 1];

    snprintf(folder, sizeof(folder), "%.*s", (int) (strrchr(file, '/') - file), file);
    return below_open(root, folder, O_RDONLY | O_DIRECTORY);
}


/* Syncs the folder: after a crash this name must not be back while the next one is gone. */
static bool rec_unlink(int folder, const char *name)
{
    if (unlinkat(folder, name, 0) == -1) {
        return errno == ENOENT;
    }

    fsync(folder);
    return true;
}


/*
 * Removes the folders DAY, NAME and APP if they are empty, but not the current day,
 * where a writer may be about to make its file.
 */
static void rec_remove_folders(const char *root, const char *file)
{
    int      depth;
    char     path[PATH_MAX], today[REC_FILE_MAX], *slash;
    size_t   day = sizeof("2026-11-23") - 1;
    int64_t  now = (int64_t) time(NULL) * 1000;

    if (rec_path_file(today, now, "mp4") == 0
        || strncmp(rec_file_tail(file), today, day) >= 0
        || !rec_path_join(path, root, file, NULL))
    {
        return;
    }

    for (depth = 0; depth < 3; depth++) {
        slash = strrchr(path, '/');
        *slash = '\0';
        if (rmdir(path) == -1 && errno != ENOENT) {
            return;
        }
    }
}


static rec_file_result_t rec_remove_from(int folder, const char *name)
{
    int   fd;
    bool  good;
    char  index[REC_FILE_MAX + 1];

    fd = openat(folder, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (fd != -1 && flock(fd, LOCK_EX | LOCK_NB) == -1 && errno == EWOULDBLOCK) {
        close(fd);
        return REC_FILE_BUSY;
    }

    snprintf(index, sizeof(index), "%.*sm3u8", (int) strlen(name) - 3, name);
    good = rec_unlink(folder, index) && rec_unlink(folder, name);

    if (fd != -1) {
        close(fd);
    }
    return good ? REC_FILE_GONE : REC_FILE_FAILED;
}


rec_file_result_t rec_file_remove(const char *root, const char *file, char *error,
                                  size_t error_size)
{
    int                folder;
    rec_file_result_t  result;
    store_recording_t  recording;

    if (!rec_file_name(file, &recording)) {
        snprintf(error, error_size, "\"%.300s\" is not the path of a recording", file);
        return REC_FILE_FAILED;
    }

    if (!rec_file_root(root)) {
        snprintf(error, error_size, "%.300s has no folder .spool: its disk is not mounted",
                 root);
        return REC_FILE_FAILED;
    }
    if (rec_file_marked(root, file)) {
        return REC_FILE_BUSY;
    }

    folder = rec_folder(root, file);
    if (folder == -1) {
        result = errno == ENOENT ? REC_FILE_GONE : REC_FILE_FAILED;
    } else {
        result = rec_remove_from(folder, strrchr(file, '/') + 1);
    }

    if (result == REC_FILE_FAILED) {
        snprintf(error, error_size, "%.200s/%.300s: %s", root, file, strerror(errno));
    } else if (result == REC_FILE_GONE) {
        rec_remove_folders(root, file);
    }

    if (folder != -1) {
        close(folder);
    }
    return result;
}


/* --- reading --- */

static char *rec_load(const char *path, size_t *size)
{
    int          fd = open(path, O_RDONLY | O_CLOEXEC);
    char        *text = NULL;
    ssize_t      got = -1;
    struct stat  info;

    if (fd == -1) {
        return NULL;
    }

    if (fstat(fd, &info) == 0 && info.st_size <= REC_INDEX_MAX) {
        text = malloc((size_t) info.st_size + 1);
        got = text ? read(fd, text, (size_t) info.st_size) : -1;
    }
    close(fd);

    if (got < 0) {
        free(text);
        return NULL;
    }

    *size = (size_t) got;
    return text;
}


static void rec_set_state(store_recording_t *recording, const char *state, const char *reason)
{
    strcpy(recording->state, state);
    strcpy(recording->reason, reason);
}


/* Without an index, only the time of the last write shows when the recording ended. */
static void rec_read_bare(store_recording_t *recording, const struct stat *info)
{
    recording->to = (int64_t) info->st_mtim.tv_sec * 1000 + info->st_mtim.tv_nsec / 1000000;
    if (recording->session == 0) {
        recording->session = (uint64_t) recording->from;
    }
    rec_set_state(recording, "interrupted", "its index is missing");
}


static void rec_read_index(const char *index, store_recording_t *recording,
                           const struct stat *info)
{
    int             more;
    size_t          size = 0;
    char           *text = rec_load(index, &size);
    rec_reader_t    reader;
    rec_segment_t   segment;

    if (text == NULL || rec_index_open(&reader, text, size) != 0) {
        free(text);
        rec_read_bare(recording, info);
        return;
    }

    recording->session = reader.head.session;
    recording->to = recording->from;
    while ((more = rec_index_next(&reader, &segment)) == 1) {
        recording->to = segment.utc + segment.duration;
    }
    free(text);

    if (more == 0 && reader.ended && !reader.interrupted) {
        rec_set_state(recording, "complete", "");
    } else {
        rec_set_state(recording, "interrupted", reader.ended ? "" : "its index has no end");
    }
}


/* Reads the time of an FLV's last tag, which is its end. */
static bool rec_flv_end(int fd, off_t size, int64_t *ms)
{
    off_t      at;
    int32_t    body;
    uint8_t    head[FLV_TAG_HEADER_SIZE], back[FLV_BACK_SIZE];
    flv_tag_t  tag;

    if (pread(fd, back, sizeof(back), size - FLV_BACK_SIZE) != sizeof(back)) {
        return false;
    }

    body = flv_read_back(back);
    at = size - (off_t) FLV_TAG_OVERHEAD - body;
    if (body < 0 || at < FLV_HEADER_SIZE
        || pread(fd, head, sizeof(head), at) != sizeof(head)
        || flv_read_tag_header(head, &tag) != 0 || tag.size != (uint32_t) body)
    {
        return false;
    }

    *ms = tag.time;
    return true;
}


static void rec_read_flv(const char *path, store_recording_t *recording,
                         const struct stat *info)
{
    int      fd = open(path, O_RDONLY | O_CLOEXEC);
    bool     good;
    int64_t  ms = 0;

    good = fd != -1 && rec_flv_end(fd, info->st_size, &ms);
    if (fd != -1) {
        close(fd);
    }

    if (!good) {
        rec_read_bare(recording, info);
        rec_set_state(recording, "interrupted", "its last tag is torn");
        return;
    }

    recording->to = recording->from + ms;
    if (recording->session == 0) {
        recording->session = (uint64_t) recording->from;
    }
    if (strcmp(recording->state, "interrupted") != 0) {
        rec_set_state(recording, "complete", "");
    }
}


bool rec_file_read(const char *root, store_recording_t *recording, char *error,
                   size_t error_size)
{
    char         path[PATH_MAX], index[PATH_MAX];
    struct stat  info;

    if (!rec_path_join(path, root, recording->file, NULL)
        || !rec_path_join(index, root, recording->file, "m3u8") || stat(path, &info) == -1)
    {
        snprintf(error, error_size, "%.400s: %s", recording->file, strerror(errno));
        return false;
    }

    recording->bytes = (uint64_t) info.st_size;

    if (strcmp(recording->format, "mp4") == 0) {
        rec_read_index(index, recording, &info);
    } else {
        rec_read_flv(path, recording, &info);
    }

    if (rec_file_busy(root, recording->file)) {
        recording->to = 0;
        rec_set_state(recording, "recording", "");

    } else if (rec_file_marked(root, recording->file)) {
        rec_set_state(recording, "interrupted", "its writer is gone");
    }

    return true;
}


void rec_file_segments(const char *root, const char *file, rec_segment_each each, void *data)
{
    char            path[PATH_MAX], *text;
    size_t          size = 0;
    rec_reader_t    reader;
    rec_segment_t   segment;

    text = rec_path_join(path, root, file, "m3u8") ? rec_load(path, &size) : NULL;

    if (text && rec_index_open(&reader, text, size) == 0) {
        while (rec_index_next(&reader, &segment) == 1) {
            each(&segment, data);
        }
    }

    free(text);
}


/* --- walking --- */

typedef struct {
    const char     *root;
    rec_file_each   each;
    void           *data;
    char           *error;
    size_t          error_size;
    char            path[RECORDING_FILE_MAX + 1];   /* below root */
} rec_walk_t;


static int rec_visible(const struct dirent *entry)
{
    return entry->d_name[0] != '.';
}


/* Walks APP, NAME, DAY, then files. Skips names that disappear meanwhile. */
static bool rec_walk_folder(rec_walk_t *walk, size_t used, int depth)
{
    int                 i, count;
    char                folder[PATH_MAX];
    bool                good = true;
    struct dirent     **entries;
    store_recording_t   recording;

    if (!rec_path_join(folder, walk->root, walk->path, NULL)) {
        return true;
    }

    count = scandir(folder, &entries, rec_visible, alphasort);
    if (count == -1) {
        if (used && (errno == ENOENT || errno == ENOTDIR)) {
            return true;
        }
        snprintf(walk->error, walk->error_size, "%.400s: %s", folder, strerror(errno));
        return false;
    }

    for (i = 0; i < count; i++) {
        size_t  length = strlen(entries[i]->d_name);

        if (used + length + 1 < sizeof(walk->path)) {
            memcpy(walk->path + used, entries[i]->d_name, length + 1);

            if (depth == 3) {
                if (rec_file_name(walk->path, &recording)) {
                    walk->each(walk->path, walk->data);
                }
            } else {
                walk->path[used + length] = '/';
                walk->path[used + length + 1] = '\0';
                good = good && rec_walk_folder(walk, used + length + 1, depth + 1);
            }
        }
        free(entries[i]);
    }

    free(entries);
    return good;
}


bool rec_file_walk(const char *root, rec_file_each each, void *data, char *error,
                   size_t error_size)
{
    rec_walk_t  walk = { root, each, data, error, error_size, "" };

    return rec_walk_folder(&walk, 0, 0);
}


bool rec_file_disk(const char *root, uint64_t *size, uint64_t *free)
{
    struct statvfs  disk;

    if (statvfs(root, &disk) == -1) {
        return false;
    }

    *size = (uint64_t) disk.f_blocks * disk.f_frsize;
    *free = (uint64_t) disk.f_bavail * disk.f_frsize;
    return true;
}
