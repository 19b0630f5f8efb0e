#define _GNU_SOURCE             /* memmem */

#include "thumb_file.h"
#include "../base/below.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define BOX_HEAD   8
#define TAG_HEAD   11       /* FLV 10.1, E.4.1; a back-pointer of 4 bytes follows the tag */
#define TAG_VIDEO  9


bool thumb_file_is_flv(const char *file)
{
    size_t  length = strlen(file);

    return length > 4 && strcmp(file + length - 4, ".flv") == 0;
}


/*
 * Allows only paths below root in which no name begins with a dot, such as ".." and the
 * recorder's own folders.
 */
static bool thumb_file_allowed(const char *root, const char *file)
{
    size_t       length = strlen(root);
    const char  *p;

    if (strncmp(file, root, length) != 0 || file[length] != '/') {
        return false;
    }

    for (p = file + length; p; p = strchr(p + 1, '/')) {
        if (p[1] == '.' || p[1] == '/' || p[1] == '\0') {
            return false;
        }
    }

    return thumb_file_is_flv(file) || strcmp(file + strlen(file) - 4, ".mp4") == 0;
}


static bool thumb_file_pread(int fd, void *out, size_t size, uint64_t offset)
{
    ssize_t  got;

    while (size > 0) {
        got = pread(fd, out, size, (off_t) offset);
        if (got <= 0) {
            return false;
        }
        out = (uint8_t *) out + got;
        size -= (size_t) got;
        offset += (uint64_t) got;
    }

    return true;
}


/* Returns the size of the box at the offset, 0 if it has another type or a 64-bit size. */
static uint64_t thumb_file_box(int fd, uint64_t offset, const char *type)
{
    uint8_t  head[BOX_HEAD];

    if (!thumb_file_pread(fd, head, sizeof(head), offset) || memcmp(head + 4, type, 4) != 0) {
        return 0;
    }

    return (uint64_t) head[0] << 24 | (uint64_t) head[1] << 16 | (uint64_t) head[2] << 8
           | head[3];
}


/* Returns the size of the video tag at the offset, or 0 and why. */
static uint64_t thumb_file_tag(int fd, const thumb_frame_t *frame, char *why, size_t size)
{
    uint8_t   head[TAG_HEAD];
    uint64_t  tag;

    if (!thumb_file_pread(fd, head, sizeof(head), frame->offset) || head[0] != TAG_VIDEO) {
        snprintf(why, size, "no video tag begins there");
        return 0;
    }

    tag = ((uint64_t) head[1] << 16 | (uint64_t) head[2] << 8 | head[3]) + TAG_HEAD + 4;

    if (tag > THUMB_FRAGMENT_MAX || tag != frame->size) {
        snprintf(why, size, "its tag has %llu bytes; expected %llu", (unsigned long long) tag,
                 (unsigned long long) frame->size);
        return 0;
    }

    return tag;
}


/* Returns the size of the tag, or of moof and mdat, at the offset, or 0 and why. */
static uint64_t thumb_file_fragment(int fd, const thumb_frame_t *frame, char *why, size_t size)
{
    uint64_t  moof, mdat;

    if (thumb_file_is_flv(frame->file)) {
        return thumb_file_tag(fd, frame, why, size);
    }

    moof = thumb_file_box(fd, frame->offset, "moof");
    mdat = moof < BOX_HEAD ? 0 : thumb_file_box(fd, frame->offset + moof, "mdat");

    if (mdat < BOX_HEAD) {
        snprintf(why, size, "no fragment begins there");
        return 0;
    }

    if (moof + mdat > THUMB_FRAGMENT_MAX || moof + mdat > frame->size) {
        snprintf(why, size, "its fragment has %llu bytes; expected at most %llu",
                 (unsigned long long) (moof + mdat),
                 (unsigned long long) (frame->size < THUMB_FRAGMENT_MAX ? frame->size
                                                                         : THUMB_FRAGMENT_MAX));
        return 0;
    }

    return moof + mdat;
}


static thumb_result_t thumb_file_media(int fd, const thumb_frame_t *frame, uint8_t **media,
                                       size_t *size, char *why, size_t why_size)
{
    uint8_t   *bytes;
    uint64_t   fragment;

    if (frame->init < BOX_HEAD || frame->init > THUMB_INIT_MAX || frame->offset < frame->init
        || frame->offset > INT64_MAX - THUMB_FRAGMENT_MAX)
    {
        snprintf(why, why_size, "its head has %llu bytes; expected at most %d, and the frame "
                 "after it", (unsigned long long) frame->init, THUMB_INIT_MAX);
        return THUMB_NONE;
    }

    fragment = thumb_file_fragment(fd, frame, why, why_size);
    if (fragment == 0) {
        return THUMB_NONE;
    }

    bytes = malloc(frame->init + fragment);
    if (bytes == NULL) {
        snprintf(why, why_size, "no memory");
        return THUMB_FAILED;
    }

    if (!thumb_file_pread(fd, bytes, frame->init, 0)
        || !thumb_file_pread(fd, bytes + frame->init, fragment, frame->offset))
    {
        /* the file is still being written */
        snprintf(why, why_size, "the file ends before its fragment");
        free(bytes);
        return THUMB_NONE;
    }

    /* the handler type of a video track: ISO/IEC 14496-12, 8.4.3 */
    if (!thumb_file_is_flv(frame->file) && memmem(bytes, frame->init, "vide", 4) == NULL) {
        snprintf(why, why_size, "it has no video");
        free(bytes);
        return THUMB_NONE;
    }

    *media = bytes;
    *size = frame->init + fragment;
    return THUMB_READ;
}


thumb_result_t thumb_file_read(const char *root, const thumb_frame_t *frame, uint8_t **media,
                               size_t *size, char *why, size_t why_size)
{
    int             fd, number;
    struct stat     info;
    thumb_result_t  result;

    if (!thumb_file_allowed(root, frame->file)) {
        snprintf(why, why_size, "not an .mp4 or .flv file below %.160s", root);
        return THUMB_WRONG;
    }

    /* O_NONBLOCK: if somebody put a pipe there, opening it must not block the thread */
    fd = below_open(root, frame->file + strlen(root) + 1, O_RDONLY | O_NONBLOCK);
    if (fd < 0) {
        number = errno;
        snprintf(why, why_size, "%s", strerror(number));
        return number == ENOENT || number == ENOTDIR || number == ENAMETOOLONG ? THUMB_NONE
               : number == ELOOP ? THUMB_WRONG : THUMB_FAILED;
    }

    if (fstat(fd, &info) < 0 || !S_ISREG(info.st_mode)) {
        snprintf(why, why_size, "not a regular file");
        result = THUMB_WRONG;
    } else {
        result = thumb_file_media(fd, frame, media, size, why, why_size);
    }

    close(fd);
    return result;
}
