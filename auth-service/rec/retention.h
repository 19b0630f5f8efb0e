#ifndef DUOLU_RETENTION_H
#define DUOLU_RETENTION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Chooses the recordings to delete. No I/O: it applies the rules to a list. */

typedef enum {
    RETENTION_STAYS = 0,
    RETENTION_AGE   = 1,
    RETENTION_QUOTA = 2,
    RETENTION_TOTAL = 4,
    RETENTION_FREE  = 8
} retention_why_t;

typedef struct {
    uint64_t         id;
    uint64_t         owner;     /* of its stream, 0: there is none */
    uint64_t         quota;     /* the owner's, 0: no limit */
    int64_t          ended;     /* unix ms */
    uint64_t         bytes;
    bool             fixed;     /* kept, or still being written: it stays, and counts */
    bool             marked;    /* for retention.c; false at first, and why is STAYS */
    retention_why_t  why;       /* out */
} retention_file_t;

typedef struct {
    int64_t   now;              /* unix ms */
    unsigned  days;             /* each: 0, no limit */
    uint64_t  total;
    uint64_t  floor;            /* bytes of the disk that must be free ... */
    uint64_t  free;             /* ... and that are */
} retention_rules_t;

/*
 * Sets `why` of each file; the list is sorted, oldest first. Returns the bits of the
 * rules that stay broken because the remaining files are fixed.
 */
unsigned retention_choose(const retention_rules_t *rules, retention_file_t *files,
                          size_t count);

/* "older than DUOLU_REC_DAYS" */
const char *retention_text(retention_why_t why);

#endif
