#include "change_step.h"
#include "../base/token.h"
#include "loss.h"
#include "publish_key.h"
#include "sharing.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define CHANGE_LOCK    "change"
#define CHANGE_LOCK_S  10

/*
 * nginx keeps a bounded list of revocations. When more users than this lose a
 * stream at once, or a user loses more streams, the stream or the user is revoked
 * as a whole; sessions that are still allowed reconnect.
 */
#define CHANGE_PAIRS_MAX  64

#define CHANGE_DEVICES_MOST  200    /* of a stream, with revoked ones, which are deleted first */


/*
 * A request during the transaction saw the old rows and carries this second; round
 * up so that it is revoked too, if the commit takes half a second or less. For a
 * slower commit see step_revoke_late().
 */
static int64_t step_second(void)
{
    struct timespec  now;

    clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t) now.tv_sec + (now.tv_nsec >= 500000000L);
}


store_result_t step_revoke(step_t *step, uint64_t user, uint64_t stream, uint64_t device)
{
    size_t               i, size;
    store_revocation_t  *row, *grown;

    for (i = 0; i < step->revoked_count; i++) {
        row = &step->revoked[i];
        if (row->user == user && row->stream == stream && row->device == device) {
            return STORE_OK;
        }
    }

    if (step->revoked_count == step->revoked_size) {
        size = step->revoked_size ? 2 * step->revoked_size : 8;
        grown = realloc(step->revoked, size * sizeof(*grown));
        if (grown == NULL) {
            return STORE_ERROR;
        }
        step->revoked = grown;
        step->revoked_size = size;
    }

    row = &step->revoked[step->revoked_count++];
    memset(row, 0, sizeof(*row));
    row->user = user;
    row->stream = stream;
    row->device = device;
    row->at = step_second();

    return store_revocation_add(step->store, row);
}


/*
 * After a slow commit: a request during the transaction saw the old rows and carries a
 * later second than the one written. Move the revocations to the second of the commit,
 * so that it is revoked too.
 */
static store_result_t step_revoke_late(step_t *step)
{
    size_t           i;
    store_result_t   result = STORE_OK;
    struct timespec  now;

    clock_gettime(CLOCK_REALTIME, &now);    /* time() lags by up to a tick */

    for (i = 0; i < step->revoked_count && result == STORE_OK; i++) {
        if (step->revoked[i].at < (int64_t) now.tv_sec) {
            step->revoked[i].at = (int64_t) now.tv_sec;
            result = store_revocation_delay(step->store, &step->revoked[i]);
        }
    }

    return result;
}


/*
 * Writes a revocation for each pair that lost a right; if there are more than
 * CHANGE_PAIRS_MAX, one for the whole user or the whole stream instead.
 */
static store_result_t step_revoke_lost(step_t *step, const loss_t *loss,
                                       const loss_scope_t *scope)
{
    size_t          i;
    store_result_t  result = STORE_OK;

    if (loss->count > CHANGE_PAIRS_MAX) {
        return scope->user ? step_revoke(step, scope->user, 0, 0)
                           : step_revoke(step, 0, scope->stream, 0);
    }

    for (i = 0; i < loss->count && result == STORE_OK; i++) {
        result = step_revoke(step, loss->pairs[i].user, loss->pairs[i].stream, 0);
    }

    return result;
}


store_result_t step_with_loss(step_t *step, const loss_scope_t *scope, step_run run)
{
    loss_t          loss = { 0 };
    store_result_t  result = STORE_OK;

    if (scope) {
        result = loss_before(&loss, step->store, scope);
    }
    if (result == STORE_OK) {
        result = run(step);
    }
    if (result == STORE_OK && scope) {
        result = loss_after(&loss, step->store, scope);
    }
    if (result == STORE_OK && scope) {
        result = step_revoke_lost(step, &loss, scope);
    }

    loss_free(&loss);
    return result;
}


/* --- keys and grants whose maker lost the right to manage --- */

static void step_revoke_device(uint64_t id, void *data)
{
    step_t  *step = data;

    if (step->result == STORE_OK) {
        step->result = step_revoke(step, 0, 0, id);
    }
}


static void step_note_orphan(const store_access_t *maker, void *data)
{
    size_t           size;
    step_t          *step = data;
    store_access_t  *grown;

    if (!rights_orphans(maker)) {
        return;
    }

    if (step->orphan_count == step->orphan_size) {
        size = step->orphan_size ? 2 * step->orphan_size : 8;
        grown = realloc(step->orphans, size * sizeof(*grown));
        if (grown == NULL) {
            step->result = STORE_ERROR;
            return;
        }
        step->orphans = grown;
        step->orphan_size = size;
    }

    step->orphans[step->orphan_count++] = *maker;
}


static store_result_t step_end_keys(step_t *step, uint64_t stream, uint64_t maker)
{
    store_result_t  result;

    step->result = STORE_OK;
    result = store_device_made(step->store, stream, maker, step_revoke_device, step);
    if (result == STORE_OK) {
        result = step->result;
    }

    return result == STORE_OK ? store_device_revoke_made(step->store, stream, maker) : result;
}


static store_result_t step_end_grants(step_t *step, uint64_t stream, uint64_t maker)
{
    loss_t          loss = { 0 };
    loss_scope_t    scope = { .stream = stream };
    store_result_t  result;

    result = store_access_made(step->store, stream, maker, loss_note, &loss);
    if (result == STORE_OK && loss.failed) {
        result = STORE_ERROR;
    }
    if (result == STORE_OK) {
        result = store_grant_remove_made(step->store, stream, maker);
    }
    if (result == STORE_OK && loss.count) {
        loss_sort(&loss);
        result = loss_after(&loss, step->store, &scope);
    }
    if (result == STORE_OK) {
        result = step_revoke_lost(step, &loss, &scope);
    }

    loss_free(&loss);
    return result;
}


/*
 * Check all makers after every change, so that we forget no way of losing the right to
 * manage. One pass is enough: managers can't grant the right to manage, so the grants
 * that end here take it from no other maker.
 */
static store_result_t step_end_orphans(step_t *step)
{
    size_t          i;
    uint64_t        stream, maker;
    store_result_t  result;

    step->result = STORE_OK;
    result = store_access_makers(step->store, step_note_orphan, step);
    if (result == STORE_OK) {
        result = step->result;
    }

    for (i = 0; i < step->orphan_count && result == STORE_OK; i++) {
        stream = step->orphans[i].stream;
        maker = step->orphans[i].user;

        result = step_end_keys(step, stream, maker);
        if (result == STORE_OK) {
            result = step_end_grants(step, stream, maker);
        }
        if (result == STORE_OK) {
            result = store_access_audit(step->store, stream, maker);
        }
    }

    return result;
}


/* --- a change as a whole --- */

/* Checks the actor's right once more under the lock: it may have been revoked meanwhile. */
static store_result_t step_admit(step_t *step)
{
    store_user_t    user;
    store_access_t  access;
    store_result_t  result;

    if (step->actor == 0) {
        return STORE_OK;
    }

    if (step->managed == 0) {
        result = store_user_by_id(step->store, step->actor, &user);
        step->by_admin = result == STORE_OK && user.admin;
        if (result == STORE_NONE
            || (result == STORE_OK && ((!user.admin && !step->own) || user.disabled)))
        {
            return STORE_REFUSED;
        }
        return result;
    }

    result = store_access_one(step->store, step->managed, step->actor, &access);
    if (result != STORE_OK) {
        return result;
    }

    step->by_admin = access.admin;
    if (!access.admin && access.user != access.owner) {
        step->maker = step->actor;
    }
    return rights_has_all(rights_of_access(&access), RIGHT_MANAGE
                          | (step->rows ? step->rows->needed : 0)) ? STORE_OK : STORE_REFUSED;
}


static void step_revoke_user(uint64_t id, void *data)
{
    step_t  *step = data;

    if (step->result == STORE_OK) {
        step->result = step_revoke(step, id, 0, 0);
    }
}


static store_result_t step_end_sharers(step_t *step)
{
    store_result_t  result;

    step->result = STORE_OK;
    result = sharing_end_orphans(step->store, step_revoke_user, step, &step->sharers);
    return result == STORE_OK ? step->result : result;
}


static store_result_t step_apply(step_t *step, const loss_scope_t *scope, step_run run)
{
    store_result_t  result = step_admit(step);

    if (result == STORE_OK) {
        result = step_with_loss(step, scope, run);
    }
    if (result == STORE_OK) {
        result = step_end_orphans(step);
    }
    return result == STORE_OK ? step_end_sharers(step) : result;
}


/*
 * Changes the database in one transaction, one change at a time: if two changes each
 * removed one of a user's two grants at once, neither would see that the right is lost.
 */
static store_result_t step_commit(step_t *step, const loss_scope_t *scope, step_run run)
{
    store_t         *store = step->store;
    store_result_t   result = store_lock(store, CHANGE_LOCK, CHANGE_LOCK_S);

    if (result != STORE_OK) {
        return result == STORE_NONE ? STORE_DOWN : result;
    }

    result = store_begin(store);
    if (result == STORE_OK) {
        result = step_apply(step, scope, run);
        if (result == STORE_OK) {
            result = store_commit(store);
        } else {
            store_rollback(store);
        }
    }

    store_unlock(store, CHANGE_LOCK);
    return result;
}


store_result_t change_run(change_t *change, step_t *step, const loss_scope_t *scope,
                          step_run run, uint64_t refresh)
{
    char            error[CONTROL_ERROR_SIZE];
    store_result_t  result;

    memset(&change->report, 0, sizeof(change->report));
    memset(&change->left, 0, sizeof(change->left));
    change->left_going = false;
    step->store = change->store;
    step->actor = change->actor;
    step->change = change;

    result = step_commit(step, scope, run);
    change->orphaned = result == STORE_OK ? (unsigned) step->orphan_count + step->sharers : 0;
    change->device = step->device;
    free(step->orphans);
    if (result != STORE_OK) {
        free(step->revoked);
        return result;
    }

    if (step->revoked_count) {
        result = step_revoke_late(step);
        outbox_deliver_own(change->store, change->control_socket, step->revoked,
                           step->revoked_count, &change->report);
    }
    free(step->revoked);

    /* ignore a failure: a page asks again when its events end, as they do when nginx is down */
    if (change->orphaned) {
        refresh = 0;        /* also for users who lost grants of those makers */
    }
    if (refresh != CHANGE_NO_PAGE) {
        control_refresh(change->control_socket, refresh, error);
    }
    return result;
}


/*
 * Writes revocations for the valid keys of a stream, or for other users' keys to an
 * owner's streams.
 */
static store_result_t step_revoke_devices(step_t *step, uint64_t stream, uint64_t owner)
{
    store_result_t  result;

    step->result = STORE_OK;
    result = store_device_valid(step->store, stream, owner, step_revoke_device, step);
    return result == STORE_OK ? step->result : result;
}


/* --- users --- */

static store_result_t step_user_add(step_t *step)
{
    return store_user_add(step->store, step->name, step->hash, step->admin, NULL);
}


store_result_t change_user_add(change_t *change, const char *name, const char *hash, bool admin)
{
    step_t  step = { .name = name, .hash = hash, .admin = admin };

    return change_run(change, &step, NULL, step_user_add, CHANGE_NO_PAGE);
}


static store_result_t step_user_limits(step_t *step)
{
    return store_user_set_limits(step->store, step->user, step->limits);
}


store_result_t change_user_limits(change_t *change, uint64_t user, const store_limits_t *limits)
{
    step_t  step = { .user = user, .limits = limits };

    return change_run(change, &step, NULL, step_user_limits, CHANGE_NO_PAGE);
}


store_result_t step_user_revoke(step_t *step)
{
    store_result_t  result = store_web_session_remove_all(step->store, step->user);

    return result == STORE_OK ? step_revoke(step, step->user, 0, 0) : result;
}


static store_result_t step_user_disable(step_t *step)
{
    store_result_t  result = store_user_set_disabled(step->store, step->user, true);

    if (result == STORE_OK) {
        result = store_invite_void(step->store, step->user);
    }
    if (result == STORE_OK) {
        /* other users' keys must not keep a disabled owner's streams on air */
        result = step_revoke_devices(step, 0, step->user);
    }

    return result == STORE_OK ? step_user_revoke(step) : result;
}


store_result_t change_user_disable(change_t *change, uint64_t user)
{
    step_t  step = { .user = user };

    return change_run(change, &step, NULL, step_user_disable, user);
}


static store_result_t step_user_enable(step_t *step)
{
    return store_user_set_disabled(step->store, step->user, false);
}


store_result_t change_user_enable(change_t *change, uint64_t user)
{
    step_t  step = { .user = user };

    return change_run(change, &step, NULL, step_user_enable, user);
}


static store_result_t step_user_password(step_t *step)
{
    store_result_t  result = store_user_set_password(step->store, step->user, step->hash);

    if (result == STORE_OK) {
        result = store_invite_void(step->store, step->user);
    }

    return result == STORE_OK ? step_user_revoke(step) : result;
}


store_result_t change_user_password(change_t *change, uint64_t user, const char *hash)
{
    step_t  step = { .user = user, .hash = hash };

    return change_run(change, &step, NULL, step_user_password, user);
}


store_result_t change_user_revoke(change_t *change, uint64_t user)
{
    step_t  step = { .user = user };

    return change_run(change, &step, NULL, step_user_revoke, user);
}


/* --- streams and their keys --- */

store_result_t step_key_add(step_t *step)
{
    store_device_t  device = { .stream = step->stream, .user = step->owner,
                               .maker = step->actor };
    store_result_t  result;

    snprintf(device.label, sizeof(device.label), "%s", step->label ? step->label : "");

    result = publish_key_add(step->store, &device, step->key);
    step->device = device.id;
    return result == STORE_OK
           ? store_device_bound(step->store, step->stream, CHANGE_DEVICES_MOST) : result;
}


/*
 * Recordings belong to the stream that has their name. Those of a deleted stream must not fall
 * to the next owner of the name unless the caller says so.
 */
static store_result_t step_stream_name_free(step_t *step)
{
    const change_stream_t  *made = step->made;
    store_result_t          result;

    result = store_deletion_of(step->store, made->app, made->name);
    if (result != STORE_NONE) {
        step->change->left_going = result == STORE_OK;
        return result == STORE_OK ? STORE_EXISTS : result;
    }
    if (made->take_recordings) {
        return STORE_OK;
    }

    result = store_recorded_name(step->store, made->app, made->name, &step->change->left);
    return result == STORE_OK && step->change->left.files ? STORE_EXISTS : result;
}


static store_result_t step_stream_add(step_t *step)
{
    const change_stream_t  *made = step->made;
    store_result_t          result;

    result = store_stream_add(step->store, made->app, made->name, made->owner, made->title,
                              &step->stream);
    if (result == STORE_OK) {
        result = step_stream_name_free(step);
    }
    if (result == STORE_OK) {
        result = store_revocation_inherit(step->store, step->stream);
    }

    return result == STORE_OK ? step_key_add(step) : result;
}


store_result_t change_stream_add(change_t *change, const change_stream_t *stream,
                                 char key[SECRET_SIZE])
{
    step_t  step = { .made = stream, .owner = stream->owner, .key = key };

    /* refresh all pages: a grant on the app may show the stream to other users too */
    return change_run(change, &step, NULL, step_stream_add, 0);
}


static store_result_t step_stream_update(step_t *step)
{
    store_result_t  result;

    if (step->actor && !step->by_admin && (step->set->max_kbps || step->set->max_viewers)) {
        return STORE_REFUSED;
    }
    /* a manager may not open a stream to everybody */
    if (step->maker && step->set->visibility && rights_is_open(step->set->visibility)) {
        return STORE_REFUSED;
    }

    /* visitors of an open stream have no account whose loss could be compared */
    if (step->set->visibility && !rights_is_open(step->set->visibility)) {
        result = store_stream_is_open(step->store, step->stream);
        if (result == STORE_OK) {
            result = step_revoke(step, TOKEN_VISITOR, step->stream, 0);
        }
        if (result != STORE_OK && result != STORE_NONE) {
            return result;
        }
    }

    return store_stream_update(step->store, step->stream, step->set);
}


store_result_t change_stream_update(change_t *change, uint64_t stream,
                                    const store_settings_t *set)
{
    step_t        step = { .managed = stream, .stream = stream, .set = set };
    loss_scope_t  scope = { .stream = stream };

    return change_run(change, &step, &scope, step_stream_update, 0);
}


static store_result_t step_stream_revoke(step_t *step)
{
    return step_revoke(step, 0, step->stream, 0);
}


store_result_t change_stream_revoke(change_t *change, uint64_t stream)
{
    step_t  step = { .managed = stream, .stream = stream };

    return change_run(change, &step, NULL, step_stream_revoke, CHANGE_NO_PAGE);
}


static store_result_t step_key_rotate(step_t *step)
{
    store_result_t  result = step_revoke_devices(step, step->stream, 0);

    if (result == STORE_OK) {
        result = store_device_revoke_all(step->store, step->stream);
    }

    return result == STORE_OK ? step_key_add(step) : result;
}


store_result_t change_key_rotate(change_t *change, uint64_t stream, uint64_t owner,
                                 char key[SECRET_SIZE])
{
    step_t  step = { .managed = stream, .stream = stream, .owner = owner, .key = key };

    return change_run(change, &step, NULL, step_key_rotate, CHANGE_NO_PAGE);
}


static store_result_t step_key_revoke(step_t *step)
{
    store_result_t  result = store_device_revoke(step->store, step->stream, step->device);

    return result == STORE_OK ? step_revoke(step, 0, 0, step->device) : result;
}


store_result_t change_key_revoke(change_t *change, uint64_t stream, uint64_t device)
{
    step_t  step = { .managed = stream, .stream = stream, .device = device };

    return change_run(change, &step, NULL, step_key_revoke, CHANGE_NO_PAGE);
}


/* --- grants and groups --- */

/*
 * Managers may not grant the right to manage: two managers could give it to each other
 * and never lose it.
 */
static store_result_t step_grant_admit(const step_t *step)
{
    return step->maker && (step->rights & RIGHT_MANAGE) ? STORE_REFUSED : STORE_OK;
}


static store_result_t step_grant_add(step_t *step)
{
    store_result_t  result = step_grant_admit(step);

    return result == STORE_OK
           ? store_grant_add(step->store, step->grant, step->rights, step->maker) : result;
}


store_result_t change_grant_add(change_t *change, const store_grant_key_t *key,
                                unsigned rights)
{
    step_t  step = { .managed = key->stream, .grant = key, .rights = rights };

    return change_run(change, &step, NULL, step_grant_add, key->user);
}


static store_result_t step_grant_remove(step_t *step)
{
    store_result_t  result = step_grant_admit(step);

    return result == STORE_OK
           ? store_grant_remove(step->store, step->grant, step->rights) : result;
}


static void step_revoke_stream(uint64_t id, void *data)
{
    step_t  *step = data;

    if (step->result == STORE_OK) {
        step->result = step_revoke(step, 0, id, 0);
    }
}


static void step_count(uint64_t id, void *data)
{
    (void) id;
    (*(size_t *) data)++;
}


/*
 * Removes a group's grant on a whole app: many users, many streams. Revokes all members
 * or all streams of the app, whichever are fewer; sessions that are still allowed
 * reconnect.
 */
static store_result_t step_grant_remove_crowd(step_t *step)
{
    size_t          members = 0, streams = 0;
    uint64_t        group = step->grant->group;
    const char     *app = step->grant->app;
    store_result_t  result = step_grant_remove(step);

    if (result != STORE_OK || !(step->rights & LOSS_RIGHTS)) {
        return result;
    }

    result = store_group_members(step->store, group, step_count, &members);
    if (result == STORE_OK) {
        result = store_app_streams(step->store, app, step_count, &streams);
    }
    if (result != STORE_OK) {
        return result;
    }

    step->result = STORE_OK;
    result = members <= streams
             ? store_group_members(step->store, group, step_revoke_user, step)
             : store_app_streams(step->store, app, step_revoke_stream, step);
    return result == STORE_OK ? step->result : result;
}


store_result_t change_grant_remove(change_t *change, const store_grant_key_t *key,
                                   unsigned rights)
{
    step_t        step = { .managed = key->stream, .grant = key, .rights = rights };
    loss_scope_t  scope = { .user = key->user, .group = key->user ? 0 : key->group,
                            .stream = key->stream, .app = key->stream ? NULL : key->app };

    if (key->user == 0 && key->stream == 0) {
        return change_run(change, &step, NULL, step_grant_remove_crowd, 0);
    }

    return change_run(change, &step, &scope, step_grant_remove, key->user);
}


static store_result_t step_group_join(step_t *step)
{
    return store_group_join(step->store, step->group, step->user);
}


store_result_t change_group_join(change_t *change, uint64_t group, uint64_t user)
{
    step_t  step = { .group = group, .user = user };

    return change_run(change, &step, NULL, step_group_join, user);
}


store_result_t step_group_leave(step_t *step)
{
    return store_group_leave(step->store, step->group, step->user);
}


store_result_t change_group_leave(change_t *change, uint64_t group, uint64_t user)
{
    step_t        step = { .group = group, .user = user };
    loss_scope_t  scope = { .user = user };

    return change_run(change, &step, &scope, step_group_leave, user);
}


static store_result_t step_rows(step_t *step)
{
    uint64_t        revoked = 0;
    store_result_t  result = step->rows->run(step->store, step->actor, step->rows->data, &revoked);

    return result == STORE_OK && revoked ? step_revoke(step, revoked, 0, 0) : result;
}


store_result_t change_rows(change_t *change, const change_rows_t *rows)
{
    step_t  step = { .managed = rows->stream, .rows = rows };

    return change_run(change, &step, NULL, step_rows, CHANGE_NO_PAGE);
}


static store_result_t step_nothing(step_t *step)
{
    (void) step;
    return STORE_OK;
}


store_result_t change_orphans(change_t *change)
{
    step_t  step = { 0 };

    return change_run(change, &step, NULL, step_nothing, CHANGE_NO_PAGE);
}
