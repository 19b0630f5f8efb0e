#include "record.h"
#include "../base/log.h"

#include <stdio.h>
#include <string.h>


bool record_wanted(const store_stream_t *stream)
{
    return record_asked(stream) && !stream->owner_full;
}


bool record_asked(const store_stream_t *stream)
{
    return strcmp(stream->record, "always") == 0
           || (strcmp(stream->record, "demand") == 0 && stream->record_on);
}


control_result_t record_tell(const char *socket_path, const store_stream_t *stream,
                             char error[CONTROL_ERROR_SIZE])
{
    char  full[NAME_FULL_MAX + 1];

    snprintf(full, sizeof(full), "%s/%s", stream->app, stream->name);
    return control_record(socket_path, full, record_wanted(stream), error);
}


static void record_collect(const char *app, const char *name, void *data)
{
    char  full[NAME_FULL_MAX + 1];

    snprintf(full, sizeof(full), "%s/%s", app, name);
    json_object_set_new(data, full, json_true());
}


/* The recording state of a live stream; NULL when nginx can't record. */
static const char *record_state(json_t *stream)
{
    return json_string_value(json_object_get(json_object_get(stream, "recording"), "state"));
}


static void record_compare_one(json_t *stream, const char *socket_path, json_t *names,
                               json_t *logged)
{
    char         error[CONTROL_ERROR_SIZE];
    bool         wanted;
    const char  *name = json_string_value(json_object_get(stream, "name"));
    const char  *state = record_state(stream);

    if (name == NULL || state == NULL) {
        return;
    }

    wanted = json_object_get(names, name) != NULL;
    if (wanted == (strcmp(state, "off") != 0)) {
        json_object_del(logged, name);
        return;
    }

    if (control_record(socket_path, name, wanted, error) == CONTROL_OK
        && json_object_get(logged, name) == NULL)
    {
        log_info("told nginx that recording of %s is %s", name, wanted ? "on" : "off");
        json_object_set_new(logged, name, json_true());
    }
}


/*
 * Ask nginx first, then read the rows: then the rows are no older than nginx's state,
 * and a later change of a row sends its own message to nginx.
 */
void record_compare(store_t *store, const char *socket_path, json_t *logged)
{
    char     error[CONTROL_ERROR_SIZE];
    json_t  *each, *names, *root = control_status(socket_path, error);
    json_t  *streams = json_object_get(root, "streams");
    size_t   i;

    if (json_array_size(streams) == 0) {
        json_object_clear(logged);
        json_decref(root);
        return;
    }

    names = json_object();
    if (store_stream_recorded(store, record_collect, names) == STORE_OK) {
        json_array_foreach(streams, i, each) {
            record_compare_one(each, socket_path, names, logged);
        }
    }

    json_decref(names);
    json_decref(root);
}
