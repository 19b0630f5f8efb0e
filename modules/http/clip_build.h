/*
 * Builds a clip: its head, and the list of the file parts behind it.  Pool
 * thread only, until it is done.
 */

#ifndef DUOLU_HTTP_CLIP_BUILD_H
#define DUOLU_HTTP_CLIP_BUILD_H

#include "budget.h"
#include "media_reader.h"
#include "../media/movie.h"

/* A recorded file and its part of the clip.  Browsers configure their decoder
 * from a movie's first configuration only, so a clip with several has parameter
 * sets in front of each key frame that begins a fragment. */
typedef struct {
    int           fd;                /* -1: not open */
    uint64_t      offset, size;
    uint8_t      *init;
    mp4_init_t    head;
    uint8_t      *sets;
    size_t        sets_size;         /* of parameter sets; 0: not needed */
    uint64_t     *cuts;              /* their offsets in the file */
    size_t        ncuts;
} clip_file_t;

/* The caller sets the first four members, of `media` only `history`, and zeroes
 * the rest. */
typedef struct {
    media_reader_t  media;
    ngx_msec_t     longest;          /* limit of its recorded time */
    budget_t      *heads;            /* of all clips */
    size_t         heads_most;

    clip_file_t   *files;
    size_t         nfiles;
    movie_t        movie;
    uint8_t       *out;              /* the head of the clip */
    size_t         out_size;
    budget_hold_t  hold;             /* for the head */
    uint64_t       payload;          /* bytes behind the head */
    uint8_t        digest[16];       /* of the clip's bytes */
} clip_build_t;

/* Builds the clip from the history's range, or fails the question. */
void clip_build(clip_build_t *b);

/* Closes the files; B itself stays. */
void clip_build_free(clip_build_t *b);

#endif
