#ifndef DUOLU_CLOCK_H
#define DUOLU_CLOCK_H

#include <stdint.h>
#include <time.h>

/* Milliseconds of a clock that only moves forward. */
static inline int64_t clock_ms(void)
{
    struct timespec  now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t) now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* Milliseconds since 1970. */
static inline int64_t clock_utc_ms(void)
{
    struct timespec  now;

    clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t) now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

#endif
