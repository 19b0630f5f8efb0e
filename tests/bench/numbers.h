/* Figures: lists of times, the CPU that other processes used. */

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

/* Another process's CPU clock has nanoseconds; its /proc has 10 ms. */
void numbers_watch_pids(char *list);
double numbers_cpu(void);

/* This process's own. */
double numbers_own_cpu(void);

#endif
