#ifndef DUOLU_KEEPER_H
#define DUOLU_KEEPER_H

#include "config.h"

#include <time.h>

/*
 * The thread of duolu-auth that answers nobody: it tells nginx what could not
 * be told when it happened (nginx was away, an admin changed rows by hand),
 * and takes old rows out of the audit.
 */
typedef struct keeper_s  keeper_t;

/* NULL when there is no thread to be had */
keeper_t *keeper_start(const config_t *config);

void keeper_stop(keeper_t *keeper);
bool keeper_wait(keeper_t *keeper, const struct timespec *deadline);

#endif
