#ifndef DUOLU_REC_FILE_H
#define DUOLU_REC_FILE_H

#include "../store/store.h"

/*
 * Recordings as they lie in the folder of recordings, called root:
 * APP/NAME/DAY/TIME.mp4 with its index .m3u8, or .flv. Who writes one holds an
 * flock() on it and has a marker in root/.open.
 */

/* app, name, format and from, which the path of a file tells; false: it is none. */
bool rec_file_name(const char *file, store_recording_t *recording);

/* DAY/TIME.EXT of it: what follows the stream's folder. */
const char *rec_file_tail(const char *file);

/*
 * Whether recordings were ever written here. Else it is a new folder, or the
 * disk is not mounted: then that a file is not there says nothing.
 */
bool rec_file_root(const char *root);

/*
 * The right to change rows and files of recordings, of one process at a time;
 * a connection that is lost does not end it. To be closed; -1: another has it,
 * or, with errno other than EWOULDBLOCK, there is no such folder.
 */
int rec_file_lock(const char *root, unsigned wait_s);

/* Bytes of it: what is being written has its size on the disk alone, the row has that of the others. */
uint64_t rec_file_bytes(const char *root, const store_recording_t *recording);

/* Only that it is not there, and not that it can't be seen. */
bool rec_file_missing(const char *root, const char *file);

/* Somebody writes it, or did until it died, and no recovery has closed it yet. */
bool rec_file_marked(const char *root, const char *file);

/* Somebody writes it just now. */
bool rec_file_busy(const char *root, const char *file);

typedef enum {
    REC_FILE_GONE,      /* was deleted now, or before */
    REC_FILE_BUSY,      /* somebody writes it: nothing was done */
    REC_FILE_FAILED     /* the error says what; a part of it may be gone */
} rec_file_result_t;

/*
 * Deletes the index, then the file, then folders that are empty now. Without
 * its index a file is in no playlist; with it and without a file it would be a
 * hole in one.
 */
rec_file_result_t rec_file_remove(const char *root, const char *file, char *error,
                                  size_t error_size);

/*
 * What the file and its index say: to, bytes, state, session and reason, where
 * rec_file_name() has filled the rest. An FLV does not tell its session: it is
 * left as it is when there is one. false and an error: it can't be read.
 */
bool rec_file_look(const char *root, store_recording_t *recording, char *error,
                   size_t error_size);

/* Each recording below root, by day and name within a stream; false: root can't be read. */
typedef void (*rec_file_each)(const char *file, void *data);
bool rec_file_walk(const char *root, rec_file_each each, void *data, char *error,
                   size_t error_size);

/* Of the disk that the folder is on, in bytes; free: to whoever is not root. */
bool rec_file_disk(const char *root, uint64_t *size, uint64_t *free);

#endif
