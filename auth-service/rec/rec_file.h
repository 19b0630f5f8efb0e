#ifndef DUOLU_REC_FILE_H
#define DUOLU_REC_FILE_H

#include "../store/store.h"

/*
 * Recordings as they lie in the folder of recordings, called root:
 * APP/NAME/DAY/TIME.mp4 with its index .m3u8, or .flv. Its writer holds an
 * flock() on it and has a marker in root/.open.
 */

/* Fills app, name, format and from out of a file's path; false: it is no recording's path. */
bool rec_file_name(const char *file, store_recording_t *recording);

/* DAY/TIME.EXT of it: what follows the stream's folder. */
const char *rec_file_tail(const char *file);

/*
 * Whether recordings were ever written here. If not, the folder is new or the disk
 * is not mounted, and a missing file does not mean that it was deleted.
 */
bool rec_file_root(const char *root);

/*
 * Locks the rows and files of recordings for one process; the lock outlives a lost
 * database connection. Close the descriptor to unlock. -1: another process has the
 * lock, or, with errno other than EWOULDBLOCK, there is no such folder.
 */
int rec_file_lock(const char *root, unsigned wait_s);

/* The recording's bytes: from the disk while it is being written, else from the row. */
uint64_t rec_file_bytes(const char *root, const store_recording_t *recording);

/* True only when the file does not exist, not when it cannot be read. */
bool rec_file_missing(const char *root, const char *file);

/* A process writes it, or died writing it and recovery has not closed it yet. */
bool rec_file_marked(const char *root, const char *file);

/* A process writes it now. */
bool rec_file_busy(const char *root, const char *file);

typedef enum {
    REC_FILE_GONE,      /* was deleted now, or before */
    REC_FILE_BUSY,      /* a process writes it: nothing was done */
    REC_FILE_FAILED     /* the error says what; a part of it may be gone */
} rec_file_result_t;

/*
 * Deletes the index, then the file, then folders that are empty now. In this order a
 * crash leaves a file that no playlist lists, never a playlist entry without its file.
 */
rec_file_result_t rec_file_remove(const char *root, const char *file, char *error,
                                  size_t error_size);

/*
 * Reads to, bytes, state, session and reason from the file and its index;
 * rec_file_name() has filled the rest. An FLV does not hold its session, so that
 * field keeps its value. false and an error: it can't be read.
 */
bool rec_file_look(const char *root, store_recording_t *recording, char *error,
                   size_t error_size);

/* Each recording below root, by day and name within a stream; false: root can't be read. */
typedef void (*rec_file_each)(const char *file, void *data);
bool rec_file_walk(const char *root, rec_file_each each, void *data, char *error,
                   size_t error_size);

/* Size and free space of the folder's disk, in bytes; free: for users other than root. */
bool rec_file_disk(const char *root, uint64_t *size, uint64_t *free);

#endif
