/*
 * H.265 configuration: from an HEVCDecoderConfigurationRecord, or from the NAL
 * units of a frame.
 *
 * Source: ISO/IEC 14496-15, 8.3.3.1.2 (the record); ITU-T H.265, 7.3.1.2 (NAL
 * unit header), 7.3.2.2.1 (sequence parameter set), 7.3.3 (profile, tier and
 * level) and table 6-1 (chroma sub-sampling).
 *
 * Pure: no allocation, no clock, no logging.
 */

#ifndef DUOLU_MEDIA_HEVC_H
#define DUOLU_MEDIA_HEVC_H

#include <stddef.h>
#include <stdint.h>

typedef struct {
    uint8_t   profile;      /* general_profile_idc */
    uint8_t   level;        /* 30 times the level's number */
    uint8_t   prefix;       /* bytes of a NAL unit's length */
    uint8_t   layers;       /* temporal layers */
    uint8_t   nested;       /* temporal_id_nesting_flag */
    uint8_t   chroma;       /* chroma_format_idc */
    uint8_t   luma_depth;   /* bits of a sample beyond 8 */
    uint8_t   chroma_depth;
    uint8_t   general[12];  /* profile, tier and level as the SPS has them */
    uint32_t  width;        /* pixels, the conformance window's */
    uint32_t  height;
} hevc_config_t;

/* Returns 0, or -1 when the record or its first SPS is invalid: truncated, or with
 * sizes beyond 16384 pixels. */
int hevc_parse_config(const uint8_t *record, size_t size,
    hevc_config_t *config);

/* Copies a record to OUT without units that no decoder needs, as the SEI of 2 KB in
 * which x265 stores its options.  Returns the size; 0 when the record is invalid, or its
 * parameter sets need more than MAX bytes. */
size_t hevc_trim_config(const uint8_t *record, size_t size, uint8_t *out, size_t max);

/* The row functions take the beginning of a frame: NAL units in the format of
 * PREFIX, see nal.h. */

/* Writes a record, for lengths of four bytes, of the parameter sets in front
 * of the first slice.  Returns its size; 0 when there are no valid VPS, SPS and PPS,
 * or MAX is too small. */
size_t hevc_make_config(const uint8_t *row, size_t size, unsigned prefix,
    uint8_t *out, size_t max);

/* Does the first slice belong to a picture at which decoding may begin (IRAP)? */
int hevc_has_irap(const uint8_t *row, size_t size, unsigned prefix);

#endif
