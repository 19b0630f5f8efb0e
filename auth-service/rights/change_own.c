/* Changes that users make of their own accounts. */

#include "change_step.h"


/* The password was checked before the lock: replace only that one. */
static store_result_t step_own_password(step_t *step)
{
    store_result_t  result;

    result = store_user_replace_password(step->store, step->account, step->hash);
    if (result == STORE_OK) {
        result = store_invite_void(step->store, step->user);
    }
    if (result == STORE_OK) {
        result = store_web_session_remove_others(step->store, step->user, step->login);
    }

    return result == STORE_OK ? step_revoke(step, step->user, 0, 0) : result;
}


store_result_t change_own_password(change_t *change, const store_user_t *account,
                                   const char *hash, const unsigned char login[KEY_HASH_BYTES])
{
    step_t  step = { .own = true, .user = change->actor, .account = account, .hash = hash,
                     .login = login };

    return change_run(change, &step, NULL, step_own_password, change->actor);
}


static store_result_t step_own_settings(step_t *step)
{
    return store_user_set_limits(step->store, step->user, step->limits);
}


store_result_t change_own_name(change_t *change, const char *display_name)
{
    store_limits_t  set = { .display_name = display_name };
    step_t          step = { .own = true, .user = change->actor, .limits = &set };

    return change_run(change, &step, NULL, step_own_settings, CHANGE_NO_PAGE);
}


store_result_t change_own_logout(change_t *change)
{
    step_t  step = { .own = true, .user = change->actor };

    return change_run(change, &step, NULL, step_user_revoke, change->actor);
}
