#ifndef DUOLU_THUMB_FILE_H
#define DUOLU_THUMB_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define THUMB_INIT_MAX      (64 * 1024)             /* ftyp and moov */
#define THUMB_FRAGMENT_MAX  (8 * 1024 * 1024)       /* one second at 64 Mbit/s */

/* Names a key frame: a fragment of an MP4, as in its index, or a tag of an FLV. */
typedef struct {
    const char  *file;       /* absolute */
    uint64_t     init;       /* bytes at its start that a decoder needs: ftyp and moov; or
                                header, onMetaData and sequence headers */
    uint64_t     offset;     /* of the segment that the frame begins, or of its tag */
    uint64_t     size;       /* of the segment, or tag */
} thumb_frame_t;

bool thumb_file_is_flv(const char *file);

typedef enum {
    THUMB_READ,
    THUMB_NONE,              /* no such file, frame, or picture in it */
    THUMB_WRONG,             /* a path that is not allowed */
    THUMB_FAILED             /* the disk, or memory */
} thumb_result_t;

/*
 * Reads the file's head and the one fragment at the offset, which together are a video
 * file of at most one second. After THUMB_READ the caller frees media; otherwise why
 * holds the error.
 */
thumb_result_t thumb_file_read(const char *root, const thumb_frame_t *frame, uint8_t **media,
                               size_t *size, char *why, size_t why_size);

#endif
