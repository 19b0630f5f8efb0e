#include "record.h"
#include "log.h"

#include <stdio.h>
#include <string.h>


bool record_wanted(const store_stream_t *stream)
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


/* What nginx does with a live stream; NULL when it can't record. */
static const char *record_state(json_t *stream)
{
    return json_string_value(json_object_get(json_object_get(stream, "recording"), "state"));
}


/*
 * nginx is asked first: who changes the rows after that tells nginx after it
 * too, and what is read from them then is no older than what nginx did.
 */
unsigned record_compare(store_t *store, const char *socket_path)
{
    bool         wanted;
    char         error[CONTROL_ERROR_SIZE];
    json_t      *each, *names, *root = control_status(socket_path, error);
    size_t       i;
    unsigned     told = 0;
    const char  *name, *state;

    if (json_array_size(json_object_get(root, "streams")) == 0) {
        json_decref(root);
        return 0;
    }

    names = json_object();
    if (store_stream_recorded(store, record_collect, names) == STORE_OK) {

        json_array_foreach(json_object_get(root, "streams"), i, each) {
            name = json_string_value(json_object_get(each, "name"));
            state = record_state(each);
            wanted = name && json_object_get(names, name);

            if (name == NULL || state == NULL || wanted == (strcmp(state, "off") != 0)) {
                continue;
            }
            if (control_record(socket_path, name, wanted, error) == CONTROL_OK) {
                log_info("recording of %s is to be %s: nginx told", name, wanted ? "on" : "off");
                told++;
            }
        }
    }

    json_decref(names);
    json_decref(root);
    return told;
}
