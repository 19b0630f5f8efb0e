/*
 * Builds a clip: its head, and the list of the file parts behind it.  Pool
 * thread only, until it is done.
 */

#ifndef DUOLU_HTTP_CLIP_BUILD_H
#define DUOLU_HTTP_CLIP_BUILD_H

#include "budget.h"
#include "media_reader.h"
#include "../media/movie.h"

/* A recorded file and its part in the clip.  Browsers configure their decoder
 * from a movie's first configuration only, so a clip with several gets
 * parameter sets in front of each key frame that begins a fragment. */
typedef struct {
    int           fd;                /* -1: not open */
    uint64_t      offset, size;
    uint8_t      *init;
    mp4_init_t    head;
    uint8_t      *sets;
    size_t        sets_size;         /* 0: none are needed */
    uint64_t     *cuts;              /* where in the file they go */
    size_t        ncuts;
} clip_file_t;

/* Zeroed but for the first four, and of the first all but the history. */
typedef struct {
    media_reader_t  media;
    ngx_msec_t     longest;          /* of its recorded time */
    budget_t      *heads;            /* of all clips */
    size_t         heads_most;

    clip_file_t   *files;
    size_t         nfiles;
    movie_t        movie;
    uint8_t       *out;              /* the head of the clip */
    size_t         out_size;
    budget_hold_t  hold;             /* for it */
    uint64_t       payload;          /* bytes behind the head */
    uint8_t        digest[16];       /* same only for the same bytes */
} clip_build_t;

/* Builds the clip from the history's range, or fails the question. */
void clip_build(clip_build_t *b);

/* Closes the files; B itself stays. */
void clip_build_free(clip_build_t *b);

#endif
