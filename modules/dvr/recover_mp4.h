/*
 * recover_file() of an MP4: what its fragments say is the truth, and its index
 * is made to agree with them.
 */

#ifndef DUOLU_DVR_RECOVER_MP4_H
#define DUOLU_DVR_RECOVER_MP4_H

#include "recover.h"

typedef struct {
    const char  *name;           /* the file's, without a folder */
    const char  *stream;         /* whose folder it lies in */
    int64_t      utc;            /* that its name says */
    unsigned     doubt:1;        /* blocks of it may have been lost */
    char         index[PATH_MAX];
} recover_file_t;

/* As recover_file(), which see.  With KEEP an ENDLIST that is true stays. */
int recover_mp4(const recover_file_t *file, int fd, int keep, recovered_t *out);

#endif
