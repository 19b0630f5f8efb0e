/*
 * H.264 configuration: what an AVCDecoderConfigurationRecord holds.
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
    uint32_t  width;        /* pixels, cropping applied */
    uint32_t  height;
} avc_config_t;

/* Returns 0, or -1 when the record or its first SPS makes no sense
 * (truncated, sizes beyond 16384 pixels). */
int avc_parse_config(const uint8_t *record, size_t size, avc_config_t *config);

/* Writes the record's parameter sets to OUT, each behind its length, as NAL
 * units stand in a frame.  Returns the bytes written; 0 when the record is cut
 * or MAX is too small. */
size_t avc_parameter_sets(const uint8_t *record, size_t size, uint8_t *out,
    size_t max);

#endif
