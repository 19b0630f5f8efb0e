#include "store_core.h"
#include "store_webhook.h"

#include <stdlib.h>
#include <string.h>

/* Milliseconds since 1970 of a DATETIME(3). */
#define WEBHOOK_MS(column) \
    "CAST(ROUND(UNIX_TIMESTAMP(" column ") * 1000) AS UNSIGNED)"


/* --- the webhooks --- */

store_result_t store_webhook_count(store_t *store, uint64_t *count)
{
    return store_query_integer(store, "SELECT COUNT(*) FROM webhooks", NULL, 0, count);
}


store_result_t store_webhook_add(store_t *store, const store_webhook_set_t *set,
                                 const char *secret, uint64_t maker, uint64_t *id)
{
    static const char  sql[] =
        "INSERT INTO webhooks (url, events, enabled, offline_minutes, offline_until, secret, "
        "made_by) VALUES (?, ?, ?, ?, " WEBHOOK_MS("UTC_TIMESTAMP(3)") ", ?, ?)";

    store_value_t  values[] = { store_text(set->url), store_text(set->events),
                                store_integer(*set->enabled),
                                store_integer(*set->offline_minutes), store_text(secret),
                                store_integer(maker) };

    return store_execute(store, sql, values, 6, NULL, id);
}


/* A phone that a shorter offline_minutes would have told long ago is not told now. */
store_result_t store_webhook_update(store_t *store, uint64_t id, const store_webhook_set_t *set)
{
    static const char  sql[] =
        "UPDATE webhooks SET url = COALESCE(?, url), events = COALESCE(?, events), "
        "enabled = COALESCE(?, enabled), offline_minutes = COALESCE(?, offline_minutes), "
        "offline_until = " WEBHOOK_MS("UTC_TIMESTAMP(3)") " WHERE id = ?";

    store_value_t  values[] = { store_text(set->url), store_text(set->events),
                                store_integer_at(set->enabled),
                                store_integer_at(set->offline_minutes), store_integer(id) };

    return store_execute_rows(store, sql, values, 5);
}


store_result_t store_webhook_set_secret(store_t *store, uint64_t id, const char *secret)
{
    static const char  sql[] = "UPDATE webhooks SET secret = ? WHERE id = ?";

    store_value_t  values[] = { store_text(secret), store_integer(id) };

    return store_execute_rows(store, sql, values, 2);
}


store_result_t store_webhook_remove(store_t *store, uint64_t id)
{
    static const char  sql[] = "DELETE FROM webhooks WHERE id = ?";

    store_value_t  values[] = { store_integer(id) };

    return store_execute_rows(store, sql, values, 1);
}


#define WEBHOOK_SELECT \
    "SELECT w.id, w.url, w.events, w.enabled, w.offline_minutes, u.name, " \
    "(SELECT COUNT(*) FROM webhook_outbox o WHERE o.webhook_id = w.id " \
    "AND o.state = 'waiting'), " \
    "(SELECT COUNT(*) FROM webhook_outbox o WHERE o.webhook_id = w.id AND o.state = 'dead'), " \
    "r.dropped, r.delivery, r.event, " WEBHOOK_MS("r.at") ", r.status, r.error, r.took_ms " \
    "FROM webhooks w LEFT JOIN users u ON u.id = w.made_by " \
    "LEFT JOIN webhook_results r ON r.webhook_id = w.id "
#define WEBHOOK_LETTERS  "ittiitiiiitiiti"

typedef struct {
    store_webhook_each  each;
    void               *data;
} webhook_list_t;


static void webhook_take(const store_row_t *row, void *data)
{
    store_webhook_t  *webhook = data;

    webhook->id = row->integer[0];
    store_copy(webhook->url, sizeof(webhook->url), row->text[1]);
    store_copy(webhook->events, sizeof(webhook->events), row->text[2]);
    webhook->enabled = row->integer[3] != 0;
    webhook->offline_minutes = (unsigned) row->integer[4];
    store_copy(webhook->maker, sizeof(webhook->maker), row->text[5]);
    webhook->waiting = row->integer[6];
    webhook->dead = row->integer[7];
    webhook->dropped = row->integer[8];
    webhook->last_delivery = row->integer[9];
    store_copy(webhook->last_event, sizeof(webhook->last_event), row->text[10]);
    webhook->last_at = (int64_t) row->integer[11];
    webhook->last_status = (unsigned) row->integer[12];
    store_copy(webhook->last_error, sizeof(webhook->last_error), row->text[13]);
    webhook->last_took_ms = (unsigned) row->integer[14];
}


static void webhook_take_each(const store_row_t *row, void *data)
{
    webhook_list_t   *list = data;
    store_webhook_t   webhook;

    webhook_take(row, &webhook);
    list->each(&webhook, list->data);
}


store_result_t store_webhook_get(store_t *store, uint64_t id, store_webhook_t *webhook)
{
    static const char  sql[] = WEBHOOK_SELECT "WHERE w.id = ?";

    store_value_t  values[] = { store_integer(id) };

    return store_query(store, sql, values, 1, WEBHOOK_LETTERS, webhook_take, webhook);
}


store_result_t store_webhook_list(store_t *store, store_webhook_each each, void *data)
{
    static const char  sql[] = WEBHOOK_SELECT "ORDER BY w.id";

    webhook_list_t  list = { each, data };

    return store_list(store, sql, NULL, 0, WEBHOOK_LETTERS, webhook_take_each, &list);
}


store_result_t store_webhook_wanted(store_t *store, const char *events)
{
    static const char  sql[] =
        "SELECT 1 FROM webhooks w WHERE w.enabled AND "
        "CONCAT(',', w.events, ',') REGEXP CONCAT(',(', REPLACE(?, ',', '|'), '),') LIMIT 1";

    store_value_t  values[] = { store_text(events) };

    return store_query(store, sql, values, 1, "i", NULL, NULL);
}


/* --- the outbox: new events --- */

typedef struct {
    size_t    count;
    uint64_t  ids[WEBHOOK_MOST];
    bool      full[WEBHOOK_MOST];
    uint64_t  most;
} webhook_wanting_t;


static void webhook_take_wanting(const store_row_t *row, void *data)
{
    webhook_wanting_t  *wanting = data;

    if (wanting->count < WEBHOOK_MOST) {
        wanting->ids[wanting->count] = row->integer[0];
        wanting->full[wanting->count++] = row->integer[1] >= wanting->most;
    }
}


store_result_t store_webhook_event_for(store_t *store, uint64_t webhook, const char *event,
                                       const char *event_id, const char *payload)
{
    static const char  sql[] =
        "INSERT INTO webhook_outbox (webhook_id, event, event_id, payload, since, next_try) "
        "VALUES (?, ?, ?, ?, UTC_TIMESTAMP(3), UTC_TIMESTAMP(3))";

    store_value_t  values[] = { store_integer(webhook), store_text(event), store_text(event_id),
                                store_text(payload) };

    return store_execute(store, sql, values, 4, NULL, NULL);
}


static store_result_t webhook_drop(store_t *store, uint64_t webhook)
{
    static const char  sql[] =
        "INSERT INTO webhook_results (webhook_id, dropped) VALUES (?, 1) "
        "ON DUPLICATE KEY UPDATE dropped = dropped + 1";

    store_value_t  values[] = { store_integer(webhook) };

    return store_execute(store, sql, values, 1, NULL, NULL);
}


store_result_t store_webhook_event(store_t *store, const char *event, const char *event_id,
                                   const char *payload, unsigned most)
{
    static const char  sql[] =
        "SELECT w.id, (SELECT COUNT(*) FROM webhook_outbox o WHERE o.webhook_id = w.id "
        "AND o.event = ? AND o.state = 'waiting') FROM webhooks w "
        "WHERE w.enabled AND FIND_IN_SET(?, w.events) ORDER BY w.id";

    size_t              i;
    store_value_t       values[] = { store_text(event), store_text(event) };
    store_result_t      result;
    webhook_wanting_t   wanting = { .most = most };

    result = store_list(store, sql, values, 2, "ii", webhook_take_wanting, &wanting);

    for (i = 0; i < wanting.count && result == STORE_OK; i++) {
        result = wanting.full[i]
                 ? webhook_drop(store, wanting.ids[i])
                 : store_webhook_event_for(store, wanting.ids[i], event, event_id, payload);
        if (result == STORE_EXISTS) {
            result = STORE_OK;
        }
    }

    return result;
}


store_result_t store_webhook_test(store_t *store, uint64_t webhook, const char *event_id,
                                  const char *payload, uint64_t *delivery)
{
    static const char  there[] =
        "SELECT id FROM webhook_outbox WHERE webhook_id = ? AND state = 'test' LIMIT 1";
    static const char  sql[] =
        "INSERT INTO webhook_outbox (webhook_id, event, event_id, payload, state, since, "
        "next_try) VALUES (?, 'test', ?, ?, 'test', UTC_TIMESTAMP(3), UTC_TIMESTAMP(3))";

    store_value_t   values[] = { store_integer(webhook), store_text(event_id),
                                 store_text(payload) };
    store_result_t  result = store_query_integer(store, there, values, 1, delivery);

    return result == STORE_NONE ? store_execute(store, sql, values, 3, NULL, delivery) : result;
}


/* --- the outbox: deliveries --- */

/* The oldest event of a state for each webhook, one look-up of an index each. */
#define DUE_SELECT(state, more) \
    "SELECT o.id, o.webhook_id, o.state = 'test', o.event, o.event_id, o.payload, w.url, " \
    "w.secret, o.tries, GREATEST(0, TIMESTAMPDIFF(SECOND, o.since, UTC_TIMESTAMP(3))) " \
    "FROM webhooks w JOIN webhook_outbox o ON o.id = (SELECT MIN(h.id) FROM webhook_outbox h " \
    "WHERE h.webhook_id = w.id AND h.state = '" state "') " \
    "WHERE o.next_try <= UTC_TIMESTAMP(3)" more

typedef struct {
    store_delivery_t  *rows;
    size_t             count;
    size_t             most;
} due_list_t;


static void due_take(const store_row_t *row, void *data)
{
    due_list_t        *list = data;
    store_delivery_t  *delivery;

    if (list->count == list->most) {
        return;
    }

    delivery = &list->rows[list->count++];
    delivery->id = row->integer[0];
    delivery->webhook = row->integer[1];
    delivery->test = row->integer[2] != 0;
    store_copy(delivery->event, sizeof(delivery->event), row->text[3]);
    store_copy(delivery->event_id, sizeof(delivery->event_id), row->text[4]);
    store_copy(delivery->payload, sizeof(delivery->payload), row->text[5]);
    store_copy(delivery->url, sizeof(delivery->url), row->text[6]);
    store_copy(delivery->secret, sizeof(delivery->secret), row->text[7]);
    delivery->tries = (unsigned) row->integer[8];
    delivery->age_s = row->integer[9];
}


store_result_t store_webhook_due(store_t *store, store_delivery_t *rows, size_t most,
                                 size_t *count)
{
    static const char  sql[] = DUE_SELECT("waiting", " AND w.enabled") " UNION ALL "
                               DUE_SELECT("test", "");

    due_list_t      list = { rows, 0, most };
    store_result_t  result = store_list(store, sql, NULL, 0, "iiitttttii", due_take, &list);

    *count = list.count;
    return result;
}


/* Deletes the oldest dead letters of the webhook beyond WEBHOOK_DEAD. */
static store_result_t webhook_bound_dead(store_t *store, uint64_t webhook)
{
    static const char  count[] =
        "SELECT COUNT(*) FROM webhook_outbox WHERE webhook_id = ? AND state = 'dead'";
    static const char  sql[] =
        "DELETE FROM webhook_outbox WHERE webhook_id = ? AND state = 'dead' ORDER BY id LIMIT ?";

    uint64_t        dead = 0;
    store_value_t   values[2] = { store_integer(webhook) };
    store_result_t  result = store_query_integer(store, count, values, 1, &dead);

    if (result != STORE_OK || dead <= WEBHOOK_DEAD) {
        return result;
    }

    values[1] = store_integer(dead - WEBHOOK_DEAD);
    return store_execute(store, sql, values, 2, NULL, NULL);
}


static store_result_t webhook_note(store_t *store, const store_delivery_t *delivery,
                                   const store_outcome_t *outcome)
{
    static const char  sql[] =
        "INSERT INTO webhook_results (webhook_id, delivery, event, at, status, error, took_ms) "
        "VALUES (?, ?, ?, UTC_TIMESTAMP(3), ?, ?, ?) ON DUPLICATE KEY UPDATE "
        "delivery = VALUES(delivery), event = VALUES(event), at = VALUES(at), "
        "status = VALUES(status), error = VALUES(error), took_ms = VALUES(took_ms)";

    store_value_t  values[] = {
        store_integer(delivery->webhook), store_integer(delivery->id),
        store_text(delivery->event), store_integer(outcome->status),
        store_text(outcome->error), store_integer(outcome->took_ms)
    };

    return store_execute(store, sql, values, 6, NULL, NULL);
}


static store_result_t webhook_settle(store_t *store, const store_delivery_t *delivery,
                                     const store_outcome_t *outcome)
{
    static const char  gone[] = "DELETE FROM webhook_outbox WHERE id = ?";
    static const char  again[] =
        "UPDATE webhook_outbox SET tries = tries + 1, status = ?, error = ?, "
        "next_try = UTC_TIMESTAMP(3) + INTERVAL ? SECOND WHERE id = ?";
    static const char  dead[] =
        "UPDATE webhook_outbox SET tries = tries + 1, status = ?, error = ?, state = 'dead', "
        "since = UTC_TIMESTAMP(3) WHERE id = ?";

    store_value_t   id = store_integer(delivery->id);
    store_value_t   values[4] = { store_integer(outcome->status), store_text(outcome->error) };
    store_result_t  result;

    if (outcome->error[0] == '\0' || delivery->test) {
        return store_execute(store, gone, &id, 1, NULL, NULL);
    }

    if (outcome->again_s) {
        values[2] = store_integer(outcome->again_s);
        values[3] = id;
        return store_execute(store, again, values, 4, NULL, NULL);
    }

    values[2] = id;
    result = store_execute(store, dead, values, 3, NULL, NULL);
    return result == STORE_OK ? webhook_bound_dead(store, delivery->webhook) : result;
}


store_result_t store_webhook_tried(store_t *store, const store_delivery_t *delivery,
                                   const store_outcome_t *outcome)
{
    store_result_t  result = store_begin(store);

    if (result != STORE_OK) {
        return result;
    }

    result = webhook_settle(store, delivery, outcome);
    if (result == STORE_OK) {
        result = webhook_note(store, delivery, outcome);
    }
    if (result == STORE_OK) {
        return store_commit(store);
    }

    store_rollback(store);
    return result;
}


/* --- the outbox: dead letters --- */

typedef struct {
    store_dead_each  each;
    void            *data;
} dead_list_t;


static void dead_take_each(const store_row_t *row, void *data)
{
    dead_list_t   *list = data;
    store_dead_t   dead;

    dead.id = row->integer[0];
    store_copy(dead.event, sizeof(dead.event), row->text[1]);
    store_copy(dead.event_id, sizeof(dead.event_id), row->text[2]);
    store_copy(dead.payload, sizeof(dead.payload), row->text[3]);
    dead.since = (int64_t) row->integer[4];
    dead.tries = (unsigned) row->integer[5];
    dead.status = (unsigned) row->integer[6];
    store_copy(dead.error, sizeof(dead.error), row->text[7]);
    list->each(&dead, list->data);
}


store_result_t store_webhook_dead(store_t *store, uint64_t webhook, uint64_t before,
                                  unsigned most, store_dead_each each, void *data)
{
    static const char  sql[] =
        "SELECT id, event, event_id, payload, " WEBHOOK_MS("since") ", tries, status, error "
        "FROM webhook_outbox WHERE webhook_id = ? AND state = 'dead' AND id < ? "
        "ORDER BY id DESC LIMIT ?";

    dead_list_t    list = { each, data };
    store_value_t  values[] = { store_integer(webhook), store_integer(before),
                                store_integer(most) };

    return store_list(store, sql, values, 3, "itttiiit", dead_take_each, &list);
}


store_result_t store_webhook_retry(store_t *store, uint64_t webhook, uint64_t id,
                                   uint64_t *count)
{
    static const char  sql[] =
        "UPDATE webhook_outbox SET state = 'waiting', tries = 0, since = UTC_TIMESTAMP(3), "
        "next_try = UTC_TIMESTAMP(3) WHERE webhook_id = ? AND state = 'dead' "
        "AND (? = 0 OR id = ?)";

    store_value_t  values[] = { store_integer(webhook), store_integer(id), store_integer(id) };

    return store_execute(store, sql, values, 3, count, NULL);
}


store_result_t store_webhook_forget(store_t *store, uint64_t webhook, uint64_t id,
                                    uint64_t *count)
{
    static const char  sql[] =
        "DELETE FROM webhook_outbox WHERE webhook_id = ? AND state = 'dead' "
        "AND (? = 0 OR id = ?)";

    store_value_t  values[] = { store_integer(webhook), store_integer(id), store_integer(id) };

    return store_execute(store, sql, values, 3, count, NULL);
}


store_result_t store_webhook_prune(store_t *store, unsigned days, unsigned most)
{
    static const char  sql[] =
        "DELETE FROM webhook_outbox WHERE state = 'dead' "
        "AND since < UTC_TIMESTAMP(3) - INTERVAL ? DAY ORDER BY since LIMIT ?";

    store_value_t  values[] = { store_integer(days), store_integer(most) };

    return store_execute_rows(store, sql, values, 2);
}
