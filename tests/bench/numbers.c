#define _GNU_SOURCE

#include "numbers.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

#include "bench.h"

#define MAX_PIDS  64

static clockid_t  clocks[MAX_PIDS];
static int        nclocks;


void
numbers_add(numbers_t *n, int64_t us)
{
    if (n->count == n->room) {
        n->room = n->room ? 2 * n->room : 1024;
        n->us = realloc(n->us, n->room * sizeof(int64_t));
        if (n->us == NULL) {
            bench_fail("memory", "for times", "enough");
        }
    }

    n->us[n->count++] = us;
}


void
numbers_print(const char *name, const numbers_t *n)
{
    size_t  i;

    printf(",\"%s\":[", name);
    for (i = 0; i < n->count; i++) {
        printf("%s%.3f", i ? "," : "", n->us[i] / 1000.0);
    }
    printf("]");
}


void
numbers_watch_pids(char *list)
{
    char  *pid;

    for (pid = strtok(list, ","); pid; pid = strtok(NULL, ",")) {
        if (nclocks == MAX_PIDS
            || clock_getcpuclockid((pid_t) bench_number("pid", pid, 1, 1 << 30),
                                   &clocks[nclocks]) != 0)
        {
            bench_fail("pid", pid, "at most 64 running processes");
        }
        nclocks++;
    }
}


double
numbers_cpu(void)
{
    int              i;
    double           sum = 0;
    struct timespec  t;

    for (i = 0; i < nclocks; i++) {
        if (clock_gettime(clocks[i], &t) != 0) {
            bench_fail("process", "of --pids", "to live through the window");
        }
        sum += t.tv_sec + t.tv_nsec / 1e9;
    }

    return sum;
}


double
numbers_own_cpu(void)
{
    struct rusage  u;

    getrusage(RUSAGE_SELF, &u);

    return u.ru_utime.tv_sec + u.ru_stime.tv_sec
           + (u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}
