#ifndef DUOLU_STORE_CORE_H
#define DUOLU_STORE_CORE_H

#include "store.h"

/* The store_*.c files talk to the server by these prepared statements only. */

typedef struct {
    enum { STORE_INTEGER, STORE_TEXT, STORE_BYTES, STORE_NULL }  type;
    uint64_t     integer;
    const char  *data;
    size_t       length;
} store_value_t;

store_value_t store_integer(uint64_t value);
store_value_t store_integer_or_null(uint64_t value);    /* 0: NULL */
store_value_t store_integer_at(const uint64_t *value);  /* NULL: NULL */
store_value_t store_text(const char *text);             /* NULL: NULL */
store_value_t store_bytes(const void *data, size_t length);

#define STORE_COLUMNS_MAX  24
#define STORE_CELL_MAX     2048

/* A row: each cell is an integer or a text, by its letter in the columns string. */
typedef struct {
    uint64_t  integer[STORE_COLUMNS_MAX];
    char      text[STORE_COLUMNS_MAX][STORE_CELL_MAX];
    bool      null[STORE_COLUMNS_MAX];
} store_row_t;

typedef void (*store_row_each)(const store_row_t *row, void *data);

/* The pointer sql identifies the prepared statement, so it must be a static text. */
store_result_t store_execute(store_t *store, const char *sql, const store_value_t *values,
                             size_t count, uint64_t *affected, uint64_t *insert_id);

/* store_execute() that returns STORE_NONE when it touched no row. */
store_result_t store_execute_rows(store_t *store, const char *sql, const store_value_t *values,
                                  size_t count);

/* columns: one letter each, 'i' integer or 't' text. Returns STORE_NONE when there was no row. */
store_result_t store_query(store_t *store, const char *sql, const store_value_t *values,
                           size_t count, const char *columns, store_row_each each, void *data);

/* store_query() for a list, which may be empty. */
store_result_t store_list(store_t *store, const char *sql, const store_value_t *values,
                          size_t count, const char *columns, store_row_each each, void *data);

/* store_list() of one integer column. */
store_result_t store_list_ids(store_t *store, const char *sql, const store_value_t *values,
                              size_t count, store_id_each each, void *data);

/* store_query() for one integer, 0 if it is NULL; without a row *value stays as it was. */
store_result_t store_query_integer(store_t *store, const char *sql, const store_value_t *values,
                                   size_t count, uint64_t *value);

/* For migrations, whose statements can't be prepared. */
store_result_t store_plain(store_t *store, const char *sql);

/* Statements that prune a growing table; each deletes the oldest rows and ends with LIMIT ?. */
typedef struct {
    const char  *newest;        /* selects its largest id */
    const char  *old;           /* deletes by age: days, LIMIT */
    const char  *many;          /* deletes up to an id: id, LIMIT */
} store_prune_t;

/* Returns STORE_NONE when there was nothing to delete. days and rows: 0 is no limit. */
store_result_t store_prune(store_t *store, const store_prune_t *table, unsigned days,
                           unsigned rows, unsigned most);

void store_copy(char *out, size_t size, const char *text);

#endif
