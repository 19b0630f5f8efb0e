/*
 * Phones: devices, each with a key of its own. The page adds one together with its stream,
 * shows what it sends and why it was refused, and revokes it alone.
 */

#include "api.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PHONE_APP        "live"
#define PHONES_MOST      500    /* in one answer */
#define PHONE_SKEW_MS    2000   /* between the database's clock and ours */

typedef struct {
    api_t    *api;
    json_t   *phones;
    json_t   *live;             /* "live/demo" -> its entry in nginx's status */
    char     *ids;              /* of the streams that the user manages, "3,5" */
    size_t    length;
    bool      failed;           /* no memory */
    bool      more;
} phones_t;


static bool phone_label_valid(const char *label)
{
    return name_label_valid(label) && label[strspn(label, " ")] != '\0';
}


/* --- one phone as JSON --- */

/* Returns nginx's figures of the device's stream; NULL unless this device publishes it now. */
static json_t *phone_figures(const store_phone_t *phone, json_t *live)
{
    static const char *const  names[] = { "fps", "gop_ms", "gop_outgrown", "gaps", "width",
                                          "height", "video", "audio", "since_ms", "viewers" };

    char         full[NAME_FULL_MAX + 1];
    json_t      *entry, *figures;
    size_t       i;
    const char  *state, *session;

    snprintf(full, sizeof(full), "%s/%s", phone->app, phone->name);
    entry = json_object_get(live, full);
    state = json_string_value(json_object_get(entry, "state"));
    session = json_string_value(json_object_get(entry, "session"));

    if (state == NULL || strcmp(state, "live") != 0 || session == NULL
        || strcmp(session, phone->gate_session) != 0)
    {
        return NULL;
    }

    figures = json_object();
    json_object_set(figures, "kbps", json_object_get(entry, "kbps_in"));
    for (i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        json_object_set(figures, names[i], json_object_get(entry, names[i]));
    }

    return figures;
}


static json_t *phone_json(const store_phone_t *phone, json_t *live)
{
    json_t  *figures = phone->revoked ? NULL : phone_figures(phone, live);
    json_t  *out;

    out = json_pack("{sI ss ss++ ss ss ss sb sI ss ss ss so}", "id", (json_int_t) phone->id,
                    "label", phone->label, "stream", phone->app, "/", phone->name,
                    "title", phone->title, "owner", phone->owner_name,
                    "user", phone->user_name, "revoked", phone->revoked,
                    "created", (json_int_t) phone->created, "address", phone->address,
                    "agent", phone->agent, "ended", phone->end_reason,
                    "live", figures ? figures : json_null());

    json_object_set_new(out, "seen", phone->seen ? json_integer((json_int_t) phone->seen)
                                                 : json_null());
    if (phone->maker_name[0] && strcmp(phone->maker_name, phone->owner_name) != 0) {
        json_object_set_new(out, "by", json_string(phone->maker_name));
    }

    return out;
}


/* --- the list --- */

static void phones_note_stream(const store_stream_t *stream, void *data)
{
    char       *grown;
    phones_t   *list = data;

    if (list->failed || !(api_rights(list->api, stream) & RIGHT_MANAGE)) {
        return;
    }

    grown = realloc(list->ids, list->length + 24);
    if (grown == NULL) {
        list->failed = true;
        return;
    }

    list->ids = grown;
    list->length += (size_t) sprintf(grown + list->length, "%s%" PRIu64,
                                     list->length ? "," : "", stream->id);
}


static void phones_collect(const store_phone_t *phone, void *data)
{
    phones_t  *list = data;

    if (json_array_size(list->phones) == PHONES_MOST) {
        list->more = true;
        return;
    }

    json_array_append_new(list->phones, phone_json(phone, list->live));
}


/* The phones of the streams that the user manages; for admins all. */
void api_phones(api_t *api)
{
    char                 owner[NAME_USER_MAX + 1] = "";
    phones_t             list = { .api = api };
    store_result_t       result = STORE_OK;
    store_phone_query_t  query = { .owner = owner, .most = PHONES_MOST + 1 };

    if (query_value(fastcgi_param(api->request, "QUERY_STRING"), "owner", owner, sizeof(owner))
        == QUERY_BAD)
    {
        api_error(api, 400, "bad_request", "\"owner\" is too long or not decodable.");
        return;
    }

    if (!api->user.admin) {
        result = store_stream_list(api->store, api->user.id, phones_note_stream, &list);
        query.streams = list.ids ? list.ids : "";
    }
    if (list.failed) {
        result = STORE_ERROR;
    }

    list.phones = json_array();
    if (result == STORE_OK) {
        list.live = api_live_streams(api->service);
        result = store_phone_list(api->store, &query, phones_collect, &list);
        json_decref(list.live);
    }
    free(list.ids);

    if (result != STORE_OK) {
        json_decref(list.phones);
        api_store_error(api, result, "phones");
        return;
    }

    api_reply(api, json_pack("{so sb}", "phones", list.phones, "more", list.more));
}


/* --- one phone --- */

/*
 * Finds the phone in the request's path if the user manages its stream. Otherwise answers an
 * error and returns false: to others it does not exist.
 */
static bool phone_find(api_t *api, const char *action, store_phone_t *phone)
{
    char            *end;
    uint64_t         id = strtoull(api->parts[0], &end, 10);
    store_stream_t   stream;
    store_result_t   result = STORE_NONE;

    if (api->parts[0][0] >= '0' && api->parts[0][0] <= '9' && *end == '\0') {
        result = store_phone_get(api->store, id, phone);
    }
    if (result == STORE_OK) {
        return api_managed_stream(api, phone->app, phone->name, action, &stream);
    }

    api_store_error(api, result, "phone of this number");
    return false;
}


/* The phone, and why the gate has refused it, or one from the page's address, since then. */
void api_phone(api_t *api)
{
    json_t         *out, *live;
    denial_t        denial;
    store_phone_t   phone;

    if (!phone_find(api, "phone", &phone)) {
        return;
    }

    live = api_live_streams(api->service);
    out = phone_json(&phone, live);
    json_decref(live);

    if (denials_find(api->service->denials, phone.stream, api->address,
                     phone.created - PHONE_SKEW_MS, &denial))
    {
        json_object_set_new(out, "refused", json_pack("{sI ss ss}", "at",
                            (json_int_t) denial.at, "reason", denial.reason, "address",
                            denial.address));
    }

    api_reply(api, out);
}


static json_t *phone_answer(const change_t *change, const store_phone_t *made, const char *key)
{
    return json_pack("{sI ss ss++ ss ss ss ss ss}", "id", (json_int_t) change->device,
                     "label", made->label, "stream", made->app, "/", made->name,
                     "app", made->app, "name", made->name, "title", made->title,
                     "owner", made->owner_name, "key", key);
}


/*
 * Finds the owner of the stream to make; an admin may name one who is to be added. On failure
 * answers and returns false.
 */
static bool phone_owner(api_t *api, const char *name, change_phone_t *add)
{
    store_user_t     owner;
    store_result_t   result;

    if (strcmp(name, api->user.name) != 0 && !api->user.admin) {
        api_audit(api, "phone add", false, name, "not an admin");
        api_error(api, 403, "forbidden", "Only an admin may add a phone for another user.");
        return false;
    }
    if (!name_user_valid(name)) {
        api_error(api, 400, "bad_name", "owner is \"%.100s\"; expected " NAME_USER_RULE ".", name);
        return false;
    }

    add->owner_name = name;
    result = store_user_by_name(api->store, name, &owner);

    if (result == STORE_NONE && json_is_true(json_object_get(api->body, "person"))) {
        add->person = true;
        return true;
    }
    if (result != STORE_OK) {
        api_store_error(api, result, "user of this name");
        return false;
    }

    add->owner = owner.id;
    return true;
}


/* Makes the stream for the phone, too. */
static void phone_add_stream(api_t *api, const char *label, const char *owner)
{
    char              key[SECRET_SIZE], full[NAME_FULL_MAX + 1];
    json_t           *answer;
    change_t          change = api_change(api);
    store_phone_t     made = { .app = PHONE_APP };
    change_phone_t    add = { .label = label, .app = PHONE_APP };
    store_result_t    result;

    if (!phone_owner(api, owner, &add)) {
        return;
    }

    result = change_phone_add(&change, &add, key);
    if (result != STORE_OK) {
        api_store_error(api, result, add.person ? "user of this name" : "stream");
        return;
    }

    snprintf(full, sizeof(full), "%s/%s", made.app, add.name);
    if (add.person) {
        api_audit(api, "user add", true, owner, "invited");
    }
    api_audit(api, "phone add", true, full, label);

    snprintf(made.name, sizeof(made.name), "%s", add.name);
    snprintf(made.label, sizeof(made.label), "%s", label);
    snprintf(made.title, sizeof(made.title), "%s", label);
    snprintf(made.owner_name, sizeof(made.owner_name), "%s", owner);

    answer = phone_answer(&change, &made, key);
    if (add.person) {
        json_object_set_new(answer, "invite", api_invite_link(add.invite));
    }
    fastcgi_reply(api->request, 201, NULL, answer);
}


/* Makes a key for a stream that exists, in USER's name; REPLACES: revokes that device. */
static void phone_add_key(api_t *api, store_phone_t *made, uint64_t user, uint64_t replaces)
{
    char            key[SECRET_SIZE], full[NAME_FULL_MAX + 1];
    change_t        change = api_change(api);
    change_phone_t  add = { .label = made->label, .stream = made->stream, .user = user,
                            .replaces = replaces };
    store_result_t  result = change_phone_add(&change, &add, key);

    if (result != STORE_OK) {
        api_store_error(api, result, "phone");
        return;
    }

    snprintf(full, sizeof(full), "%s/%s", made->app, made->name);
    api_audit(api, replaces ? "phone renew" : "phone add", true, full, made->label);
    fastcgi_reply(api->request, 201, NULL, phone_answer(&change, made, key));
}


static void phone_add_to(api_t *api, const char *label, const char *full)
{
    char             app[NAME_APP_MAX + 1], name[NAME_STREAM_MAX + 1];
    store_phone_t    made = { 0 };
    store_stream_t   stream;

    if (!name_split(full, app, name)) {
        api_error(api, 400, "bad_name", "stream is \"%.170s\"; expected APP/NAME.", full);
        return;
    }
    if (!api_managed_stream(api, app, name, "phone add", &stream)) {
        return;
    }

    made.stream = stream.id;
    snprintf(made.app, sizeof(made.app), "%s", app);
    snprintf(made.name, sizeof(made.name), "%s", name);
    snprintf(made.label, sizeof(made.label), "%s", label);
    snprintf(made.title, sizeof(made.title), "%s", stream.title);
    snprintf(made.owner_name, sizeof(made.owner_name), "%s", stream.owner_name);
    phone_add_key(api, &made, stream.owner, 0);
}


void api_phone_add(api_t *api)
{
    const char  *label = api_text(api, "name", NULL);
    const char  *stream = label ? api_text(api, "stream", "") : NULL;
    const char  *owner = stream ? api_text(api, "owner", api->user.name) : NULL;

    if (owner == NULL) {
        return;
    }
    if (!phone_label_valid(label)) {
        api_error(api, 400, "bad_title", "name is \"%.70s\"; expected " NAME_LABEL_RULE
                  ", and not empty.", label);
        return;
    }

    if (stream[0]) {
        phone_add_to(api, label, stream);
    } else {
        phone_add_stream(api, label, owner);
    }
}


/*
 * A new key in place of the phone's old one. It is in the same user's name for an admin and for
 * that user; others, who may not act in that name, get it in the owner's.
 */
void api_phone_renew(api_t *api)
{
    uint64_t         user_id;
    store_user_t     user;
    store_phone_t    phone;
    store_stream_t   stream;
    store_result_t   result;

    if (!phone_find(api, "phone renew", &phone)
        || !api_managed_stream(api, phone.app, phone.name, "phone renew", &stream))
    {
        return;
    }

    user_id = stream.owner;
    if (api->user.admin || strcmp(phone.user_name, api->user.name) == 0) {
        result = store_user_by_name(api->store, phone.user_name, &user);
        if (result != STORE_OK) {
            api_store_error(api, result, "user of this phone");
            return;
        }
        user_id = user.id;
    }

    phone_add_key(api, &phone, user_id, phone.id);
}


void api_phone_revoke(api_t *api)
{
    char            target[NAME_FULL_MAX + 400];
    change_t        change = api_change(api);
    store_phone_t   phone;
    store_result_t  result;

    if (!phone_find(api, "phone revoke", &phone)) {
        return;
    }

    result = change_key_revoke(&change, phone.stream, phone.id);
    if (result != STORE_OK) {
        api_store_error(api, result, "phone of this number that is not revoked yet");
        return;
    }

    snprintf(target, sizeof(target), "%s/%s", phone.app, phone.name);
    api_audit(api, "phone revoke", true, target, phone.label);
    api_reply_changed(api, &change, json_object());
}
