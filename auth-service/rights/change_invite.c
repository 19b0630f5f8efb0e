/* Links by which a user sets a password. The secret in a link is its whole authority. */

#include "change_step.h"

#define INVITE_LIFE_S  (7 * 24 * 3600)


static store_result_t step_invite(step_t *step)
{
    return store_invite_add(step->store, step->user, step->actor, step->invite, INVITE_LIFE_S);
}


static store_result_t step_user_add_invited(step_t *step)
{
    store_result_t  result = store_user_add(step->store, step->name, "", step->admin,
                                            &step->user);

    return result == STORE_OK ? step_invite(step) : result;
}


static void invite_make(char invite[SECRET_SIZE], unsigned char hash[KEY_HASH_BYTES])
{
    password_random(invite, SECRET_SIZE, 32);
    password_fingerprint(invite, hash);
}


store_result_t step_invite_add(step_t *step, char invite[SECRET_SIZE])
{
    unsigned char   hash[KEY_HASH_BYTES];
    store_result_t  result;

    invite_make(invite, hash);
    step->invite = hash;
    result = step_invite(step);
    step->invite = NULL;
    return result;
}


store_result_t change_user_add_invited(change_t *change, const char *name, bool admin,
                                       char invite[SECRET_SIZE])
{
    step_t         step = { .name = name, .admin = admin };
    unsigned char  hash[KEY_HASH_BYTES];

    invite_make(invite, hash);
    step.invite = hash;
    return change_run(change, &step, NULL, step_user_add_invited, CHANGE_NO_PAGE);
}


store_result_t change_user_invite(change_t *change, uint64_t user, char invite[SECRET_SIZE])
{
    step_t         step = { .user = user };
    unsigned char  hash[KEY_HASH_BYTES];

    invite_make(invite, hash);
    step.invite = hash;
    return change_run(change, &step, NULL, step_invite, CHANGE_NO_PAGE);
}


/*
 * Check the link again under the lock: of two uses at once one sees that it was used. A user
 * who had no password has no sessions to end, except phones that publish with a key: they go on.
 */
static store_result_t step_invite_use(step_t *step)
{
    store_invite_t  invite;
    store_result_t  result = store_invite_open(step->store, step->invite, &invite);

    if (result == STORE_OK) {
        step->user = invite.user;
        result = store_invite_use(step->store, step->invite);
    }
    if (result == STORE_OK) {
        result = store_user_set_password(step->store, step->user, step->hash);
    }

    return result == STORE_OK && invite.reset ? step_user_revoke(step) : result;
}


store_result_t change_invite_use(change_t *change, const unsigned char invite[KEY_HASH_BYTES],
                                 const char *hash, uint64_t *user)
{
    step_t          step = { .invite = invite, .hash = hash };
    store_result_t  result = change_run(change, &step, NULL, step_invite_use, CHANGE_NO_PAGE);

    *user = step.user;
    return result;
}
