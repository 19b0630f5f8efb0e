/*
 * Recovers recordings that a killed worker or a power cut left open.  Every file
 * that is being written has a marker in ROOT/.open, and its writer holds an flock()
 * on the file, which the kernel drops when the writer dies.
 *
 * Called from pool threads: nothing here touches nginx's pools or the hub.
 */

#ifndef DUOLU_DVR_RECOVER_H
#define DUOLU_DVR_RECOVER_H

#include <ngx_config.h>
#include <ngx_core.h>

#include "../rules/rec_path.h"

#include "../media/flv_file.h"

/* State of a file without its torn tail, to continue or close it. */
typedef struct {
    uint64_t  size;              /* of the file */
    uint64_t  index_size;
    uint64_t  init_size;         /* MP4 */
    uint64_t  duration_at;       /* MP4: of mehd's duration */
    uint32_t  sequence;          /* of its last fragment */
    int64_t   dts[2];            /* of the last frame of each track, ms in the
                                    file; -1: it has none */
    int64_t   end;               /* of its content, ms in the file */
    int64_t   utc;               /* of its start */
    uint64_t  session;           /* from its index; 0: not known */
    uint64_t  cut;               /* bytes cut off its end */
    flv_file_t  *flv;            /* FLV: from its tags; the caller free()s it */
    unsigned  ended:1;           /* its index had an ENDLIST */
    unsigned  interrupted:1;     /* with "interrupted" */
} recovered_t;

/* FILE (a path below ROOT) has a marker from marker_put() to marker_remove().  Its
 * writer creates and flock()s the file before marker_put() and closes it after
 * marker_remove(), so that recover_all() in another process never takes a file that
 * is in use.  Return 0, or -1 with errno. */
int marker_put(const char *root, const char *file);
int marker_remove(const char *root, const char *file);

/* Returns 1; 0 with errno when FILE has no marker: it was closed. */
int marker_there(const char *root, const char *file);

/* Cuts the torn tail off the open file FD (FILE is its path below ROOT), makes its
 * index agree with the file (without ENDLIST), and fills OUT.  The caller holds the
 * file's flock().  Returns 0, or -1 with errno: ENODATA when nothing in it can be
 * played, others when the disk fails.  Whole fragments are never lost. */
int recover_file(const char *root, const char *file, int fd, recovered_t *out);

/* Closes a file like FILE but of another format, which a dead writer left open.
 * Returns 1 when there was one; 0 with ENOENT when there is none; -1 with errno:
 * EWOULDBLOCK when its writer is alive. */
int recover_other(const char *root, const char *file, ngx_log_t *log);

/* A file that a recorder is about to continue: its path below ROOT without the
 * extension. */
typedef char  recover_taken_t[REC_PATH_MAX];

/* Closes every recording below ROOT that has a marker, no living writer, and is not
 * in TAKEN[N]: recover_file(), ENDLIST with "interrupted", the spool's "close"
 * event.  A file with nothing to play is deleted.  LOG gets a line for each.
 * Returns the number of files that remain without a writer: try again later. */
size_t recover_all(const char *root, const recover_taken_t *taken, size_t n,
    ngx_log_t *log);

#endif
