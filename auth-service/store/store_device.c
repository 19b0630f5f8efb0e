#include "store_core.h"

#define DEVICE_COLUMNS \
    "d.id, d.stream_id, d.user_id, u.name, d.label, u.admin, u.disabled, " \
    "u.max_publishers, d.revoked_at IS NOT NULL, DATE_FORMAT(d.created_at, " \
    "'%Y-%m-%dT%H:%i:%sZ'), d.made_by, COALESCE(m.name, ''), " \
    "COALESCE((SELECT MAX(r.at) FROM revocations r WHERE r.user_id IN (0, d.user_id) " \
    " AND r.stream_id IN (0, d.stream_id) AND r.device_id = 0), 0)"
#define DEVICE_LETTERS  "iiittiiiititi"
#define DEVICE_FROM     " FROM devices d JOIN users u ON u.id = d.user_id " \
                        "LEFT JOIN users m ON m.id = d.made_by "


static void device_take(const store_row_t *row, store_device_t *device)
{
    device->id = row->integer[0];
    device->stream = row->integer[1];
    device->user = row->integer[2];
    store_copy(device->user_name, sizeof(device->user_name), row->text[3]);
    store_copy(device->label, sizeof(device->label), row->text[4]);
    device->user_admin = row->integer[5] != 0;
    device->user_disabled = row->integer[6] != 0;
    device->user_publishers = (unsigned) row->integer[7];
    device->revoked = row->integer[8] != 0;
    store_copy(device->created, sizeof(device->created), row->text[9]);
    device->maker = row->integer[10];
    store_copy(device->maker_name, sizeof(device->maker_name), row->text[11]);
    device->not_before = (int64_t) row->integer[12];
}


static void device_take_one(const store_row_t *row, void *data)
{
    device_take(row, data);
}


store_result_t store_device_add(store_t *store, const store_device_t *device,
                                const unsigned char hash[KEY_HASH_BYTES], uint64_t *id)
{
    static const char  sql[] =
        "INSERT INTO devices (stream_id, user_id, made_by, label, key_hash) "
        "VALUES (?, ?, ?, ?, ?)";

    store_value_t  values[] = { store_integer(device->stream), store_integer(device->user),
                                store_integer(device->maker), store_text(device->label),
                                store_bytes(hash, KEY_HASH_BYTES) };

    return store_execute(store, sql, values, 5, NULL, id);
}


store_result_t store_device_count(store_t *store, uint64_t stream, uint64_t *count)
{
    static const char  sql[] = "SELECT COUNT(*) FROM devices WHERE stream_id = ? "
                               "AND revoked_at IS NULL";

    store_value_t  values[] = { store_integer(stream) };

    return store_query_integer(store, sql, values, 1, count);
}


store_result_t store_device_bound(store_t *store, uint64_t stream, unsigned most)
{
    static const char  count[] = "SELECT COUNT(*) FROM devices WHERE stream_id = ?";
    static const char  old[] = "DELETE FROM devices WHERE stream_id = ? "
                               "AND revoked_at IS NOT NULL ORDER BY id LIMIT ?";

    uint64_t        rows = 0;
    store_value_t   values[] = { store_integer(stream), store_integer(0) };
    store_result_t  result = store_query_integer(store, count, values, 1, &rows);

    if (result != STORE_OK || rows <= most) {
        return result;
    }

    values[1] = store_integer(rows - most);
    return store_execute(store, old, values, 2, NULL, NULL);
}


store_result_t store_device_by_key(store_t *store, const unsigned char hash[KEY_HASH_BYTES],
                                   store_device_t *device)
{
    static const char  sql[] = "SELECT " DEVICE_COLUMNS DEVICE_FROM "WHERE d.key_hash = ?";

    store_value_t  values[] = { store_bytes(hash, KEY_HASH_BYTES) };

    return store_query(store, sql, values, 1, DEVICE_LETTERS, device_take_one, device);
}


typedef struct {
    store_device_each  each;
    void              *data;
} device_list_t;


static void device_take_each(const store_row_t *row, void *data)
{
    device_list_t   *list = data;
    store_device_t   device;

    device_take(row, &device);
    list->each(&device, list->data);
}


store_result_t store_device_list(store_t *store, uint64_t stream, store_device_each each,
                                 void *data)
{
    static const char  sql[] = "SELECT " DEVICE_COLUMNS DEVICE_FROM
                               "WHERE d.stream_id = ? ORDER BY d.id";

    store_value_t   values[] = { store_integer(stream) };
    device_list_t   list = { each, data };

    return store_list(store, sql, values, 1, DEVICE_LETTERS, device_take_each, &list);
}


store_result_t store_device_revoke(store_t *store, uint64_t stream, uint64_t device)
{
    static const char  sql[] = "UPDATE devices SET revoked_at = UTC_TIMESTAMP(3) "
                               "WHERE stream_id = ? AND id = ? AND revoked_at IS NULL";

    store_value_t   values[] = { store_integer(stream), store_integer(device) };

    return store_execute_rows(store, sql, values, 2);
}


store_result_t store_device_revoke_all(store_t *store, uint64_t stream)
{
    static const char  sql[] = "UPDATE devices SET revoked_at = UTC_TIMESTAMP(3) "
                               "WHERE stream_id = ? AND revoked_at IS NULL";

    store_value_t  values[] = { store_integer(stream) };

    return store_execute(store, sql, values, 1, NULL, NULL);
}


store_result_t store_device_valid(store_t *store, uint64_t stream, uint64_t owner,
                                  store_id_each each, void *data)
{
    static const char  sql[] =
        "SELECT d.id FROM devices d JOIN streams s ON s.id = d.stream_id "
        "WHERE (s.id = ? OR (s.owner_id = ? AND d.user_id <> s.owner_id)) "
        "AND d.revoked_at IS NULL";

    store_value_t   values[] = { store_integer(stream), store_integer(owner) };

    return store_list_ids(store, sql, values, 2, each, data);
}


store_result_t store_device_made(store_t *store, uint64_t stream, uint64_t maker,
                                 store_id_each each, void *data)
{
    static const char  sql[] = "SELECT id FROM devices WHERE stream_id = ? AND made_by = ? "
                               "AND revoked_at IS NULL";

    store_value_t   values[] = { store_integer(stream), store_integer(maker) };

    return store_list_ids(store, sql, values, 2, each, data);
}


store_result_t store_device_revoke_made(store_t *store, uint64_t stream, uint64_t maker)
{
    static const char  sql[] = "UPDATE devices SET revoked_at = UTC_TIMESTAMP(3) "
                               "WHERE stream_id = ? AND made_by = ? AND revoked_at IS NULL";

    store_value_t  values[] = { store_integer(stream), store_integer(maker) };

    return store_execute(store, sql, values, 2, NULL, NULL);
}
