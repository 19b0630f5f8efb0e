#include "migrate.h"
#include "../base/log.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MIGRATE_FILES_MAX  999
#define MIGRATE_FILE_MAX   (1024 * 1024)
#define MIGRATE_LOCK       "migrate"
#define MIGRATE_LOCK_S     60


static int migrate_is_file(const struct dirent *entry)
{
    const char  *name = entry->d_name;
    size_t       length = strlen(name);

    return length > 8 && length < 128 && strspn(name, "0123456789") == 3 && name[3] == '_'
           && strcmp(name + length - 4, ".sql") == 0;
}


static const char *migrate_skip_quoted(const char *p)
{
    char  quote = *p++;

    for (; *p && *p != quote; p++) {
        if (*p == '\\' && quote != '`' && p[1]) {
            p++;
        }
    }

    return *p ? p + 1 : p;
}


char *migrate_next_statement(char **text)
{
    char        *start = *text + strspn(*text, " \t\r\n;");
    const char  *p = start;
    bool         empty = true;

    if (*start == '\0') {
        return NULL;
    }

    while (*p && *p != ';') {
        if (strncmp(p, "-- ", 3) == 0 || strncmp(p, "--\n", 3) == 0 || *p == '#') {
            p += strcspn(p, "\n");
        } else if (strncmp(p, "/*", 2) == 0) {
            p = strstr(p, "*/") ? strstr(p, "*/") + 2 : p + strlen(p);
        } else if (*p == '\'' || *p == '"' || *p == '`') {
            p = migrate_skip_quoted(p);
            empty = false;
        } else {
            empty = empty && strchr(" \t\r\n", *p);
            p++;
        }
    }

    *text = start + (p - start);
    if (**text == ';') {
        **text = '\0';
        (*text)++;
    }

    /* skip text that holds only comments */
    return empty ? migrate_next_statement(text) : start;
}


static char *migrate_read(const char *path, char *error, size_t size)
{
    FILE    *file = fopen(path, "re");
    char    *text;
    size_t   length;

    if (file == NULL) {
        snprintf(error, size, "%s: %s", path, strerror(errno));
        return NULL;
    }

    text = malloc(MIGRATE_FILE_MAX + 1);
    length = text ? fread(text, 1, MIGRATE_FILE_MAX + 1, file) : 0;
    fclose(file);

    if (text == NULL || length > MIGRATE_FILE_MAX) {
        snprintf(error, size, "%s: larger than %d bytes", path, MIGRATE_FILE_MAX);
        free(text);
        return NULL;
    }

    text[length] = '\0';
    return text;
}


static bool migrate_file(store_t *store, const char *folder, const char *name,
                         unsigned version, char *error, size_t size)
{
    char            path[2048], *text, *rest, *statement;
    unsigned        number = 0;
    store_result_t  result = STORE_OK;

    snprintf(path, sizeof(path), "%s/%s", folder, name);

    text = migrate_read(path, error, size);
    if (text == NULL) {
        return false;
    }

    rest = text;
    while (result == STORE_OK && (statement = migrate_next_statement(&rest)) != NULL) {
        number++;
        result = store_schema_run(store, statement);
    }

    free(text);

    if (result != STORE_OK) {
        snprintf(error, size, "%.300s: statement %u: %s", path, number, store_error(store));
        return false;
    }

    if (store_schema_record(store, version, name) != STORE_OK) {
        snprintf(error, size, "%.300s: schema_version: %s", path, store_error(store));
        return false;
    }

    log_info("migrate applied %s", name);
    return true;
}


static bool migrate_files(store_t *store, const char *folder, struct dirent **files, int count,
                          unsigned *applied, char *error, size_t size)
{
    int       i;
    bool      applied_before;
    unsigned  version, newest = 0;

    if (store_schema_prepare(store) != STORE_OK
        || store_schema_newest(store, &newest) != STORE_OK)
    {
        snprintf(error, size, "schema_version: %s", store_error(store));
        return false;
    }

    for (i = 0; i < count; i++) {
        version = (unsigned) strtoul(files[i]->d_name, NULL, 10);

        if (version != (unsigned) i + 1) {
            snprintf(error, size, "%.200s/%.100s: expected number %03d here: the files are "
                     "001, 002, ... without a gap or a duplicate", folder, files[i]->d_name, i + 1);
            return false;
        }

        if (store_schema_applied(store, version, &applied_before) != STORE_OK) {
            snprintf(error, size, "schema_version: %s", store_error(store));
            return false;
        }
        if (applied_before) {
            continue;
        }

        if (!migrate_file(store, folder, files[i]->d_name, version, error, size)) {
            return false;
        }
        (*applied)++;
    }

    if (newest > (unsigned) count) {
        snprintf(error, size, "the database has schema version %u, but %.200s ends at %d: a "
                 "newer Duolu made it", newest, folder, count);
        return false;
    }

    return true;
}


bool migrate_run(store_t *store, const char *folder, unsigned *applied, char *error,
                 size_t error_size)
{
    int              i, count;
    bool             good = false;
    store_result_t   result;
    struct dirent  **files;

    *applied = 0;

    count = scandir(folder, &files, migrate_is_file, alphasort);
    if (count <= 0) {
        snprintf(error, error_size, "migrations %.300s: %s", folder,
                 count < 0 ? strerror(errno) : "holds no file NNN_*.sql");
        if (count == 0) {
            free(files);
        }
        return false;
    }

    result = store_lock(store, MIGRATE_LOCK, MIGRATE_LOCK_S);

    if (result == STORE_OK) {
        good = migrate_files(store, folder, files, count, applied, error, error_size);
        store_unlock(store, MIGRATE_LOCK);
    } else {
        snprintf(error, error_size, "%s", result == STORE_NONE
                 ? "another migration has held the lock for 60 s" : store_error(store));
    }

    for (i = 0; i < count; i++) {
        free(files[i]);
    }
    free(files);

    return good;
}
