#ifndef DUOLU_MIGRATE_H
#define DUOLU_MIGRATE_H

#include "store.h"

/*
 * Applies the files NNN_*.sql of a folder that schema_version does not list yet, in
 * order. A lock of the server keeps two processes from migrating at once.
 */
bool migrate_run(store_t *store, const char *folder, unsigned *applied, char *error,
                 size_t error_size);

/*
 * Cuts the next statement off an SQL text, in place. A statement ends at a ';' outside
 * quotes and comments. Returns NULL at the end.
 */
char *migrate_next_statement(char **text);

#endif
