/*
 * Paths of recordings below the folder of recordings, and UTC as text:
 *
 *   APP/NAME/2026-11-23/14-00-00.123.mp4     the file, named by the UTC of its start
 *   APP/NAME/2026-11-23/14-00-00.123.m3u8    its index (MP4 only)
 *
 *   .open/APP%2FNAME%2F2026-11-23%2F14-00-00.123.mp4     its marker, while a
 *                                            recorder writes the file or
 *                                            recovery has yet to close it
 *
 * The leading dot of a NAME becomes %2E (a name has no '%'), so that no stream has
 * a hidden folder, or the folder of the markers.
 *
 * Source: RFC 3339 (time in text); civil dates after H. Hinnant's
 * days_from_civil.
 *
 * Pure: no allocation, no clock, no logging.
 */

#ifndef DUOLU_RULES_REC_PATH_H
#define DUOLU_RULES_REC_PATH_H

#include <stddef.h>
#include <stdint.h>

#define REC_DIR_MAX   192        /* bytes of the folder APP/NAME and a zero */
#define REC_FILE_MAX  32         /* of 2026-11-23/14-00-00.123.m3u8, likewise */
#define REC_PATH_MAX  (REC_DIR_MAX + REC_FILE_MAX)
#define REC_MARKERS      ".open"     /* their folder */
#define REC_MARKER_MAX   (sizeof(REC_MARKERS) + REC_PATH_MAX + 6)
#define UTC_TEXT_MAX  32

/* Writes the folder of STREAM ("app/name", LEN bytes).  Returns its length, 0 when
 * STREAM is too long or has another form. */
size_t rec_path_dir(char out[REC_DIR_MAX], const char *stream, size_t len);

/* The inverse: writes the stream of the folder DIR.  Returns its length or 0. */
size_t rec_path_stream(char *out, size_t max, const char *dir, size_t len);

/* Writes DAY/TIME.EXT of a file that begins at UTC (ms).  Returns its length. */
size_t rec_path_file(char out[REC_FILE_MAX], int64_t utc, const char *ext);

/* Reads DAY/TIME.EXT.  Returns the UTC, or -1 when FILE has any other form. */
int64_t rec_path_utc(const char *file, size_t len, const char *ext);

/* Writes the path of the marker of FILE, APP/NAME/DAY/TIME.EXT.  Returns its
 * length, 0 when FILE is too long or has more than three slashes. */
size_t rec_path_marker(char out[REC_MARKER_MAX], const char *file);

/* The inverse: writes the path of the file of marker NAME (without its folder).
 * Returns its length, 0 when it does not fit. */
size_t rec_path_marked(char out[REC_PATH_MAX], const char *name);

/* Writes "2026-11-23T14:00:00.123Z".  Returns the length. */
size_t utc_write(char out[UTC_TEXT_MAX], int64_t utc);

/* Reads a time of RFC 3339 (seconds and fraction are optional, the zone is Z or
 * +hh:mm), or a plain number since 1970: seconds below UTC_SECONDS, else ms.
 * Returns ms since 1970, or -1 when TEXT is neither. */
#define UTC_SECONDS  100000000000     /* the year 5138, or March 1973 */

int64_t utc_read(const char *text, size_t len);

#endif
