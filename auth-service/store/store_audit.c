#include "store_core.h"

#include <stdio.h>

#define AUDIT_TEXT_MAX  200


/*
 * Makes a stranger's text fit to store: replaces every byte that is neither printable
 * ASCII nor part of valid UTF-8 by '?', and cuts the end between characters.
 */
static const char *audit_text(char *out, size_t size, const char *text)
{
    size_t          used;
    unsigned char  *p;

    snprintf(out, size, "%s", text ? text : "");

    for (p = (unsigned char *) out; *p; p++) {
        if (*p < 0x20 || *p == 0x7f) {
            *p = '?';
        }
    }

    used = (size_t) ((char *) p - out);
    if (name_utf8_valid(out)) {
        return out;
    }

    /* snprintf() may have cut the last character in two */
    while (used > 0 && ((unsigned char) out[used - 1] & 0xc0) == 0x80) {
        out[--used] = '\0';
    }
    if (used > 0 && (unsigned char) out[used - 1] >= 0xc0) {
        out[--used] = '\0';
    }
    if (name_utf8_valid(out)) {
        return out;
    }

    for (p = (unsigned char *) out; *p; p++) {
        if (*p >= 0x80) {
            *p = '?';
        }
    }

    return out;
}


store_result_t store_audit_add(store_t *store, const store_audit_t *row)
{
    static const char  sql[] =
        "INSERT INTO audit (actor, action, outcome, target, address, reason) "
        "VALUES (?, ?, ?, ?, ?, ?)";

    char           actor[64], action[32], target[AUDIT_TEXT_MAX], address[46];
    char           reason[AUDIT_TEXT_MAX];
    store_value_t  values[] = {
        store_text(audit_text(actor, sizeof(actor), row->actor)),
        store_text(audit_text(action, sizeof(action), row->action)),
        store_text(row->ok ? "ok" : "denied"),
        store_text(audit_text(target, sizeof(target), row->target)),
        store_text(audit_text(address, sizeof(address), row->address)),
        store_text(audit_text(reason, sizeof(reason), row->reason)),
    };

    return store_execute(store, sql, values, 6, NULL, NULL);
}


store_result_t store_audit_prune(store_t *store, unsigned days, unsigned rows, unsigned most)
{
    static const char  newest[] = "SELECT id FROM audit ORDER BY id DESC LIMIT 1";
    static const char  old[] = "DELETE FROM audit WHERE at < UTC_TIMESTAMP(3) - INTERVAL ? DAY "
                               "ORDER BY at LIMIT ?";
    static const char  many[] = "DELETE FROM audit WHERE id <= ? ORDER BY id LIMIT ?";

    return store_prune(store, &(store_prune_t) { newest, old, many }, days, rows, most);
}


/* --- the list --- */

/* A time in unix ms as a DATETIME, which the database compares by the index. */
#define AUDIT_AT       "(TIMESTAMP('1970-01-01 00:00:00') + INTERVAL ? * 1000 MICROSECOND)"
#define AUDIT_AT_MOST  253370764800000      /* the year 9999, the last of a DATETIME */
#define AUDIT_MS       "CAST(ROUND(UNIX_TIMESTAMP(at) * 1000) AS UNSIGNED)"

/* The newest rows behind the cursor, from one index alone. */
#define AUDIT_WALK(index, condition) \
    " FROM audit FORCE INDEX (" index ") WHERE " condition "at <= " AUDIT_AT " AND at >= " \
    AUDIT_AT " AND (at < " AUDIT_AT " OR id < ?) ORDER BY at DESC, id DESC LIMIT "

/* The rows that match, of the AUDIT_LOOK that the walk comes by. */
#define AUDIT_PAGE(index, condition) \
    "SELECT id, " AUDIT_MS ", actor, action, outcome, target, address, reason FROM " \
    "(SELECT id AS walked" AUDIT_WALK(index, condition) "?) w " \
    "STRAIGHT_JOIN audit ON id = w.walked " \
    "WHERE (? = '' OR actor = ?) AND (? = '' OR action = ?) AND (? = '' OR outcome = ?) " \
    "AND (? = '' OR LOCATE(?, CONCAT_WS('\\n', actor, action, target, address, reason) " \
    "COLLATE utf8mb4_unicode_ci) > 0) ORDER BY at DESC, id DESC LIMIT ?"

/* The last row that the walk comes by, if there are so many. */
#define AUDIT_END(index, condition) \
    "SELECT id, " AUDIT_MS AUDIT_WALK(index, condition) "?, 1"

#define AUDIT_WAY(index, condition) \
    { AUDIT_PAGE(index, condition), AUDIT_END(index, condition) }

/* By the text that is given; the order is from the rarest rows to the most frequent. */
static const struct { const char *page, *end; }  audit_ways[] = {
    AUDIT_WAY("audit_target", "target = ? AND "),
    AUDIT_WAY("audit_actor", "actor = ? AND "),
    AUDIT_WAY("audit_action", "action = ? AND "),
    AUDIT_WAY("audit_outcome", "outcome = ? AND "),
    AUDIT_WAY("audit_at", "")
};

typedef struct {
    store_audit_each  each;
    void             *data;
    unsigned          count;
    int64_t           at;       /* of the last row */
    uint64_t          id;
} audit_list_t;


static void audit_take(const store_row_t *row, void *data)
{
    audit_list_t       *list = data;
    store_audit_row_t   out;

    out.id = row->integer[0];
    out.at = (int64_t) row->integer[1];
    store_copy(out.actor, sizeof(out.actor), row->text[2]);
    store_copy(out.action, sizeof(out.action), row->text[3]);
    store_copy(out.outcome, sizeof(out.outcome), row->text[4]);
    store_copy(out.target, sizeof(out.target), row->text[5]);
    store_copy(out.address, sizeof(out.address), row->text[6]);
    store_copy(out.reason, sizeof(out.reason), row->text[7]);

    list->count++;
    list->at = out.at;
    list->id = out.id;
    list->each(&out, list->data);
}


static void audit_take_end(const store_row_t *row, void *data)
{
    audit_list_t  *list = data;

    list->id = row->integer[0];
    list->at = (int64_t) row->integer[1];
}


static store_value_t audit_at(int64_t ms)
{
    return store_integer((uint64_t) (ms > AUDIT_AT_MOST ? AUDIT_AT_MOST : ms < 0 ? 0 : ms));
}


/* Writes the placeholders of the walk; returns their number. */
static size_t audit_walk(const store_audit_query_t *query, const char *key,
                         store_value_t *values)
{
    size_t   count = 0;
    int64_t  to = query->to < query->before ? query->to : query->before;

    if (key) {
        values[count++] = store_text(key);
    }
    values[count++] = audit_at(to);
    values[count++] = audit_at(query->from);
    values[count++] = audit_at(query->before);
    values[count++] = store_integer(query->before_id);
    return count;
}


/* Without a full page: sets the cursor behind the rows that were looked at. */
static store_result_t audit_find_end(store_t *store, const char *sql,
                                     const store_audit_query_t *query, const char *key,
                                     audit_list_t *list, bool *more)
{
    size_t          count;
    store_value_t   values[STORE_COLUMNS_MAX];
    store_result_t  result;

    count = audit_walk(query, key, values);
    values[count++] = store_integer(AUDIT_LOOK - 1);

    result = store_query(store, sql, values, count, "ii", audit_take_end, list);
    *more = result == STORE_OK;
    return result == STORE_NONE ? STORE_OK : result;
}


store_result_t store_audit_find(store_t *store, store_audit_query_t *query,
                                store_audit_each each, void *data, bool *more)
{
    size_t          i, way = 0, count, given = query->text[0] != '\0';
    unsigned        look;
    const char     *keys[] = { query->target, query->actor, query->action, query->outcome };
    const char     *key;
    const char     *others[] = { query->actor, query->action, query->outcome, query->text };
    audit_list_t    list = { .each = each, .data = data };
    store_value_t   values[STORE_COLUMNS_MAX];
    store_result_t  result;

    while (way < sizeof(keys) / sizeof(keys[0]) && keys[way][0] == '\0') {
        way++;
    }
    key = way < sizeof(keys) / sizeof(keys[0]) ? keys[way] : NULL;
    for (i = way; i < sizeof(keys) / sizeof(keys[0]); i++) {
        given += keys[i][0] != '\0';
    }

    /* with no other text than the index's own, every row of the walk matches */
    look = given > (key != NULL) ? AUDIT_LOOK : query->most;

    count = audit_walk(query, key, values);
    values[count++] = store_integer(look);
    for (i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
        values[count++] = store_text(others[i]);
        values[count++] = store_text(others[i]);
    }
    values[count++] = store_integer(query->most);

    result = store_list(store, audit_ways[way].page, values, count, "iitttttt", audit_take,
                        &list);
    *more = list.count == query->most;
    if (result == STORE_OK && !*more && look == AUDIT_LOOK) {
        result = audit_find_end(store, audit_ways[way].end, query, key, &list, more);
    }

    query->before = list.at;
    query->before_id = list.id;
    return result;
}


typedef struct {
    store_text_each  each;
    void            *data;
} audit_words_t;


static void audit_take_word(const store_row_t *row, void *data)
{
    audit_words_t  *words = data;

    words->each(row->text[0], words->data);
}


store_result_t store_audit_actions(store_t *store, store_text_each each, void *data)
{
    static const char  sql[] = "SELECT DISTINCT action FROM audit ORDER BY action LIMIT 200";

    audit_words_t  words = { each, data };

    return store_list(store, sql, NULL, 0, "t", audit_take_word, &words);
}
