#ifndef DUOLU_MIGRATE_H
#define DUOLU_MIGRATE_H

#include "store.h"

/*
 * Applies the files NNN_*.sql of a folder that schema_version does not list
 * yet, in order, under a lock of the server, so that two processes don't migrate at once.
 */
bool migrate_run(store_t *store, const char *folder, unsigned *applied, char *error,
                 size_t error_size);

/*
 * The next statement of an SQL text, which ends at a ';' outside quotes and
 * comments; terminated in place. NULL at the end.
 */
char *migrate_next_statement(char **text);

#endif
