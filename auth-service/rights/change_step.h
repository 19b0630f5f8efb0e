#ifndef DUOLU_CHANGE_STEP_H
#define DUOLU_CHANGE_STEP_H

#include "change.h"
#include "loss.h"

/* The inside of a change, for the change_*.c files: change.c runs it, they say what it does. */

#define CHANGE_NO_PAGE  UINT64_MAX      /* the change affects no page */

/* One change, which runs under the lock. */
typedef struct {
    store_t             *store;
    uint64_t             actor;
    bool                 own;           /* the actor changes the own account */
    uint64_t             managed;       /* stream that the actor must manage; 0: must be an admin */
    bool                 by_admin;      /* the actor does it as an admin */
    uint64_t             maker;         /* of a grant: the actor, unless owner or admin */
    uint64_t             user;
    uint64_t             group;
    uint64_t             stream;
    uint64_t             device;        /* to revoke, or out: the one that was made */
    const char          *label;
    uint64_t             owner;
    bool                 disabled;
    unsigned             rights;
    bool                 admin;         /* the user to be added */
    bool                 recordings;    /* delete also what the streams have recorded */
    change_t            *change;        /* for what a step reports beside its result */
    const char          *name;
    const char          *hash;
    const unsigned char *invite;        /* the fingerprint of a link */
    const store_user_t  *account;       /* as it was read before */
    const unsigned char *login;         /* the fingerprint of the login that stays */
    uint64_t             totp_step;     /* of the first code */
    const char *const   *codes;         /* recovery codes */
    const store_limits_t    *limits;
    const store_settings_t  *set;
    const change_stream_t   *made;
    const change_setting_t  *settings;
    size_t               setting_count;
    change_phone_t      *phone;
    const store_grant_key_t *grant;
    const change_rows_t     *rows;
    char                *key;           /* out */
    store_revocation_t  *revoked;       /* revocations to deliver */
    size_t               revoked_count;
    size_t               revoked_size;
    store_access_t      *orphans;       /* makers, each with a stream they may not manage */
    size_t               orphan_count;
    size_t               orphan_size;
    unsigned             sharers;       /* makers, each with a stream, whose links ended */
    store_result_t       result;        /* a callback's failure */
} step_t;

typedef store_result_t (*step_run)(step_t *step);

/* Writes a revocation, which change_run() delivers after the commit; 0 matches any. */
store_result_t step_revoke(step_t *step, uint64_t user, uint64_t stream, uint64_t device);

/* Runs the step and, with a scope, writes a revocation for each right that it took away. */
store_result_t step_with_loss(step_t *step, const loss_scope_t *scope, step_run run);

/* Takes step->user out of step->group. */
store_result_t step_group_leave(step_t *step);

/* Ends the logins of step->user and revokes the user's sessions and tokens. */
store_result_t step_user_revoke(step_t *step);

/*
 * Runs the step in a transaction under the lock. scope: where to compare the rights before
 * and after it, NULL: nowhere. refresh: the user whose pages must ask for their rights again,
 * 0 for all users, or CHANGE_NO_PAGE.
 */
store_result_t change_run(change_t *change, step_t *step, const loss_scope_t *scope,
                          step_run run, uint64_t refresh);

/* Makes a link by which step->user sets a password. */
store_result_t step_invite_add(step_t *step, char invite[SECRET_SIZE]);

/* Makes a key of the step's stream in the owner's name; the actor is its maker. */
store_result_t step_key_add(step_t *step);

#endif
