/*
 * Finds the whole fragments at the end of an MP4 that its writer did not close.
 *
 * A fragment is whole when its moof is valid, the file has all of its mdat, and no
 * block was lost: after a power cut a file may be too short, or have its old length
 * with zeros in it.
 */

#ifndef DUOLU_DVR_RECOVER_WALK_H
#define DUOLU_DVR_RECOVER_WALK_H

#include <ngx_config.h>
#include <ngx_core.h>

#include "../media/mp4_read.h"

/* After a power cut, content newer than this or nearer to the file's end may
 * not have reached the disk. */
#define DOUBT_MS     60000
#define DOUBT_BYTES  (4 << 20)

/* A whole fragment: its place in the file, and times in ms in the file. */
typedef struct {
    uint64_t  offset, payload, sound, end;
    int64_t   start, stop, finish;
    int64_t   dts[2];                /* of its last frames, -1: none */
    uint32_t  sequence;
    unsigned  key:1;
} whole_t;

typedef struct {
    int            fd;
    unsigned       doubt:1;          /* a power cut may have lost blocks */
    uint64_t       size;             /* of the file */
    mp4_init_t     init;             /* its configurations are not kept */
    whole_t       *whole;
    size_t         n, max;
    uint8_t       *buffer;
    mp4_sample_t  *sample;
} walk_t;

/* Reads the head of the file FD; DOUBT: a power cut may have lost blocks.  Returns 0,
 * or -1 with errno: ENODATA when the head is torn.  Call walk_close() in any case. */
int walk_open(walk_t *w, int fd, int doubt);
void walk_close(walk_t *w);

/* Fills w->whole from OFFSET on, up to the first fragment that is not whole.
 * Returns 0, or -1 with errno. */
int walk_from(walk_t *w, uint64_t offset);

/* Reads the fragment at OFFSET alone, without its content.  Returns 1; 0 when
 * it is not whole; -1 with errno. */
int walk_one(walk_t *w, uint64_t offset, whole_t *whole);

/* Reads SIZE bytes at OFFSET, fewer at the end of the file.  -1 with errno. */
ssize_t recover_read(int fd, void *out, size_t size, uint64_t offset);

/* Makes room for one more than N elements of SIZE bytes in *LIST, which is an
 * array of *MAX.  Returns 0, or -1 with errno. */
int recover_grow(void *list, size_t n, size_t *max, size_t size);

#endif
