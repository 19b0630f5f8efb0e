/*
 * AAC configuration: from an AudioSpecificConfig, or from the head of an ADTS
 * frame.
 *
 * Source: ISO/IEC 14496-3, 1.6.2.1 (the record; table 1.18, sampling
 * frequencies; table 1.19, channels), 4.4.1.1 (program_config_element),
 * 1.A.3.2 (adts_frame).
 *
 * Pure: no allocation, no clock, no logging.
 */

#ifndef DUOLU_MEDIA_AAC_H
#define DUOLU_MEDIA_AAC_H

#include <stddef.h>
#include <stdint.h>

typedef struct {
    uint8_t   object;       /* of the core: 2 is AAC-LC */
    uint8_t   outer;        /* 5 with SBR, 29 with PS, else the core's */
    uint32_t  rate;         /* Hz, of the core: with SBR half of the output's */
    uint32_t  channels;     /* of the output; 0: not in the record */
} aac_config_t;

/* Returns 0, or -1 when the record is invalid: cut, or with a reserved rate or
 * arrangement of channels. */
int aac_parse_config(const uint8_t *record, size_t size, aac_config_t *config);

#define AAC_ADTS_MAX     9           /* bytes of a head */
#define AAC_FRAME        1024        /* samples */

typedef struct {
    uint8_t   record[2];    /* an AudioSpecificConfig for the frame */
    uint32_t  rate;         /* Hz */
    size_t    head;         /* bytes in front of the frame */
    size_t    size;         /* of both */
} aac_adts_t;

/* Returns 0, or -1 when DATA does not begin with the head of an ADTS frame of one
 * block.  A frame without a head never begins like one. */
int aac_parse_adts(const uint8_t *data, size_t size, aac_adts_t *adts);

#endif
