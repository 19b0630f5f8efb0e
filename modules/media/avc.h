/*
 * H.264 configuration: from an AVCDecoderConfigurationRecord, or from the NAL
 * units of a frame.
 *
 * Source: ISO/IEC 14496-15, 5.3.3.1.2 (the record); ITU-T H.264, 7.3.2.1.1
 * (sequence parameter set) and table 6-1 (chroma sub-sampling).
 *
 * Pure: no allocation, no clock, no logging.
 */

#ifndef DUOLU_MEDIA_AVC_H
#define DUOLU_MEDIA_AVC_H

#include <stddef.h>
#include <stdint.h>

typedef struct {
    uint8_t   profile;
    uint8_t   level;
    uint8_t   prefix;       /* bytes of a NAL unit's length */
    uint8_t   chroma;       /* chroma_format_idc */
    uint8_t   luma_depth;   /* bits of a sample beyond 8 */
    uint8_t   chroma_depth;
    uint32_t  width;        /* pixels, cropping applied */
    uint32_t  height;
} avc_config_t;

/* Returns 0, or -1 when the record or its first SPS is invalid: truncated, or with
 * sizes beyond 16384 pixels. */
int avc_parse_config(const uint8_t *record, size_t size, avc_config_t *config);

/* Writes the record's parameter sets to OUT, each behind its length, as NAL
 * units stand in a frame.  Returns the bytes written; 0 when the record is cut
 * or MAX is too small. */
size_t avc_parameter_sets(const uint8_t *record, size_t size, uint8_t *out,
    size_t max);

/* The row functions take the beginning of a frame: NAL units in the format of
 * PREFIX, see nal.h. */

/* Writes a record, for lengths of four bytes, of the parameter sets in front
 * of the first slice.  Returns its size; 0 when there are no valid SPS and PPS, or
 * MAX is too small. */
size_t avc_make_config(const uint8_t *row, size_t size, unsigned prefix,
    uint8_t *out, size_t max);

/* Does the first slice belong to an IDR picture? */
int avc_has_idr(const uint8_t *row, size_t size, unsigned prefix);

#endif
