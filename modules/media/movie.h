/*
 * The head of a progressive MP4 that is cut from recordings: ftyp, moov with
 * complete sample tables, and the header of mdat.  The payload consists of unchanged
 * parts of the recorded files, so that nginx can send a clip from the files
 * themselves; it includes their moof boxes, to which no sample points.
 *
 * The caller feeds the same input twice: a first pass counts, a second one writes.
 *
 *     movie_init(&m);
 *     feed(&m);                  movie_file(), movie_join(), movie_fragment()
 *     movie_end(&m);
 *     out = room for movie_max(&m) bytes;
 *     size = movie_begin(&m, out, payload);
 *     feed(&m);
 *     movie_end(&m);             0: OUT is the head
 *
 * Time.  Pictures keep their distances.  Where recorded time is missing, a
 * joint (movie_join()), the next picture begins at the end of the last one.
 * Sound keeps its distance to the picture; at a joint its first frame directly
 * follows the last one if that moves it by at most half a frame; frames that
 * overlap more are dropped.  Each joint starts from the picture again, so the
 * error does not add up: sound is never more than half a frame off.
 *
 * Source: ISO/IEC 14496-12, 8.5 to 8.7 (tables), 8.6.6 (edits).
 *
 * Pure: no allocation, no clock, no logging.
 */

#ifndef DUOLU_MEDIA_MOVIE_H
#define DUOLU_MEDIA_MOVIE_H

#include "mp4_read.h"

#define MOVIE_ENTRIES  32        /* different configurations of a track */

enum movie_tables { MOVIE_STTS = 0, MOVIE_CTTS, MOVIE_STSS, MOVIE_STSZ,
                    MOVIE_STSC, MOVIE_STCO, MOVIE_TABLES };   /* co64 too */

/* 32-bit numbers of a table: only counted while there is no `out`. */
typedef struct {
    uint8_t   *out;
    uint64_t   n, room;
} movie_table_t;

/* State of a track; times of video in ms, of sound in ticks. */
typedef struct {
    movie_table_t  table[MOVIE_TABLES];
    unsigned       entry;            /* of the current file, 0: no such track */
    uint32_t       timescale;        /* of the current file */
    uint32_t       samples, chunks;
    uint32_t       run, delta;       /* of stts, not written yet */
    uint32_t       cts_run;
    int32_t        cts;
    uint32_t       chunk_samples, chunk_entry;       /* the last in stsc */
    int64_t        first, first_cts;
    int64_t        last, length;     /* of the newest sample */
    int64_t        shown;            /* end of the last shown sample */
    int64_t        shift;            /* sound: since the last joint */
    unsigned       joint:1;          /* no sample came since the last joint */
    unsigned       negative:1;       /* a cts is negative */
} movie_track_t;

typedef struct {
    movie_track_t  track[2];
    mp4_track_t    entries[2][MOVIE_ENTRIES];
    unsigned       nentries[2];
    uint32_t       ticks;            /* sound's timescale; 0: no file has sound */
    int64_t        offset;           /* ms to add to the file's time */
    int64_t        zero;             /* start of the presentation, ms */
    int64_t        pause;
    unsigned       joint:1;
    unsigned       begun:1;
    unsigned       pictured:1;       /* begins with a picture */
    unsigned       wide:1;           /* offsets need 64 bits */
    unsigned       failed:1;         /* the input was invalid */

    uint64_t       base;             /* of the payload; 0: counting */
    movie_track_t  counted[2];
} movie_t;

void movie_init(movie_t *m);

/* Begins a file with TRACKS[2], whose configurations must outlive M.  Returns 0, or
 * -1 when M has too many different configurations. */
int movie_file(movie_t *m, const mp4_track_t tracks[2]);

/* Call it before a fragment that does not follow the last one: the movie
 * continues after PAUSE ms. */
void movie_join(movie_t *m, int64_t pause);

/* Adds a fragment whose first sample is at OFFSET of the payload. */
void movie_fragment(movie_t *m, const mp4_fragment_t *f, uint64_t offset);

/* Ends a pass.  Returns 0; -1 when nothing was fed, or when the two passes
 * differ. */
int movie_end(movie_t *m);

/* The most bytes of the head. */
size_t movie_max(const movie_t *m);

/* Writes the head except the tables' content to OUT of movie_max() bytes, for
 * PAYLOAD bytes of mdat.  Returns the head's size, 0 when it does not fit. */
size_t movie_begin(movie_t *m, uint8_t *out, uint64_t payload);

#endif
