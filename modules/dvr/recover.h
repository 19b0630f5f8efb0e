/*
 * Recovers recordings left open by a worker that was killed or a machine that
 * lost power.  Every file that is being written has a marker in
 * ROOT/.open, and its writer holds an flock() on the file, which the kernel
 * drops when the writer dies.
 *
 * Called from pool threads: nothing here touches nginx's pools or the hub.
 */

#ifndef DUOLU_DVR_RECOVER_H
#define DUOLU_DVR_RECOVER_H

#include <ngx_config.h>
#include <ngx_core.h>

#include "../rules/rec_path.h"

#include "../media/flv_file.h"

/* State of a file after its torn tail was cut off, to continue or close it. */
typedef struct {
    uint64_t  size;              /* of the file */
    uint64_t  index_size;
    uint64_t  init_size;         /* MP4 */
    uint64_t  duration_at;       /* MP4: of mehd's duration */
    uint32_t  sequence;          /* of its last fragment */
    int64_t   dts[2];            /* of the last frame of each track, ms in the
                                    file; -1: it has none */
    int64_t   end;               /* of all that is in it, ms in the file */
    int64_t   utc;               /* of its start */
    uint64_t  session;           /* as its index said; 0: not known */
    uint64_t  cut;               /* bytes that were taken off its end */
    flv_file_t  *flv;            /* FLV: from its tags; the caller free()s it */
    unsigned  ended:1;           /* its index had an ENDLIST */
    unsigned  interrupted:1;     /* with "interrupted" */
} recovered_t;

/* FILE (a path below ROOT) has a marker from marker_put() to marker_remove().
 * Its writer creates and flock()s the file before marker_put() and closes it
 * after marker_remove(), so that recover_all() of another process never takes a
 * file in use.  Return 0, or -1 with errno. */
int marker_put(const char *root, const char *file);
int marker_remove(const char *root, const char *file);

/* Returns 1; 0 with errno when FILE has none: it was closed. */
int marker_there(const char *root, const char *file);

/* Cuts the torn tail of the open file FD (FILE is its path below ROOT), brings
 * its index up to what the file holds (without ENDLIST), and fills OUT.  The
 * caller holds the file's flock().  Returns 0, or -1 with errno: ENODATA,
 * nothing in it can be played; another, the disk refuses.  Either way nothing
 * that was whole is lost. */
int recover_file(const char *root, const char *file, int fd, recovered_t *out);

/* Closes the file of another format that a dead writer left in FILE's place.
 * Returns 1 when there was one; 0 with ENOENT when there is none; -1 with errno:
 * EWOULDBLOCK, its writer lives. */
int recover_other(const char *root, const char *file, ngx_log_t *log);

/* A file whose writer died and that a recorder is about to continue: its path
 * below ROOT without the extension. */
typedef char  recover_taken_t[REC_PATH_MAX];

/* Closes every recording below ROOT that has a marker and no living writer,
 * and is none of TAKEN[N]: recover_file(), ENDLIST with "interrupted", the
 * spool's "close" event; a file with nothing to play is deleted.  LOG gets one
 * line for each.  Returns how many files without a writer remain: try again. */
size_t recover_all(const char *root, const recover_taken_t *taken, size_t n,
    ngx_log_t *log);

#endif
