#ifndef DUOLU_RETENTION_H
#define DUOLU_RETENTION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Chooses the recordings to delete: applies the rules to a list, without any I/O. */

typedef enum {
    RETENTION_STAYS = 0,
    RETENTION_AGE   = 1,
    RETENTION_QUOTA = 2,
    RETENTION_TOTAL = 4,
    RETENTION_FREE  = 8,
    RETENTION_ASKED = 16
} retention_why_t;

typedef struct {
    uint64_t         id;
    uint64_t         owner;     /* of its stream, 0: no stream */
    uint64_t         quota;     /* of the owner, 0: no limit */
    int64_t          ended;     /* unix ms */
    uint64_t         bytes;
    bool             fixed;     /* kept or being written: it stays, and counts */
    bool             marked;    /* private; the caller sets false, and why to STAYS */
    retention_why_t  why;       /* out */
} retention_file_t;

typedef struct {
    int64_t   now;              /* unix ms */
    unsigned  days;             /* 0: no limit, as for total and floor */
    uint64_t  total;
    uint64_t  floor;            /* bytes of the disk that must be free */
    uint64_t  free;             /* bytes of the disk that are free */
} retention_rules_t;

/*
 * Sets `why` of each file in a list sorted from the oldest. Returns the bits of the
 * rules that stay broken because the remaining files are fixed.
 */
unsigned retention_choose(const retention_rules_t *rules, retention_file_t *files,
                          size_t count);

/* Chooses the files that ended before this time, whatever the rules say; fixed files stay. */
void retention_choose_older(retention_file_t *files, size_t count, int64_t before);

/* "older than rec_days" */
const char *retention_text(retention_why_t why);

#endif
