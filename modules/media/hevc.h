/*
 * H.265 configuration: what an HEVCDecoderConfigurationRecord holds.
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
    uint32_t  width;        /* pixels, the conformance window's */
    uint32_t  height;
} hevc_config_t;

/* Returns 0, or -1 when the record or its first SPS makes no sense
 * (truncated, sizes beyond 16384 pixels). */
int hevc_parse_config(const uint8_t *record, size_t size,
    hevc_config_t *config);

#endif
