#ifndef DUOLU_REC_FILE_H
#define DUOLU_REC_FILE_H

#include "../store/store.h"
#include "../../modules/rules/rec_index.h"

/*
 * The files below the folder of recordings, called root: APP/NAME/DAY/TIME.mp4 with its
 * index .m3u8, or .flv. The writer of a file holds an flock() on it and has a marker in
 * root/.open.
 */

/* Sets app, name, format and from by a file's path; false if it is not a recording's path. */
bool rec_file_name(const char *file, store_recording_t *recording);

/* The part DAY/TIME.EXT of a path, behind the stream's folder. */
const char *rec_file_tail(const char *file);

/*
 * Were recordings ever written here? If not, the folder is new or its disk is not
 * mounted, and a missing file does not mean that it was deleted.
 */
bool rec_file_root(const char *root);

/*
 * Locks the rows and files of recordings for this process; the lock outlives a lost
 * database connection. Close the descriptor to unlock. Returns -1 with EWOULDBLOCK when
 * another process has the lock, with another errno when there is no such folder.
 */
int rec_file_lock(const char *root, unsigned wait_s);

/* The recording's bytes: from the disk while it is being written, else from the row. */
uint64_t rec_file_bytes(const char *root, const store_recording_t *recording);

/* True only when the file does not exist, not when it cannot be read. */
bool rec_file_missing(const char *root, const char *file);

/* Does a process write it, or did one die writing it and recovery has not closed it yet? */
bool rec_file_marked(const char *root, const char *file);

/* Does a process write it now? */
bool rec_file_busy(const char *root, const char *file);

typedef enum {
    REC_FILE_GONE,      /* deleted, now or before */
    REC_FILE_BUSY,      /* a process writes it: nothing deleted */
    REC_FILE_FAILED     /* see the error; the index may be deleted */
} rec_file_result_t;

/*
 * Deletes the index, then the file, then folders that are empty now. In this order a
 * crash leaves a file that no playlist lists, never a playlist entry without its file.
 */
rec_file_result_t rec_file_remove(const char *root, const char *file, char *error,
                                  size_t error_size);

/*
 * Sets to, bytes, state, session and reason from the file and its index, after
 * rec_file_name() has set the rest. An FLV does not hold its session: that field keeps
 * its value. Returns false and an error when the file can't be read.
 */
bool rec_file_read(const char *root, store_recording_t *recording, char *error,
                   size_t error_size);

/* Visits the segments of an MP4, in order, that its index lists; none without an index. */
typedef void (*rec_segment_each)(const rec_segment_t *segment, void *data);
void rec_file_segments(const char *root, const char *file, rec_segment_each each, void *data);

/* Visits each recording below root, a stream's in order of time; false if root can't be read. */
typedef void (*rec_file_each)(const char *file, void *data);
bool rec_file_walk(const char *root, rec_file_each each, void *data, char *error,
                   size_t error_size);

/* Size of the folder's disk and its space that users other than root have free, in bytes. */
bool rec_file_disk(const char *root, uint64_t *size, uint64_t *free);

#endif
