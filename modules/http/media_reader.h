/*
 * Reads fragments of recorded files.  Pool thread only.  A failure fails the
 * question, with a sentence that names the file and the offset.
 */

#ifndef DUOLU_HTTP_MEDIA_READER_H
#define DUOLU_HTTP_MEDIA_READER_H

#include "history.h"
#include "../media/mp4_read.h"

#define MEDIA_SAMPLES  4096          /* of one fragment */

/* The caller sets `history` and zeroes the rest. */
typedef struct {
    history_t     *history;
    uint8_t       *box;              /* the current moof */
    size_t         box_size;
    mp4_sample_t  *samples;          /* its samples */
    unsigned       guess:1;          /* the client chose the offset */
} media_reader_t;

/* Reads SIZE bytes at OFFSET of FD, which is FILE.  Returns 0 or -1. */
int media_read(media_reader_t *m, const char *file, int fd, uint8_t *p, size_t size,
    uint64_t offset);

/* Reads the moof at OFFSET; its fragment must end before END or there.  Returns
 * the offset of its samples, or 0 when the question has failed. */
uint64_t media_fragment(media_reader_t *m, const char *file, int fd, uint64_t offset,
    uint64_t end, mp4_fragment_t *fragment);

/* Fail the question; return -1. */
int media_broken(media_reader_t *m, const char *file, uint64_t offset);
int media_no_memory(history_t *h);

void media_free(media_reader_t *m);

#endif
