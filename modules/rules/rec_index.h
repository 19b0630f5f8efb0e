/*
 * The index of a recording: an HLS playlist beside its file.  The recorder
 * appends lines to it as the file grows, for one segment at a time.  A segment
 * begins at a key frame and consists of whole fragments.
 *
 *   #EXTM3U
 *   #EXT-X-VERSION:7
 *   #EXT-X-TARGETDURATION:30
 *   #EXT-X-PLAYLIST-TYPE:EVENT
 *   #EXT-X-DUOLU-RECORDING:STREAM="live/demo",SESSION=1795403212345
 *   #EXT-X-MAP:URI="14-00-00.123.mp4",BYTERANGE="812@0"
 *   #EXT-X-PROGRAM-DATE-TIME:2026-11-23T14:00:00.123Z
 *   #EXTINF:2.000,
 *   #EXT-X-BYTERANGE:250000@812
 *   14-00-00.123.mp4
 *   #EXT-X-DUOLU-LIVE:NUMBER=95403213,…   a segment of live HLS: rec_live_t
 *   #EXT-X-DISCONTINUITY                  a gap, and the time behind it
 *   #EXT-X-PROGRAM-DATE-TIME:2026-11-23T14:00:40.001Z
 *   #EXT-X-DUOLU-DEPENDENT                begins without a key frame
 *   #EXTINF…
 *   #EXT-X-DUOLU-INTERRUPTED              a recovery closed it
 *   #EXT-X-ENDLIST
 *
 * Source: RFC 8216 (HLS), 4.3; players ignore tags that they do not know (4.1).
 *
 * Pure: no allocation, no clock, no logging.
 */

#ifndef DUOLU_RULES_REC_INDEX_H
#define DUOLU_RULES_REC_INDEX_H

#include <stddef.h>
#include <stdint.h>

#define REC_SEGMENT_MAX    30000     /* ms; the index's target duration */
#define REC_STREAM_MAX     161       /* bytes of APP/NAME */
#define REC_HEAD_MAX       1024      /* most bytes of rec_index_head() */
#define REC_LINES_MAX      256       /* most bytes of the other writers */
#define REC_LIVE_MAX       320       /* most bytes of rec_index_live() */

typedef struct {
    int64_t   utc;               /* ms since 1970 of its first frame */
    uint32_t  duration;          /* ms */
    uint64_t  offset;            /* of its first byte in the file */
    uint64_t  size;
    unsigned  gap:1;             /* time is missing before it */
    unsigned  dependent:1;       /* begins without a key frame */
} rec_segment_t;

/* A segment of live HLS (../http/hls.md) whose frames are all in the file.  Its line
 * follows when its last fragment is written; the index's own segments may begin and end
 * elsewhere. */
typedef struct {
    uint64_t  number;            /* its media sequence number */
    uint64_t  stream;            /* utc ms: the start of its stream */
    uint64_t  offset, size;      /* whole fragments of the file */
    uint32_t  ms;                /* its duration */
    int64_t   utc;               /* ms since 1970 of its start */
    int64_t   shift;             /* ms: HLS's continuous time minus time in the file */
    int64_t   sound;             /* ticks of HLS: its first frame of sound; -1: as in
                                    the file */
    int64_t   sound_end;         /* likewise: where its last one ends */
    uint32_t  headers;           /* number of its init segment, which the file has */
    uint32_t  breaks;            /* segments before it that have `anew` */
    unsigned  anew:1;            /* other headers than the segment before it */
} rec_live_t;

/* The head of the index describes the whole file. */
typedef struct {
    char      stream[REC_STREAM_MAX + 1];
    uint64_t  session;           /* utc ms; files of one session belong together */
    uint64_t  init_size;         /* of the MP4's ftyp and moov, at offset 0 */
    int64_t   utc;               /* of the first frame */
} rec_head_t;

/* Write to OUT of at least REC_HEAD_MAX or REC_LINES_MAX bytes; return the
 * size.  FILE is the MP4's name without a folder. */
size_t rec_index_head(char *out, const rec_head_t *head, const char *file);
size_t rec_index_segment(char *out, const rec_segment_t *segment,
    const char *file);
size_t rec_index_end(char *out, int interrupted);

/* OUT has REC_LIVE_MAX bytes. */
size_t rec_index_live(char *out, const rec_live_t *live);

typedef struct {
    const char    *p, *last;
    rec_head_t     head;
    int64_t        utc;          /* where the next segment begins */
    unsigned       gap:1, dependent:1;
    unsigned       ended:1;      /* ENDLIST was read */
    unsigned       interrupted:1;
    const char    *whole;        /* behind the last whole segment or tag line */
} rec_reader_t;

/* Begins to read an index of SIZE bytes.  Returns 0, or -1 when its head is cut
 * or invalid. */
int rec_index_open(rec_reader_t *r, const char *text, size_t size);

/* Reads the next segment and returns 1.  Returns 0 at the end of the text (a torn
 * last line is ignored), and -1 when a line is invalid. */
int rec_index_next(rec_reader_t *r, rec_segment_t *segment);

/* Reads the next line of a live segment in [*P, LAST), and moves *P behind it.  *P may
 * be anywhere in an index.  Returns 1; 0: there is none. */
int rec_index_next_live(const char **p, const char *last, rec_live_t *live);

/* Like that, but only a line at *P that is exactly as the writer writes it. */
int rec_index_at_live(const char **p, const char *last, rec_live_t *live);

#endif
