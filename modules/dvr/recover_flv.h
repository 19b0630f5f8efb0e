/*
 * recover_file() of an FLV: it ends with its last whole tag, and all else is
 * found by walking over the tags.
 */

#ifndef DUOLU_DVR_RECOVER_FLV_H
#define DUOLU_DVR_RECOVER_FLV_H

#include "recover_mp4.h"

/* Like recover_file().  With KEEP the file is to be closed: its onMetaData is
 * rewritten, unless its writer already wrote the final one. */
int recover_flv(const recover_file_t *file, int fd, int keep, recovered_t *out);

#endif
