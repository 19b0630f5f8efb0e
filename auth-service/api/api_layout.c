/* Walls that users save by name: each sees and changes only their own. */

#include "api.h"

#include <stdlib.h>
#include <string.h>

#define LAYOUT_NAME_RULE  "1 to 64 characters, none invisible, none that reverses the text"


static void layout_collect(const store_layout_t *layout, void *data)
{
    json_t  *value = json_loads(layout->text, 0, NULL);

    if (value) {
        json_array_append_new(data, json_pack("{ss so}", "name", layout->name, "layout", value));
    }
}


void api_layouts(api_t *api)
{
    json_t          *layouts = json_array();
    store_result_t   result;

    result = store_layout_list(api->store, api->user.id, layout_collect, layouts);
    if (result != STORE_OK) {
        json_decref(layouts);
        api_store_error(api, result, "layouts");
        return;
    }

    api_reply(api, json_pack("{so}", "layouts", layouts));
}


static size_t layout_characters(const char *text)
{
    size_t  count = 0;

    for ( ; *text; text++) {
        count += ((unsigned char) *text & 0xc0) != 0x80;
    }

    return count;
}


/* Reads name and layout. Returns false after answering an error. */
static bool layout_read(api_t *api, store_layout_t *layout)
{
    char        *text;
    size_t       length;
    json_t      *value = json_object_get(api->body, "layout");
    const char  *name = api->parts[0];

    if (*name == '\0' || !name_title_valid(name) || layout_characters(name) > LAYOUT_NAME_MAX) {
        api_error(api, 400, "bad_name", "The name is \"%.150s\"; expected " LAYOUT_NAME_RULE ".",
                  name);
        return false;
    }
    if (!json_is_object(value)) {
        api_error(api, 400, "bad_request", "\"layout\" is %s; expected an object.",
                  value ? "not an object" : "missing");
        return false;
    }

    text = json_dumps(value, JSON_COMPACT);
    length = text ? strlen(text) : 0;
    if (length == 0 || length > LAYOUT_MAX) {
        api_error(api, 413, "too_large", "The layout has %zu bytes; expected at most %d.", length,
                  LAYOUT_MAX);
        free(text);
        return false;
    }

    strcpy(layout->name, name);
    strcpy(layout->text, text);
    free(text);
    return true;
}


void api_layout_put(api_t *api)
{
    store_layout_t  layout;
    store_result_t  result;

    if (!layout_read(api, &layout)) {
        return;
    }

    result = store_layout_put(api->store, api->user.id, &layout);
    if (result == STORE_NONE) {
        api_error(api, 409, "too_many", "You have %d layouts already. Delete one first.",
                  LAYOUTS_MAX);
        return;
    }
    if (result != STORE_OK) {
        api_store_error(api, result, "layout");
        return;
    }

    api_audit(api, "layout save", true, layout.name, "");
    api_reply(api, json_pack("{ss}", "name", layout.name));
}


void api_layout_remove(api_t *api)
{
    const char      *name = api->parts[0];
    store_result_t   result = store_layout_remove(api->store, api->user.id, name);

    if (result != STORE_OK) {
        api_store_error(api, result, "layout of this name");
        return;
    }

    api_audit(api, "layout delete", true, name, "");
    api_reply(api, json_object());
}
