#include "store_core.h"

#include <errmsg.h>
#include <mysql.h>
#include <mysqld_error.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define STORE_STATEMENTS_MAX  256
#define STORE_ANSWER_S        10
#define STORE_LOCK_S          5     /* one wait for a lock, well below STORE_ANSWER_S */
#define STORE_SYSTEM_CA       "/etc/ssl/certs/ca-certificates.crt"

/* strict: the server refuses a value that doesn't fit instead of cutting it */
#define STORE_SESSION  "SET time_zone = '+00:00', sql_mode = 'STRICT_ALL_TABLES," \
                       "NO_ENGINE_SUBSTITUTION,ERROR_FOR_DIVISION_BY_ZERO'"

typedef struct {
    const char  *sql;
    MYSQL_STMT  *statement;
} store_prepared_t;

struct store_s {
    dsn_t             dsn;
    MYSQL            *connection;       /* NULL: not open */
    bool              in_transaction;
    unsigned          locks;            /* named locks that this connection holds */
    bool              lost;             /* with an open transaction or lock: see store_close() */
    size_t            count;
    store_prepared_t  prepared[STORE_STATEMENTS_MAX];
    char              error[256];
    bool              blames_row;       /* the last error is about the values, not the server */
    unsigned          answer_s;         /* time that the server may take */
};

/* Buffers for the server's answer; one per result, so that a callback may query again. */
typedef struct {
    store_row_t    row;
    long long      integer[STORE_COLUMNS_MAX];
    unsigned long  length[STORE_COLUMNS_MAX];
    my_bool        null[STORE_COLUMNS_MAX];
    my_bool        cut[STORE_COLUMNS_MAX];
} store_fetch_t;


store_t *store_new(const dsn_t *dsn)
{
    store_t  *store = calloc(1, sizeof(*store));

    if (store) {
        store->dsn = *dsn;
        store->answer_s = STORE_ANSWER_S;
    }
    return store;
}


void store_set_patience(store_t *store, unsigned seconds)
{
    store->answer_s = seconds;
}


/*
 * A new connection can prepare the statements again, but an open transaction or lock is
 * lost, and the caller does not know it yet. Until the caller ends it, send nothing and
 * open no other connection.
 */
static void store_close(store_t *store)
{
    store->lost = store->lost || store->in_transaction || store->locks;
    store->in_transaction = false;

    while (store->count > 0) {
        mysql_stmt_close(store->prepared[--store->count].statement);
    }

    if (store->connection) {
        mysql_close(store->connection);
        store->connection = NULL;
    }
}


void store_free(store_t *store)
{
    if (store) {
        store_close(store);
        free(store);
    }
}


const char *store_error(const store_t *store)
{
    return store->error;
}


static void store_set_error(store_t *store, unsigned code, const char *text)
{
    snprintf(store->error, sizeof(store->error), "%s (%u)", text, code);
    store->blames_row = false;
}


/* SQLSTATE classes: 22 data exception, 23 constraint, 45 raised by a trigger. */
static void store_set_state(store_t *store, const char *state)
{
    store->blames_row = strncmp(state, "22", 2) == 0 || strncmp(state, "23", 2) == 0
                        || strncmp(state, "45", 2) == 0;
}


bool store_refused_row(const store_t *store, store_result_t result)
{
    return result == STORE_EXISTS || (result == STORE_ERROR && store->blames_row);
}


/*
 * Do these errors mean that the connection or its prepared statements are gone? The
 * library's own reconnect would lose the statements, so it stays off and the store
 * opens and prepares again.
 */
static bool store_code_lost(unsigned code)
{
    switch (code) {
    case CR_CONNECTION_ERROR:
    case CR_CONN_HOST_ERROR:
    case CR_SERVER_GONE_ERROR:
    case CR_SERVER_LOST:
    case CR_SERVER_LOST_EXTENDED:
    case CR_UNKNOWN_HOST:
    case CR_NO_PREPARE_STMT:
    case CR_STMT_CLOSED:
    case CR_COMMANDS_OUT_OF_SYNC:
    case ER_UNKNOWN_STMT_HANDLER:
    case ER_SERVER_SHUTDOWN:
    case ER_NORMAL_SHUTDOWN:
    case ER_CONNECTION_KILLED:
    case ER_CON_COUNT_ERROR:
    case 4031:                  /* MySQL 8: closed because it was idle */
        return true;
    default:
        return false;
    }
}


static store_result_t store_code_result(unsigned code)
{
    if (store_code_lost(code)) {
        return STORE_DOWN;
    }
    return code == ER_DUP_ENTRY ? STORE_EXISTS : STORE_ERROR;
}


/* Over TCP, send nothing before the server's certificate is verified. */
static void store_require_tls(MYSQL *connection, const dsn_t *dsn)
{
    my_bool       yes = 1;
    const char   *ca = dsn->ca;
    struct stat   info;
    unsigned int  protocol = MYSQL_PROTOCOL_TCP;

    if (ca[0] == '\0') {
        ca = stat(STORE_SYSTEM_CA, &info) == 0 ? STORE_SYSTEM_CA : NULL;
    }

    mysql_options(connection, MYSQL_OPT_PROTOCOL, &protocol);
    mysql_options(connection, MYSQL_OPT_SSL_ENFORCE, &yes);
    mysql_options(connection, MYSQL_OPT_SSL_VERIFY_SERVER_CERT, &yes);
    if (ca) {
        mysql_options(connection, MYSQL_OPT_SSL_CA, ca);
    }
}


static store_result_t store_open(store_t *store)
{
    MYSQL               *connection;
    unsigned int         connect_s = 2, answer_s = store->answer_s;
    const dsn_t         *dsn = &store->dsn;
    store_result_t       result;

    if (store->connection) {
        return STORE_OK;
    }
    if (store->lost) {
        return STORE_DOWN;
    }

    connection = mysql_init(NULL);
    if (connection == NULL) {
        store_set_error(store, CR_OUT_OF_MEMORY, "out of memory");
        return STORE_ERROR;
    }

    mysql_options(connection, MYSQL_OPT_CONNECT_TIMEOUT, &connect_s);
    mysql_options(connection, MYSQL_OPT_READ_TIMEOUT, &answer_s);
    mysql_options(connection, MYSQL_OPT_WRITE_TIMEOUT, &answer_s);
    mysql_options(connection, MYSQL_SET_CHARSET_NAME, "utf8mb4");
    mysql_options(connection, MYSQL_INIT_COMMAND, STORE_SESSION);

    if (dsn->socket[0] == '\0') {
        store_require_tls(connection, dsn);
    }

    if (!mysql_real_connect(connection, dsn->socket[0] ? "localhost" : dsn->host, dsn->user,
                            dsn->password[0] ? dsn->password : NULL, dsn->database, dsn->port,
                            dsn->socket[0] ? dsn->socket : NULL, CLIENT_FOUND_ROWS))
    {
        /* report every failure to connect, a refused login included, as STORE_DOWN */
        store_set_error(store, mysql_errno(connection), mysql_error(connection));
        result = STORE_DOWN;
        mysql_close(connection);
        return result;
    }

    store->connection = connection;
    return STORE_OK;
}


static MYSQL_STMT *store_prepare(store_t *store, const char *sql, unsigned *code)
{
    size_t       i;
    MYSQL_STMT  *statement;

    for (i = 0; i < store->count; i++) {
        if (store->prepared[i].sql == sql) {
            return store->prepared[i].statement;
        }
    }

    if (store->count == STORE_STATEMENTS_MAX) {
        *code = CR_UNKNOWN_ERROR;
        store_set_error(store, *code, "more statements than STORE_STATEMENTS_MAX");
        return NULL;
    }

    statement = mysql_stmt_init(store->connection);
    if (statement == NULL) {
        *code = CR_OUT_OF_MEMORY;
        store_set_error(store, *code, "out of memory");
        return NULL;
    }

    if (mysql_stmt_prepare(statement, sql, strlen(sql)) != 0) {
        *code = mysql_stmt_errno(statement);
        store_set_error(store, *code, mysql_stmt_error(statement));
        mysql_stmt_close(statement);
        return NULL;
    }

    store->prepared[store->count].sql = sql;
    store->prepared[store->count++].statement = statement;
    return statement;
}


static void store_bind(MYSQL_BIND *bind, const store_value_t *value)
{
    switch (value->type) {
    case STORE_INTEGER:
        bind->buffer_type = MYSQL_TYPE_LONGLONG;
        bind->buffer = (void *) &value->integer;
        bind->is_unsigned = 1;
        break;
    case STORE_TEXT:
    case STORE_BYTES:
        bind->buffer_type = value->type == STORE_TEXT ? MYSQL_TYPE_STRING : MYSQL_TYPE_BLOB;
        bind->buffer = (void *) value->data;
        bind->buffer_length = value->length;
        break;
    case STORE_NULL:
        bind->buffer_type = MYSQL_TYPE_NULL;
        break;
    }
}


static MYSQL_STMT *store_send(store_t *store, const char *sql, const store_value_t *values,
                              size_t count, unsigned *code)
{
    size_t       i;
    MYSQL_BIND   binds[STORE_COLUMNS_MAX];
    MYSQL_STMT  *statement = store_prepare(store, sql, code);

    if (statement == NULL) {
        return NULL;
    }

    if (mysql_stmt_param_count(statement) != count || count > STORE_COLUMNS_MAX) {
        *code = CR_INVALID_PARAMETER_NO;
        store_set_error(store, *code, "statement and values differ in number");
        return NULL;
    }

    memset(binds, 0, sizeof(binds));
    for (i = 0; i < count; i++) {
        store_bind(&binds[i], &values[i]);
    }

    if ((count && mysql_stmt_bind_param(statement, binds)) || mysql_stmt_execute(statement)) {
        *code = mysql_stmt_errno(statement);
        store_set_error(store, *code, mysql_stmt_error(statement));
        store_set_state(store, mysql_stmt_sqlstate(statement));
        return NULL;
    }

    return statement;
}


/* Opens the connection if needed and sends; reopens a dead connection once. */
static MYSQL_STMT *store_try(store_t *store, const char *sql, const store_value_t *values,
                             size_t count, store_result_t *result)
{
    int          tries;
    unsigned     code = 0;
    MYSQL_STMT  *statement;

    for (tries = 0; tries < 2; tries++) {

        *result = store_open(store);
        if (*result != STORE_OK) {
            return NULL;
        }

        statement = store_send(store, sql, values, count, &code);
        if (statement) {
            return statement;
        }

        *result = store_code_result(code);
        if (*result != STORE_DOWN) {
            return NULL;
        }

        store_close(store);
    }

    return NULL;
}


store_result_t store_execute(store_t *store, const char *sql, const store_value_t *values,
                             size_t count, uint64_t *affected, uint64_t *insert_id)
{
    MYSQL_STMT      *statement;
    store_result_t   result;

    statement = store_try(store, sql, values, count, &result);
    if (statement == NULL) {
        return result;
    }

    if (affected) {
        *affected = mysql_stmt_affected_rows(statement);
    }
    if (insert_id) {
        *insert_id = mysql_stmt_insert_id(statement);
    }

    return STORE_OK;
}


store_result_t store_execute_rows(store_t *store, const char *sql, const store_value_t *values,
                                  size_t count)
{
    uint64_t        affected = 0;
    store_result_t  result = store_execute(store, sql, values, count, &affected, NULL);

    return result == STORE_OK && affected == 0 ? STORE_NONE : result;
}


static bool store_bind_result(MYSQL_STMT *statement, const char *columns, store_fetch_t *fetch)
{
    size_t      i, count = strlen(columns);
    MYSQL_BIND  binds[STORE_COLUMNS_MAX];

    if (count > STORE_COLUMNS_MAX || mysql_stmt_field_count(statement) != count) {
        return false;
    }

    memset(binds, 0, sizeof(binds));

    for (i = 0; i < count; i++) {
        binds[i].is_null = &fetch->null[i];
        binds[i].error = &fetch->cut[i];
        binds[i].length = &fetch->length[i];

        if (columns[i] == 'i') {
            binds[i].buffer_type = MYSQL_TYPE_LONGLONG;
            binds[i].buffer = &fetch->integer[i];
            binds[i].is_unsigned = 1;
        } else {
            binds[i].buffer_type = MYSQL_TYPE_STRING;
            binds[i].buffer = fetch->row.text[i];
            binds[i].buffer_length = STORE_CELL_MAX - 1;
        }
    }

    return mysql_stmt_bind_result(statement, binds) == 0;
}


static void store_take_row(const char *columns, store_fetch_t *fetch)
{
    size_t  i;

    for (i = 0; columns[i]; i++) {
        fetch->row.null[i] = fetch->null[i];
        fetch->row.integer[i] = fetch->null[i] || columns[i] != 'i'
                                ? 0 : (uint64_t) fetch->integer[i];
        if (columns[i] != 'i') {
            fetch->row.text[i][fetch->null[i] ? 0 : fetch->length[i]] = '\0';
        }
    }
}


store_result_t store_query(store_t *store, const char *sql, const store_value_t *values,
                           size_t count, const char *columns, store_row_each each, void *data)
{
    int              got = 0;
    size_t           rows = 0;
    unsigned         code;
    MYSQL_STMT      *statement;
    store_fetch_t   *fetch;
    store_result_t   result;

    statement = store_try(store, sql, values, count, &result);
    if (statement == NULL) {
        return result;
    }

    fetch = malloc(sizeof(*fetch));

    if (fetch == NULL || !store_bind_result(statement, columns, fetch)
        || mysql_stmt_store_result(statement) != 0)
    {
        got = 1;
    }

    while (got == 0 && (got = mysql_stmt_fetch(statement)) == 0) {
        store_take_row(columns, fetch);
        rows++;
        if (each) {
            each(&fetch->row, data);
        }
    }

    free(fetch);

    if (got != MYSQL_NO_DATA) {
        code = mysql_stmt_errno(statement);
        store_set_error(store, code, got == MYSQL_DATA_TRUNCATED
                        ? "a column is longer than STORE_CELL_MAX" : mysql_stmt_error(statement));
        result = store_code_lost(code) ? STORE_DOWN : STORE_ERROR;
        /* close it: the rest of this result would answer the next statement */
        store_close(store);
        return result;
    }

    mysql_stmt_free_result(statement);
    return rows ? STORE_OK : STORE_NONE;
}


store_result_t store_list(store_t *store, const char *sql, const store_value_t *values,
                          size_t count, const char *columns, store_row_each each, void *data)
{
    store_result_t  result = store_query(store, sql, values, count, columns, each, data);

    return result == STORE_NONE ? STORE_OK : result;
}


typedef struct {
    store_id_each   each;
    void           *data;
} store_ids_t;


static void store_take_id(const store_row_t *row, void *data)
{
    store_ids_t  *ids = data;

    ids->each(row->integer[0], ids->data);
}


store_result_t store_list_ids(store_t *store, const char *sql, const store_value_t *values,
                              size_t count, store_id_each each, void *data)
{
    store_ids_t  ids = { each, data };

    return store_list(store, sql, values, count, "i", store_take_id, &ids);
}


static void store_take_integer(const store_row_t *row, void *data)
{
    *(uint64_t *) data = row->integer[0];
}


store_result_t store_query_integer(store_t *store, const char *sql, const store_value_t *values,
                                   size_t count, uint64_t *value)
{
    return store_query(store, sql, values, count, "i", store_take_integer, value);
}


store_result_t store_plain(store_t *store, const char *sql)
{
    unsigned        code;
    store_result_t  result = store_open(store);

    if (result != STORE_OK) {
        return result;
    }

    if (mysql_real_query(store->connection, sql, strlen(sql)) == 0) {
        return STORE_OK;
    }

    code = mysql_errno(store->connection);
    store_set_error(store, code, mysql_error(store->connection));
    if (store_code_lost(code)) {
        store_close(store);
    }

    return store_code_result(code);
}


store_result_t store_begin(store_t *store)
{
    store_result_t  result = store_plain(store, "START TRANSACTION");

    if (result == STORE_DOWN) {
        result = store_plain(store, "START TRANSACTION");
    }

    store->in_transaction = result == STORE_OK;
    return result;
}


/* Ends a transaction or lock. After the outermost one the store may open a connection again. */
static void store_end(store_t *store)
{
    if (store->locks == 0 && !store->in_transaction) {
        store->lost = false;
    }
}


store_result_t store_commit(store_t *store)
{
    store_result_t  result = STORE_DOWN;

    if (store->in_transaction) {
        store->in_transaction = false;
        result = store_plain(store, "COMMIT");
    }

    store_end(store);
    return result;
}


void store_rollback(store_t *store)
{
    if (store->in_transaction) {
        store->in_transaction = false;
        store_plain(store, "ROLLBACK");
    }

    store_end(store);
}


store_result_t store_lock(store_t *store, const char *name, unsigned seconds)
{
    static const char  sql[] = "SELECT GET_LOCK(CONCAT('duolu.', ?, '.', DATABASE()), ?)";

    uint64_t        got = 0;
    unsigned        wait;
    store_result_t  result;

    do {
        wait = seconds < STORE_LOCK_S ? seconds : STORE_LOCK_S;
        seconds -= wait;

        store_value_t  values[] = { store_text(name), store_integer(wait) };

        result = store_query_integer(store, sql, values, 2, &got);
    } while (result == STORE_OK && got != 1 && seconds > 0);

    if (result == STORE_OK && got == 1) {
        store->locks++;
        return STORE_OK;
    }
    return result == STORE_OK ? STORE_NONE : result;
}


void store_unlock(store_t *store, const char *name)
{
    static const char  sql[] = "SELECT RELEASE_LOCK(CONCAT('duolu.', ?, '.', DATABASE()))";

    store_value_t  values[] = { store_text(name) };

    store->locks--;

    if (!store->lost) {
        store_query(store, sql, values, 1, "i", NULL, NULL);
    }
    store_end(store);
}


store_value_t store_integer(uint64_t value)
{
    return (store_value_t) { .type = STORE_INTEGER, .integer = value };
}


store_value_t store_integer_or_null(uint64_t value)
{
    return value ? store_integer(value) : (store_value_t) { .type = STORE_NULL };
}


store_value_t store_integer_at(const uint64_t *value)
{
    return value ? store_integer(*value) : (store_value_t) { .type = STORE_NULL };
}


store_value_t store_text(const char *text)
{
    if (text == NULL) {
        return (store_value_t) { .type = STORE_NULL };
    }
    return (store_value_t) { .type = STORE_TEXT, .data = text, .length = strlen(text) };
}


store_value_t store_bytes(const void *data, size_t length)
{
    return (store_value_t) { .type = STORE_BYTES, .data = data, .length = length };
}


void store_copy(char *out, size_t size, const char *text)
{
    snprintf(out, size, "%s", text);
}
