/* The second step of a login: users turn it on and off, admins turn it off for a lost phone. */

#include "change_step.h"
#include "../base/totp.h"


static store_result_t step_totp_begin(step_t *step)
{
    store_result_t  result = store_totp_begin(step->store, step->user, step->name);

    return result == STORE_NONE ? STORE_EXISTS : result;
}


store_result_t change_totp_begin(change_t *change, const char *secret)
{
    step_t  step = { .own = true, .user = change->actor, .name = secret };

    return change_run(change, &step, NULL, step_totp_begin, CHANGE_NO_PAGE);
}


static store_result_t step_totp_on(step_t *step)
{
    size_t          i;
    unsigned char   hash[KEY_HASH_BYTES];
    store_result_t  result;

    result = store_totp_on(step->store, step->user, step->account->totp_secret, step->totp_step);

    for (i = 0; i < RECOVERY_COUNT && result == STORE_OK; i++) {
        password_fingerprint(step->codes[i], hash);
        result = store_recovery_add(step->store, step->user, hash);
    }

    return result;
}


store_result_t change_totp_on(change_t *change, const store_user_t *account, uint64_t totp_step,
                              const char *const codes[])
{
    step_t  step = { .own = true, .user = change->actor, .account = account,
                     .totp_step = totp_step, .codes = codes };

    return change_run(change, &step, NULL, step_totp_on, CHANGE_NO_PAGE);
}


static store_result_t step_totp_off(step_t *step)
{
    return store_totp_off(step->store, step->user);
}


store_result_t change_totp_off(change_t *change, uint64_t user)
{
    step_t  step = { .own = change->actor == user, .user = user };

    return change_run(change, &step, NULL, step_totp_off, CHANGE_NO_PAGE);
}
