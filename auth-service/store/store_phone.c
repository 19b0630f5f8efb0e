/* Devices as the list of phones shows them: each with its stream and its newest session. */

#include "store_core.h"

/*
 * A session that is open has the newest facts; when it ends, they go to the device's row. The
 * newest session of a device is found by the index sessions_device.
 */
#define PHONE_SELECT \
    "SELECT d.id, s.id, s.app, s.name, s.title, o.name, u.name, d.label, " \
    "d.revoked_at IS NOT NULL, CAST(UNIX_TIMESTAMP(d.created_at) * 1000 AS UNSIGNED), " \
    "CAST(COALESCE(UNIX_TIMESTAMP(COALESCE(x.started_at, d.last_seen)), 0) * 1000 AS UNSIGNED), " \
    "COALESCE(x.address, d.address), COALESCE(x.agent, d.agent), " \
    "IF(x.id IS NULL, d.end_reason, ''), COALESCE(x.gate_session, ''), COALESCE(m.name, '') " \
    "FROM devices d JOIN streams s ON s.id = d.stream_id JOIN users o ON o.id = s.owner_id " \
    "JOIN users u ON u.id = d.user_id LEFT JOIN users m ON m.id = d.made_by " \
    "LEFT JOIN sessions x ON x.ended_at IS NULL AND x.id = " \
    "(SELECT MAX(y.id) FROM sessions y WHERE y.device_id = d.id) "
#define PHONE_LETTERS  "iittttttiiittttt"


static void phone_take(const store_row_t *row, void *data)
{
    store_phone_t  *phone = data;

    phone->id = row->integer[0];
    phone->stream = row->integer[1];
    store_copy(phone->app, sizeof(phone->app), row->text[2]);
    store_copy(phone->name, sizeof(phone->name), row->text[3]);
    store_copy(phone->title, sizeof(phone->title), row->text[4]);
    store_copy(phone->owner_name, sizeof(phone->owner_name), row->text[5]);
    store_copy(phone->user_name, sizeof(phone->user_name), row->text[6]);
    store_copy(phone->label, sizeof(phone->label), row->text[7]);
    phone->revoked = row->integer[8] != 0;
    phone->created = (int64_t) row->integer[9];
    phone->seen = (int64_t) row->integer[10];
    store_copy(phone->address, sizeof(phone->address), row->text[11]);
    store_copy(phone->agent, sizeof(phone->agent), row->text[12]);
    store_copy(phone->end_reason, sizeof(phone->end_reason), row->text[13]);
    store_copy(phone->gate_session, sizeof(phone->gate_session), row->text[14]);
    store_copy(phone->maker_name, sizeof(phone->maker_name), row->text[15]);
}


typedef struct {
    store_phone_each  each;
    void             *data;
} phone_list_t;


static void phone_take_each(const store_row_t *row, void *data)
{
    phone_list_t   *list = data;
    store_phone_t   phone;

    phone_take(row, &phone);
    list->each(&phone, list->data);
}


store_result_t store_phone_get(store_t *store, uint64_t id, store_phone_t *phone)
{
    static const char  sql[] = PHONE_SELECT "WHERE d.id = ?";

    store_value_t  values[] = { store_integer(id) };

    return store_query(store, sql, values, 1, PHONE_LETTERS, phone_take, phone);
}


store_result_t store_phone_list(store_t *store, const store_phone_query_t *query,
                                store_phone_each each, void *data)
{
    static const char  sql[] = PHONE_SELECT
        "WHERE (? OR FIND_IN_SET(s.id, ?)) AND (? = '' OR o.name = ?) "
        "ORDER BY d.revoked_at IS NOT NULL, d.id DESC LIMIT ?";

    store_value_t  owner = store_text(query->owner);
    store_value_t  values[] = {
        store_integer(query->streams == NULL), store_text(query->streams ? query->streams : ""),
        owner, owner, store_integer(query->most)
    };
    phone_list_t   list = { each, data };

    return store_list(store, sql, values, 5, PHONE_LETTERS, phone_take_each, &list);
}
