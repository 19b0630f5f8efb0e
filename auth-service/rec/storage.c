#include "storage.h"
#include "rec_file.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct {
    storage_t       *storage;
    const config_t  *config;
} storage_open_t;


static void storage_collect(const store_use_t *use, void *data)
{
    size_t        size;
    storage_t    *storage = data;
    store_use_t  *grown;

    if (storage->stream_count == storage->stream_size) {
        size = storage->stream_size ? 2 * storage->stream_size : 64;
        grown = realloc(storage->streams, size * sizeof(*grown));
        if (grown == NULL) {
            storage->failed = true;
            return;
        }
        storage->streams = grown;
        storage->stream_size = size;
    }

    storage->streams[storage->stream_count++] = *use;
}


/* The row of a file that is being written has no bytes yet: the disk knows them. */
static void storage_add_open(const store_recording_t *recording, void *data)
{
    size_t           i;
    uint64_t         bytes;
    store_use_t     *use;
    storage_open_t  *open = data;

    for (i = 0; i < open->storage->stream_count; i++) {
        use = &open->storage->streams[i];
        if (strcmp(use->name, recording->name) == 0 && strcmp(use->app, recording->app) == 0) {
            bytes = rec_file_bytes(open->config->rec, recording) - recording->bytes;
            use->bytes += bytes;
            use->kept += recording->keep ? bytes : 0;
            return;
        }
    }
}


static int storage_larger(const void *one, const void *two)
{
    const store_use_t  *a = one, *b = two;

    return a->bytes < b->bytes ? 1 : a->bytes > b->bytes ? -1 : 0;
}


static int storage_larger_person(const void *one, const void *two)
{
    const storage_person_t  *a = one, *b = two;

    return a->bytes < b->bytes ? 1 : a->bytes > b->bytes ? -1 : 0;
}


static storage_person_t *storage_person(storage_t *storage, const store_use_t *use)
{
    size_t             i;
    storage_person_t  *person;

    for (i = 0; i < storage->person_count; i++) {
        if (storage->people[i].owner == use->owner) {
            return &storage->people[i];
        }
    }

    person = &storage->people[storage->person_count++];
    person->owner = use->owner;
    person->quota = use->owner_quota;
    person->full = use->owner_full;
    snprintf(person->name, sizeof(person->name), "%s", use->owner_name);
    return person;
}


/* There are at most as many people as streams. */
static void storage_sum(storage_t *storage)
{
    size_t              i;
    storage_person_t   *person;
    const store_use_t  *use = storage->streams;

    storage->people = calloc(storage->stream_count + 1, sizeof(*storage->people));
    if (storage->people == NULL) {
        storage->failed = true;
        return;
    }

    for (i = 0; i < storage->stream_count; i++, use++) {
        person = storage_person(storage, use);
        person->count += use->count;
        person->bytes += use->bytes;
        person->kept += use->kept;
        storage->count += use->count;
        storage->bytes += use->bytes;
        storage->kept += use->kept;
    }

    if (storage->stream_count) {
        qsort(storage->streams, storage->stream_count, sizeof(*use), storage_larger);
    }
    qsort(storage->people, storage->person_count, sizeof(*person), storage_larger_person);
}


store_result_t storage_read(store_t *store, const config_t *config, storage_t *storage)
{
    storage_open_t   open = { storage, config };
    store_result_t   result;

    memset(storage, 0, sizeof(*storage));
    if (!rec_file_root(config->rec)
        || !rec_file_disk(config->rec, &storage->disk, &storage->free))
    {
        storage->disk = 0;
    }

    result = store_use_list(store, storage_collect, storage);
    if (result == STORE_OK) {
        result = store_recording_open(store, storage_add_open, &open);
    }
    if (result == STORE_OK) {
        storage_sum(storage);
    }

    return result;
}


void storage_free(storage_t *storage)
{
    free(storage->streams);
    free(storage->people);
}


static json_t *storage_text_or_null(const char *text)
{
    return *text ? json_string(text) : json_null();
}


static json_t *storage_number_or_null(uint64_t number)
{
    return number ? json_integer((json_int_t) number) : json_null();
}


static json_t *storage_people_json(const storage_t *storage)
{
    size_t                   i;
    json_t                  *list = json_array();
    const storage_person_t  *person = storage->people;

    for (i = 0; i < storage->person_count; i++, person++) {
        json_array_append_new(list, json_pack("{so sI sI sI so sb}",
            "name", storage_text_or_null(person->name),
            "count", (json_int_t) person->count, "bytes", (json_int_t) person->bytes,
            "kept", (json_int_t) person->kept, "quota", storage_number_or_null(person->quota),
            "full", person->full));
    }

    return list;
}


static json_t *storage_streams_json(const storage_t *storage)
{
    size_t              i;
    json_t             *list = json_array();
    const store_use_t  *use = storage->streams;

    for (i = 0; i < storage->stream_count; i++, use++) {
        json_array_append_new(list, json_pack("{so ss so sI sI sI sI}",
            "stream", json_sprintf("%s/%s", use->app, use->name), "title", use->title,
            "owner", storage_text_or_null(use->owner_name),
            "count", (json_int_t) use->count, "bytes", (json_int_t) use->bytes,
            "kept", (json_int_t) use->kept, "from", (json_int_t) use->from));
    }

    return list;
}


json_t *storage_json(const storage_t *storage)
{
    json_t  *disk = storage->disk
                    ? json_pack("{sI sI}", "bytes", (json_int_t) storage->disk,
                                "free", (json_int_t) storage->free)
                    : json_null();

    return json_pack("{so sI sI sI so so}", "disk", disk, "count", (json_int_t) storage->count,
                     "bytes", (json_int_t) storage->bytes, "kept", (json_int_t) storage->kept,
                     "people", storage_people_json(storage),
                     "streams", storage_streams_json(storage));
}
