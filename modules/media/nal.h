/*
 * The NAL units of a frame, a row: each behind its length, or behind a start code,
 * which some encoders send although FLV does not allow it.
 *
 * Source: ISO/IEC 14496-15, 5.3.4.2 (lengths); ITU-T H.264 and H.265, annex B
 * (start codes).
 *
 * Pure: no allocation, no clock, no logging.
 */

#ifndef DUOLU_MEDIA_NAL_H
#define DUOLU_MEDIA_NAL_H

#include <stddef.h>
#include <stdint.h>

#define NAL_START_CODES  0         /* in place of the size of a length */

typedef struct {
    const uint8_t  *data;
    size_t          size;          /* may end within a unit */
    size_t          at;
    unsigned        prefix;        /* bytes of a length, or NAL_START_CODES */
    int             cut;           /* the last unit continues behind SIZE */
} nal_row_t;

/* Returns the next unit, beginning with its header, or NULL.  *SIZE, at least 1, is
 * the number of its bytes within the row. */
const uint8_t *nal_next(nal_row_t *row, size_t *size);

/* Does a frame begin with a start code?  It cannot be a length: that would mean a
 * unit of one byte, and no frame begins with such a unit. */
int nal_has_start_codes(const uint8_t *data, size_t size);

/* Copies units behind start codes to OUT, each behind a length of four bytes.
 * MAX is at least NAL_LENGTHS_MAX(SIZE).  Returns the bytes written. */
#define NAL_LENGTHS_MAX(size)  ((size) + (size) / 3 + 4)
size_t nal_to_lengths(const uint8_t *data, size_t size, uint8_t *out,
    size_t max);

/* Writes a length of PREFIX bytes.  Returns PREFIX. */
size_t nal_write_length(uint8_t *out, unsigned prefix, size_t length);

#endif
