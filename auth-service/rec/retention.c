#include "retention.h"

#define DAY_MS  86400000LL


static bool retention_may_go(const retention_file_t *file)
{
    return file->why == RETENTION_STAYS && !file->fixed;
}


static void retention_by_age(retention_file_t *files, size_t count, int64_t before,
                             retention_why_t why)
{
    size_t  i;

    for (i = 0; i < count; i++) {
        if (retention_may_go(&files[i]) && files[i].ended < before) {
            files[i].why = why;
        }
    }
}


/* Chooses the oldest files of an owner (0: of all) until the rest has at most MOST bytes. */
static bool retention_shrink(retention_file_t *files, size_t count, uint64_t owner,
                             uint64_t most, retention_why_t why)
{
    size_t    i;
    uint64_t  have = 0;

    for (i = 0; i < count; i++) {
        if (files[i].why == RETENTION_STAYS && (owner == 0 || files[i].owner == owner)) {
            have += files[i].bytes;
        }
    }

    for (i = 0; i < count && have > most; i++) {
        if (retention_may_go(&files[i]) && (owner == 0 || files[i].owner == owner)) {
            files[i].why = why;
            have -= files[i].bytes;
        }
    }

    return have <= most;
}


/*
 * Handles each owner once, at the owner's first file, and marks all files of the owner
 * as done.
 */
static unsigned retention_by_quota(retention_file_t *files, size_t count)
{
    size_t    i, k;
    unsigned  broken = 0;

    for (i = 0; i < count; i++) {
        if (files[i].owner == 0 || files[i].quota == 0 || files[i].marked) {
            continue;
        }

        for (k = i; k < count; k++) {
            files[k].marked |= files[k].owner == files[i].owner;
        }
        if (!retention_shrink(files, count, files[i].owner, files[i].quota, RETENTION_QUOTA)) {
            broken = RETENTION_QUOTA;
        }
    }

    return broken;
}


/* The files that other rules delete count as free space. */
static unsigned retention_by_space(const retention_rules_t *rules, retention_file_t *files,
                                   size_t count)
{
    size_t    i;
    uint64_t  free = rules->free;

    for (i = 0; i < count; i++) {
        free += files[i].why == RETENTION_STAYS ? 0 : files[i].bytes;
    }

    for (i = 0; i < count && free < rules->floor; i++) {
        if (retention_may_go(&files[i])) {
            files[i].why = RETENTION_FREE;
            free += files[i].bytes;
        }
    }

    return free < rules->floor ? RETENTION_FREE : 0;
}


unsigned retention_choose(const retention_rules_t *rules, retention_file_t *files,
                          size_t count)
{
    unsigned  broken;

    if (rules->days) {
        retention_by_age(files, count, rules->now - (int64_t) rules->days * DAY_MS,
                         RETENTION_AGE);
    }
    broken = retention_by_quota(files, count);

    if (rules->total
        && !retention_shrink(files, count, 0, rules->total, RETENTION_TOTAL))
    {
        broken |= RETENTION_TOTAL;
    }

    return broken | retention_by_space(rules, files, count);
}


void retention_choose_older(retention_file_t *files, size_t count, int64_t before)
{
    retention_by_age(files, count, before, RETENTION_ASKED);
}


const char *retention_text(retention_why_t why)
{
    switch (why) {
    case RETENTION_AGE:   return "older than rec_days";
    case RETENTION_QUOTA: return "over the owner's rec_quota";
    case RETENTION_TOTAL: return "over rec_total";
    case RETENTION_FREE:  return "rec_free is not free";
    case RETENTION_ASKED: return "older than was asked for";
    default:              return "stays";
    }
}
