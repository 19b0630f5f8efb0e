/* Lists of times, and the CPU time of processes. */

#ifndef DUOLU_BENCH_NUMBERS_H
#define DUOLU_BENCH_NUMBERS_H

#include <stddef.h>
#include <stdint.h>

/* A growing list of microseconds. */
typedef struct {
    int64_t  *us;
    size_t    count, room;
} numbers_t;

void numbers_add(numbers_t *n, int64_t us);

/* Prints ,"NAME":[ms,...]. */
void numbers_print(const char *name, const numbers_t *n);

/* CPU seconds of other processes, by their CPU clocks: these count in
 * nanoseconds, /proc in steps of 10 ms.  LIST: pids with commas. */
void numbers_watch_pids(char *list);
double numbers_cpu(void);

/* CPU seconds of this process. */
double numbers_own_cpu(void);

#endif
