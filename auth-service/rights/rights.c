#include "rights.h"

#include <string.h>

static const char *const  rights_words[] = { "publish", "view", "replay", "manage" };

#define RIGHTS_COUNT  (sizeof(rights_words) / sizeof(rights_words[0]))


unsigned rights_decide(const rights_case_t *facts)
{
    unsigned  rights = 0;

    if (facts->user == 0) {
        return facts->is_open ? RIGHT_VIEW : 0;
    }
    if (facts->disabled) {
        return 0;
    }

    if (facts->admin || facts->user == facts->owner) {
        rights = RIGHTS_ALL;
    } else {
        rights = facts->granted & RIGHTS_ALL;
        if (facts->is_public) {
            rights |= RIGHT_VIEW;
        }
    }

    /* no key of any user may publish to a disabled owner's stream */
    if (facts->owner_disabled) {
        rights &= ~(unsigned) RIGHT_PUBLISH;
    }

    return rights;
}


bool rights_is_public(const char *visibility)
{
    return strcmp(visibility, "public") == 0 || rights_is_open(visibility);
}


bool rights_is_open(const char *visibility)
{
    return strcmp(visibility, "open") == 0;
}


unsigned rights_on_stream(const store_user_t *user, const store_stream_t *stream)
{
    rights_case_t  facts = {
        .user = user->id, .admin = user->admin, .disabled = user->disabled,
        .owner = stream->owner, .owner_disabled = stream->owner_disabled,
        .is_public = rights_is_public(stream->visibility), .granted = stream->granted,
        .is_open = rights_is_open(stream->visibility)
    };

    return rights_decide(&facts);
}


unsigned rights_of_access(const store_access_t *access)
{
    rights_case_t  facts = {
        .user = access->user, .admin = access->admin, .disabled = access->disabled,
        .owner = access->owner, .owner_disabled = access->owner_disabled,
        .is_public = access->is_public, .granted = access->granted
    };

    return rights_decide(&facts);
}


bool rights_orphans(const store_access_t *maker)
{
    return maker->user != maker->owner && !(rights_of_access(maker) & RIGHT_MANAGE);
}


unsigned rights_parse(const char *text)
{
    size_t    length, i;
    unsigned  rights = 0;

    for (;;) {
        length = strcspn(text, ",");

        for (i = 0; i < RIGHTS_COUNT; i++) {
            if (strlen(rights_words[i]) == length
                && memcmp(rights_words[i], text, length) == 0)
            {
                rights |= 1u << i;
                break;
            }
        }

        if (i == RIGHTS_COUNT) {
            return 0;
        }
        if (text[length] == '\0') {
            return rights;
        }
        text += length + 1;
    }
}


const char *rights_format(unsigned rights, char out[RIGHTS_TEXT_SIZE])
{
    size_t  i;

    out[0] = '\0';

    for (i = 0; i < RIGHTS_COUNT; i++) {
        if (rights & (1u << i)) {
            if (out[0]) {
                strcat(out, ",");
            }
            strcat(out, rights_words[i]);
        }
    }

    return out;
}


json_t *rights_json(unsigned rights)
{
    size_t   i;
    json_t  *list = json_array();

    for (i = 0; i < RIGHTS_COUNT; i++) {
        if (rights & (1u << i)) {
            json_array_append_new(list, json_string(rights_words[i]));
        }
    }

    return list;
}
