/*
 * recover_file() of an FLV: cuts it after its last whole tag, and finds its times
 * and key frames by a walk over the tags.
 */

#ifndef DUOLU_DVR_RECOVER_FLV_H
#define DUOLU_DVR_RECOVER_FLV_H

#include "recover_mp4.h"

/* Like recover_file().  With KEEP the file is to be closed: its onMetaData is
 * rewritten, unless its writer already wrote the final one. */
int recover_flv(const recover_file_t *file, int fd, int keep, recovered_t *out);

#endif
