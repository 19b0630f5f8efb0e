/*
 * FLV files: writes their head, and finds the end of their last whole tag.
 *
 * The header is followed by one script tag, onMetaData, of a fixed size.  When the
 * recorder closes the file, it overwrites that tag with the duration and the
 * positions of key frames, which let players seek; a property `filler` pads it.
 *
 * Source: Adobe Flash Video File Format Specification 10.1, E.5 (onMetaData);
 * AMF 0 specification, 2; Enhanced RTMP v1 (codec ids that are a FourCC).  The
 * `keyframes` object is what FLV tools have agreed on.
 *
 * Pure: no allocation, no clock, no logging.
 */

#ifndef DUOLU_MEDIA_FLV_FILE_H
#define DUOLU_MEDIA_FLV_FILE_H

#include "flv.h"

#define FLV_KEYS_MAX    1024
#define FLV_META_SIZE   (FLV_KEYS_MAX * 18 + 1024)   /* tag and back-pointer */
#define FLV_MEDIA_AT    (FLV_HEADER_SIZE + FLV_META_SIZE)

typedef struct {
    uint64_t  position;          /* of the tag in the file */
    uint32_t  time;              /* its timestamp */
} flv_key_t;

/* Key frames; if there are too many for the array, an evenly spread selection. */
typedef struct {
    uint32_t   n;
    uint32_t   step;             /* every STEPth is kept */
    uint32_t   seen;
    flv_key_t  key[FLV_KEYS_MAX];
} flv_keys_t;

void flv_keys_add(flv_keys_t *keys, uint32_t time, uint64_t position);

/* Drops the keys from SIZE on, where the file was cut. */
void flv_keys_cut(flv_keys_t *keys, uint64_t size);

/* Other fields of onMetaData; 0: not known, or there is no such track. */
typedef struct {
    uint64_t  duration;          /* ms; 0 until the file is closed */
    uint64_t  size;              /* of the file, likewise */
    uint64_t  session;           /* of the recorder: utc ms */
    uint32_t  last;              /* the latest timestamp */
    uint32_t  video, audio;      /* codec ids */
    uint32_t  width, height;
    uint32_t  rate, channels;
} flv_meta_t;

/* The content of the script tag. */
typedef struct {
    flv_meta_t  meta;
    flv_keys_t  keys;
} flv_file_t;

void flv_file_init(flv_file_t *file);

/* Fills META from a sequence header, the BODY of a tag. */
void flv_meta_header(flv_meta_t *meta, uint8_t type, const uint8_t *body,
    size_t size);

/* Writes the script tag.  Returns FLV_META_SIZE. */
size_t flv_write_meta(uint8_t out[FLV_META_SIZE], const flv_file_t *file);

/* Reads duration, size and session from a tag of flv_write_meta().  Returns 0, or -1
 * when TAG is another one. */
int flv_read_meta(const uint8_t tag[FLV_META_SIZE], flv_meta_t *meta);

/* Reads from the tag the newest key frame not later than TIME (ms).  Returns 0,
 * or -1 when there is none. */
int flv_read_key(const uint8_t tag[FLV_META_SIZE], uint32_t time, flv_key_t *key);

/* A walk over the tags of a file. */
typedef struct {
    uint64_t     at;             /* behind the last whole tag */
    int64_t      dts[2];         /* of the last video and audio frame, -1 */
    int64_t      step[2];        /* from the frame before it */
    flv_file_t  *file;           /* filled from the tags */
} flv_walk_t;

/* Begins at AT, where a tag begins. */
void flv_walk_init(flv_walk_t *w, uint64_t at, flv_file_t *file);

/* Walks over the whole tags in the SIZE bytes at P, which are at w->at in the
 * file.  Returns their bytes: less than SIZE when the next tag is cut or invalid.
 * *NEED is the size of the cut tag, or 0 when the tag is invalid. */
size_t flv_walk(flv_walk_t *w, const uint8_t *p, size_t size, size_t *need);

/* The end of all walked frames, ms. */
int64_t flv_walk_end(const flv_walk_t *w);

#endif
