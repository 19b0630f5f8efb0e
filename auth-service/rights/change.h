#ifndef DUOLU_CHANGE_H
#define DUOLU_CHANGE_H

#include "outbox.h"

/*
 * Changes rights, for the page and for duoluctl. One transaction changes the rows and
 * writes a revocation for every right that is lost; then the caller's process tells
 * nginx. If nginx does not answer, the change stands, and duolu-auth delivers it later.
 * The change fails with STORE_REFUSED if the actor has meanwhile lost the right to make
 * it. Keys, grants and links end when their maker loses the right to manage the stream.
 */
typedef struct {
    store_t          *store;
    const char       *control_socket;
    uint64_t          actor;        /* the user of the page; 0: duoluctl or the keeper */
    outbox_report_t   report;
    unsigned          orphaned;     /* streams on which a maker's keys, grants or links ended */
    store_recorded_t  left;         /* STORE_EXISTS: recordings of a deleted stream of this name */
    bool              left_going;   /* STORE_EXISTS: such recordings are being deleted */
    uint64_t          device;       /* the device of the key that was made or revoked */
} change_t;

/* For change_stream_add(). */
typedef struct {
    const char  *app;
    const char  *name;
    const char  *title;
    uint64_t     owner;
    bool         take_recordings;   /* recordings of a deleted stream of this name become its own */
} change_stream_t;

/* A setting and its new text; NULL: the environment's value. */
typedef struct {
    const char  *name;
    const char  *value;
} change_setting_t;

store_result_t change_settings(change_t *change, const change_setting_t *settings, size_t count);

/* For change_phone_add(). */
typedef struct {
    const char  *label;
    uint64_t     owner;         /* of the stream to make */
    const char  *owner_name;
    bool         person;        /* the owner does not exist yet: add one, who gets a link */
    const char  *app;
    char         name[NAME_STREAM_MAX + 1];     /* out: of the stream that was made */
    char         invite[SECRET_SIZE];           /* out: of the person's link */
    uint64_t     stream;        /* no stream to make: the phone is for this one */
    uint64_t     user;          /* and the key in this user's name */
    uint64_t     replaces;      /* and this device of the stream is revoked; 0: none */
} change_phone_t;

store_result_t change_user_add(change_t *change, const char *name, const char *hash, bool admin);

/* change_invite.c: links by which a user sets a password, once and within seven days */
#define CHANGE_INVITE_PATH  "/#/invite/"        /* and the secret: the page's address of a link */
/* adds a user who has no password until the link is used */
store_result_t change_user_add_invited(change_t *change, const char *name, bool admin,
                                       char invite[SECRET_SIZE]);
/* makes a new link for the user; an older one becomes void */
store_result_t change_user_invite(change_t *change, uint64_t user, char invite[SECRET_SIZE]);
/* sets the password; a reset also ends the user's sessions. STORE_NONE: not a valid link */
store_result_t change_invite_use(change_t *change, const unsigned char invite[KEY_HASH_BYTES],
                                 const char *hash, uint64_t *user);

/*
 * change_own.c: changes of the actor's own account. A new password ends all other logins, and the
 * user's sessions and tokens. STORE_NONE: the account has changed since it was read.
 */
store_result_t change_own_password(change_t *change, const store_user_t *account,
                                   const char *hash, const unsigned char login[KEY_HASH_BYTES]);
store_result_t change_own_name(change_t *change, const char *display_name);
/* ends all logins, sessions and tokens, also this login */
store_result_t change_own_logout(change_t *change);

/* change_totp.c: the second step of a login. STORE_EXISTS: it is on already */
store_result_t change_totp_begin(change_t *change, const char *secret);
/* takes the secret of `account` into use; STORE_NONE: there is another one by now */
store_result_t change_totp_on(change_t *change, const store_user_t *account, uint64_t totp_step,
                              const char *const codes[]);
/* of the actor, or of another user for an admin */
store_result_t change_totp_off(change_t *change, uint64_t user);

store_result_t change_user_limits(change_t *change, uint64_t user, const store_limits_t *limits);
store_result_t change_user_disable(change_t *change, uint64_t user);
store_result_t change_user_enable(change_t *change, uint64_t user);
/* ends every session that began with the old password */
store_result_t change_user_password(change_t *change, uint64_t user, const char *hash);
/* ends all of the user's sessions; logging in again and the same keys work */
store_result_t change_user_revoke(change_t *change, uint64_t user);

store_result_t change_stream_add(change_t *change, const change_stream_t *stream,
                                 char key[SECRET_SIZE]);
/*
 * change_delete.c: what is deleted ends its sessions and tokens. A user's streams are deleted with
 * the user. The keeper deletes recordings, if asked to; others stay, and only admins see them.
 */
store_result_t change_stream_remove(change_t *change, uint64_t stream, bool recordings);
store_result_t change_user_remove(change_t *change, uint64_t user, bool recordings);

store_result_t change_stream_update(change_t *change, uint64_t stream,
                                    const store_settings_t *set);
store_result_t change_stream_revoke(change_t *change, uint64_t stream);

/* Revokes all keys of the stream and makes one in its owner's name; the actor is its maker. */
store_result_t change_key_rotate(change_t *change, uint64_t stream, uint64_t owner,
                                 char key[SECRET_SIZE]);
store_result_t change_key_revoke(change_t *change, uint64_t stream, uint64_t device);

/*
 * Makes a key with a label, and a stream for it, which gets a plain name of its own, made of
 * its owner's name and the label. Users who are no admins do it for streams that they manage, and
 * make streams for themselves if they own one already, within bounds: beyond them STORE_FULL.
 */
store_result_t change_phone_add(change_t *change, change_phone_t *phone, char key[SECRET_SIZE]);

store_result_t change_grant_add(change_t *change, const store_grant_key_t *key,
                                unsigned rights);
store_result_t change_grant_remove(change_t *change, const store_grant_key_t *key,
                                   unsigned rights);
store_result_t change_group_join(change_t *change, uint64_t group, uint64_t user);
store_result_t change_group_leave(change_t *change, uint64_t group, uint64_t user);

/* change_group.c */
store_result_t change_group_add(change_t *change, const char *name);
/* with its grants */
store_result_t change_group_remove(change_t *change, uint64_t group);

/*
 * A change of rows that give no right to users, such as links. It runs in the transaction;
 * *revoked is the user whose sessions end then, if it sets one.
 */
typedef struct {
    uint64_t          stream;       /* that the actor must manage */
    unsigned          needed;       /* the actor's rights on it that this takes, beside to manage */
    store_result_t  (*run)(store_t *store, uint64_t actor, void *data, uint64_t *revoked);
    void             *data;
} change_rows_t;

store_result_t change_rows(change_t *change, const change_rows_t *rows);

/* Ends keys, grants and links whose makers lost their right by a change made by hand. */
store_result_t change_orphans(change_t *change);

#endif
