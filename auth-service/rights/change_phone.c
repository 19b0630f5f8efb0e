/* A phone that is added: its key, and unless it is for a stream that exists, its stream. */

#include "change_step.h"

#include <stdio.h>
#include <string.h>

/* for users who are no admins */
#define PHONE_STREAMS_MOST  50      /* of an owner */
#define PHONE_KEYS_MOST     20      /* valid ones of a stream */

#define PHONE_PLAIN_SIZE    48      /* for the owner's part of a name, and for the label's */
#define PHONE_NAMES         30      /* numbered names to try */


static bool step_is_bound(const step_t *step)
{
    return step->actor && !step->by_admin;
}


/*
 * A user without any stream is a viewer, who may not publish: an admin makes the first one, and
 * from then on its owner adds more.
 */
static store_result_t step_stream_room(const step_t *step)
{
    uint64_t         count = 0;
    store_result_t   result;

    if (!step_is_bound(step)) {
        return STORE_OK;
    }

    result = store_stream_count(step->store, step->owner, &count);
    if (result != STORE_OK) {
        return result;
    }
    return count == 0 ? STORE_REFUSED : count < PHONE_STREAMS_MOST ? STORE_OK : STORE_FULL;
}


static store_result_t step_key_room(const step_t *step)
{
    uint64_t         count = 0;
    store_result_t   result;

    if (!step_is_bound(step)) {
        return STORE_OK;
    }

    result = store_device_count(step->store, step->stream, &count);
    return result == STORE_OK && count >= PHONE_KEYS_MOST ? STORE_FULL : result;
}


/*
 * The owner's name begins the stream's, so that no user takes a name that others expect to be
 * theirs, or learns by trying which names exist. A label in another script than Latin has no
 * plain form: such a stream is called a phone.
 */
static void phone_base(const change_phone_t *phone, char base[2 * PHONE_PLAIN_SIZE])
{
    char    owner[PHONE_PLAIN_SIZE], label[PHONE_PLAIN_SIZE];
    size_t  length;

    name_plain(phone->owner_name, owner, sizeof(owner));
    name_plain(phone->label, label, sizeof(label));
    length = strlen(owner);

    if (length > 0 && strncmp(label, owner, length) == 0
        && (label[length] == '-' || label[length] == '\0'))
    {
        snprintf(base, 2 * PHONE_PLAIN_SIZE, "%s", label);      /* "mei-s-phone" of mei */
        return;
    }

    snprintf(base, 2 * PHONE_PLAIN_SIZE, "%s%s%s", owner, length ? "-" : "",
             label[0] ? label : "phone");
}


/* Finds a name that no stream has, or had. */
static store_result_t phone_name(store_t *store, change_phone_t *phone)
{
    char             base[2 * PHONE_PLAIN_SIZE], secret[16];
    unsigned         n;
    store_result_t   result = STORE_OK;

    phone_base(phone, base);

    for (n = 1; n <= PHONE_NAMES && result == STORE_OK; n++) {
        if (n == 1) {
            snprintf(phone->name, sizeof(phone->name), "%s", base);
        } else if (n < PHONE_NAMES) {
            snprintf(phone->name, sizeof(phone->name), "%s-%u", base, n);
        } else {
            password_random(secret, sizeof(secret), 6);
            snprintf(phone->name, sizeof(phone->name), "%s-%s", base, secret);
        }
        result = store_stream_taken(store, phone->app, phone->name);
    }

    return result == STORE_NONE ? STORE_OK : result == STORE_OK ? STORE_EXISTS : result;
}


static store_result_t step_phone_person(step_t *step)
{
    store_result_t  result = store_user_add(step->store, step->phone->owner_name, "", false,
                                            &step->user);

    step->owner = step->user;
    return result == STORE_OK ? step_invite_add(step, step->phone->invite) : result;
}


static store_result_t step_phone_stream(step_t *step)
{
    change_phone_t  *phone = step->phone;
    store_result_t   result = STORE_OK;

    if (phone->person) {
        result = step_phone_person(step);
    }
    if (result == STORE_OK) {
        result = step_stream_room(step);
    }
    if (result == STORE_OK) {
        result = phone_name(step->store, phone);
    }
    if (result == STORE_OK) {
        result = store_stream_add(step->store, phone->app, phone->name, step->owner,
                                  phone->label, &step->stream);
    }

    return result == STORE_OK ? store_revocation_inherit(step->store, step->stream) : result;
}


/* A device that is revoked already may be replaced, too. */
static store_result_t step_phone_replace(step_t *step)
{
    uint64_t         old = step->phone->replaces;
    store_result_t   result;

    if (old == 0) {
        return step_key_room(step);
    }

    result = store_device_revoke(step->store, step->stream, old);
    if (result == STORE_OK) {
        return step_revoke(step, 0, 0, old);
    }
    return result == STORE_NONE ? step_key_room(step) : result;
}


static store_result_t step_phone_add(step_t *step)
{
    store_result_t  result;

    result = step->phone->stream ? step_phone_replace(step) : step_phone_stream(step);

    return result == STORE_OK ? step_key_add(step) : result;
}


store_result_t change_phone_add(change_t *change, change_phone_t *phone, char key[SECRET_SIZE])
{
    step_t  step = {
        .managed = phone->stream, .own = phone->owner && phone->owner == change->actor,
        .owner = phone->stream ? phone->user : phone->owner, .stream = phone->stream,
        .phone = phone, .label = phone->label, .key = key
    };

    /* a new stream may show on all pages: other users may have a grant on the app */
    return change_run(change, &step, NULL, step_phone_add, phone->stream ? CHANGE_NO_PAGE : 0);
}
