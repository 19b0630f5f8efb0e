/* One person, as admins see it: rights and where they come from, keys, storage, links. */

#include "api.h"

#include <stdlib.h>
#include <string.h>

#define PERSON_STREAMS_MOST  500
#define PERSON_KEYS_MOST     200

typedef struct {
    const store_user_t  *user;
    json_t              *streams;
    bool                 more;
    bool                 failed;        /* no memory */
    store_source_t      *sources;
    size_t               count;
    size_t               size;
} person_t;


static void person_source(const store_source_t *source, void *data)
{
    size_t           size;
    person_t        *person = data;
    store_source_t  *grown;

    if (person->count == person->size) {
        size = person->size ? 2 * person->size : 32;
        grown = realloc(person->sources, size * sizeof(*grown));
        if (grown == NULL) {
            person->failed = true;
            return;
        }
        person->sources = grown;
        person->size = size;
    }

    person->sources[person->count++] = *source;
}


/* Lists the rules that give the rights. An admin's own right to everything is not among them. */
static json_t *person_why(const person_t *person, const store_stream_t *stream)
{
    size_t                  i;
    json_t                 *why = json_array();
    const store_source_t   *source;

    if (stream->owner == person->user->id) {
        json_array_append_new(why, json_pack("{ss}", "by", "owner"));
    }

    for (i = 0; i < person->count; i++) {
        source = &person->sources[i];
        if (source->stream ? source->stream != stream->id : strcmp(source->app, stream->app) != 0) {
            continue;
        }
        json_array_append_new(why, json_pack("{ss ss* ss* so}",
            "by", source->group[0] ? "group" : "grant",
            "group", source->group[0] ? source->group : NULL,
            "app", source->stream ? NULL : source->app, "rights", rights_json(source->rights)));
    }

    if (strcmp(stream->visibility, "public") == 0) {
        json_array_append_new(why, json_pack("{ss so}", "by", "public", "rights",
                                             rights_json(RIGHT_VIEW)));
    }

    return why;
}


static void person_stream(const store_stream_t *stream, void *data)
{
    json_t    *why;
    person_t  *person = data;
    unsigned   rights = rights_on_stream(person->user, stream);

    why = person_why(person, stream);
    if (json_array_size(why) == 0) {
        json_decref(why);
        return;
    }
    if (json_array_size(person->streams) == PERSON_STREAMS_MOST) {
        person->more = true;
        json_decref(why);
        return;
    }

    json_array_append_new(person->streams, json_pack("{ss ss ss so so}", "app", stream->app,
        "name", stream->name, "title", stream->title, "rights", rights_json(rights), "why", why));
}


static store_result_t person_rights(api_t *api, const store_user_t *user, json_t *answer)
{
    person_t        person = { .user = user, .streams = json_array() };
    store_result_t  result;

    result = store_person_sources(api->store, user->id, person_source, &person);
    if (result == STORE_OK && person.failed) {
        result = STORE_ERROR;
    }
    if (result == STORE_OK) {
        result = store_stream_list(api->store, user->id, person_stream, &person);
    }

    free(person.sources);
    json_object_set_new(answer, "streams", person.streams);
    json_object_set_new(answer, "more", json_boolean(person.more));
    return result;
}


static void person_key(const store_key_t *key, void *data)
{
    json_array_append_new(data, json_pack("{sI ss ss ss ss sI sI}", "id", (json_int_t) key->id,
        "app", key->app, "name", key->name, "title", key->title, "label", key->label, "created",
        (json_int_t) key->created, "seen", (json_int_t) key->seen));
}


static void person_group(const char *name, void *data)
{
    json_array_append_new(data, json_string(name));
}


static store_result_t person_rest(api_t *api, const store_user_t *user, json_t *answer)
{
    json_t           *groups = json_array(), *keys = json_array();
    uint64_t          logins = 0;
    store_invite_t    invite;
    store_result_t    result, invited;
    store_recorded_t  recorded = { 0 };

    json_object_set_new(answer, "groups", groups);
    json_object_set_new(answer, "keys", keys);

    result = store_person_groups(api->store, user->id, person_group, groups);
    if (result == STORE_OK) {
        result = store_person_keys(api->store, user->id, PERSON_KEYS_MOST, person_key, keys);
    }
    if (result == STORE_OK) {
        result = store_person_logins(api->store, user->id, &logins);
    }
    if (result == STORE_OK) {
        result = store_recorded_owner(api->store, user->id, &recorded);
    }
    if (result != STORE_OK) {
        return result;
    }

    json_object_set_new(answer, "logins", json_integer((json_int_t) logins));
    json_object_set_new(answer, "storage", json_pack("{sI sI sI}", "files",
        (json_int_t) recorded.files, "kept", (json_int_t) recorded.kept, "bytes",
        (json_int_t) recorded.bytes));

    invited = store_invite_of(api->store, user->id, &invite);
    if (invited == STORE_OK) {
        json_object_set_new(answer, "invite", json_pack("{ss sI}", "kind",
            invite.reset ? "reset" : "invite", "expires", (json_int_t) invite.expires));
    }
    return invited == STORE_NONE ? STORE_OK : invited;
}


void api_person(api_t *api)
{
    json_t          *answer;
    store_user_t     user;
    store_result_t   result;

    if (!api_named_user(api, &user)) {
        return;
    }

    answer = api_user_json(&user);
    json_object_set_new(answer, "id", json_integer((json_int_t) user.id));
    result = person_rights(api, &user, answer);
    if (result == STORE_OK) {
        result = person_rest(api, &user, answer);
    }
    if (result != STORE_OK) {
        json_decref(answer);
        api_store_error(api, result, "user");
        return;
    }

    api_reply(api, answer);
}
