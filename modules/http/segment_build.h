/*
 * Makes a segment of a part of a recorded file, whole fragments: their moofs are written
 * anew with other times, and their samples are sent from the file.
 */

#ifndef DUOLU_HTTP_SEGMENT_BUILD_H
#define DUOLU_HTTP_SEGMENT_BUILD_H

#include "budget.h"
#include "media_reader.h"
#include "pieces.h"

#define SEGMENT_INIT_MAX  65536      /* bytes of a file's init segment */

typedef struct segment_piece_s  segment_piece_t;

typedef struct {
    media_reader_t    media;

    /* the caller's */
    uint64_t          offset, size;  /* in the file */
    uint64_t          init_size;     /* of the file's init segment */
    int64_t           shift;         /* ms to add to the file's times */
    int64_t           sound;         /* ticks: here its sound begins; -1: as `shift` has it */
    int64_t           sound_end;     /* and ends; -1: as its frames have it */

    /* the answer */
    char              file[REC_FILE_MAX];
    int               fd;            /* open as long as this object */
    uint64_t          total;         /* bytes of the body */
    mp4_init_t        init;          /* its configurations are not kept */

    uint8_t          *heads;
    size_t            heads_size, heads_room;
    budget_hold_t     hold;
    segment_piece_t  *pieces;
    size_t            npieces;
    int64_t           sound_by;
    unsigned          sound_moved:1;
} segment_build_t;

/* Event loop.  B is for the question H. */
ngx_int_t segment_build_init(segment_build_t *b, history_t *h);
void segment_build_free(segment_build_t *b);

/* Pool thread; they return 0, or -1 when the question has failed.  Open the file of UTC
 * first. */
int segment_build_open(segment_build_t *b, int64_t utc);
int segment_build(segment_build_t *b);

/* Reads the file's init segment, for free(), and sets `init`, which points into it.
 * NULL: the question has failed. */
uint8_t *segment_build_read_init(segment_build_t *b);

/* Fails the question: there is no such segment.  Returns -1. */
int segment_build_none(const segment_build_t *b);

/* Event loop.  Adds what was built to BODY. */
void segment_build_body(const segment_build_t *b, pieces_t *body);

#endif
