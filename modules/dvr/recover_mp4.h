/*
 * recover_file() of an MP4: makes its index agree with its fragments.
 */

#ifndef DUOLU_DVR_RECOVER_MP4_H
#define DUOLU_DVR_RECOVER_MP4_H

#include "recover.h"

typedef struct {
    const char  *name;           /* the file's, without a folder */
    const char  *stream;         /* of its folder */
    int64_t      utc;            /* from its name */
    unsigned     doubt:1;        /* a power cut may have lost blocks */
    char         index[PATH_MAX];
} recover_file_t;

/* Like recover_file().  With KEEP a correct ENDLIST stays. */
int recover_mp4(const recover_file_t *file, int fd, int keep, recovered_t *out);

#endif
