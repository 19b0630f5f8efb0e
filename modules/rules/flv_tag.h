/*
 * The frame of an FLV tag: its header, and the back-pointer behind its body.
 *
 * Source: Adobe Flash Video File Format Specification 10.1, E.3 and E.4.1.
 *
 * Pure: no allocation, no clock, no logging.  Sizes are bytes, times ms.
 */

#ifndef DUOLU_RULES_FLV_TAG_H
#define DUOLU_RULES_FLV_TAG_H

#include <stddef.h>
#include <stdint.h>

#define FLV_HEADER_SIZE      13      /* with the first back-pointer */
#define FLV_TAG_HEADER_SIZE  11
#define FLV_BACK_SIZE        4
#define FLV_TAG_OVERHEAD     (FLV_TAG_HEADER_SIZE + FLV_BACK_SIZE)
#define FLV_MAX_BODY         0xffffff

enum flv_type {
    FLV_AUDIO = 8,
    FLV_VIDEO = 9,
    FLV_SCRIPT = 18
};

typedef struct {
    uint8_t   type;              /* enum flv_type */
    uint32_t  size;              /* of the body */
    uint32_t  time;
} flv_tag_t;

/* Writes a tag header for a body of SIZE bytes (at most FLV_MAX_BODY).
 * Returns FLV_TAG_HEADER_SIZE. */
size_t flv_write_tag_header(uint8_t out[FLV_TAG_HEADER_SIZE], uint8_t type,
    size_t size, uint32_t timestamp);

/* Returns 0, or -1 when HEAD is not the header of a tag. */
int flv_read_tag_header(const uint8_t head[FLV_TAG_HEADER_SIZE],
    flv_tag_t *tag);

/* Writes the back-pointer behind a body of SIZE bytes.  Returns FLV_BACK_SIZE. */
size_t flv_write_back(uint8_t out[FLV_BACK_SIZE], size_t size);

/* Returns the size of the body in front of the back-pointer, or -1 when BACK
 * cannot be a back-pointer. */
int32_t flv_read_back(const uint8_t back[FLV_BACK_SIZE]);

#endif
