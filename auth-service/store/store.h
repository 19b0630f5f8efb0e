#ifndef DUOLU_STORE_H
#define DUOLU_STORE_H

#include "../base/dsn.h"
#include "../base/names.h"
#include "../base/password.h"
#include "../base/totp.h"
#include "../base/settings.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * Access to MySQL. One store_t belongs to one thread and holds one connection; after
 * a lost connection the next call opens a new one. Only store_*.c contain SQL.
 */
typedef struct store_s  store_t;

typedef enum {
    STORE_OK,
    STORE_NONE,     /* no such row */
    STORE_EXISTS,   /* a row with this unique key exists */
    STORE_DOWN,     /* the database can't be reached; the outcome is unknown */
    STORE_REFUSED,  /* change.h: the actor has no right to do it, or no longer */
    STORE_FULL,     /* change.h: the actor has made as many as one user may */
    STORE_ERROR     /* a defect, or the server refused: see store_error() */
} store_result_t;

store_t *store_new(const dsn_t *dsn);

/* Sets the server's time to answer, from the next connection on; 10 s by default. */
void store_set_patience(store_t *store, unsigned seconds);
void store_free(store_t *store);
const char *store_error(const store_t *store);

/*
 * Did the database refuse the values of the last call? The same call would fail again,
 * calls with other values may succeed.
 */
bool store_refused_row(const store_t *store, store_result_t result);

/*
 * If the connection is lost between begin and commit, or lock and unlock, all further
 * calls up to there return STORE_DOWN: the transaction is rolled back, the lock is lost.
 */
store_result_t store_begin(store_t *store);
store_result_t store_commit(store_t *store);
void store_rollback(store_t *store);

/* Takes a named lock of the server; returns STORE_NONE if it is not free within that time. */
store_result_t store_lock(store_t *store, const char *name, unsigned seconds);
void store_unlock(store_t *store, const char *name);

/* --- schema (store_schema.c) --- */

store_result_t store_schema_prepare(store_t *store);
store_result_t store_schema_applied(store_t *store, unsigned version, bool *applied);
store_result_t store_schema_newest(store_t *store, unsigned *version);
store_result_t store_schema_run(store_t *store, const char *statement);
store_result_t store_schema_record(store_t *store, unsigned version, const char *name);

/* --- users (store_user.c) --- */

typedef struct {
    uint64_t  id;
    char      name[NAME_USER_MAX + 1];
    char      password_hash[PASSWORD_HASH_SIZE];   /* "": none yet, see store_invite.c */
    bool      admin;
    bool      disabled;
    unsigned  max_publishers;   /* publishers of this user at once, 0: no limit */
    uint64_t  rec_quota;        /* bytes of the recordings of all the user's streams, 0: no limit */
    uint64_t  changed;          /* when the row changed, unix ms */
    int64_t   not_before;       /* logins and tokens made until then are void, unix s */
    char      display_name[NAME_DISPLAY_MAX * 4 + 1];   /* for people to read; "": none */
    char      totp_secret[TOTP_SECRET_SIZE];
    bool      totp_on;          /* a login needs a code, too */
} store_user_t;

/* Changes to the settings of a user or a stream; NULL leaves a setting unchanged. */
typedef struct {
    const uint64_t  *max_publishers;
    const uint64_t  *rec_quota;
    const char      *display_name;
} store_limits_t;

typedef struct {
    const char      *title;
    const char      *visibility;
    const char      *record;
    const uint64_t  *max_kbps;
    const uint64_t  *max_viewers;
} store_settings_t;

typedef void (*store_user_each)(const store_user_t *user, void *data);

store_result_t store_user_add(store_t *store, const char *name, const char *hash, bool admin,
                              uint64_t *id);
store_result_t store_user_by_name(store_t *store, const char *name, store_user_t *user);
store_result_t store_user_by_id(store_t *store, uint64_t id, store_user_t *user);
store_result_t store_user_list(store_t *store, store_user_each each, void *data);
store_result_t store_user_set_disabled(store_t *store, uint64_t id, bool disabled);
store_result_t store_user_set_password(store_t *store, uint64_t id, const char *hash);
/* STORE_NONE: the user is gone or disabled, or has another password than when `user` was read */
store_result_t store_user_replace_password(store_t *store, const store_user_t *user,
                                           const char *hash);
/* Deletes the user, who must own no stream, with the user's logins, links, keys and grants. */
store_result_t store_user_remove(store_t *store, uint64_t id);
store_result_t store_user_set_limits(store_t *store, uint64_t id, const store_limits_t *limits);

/* A stream owner without a rec_quota. */
typedef struct {
    uint64_t  id;
    char      name[NAME_USER_MAX + 1];
    bool      full;
    uint64_t  bytes;            /* of the closed recordings */
} store_owner_t;

typedef void (*store_owner_each)(const store_owner_t *owner, void *data);

/* FULL: list only owners marked as full, and sum only their recordings. */
store_result_t store_user_owners(store_t *store, bool full, store_owner_each each, void *data);
store_result_t store_user_set_full(store_t *store, uint64_t id, bool full);
/* STORE_NONE: no user has a rec_quota */
store_result_t store_user_any_quota(store_t *store);

/* --- page sessions (store_user.c) --- */

/* STORE_NONE: the user was changed or disabled since it was read */
store_result_t store_web_session_add(store_t *store, const unsigned char hash[KEY_HASH_BYTES],
                                     const store_user_t *user, const char *address,
                                     int64_t life_s);
/* Deletes the oldest logins of USER beyond the newest MOST. */
store_result_t store_web_session_bound(store_t *store, uint64_t user, unsigned most);
store_result_t store_web_session_user(store_t *store, const unsigned char hash[KEY_HASH_BYTES],
                                      store_user_t *user);
/* STORE_OK: a login of the user from this address, or its IPv6 /64, is still valid */
store_result_t store_web_session_from(store_t *store, uint64_t user, const char *address);
store_result_t store_web_session_remove(store_t *store,
                                        const unsigned char hash[KEY_HASH_BYTES]);
store_result_t store_web_session_remove_all(store_t *store, uint64_t user);
/* all but this one */
store_result_t store_web_session_remove_others(store_t *store, uint64_t user,
                                               const unsigned char hash[KEY_HASH_BYTES]);
store_result_t store_web_session_prune(store_t *store);

/* --- links by which users set a password (store_invite.c) --- */

typedef struct {
    uint64_t  user;
    char      user_name[NAME_USER_MAX + 1];
    bool      reset;            /* the user had a password when the link was made */
    int64_t   expires;          /* unix s */
} store_invite_t;

/* Replaces an older link of the user. maker: an admin, without whom it is void; 0: duoluctl. */
store_result_t store_invite_add(store_t *store, uint64_t user, uint64_t maker,
                                const unsigned char hash[KEY_HASH_BYTES], int64_t life_s);
/* STORE_NONE: unknown, used, replaced, expired, or its user or maker may not use it now */
store_result_t store_invite_open(store_t *store, const unsigned char hash[KEY_HASH_BYTES],
                                 store_invite_t *invite);
/* the user's valid link */
store_result_t store_invite_of(store_t *store, uint64_t user, store_invite_t *invite);
/* STORE_NONE: it was used before */
store_result_t store_invite_use(store_t *store, const unsigned char hash[KEY_HASH_BYTES]);
/* deletes the user's link unless it was used */
store_result_t store_invite_void(store_t *store, uint64_t user);

/* --- the second step of a login (store_totp.c) --- */

/* sets a secret that is not in use yet; STORE_NONE: one is in use */
store_result_t store_totp_begin(store_t *store, uint64_t user, const char *secret);
/* STORE_NONE: another secret was set meanwhile, or it is in use already */
store_result_t store_totp_on(store_t *store, uint64_t user, const char *secret, uint64_t step);
store_result_t store_totp_off(store_t *store, uint64_t user);
/* STORE_NONE: a code of this step or a later one was taken before */
store_result_t store_totp_use(store_t *store, uint64_t user, uint64_t step);
store_result_t store_recovery_add(store_t *store, uint64_t user,
                                  const unsigned char hash[KEY_HASH_BYTES]);
/* takes the code; STORE_NONE: there is no such code, or no longer */
store_result_t store_recovery_use(store_t *store, uint64_t user,
                                  const unsigned char hash[KEY_HASH_BYTES]);

/* --- groups (store_group.c) --- */

typedef void (*store_id_each)(uint64_t id, void *data);
typedef void (*store_group_each)(const char *name, const char *member, const char *display,
                                 void *data);

store_result_t store_group_add(store_t *store, const char *name);
/* with its members and grants */
store_result_t store_group_remove(store_t *store, uint64_t group);
store_result_t store_group_id(store_t *store, const char *name, uint64_t *id);
store_result_t store_group_join(store_t *store, uint64_t group, uint64_t user);
store_result_t store_group_leave(store_t *store, uint64_t group, uint64_t user);
store_result_t store_group_members(store_t *store, uint64_t group, store_id_each each,
                                   void *data);
store_result_t store_group_list(store_t *store, store_group_each each, void *data);

/* --- streams (store_stream.c) --- */

typedef struct {
    uint64_t  id;
    char      app[NAME_APP_MAX + 1];
    char      name[NAME_STREAM_MAX + 1];
    char      title[NAME_TITLE_MAX * 4 + 1];
    char      visibility[16];
    char      record[16];
    bool      record_on;        /* a user has switched it on; only with record "demand" */
    uint64_t  owner;
    char      owner_name[NAME_USER_MAX + 1];
    char      owner_display[NAME_DISPLAY_MAX * 4 + 1];
    bool      owner_disabled;
    bool      owner_full;       /* the owner has reached the setting rec_quota: record no more */
    uint64_t  last_seen;        /* when its last publisher left, unix ms; 0: none did */
    unsigned  max_kbps;
    unsigned  max_viewers;
    /* of the user whom the caller named: */
    unsigned  granted;
    int64_t   not_before;       /* media tokens made until then are void */
} store_stream_t;

typedef void (*store_stream_each)(const store_stream_t *stream, void *data);
typedef void (*store_name_each)(const char *app, const char *name, void *data);

store_result_t store_stream_add(store_t *store, const char *app, const char *name,
                                uint64_t owner, const char *title, uint64_t *id);
/*
 * STORE_OK: a stream has this name, or had it and left recordings, which belong to the next
 * stream of this name
 */
store_result_t store_stream_taken(store_t *store, const char *app, const char *name);
store_result_t store_stream_count(store_t *store, uint64_t owner, uint64_t *count);
store_result_t store_stream_get(store_t *store, const char *app, const char *name,
                                uint64_t user, store_stream_t *stream);
store_result_t store_stream_list(store_t *store, uint64_t user, store_stream_each each,
                                 void *data);
store_result_t store_stream_update(store_t *store, uint64_t id, const store_settings_t *set);
/* STORE_NONE: its visibility is another one */
store_result_t store_stream_is_open(store_t *store, uint64_t id);
store_result_t store_stream_set_record_on(store_t *store, uint64_t id, bool on);
/* the streams that nginx should record while they are live */
store_result_t store_stream_recorded(store_t *store, store_name_each each, void *data);
/* Deletes the stream, its keys and the grants on it; its recordings stay. */
store_result_t store_stream_remove(store_t *store, uint64_t id);
/* the streams of one owner */
store_result_t store_stream_owned(store_t *store, uint64_t owner, store_id_each each,
                                  void *data);
store_result_t store_app_known(store_t *store, const char *app);
store_result_t store_app_streams(store_t *store, const char *app, store_id_each each,
                                 void *data);

/* --- devices and their keys (store_device.c) --- */

typedef struct {
    uint64_t  id;
    uint64_t  stream;
    uint64_t  user;
    char      user_name[NAME_USER_MAX + 1];
    char      label[64 * 4 + 1];
    bool      user_admin;
    bool      user_disabled;
    unsigned  user_publishers;  /* users.max_publishers */
    bool      revoked;
    char      created[32];
    uint64_t  maker;            /* the user who made the key in the page, 0: duoluctl or by hand */
    char      maker_name[NAME_USER_MAX + 1];
    int64_t   not_before;       /* sessions let in until then are void, unix s */
} store_device_t;

typedef void (*store_device_each)(const store_device_t *device, void *data);

/* reads stream, user, maker and label of the device */
store_result_t store_device_add(store_t *store, const store_device_t *device,
                                const unsigned char hash[KEY_HASH_BYTES], uint64_t *id);
/* Deletes the oldest revoked ones of the stream beyond the newest MOST of all. */
store_result_t store_device_bound(store_t *store, uint64_t stream, unsigned most);
/* counts the valid ones */
store_result_t store_device_count(store_t *store, uint64_t stream, uint64_t *count);
store_result_t store_device_by_key(store_t *store, const unsigned char hash[KEY_HASH_BYTES],
                                   store_device_t *device);
store_result_t store_device_list(store_t *store, uint64_t stream, store_device_each each,
                                 void *data);
store_result_t store_device_revoke(store_t *store, uint64_t stream, uint64_t device);
store_result_t store_device_revoke_all(store_t *store, uint64_t stream);

/* the valid keys of one stream, or other users' valid keys to an owner's streams */
store_result_t store_device_valid(store_t *store, uint64_t stream, uint64_t owner,
                                  store_id_each each, void *data);
/* the valid keys of a stream that one maker made */
store_result_t store_device_made(store_t *store, uint64_t stream, uint64_t maker,
                                 store_id_each each, void *data);
store_result_t store_device_revoke_made(store_t *store, uint64_t stream, uint64_t maker);

/* --- devices with their stream and newest session, for the list of phones (store_phone.c) --- */

typedef struct {
    uint64_t  id;
    uint64_t  stream;
    char      app[NAME_APP_MAX + 1];
    char      name[NAME_STREAM_MAX + 1];
    char      title[NAME_TITLE_MAX * 4 + 1];
    char      owner_name[NAME_USER_MAX + 1];    /* of the stream's owner */
    char      user_name[NAME_USER_MAX + 1];     /* in whose name the key is */
    char      label[64 * 4 + 1];
    bool      revoked;
    int64_t   created;          /* unix ms */
    int64_t   seen;             /* start of the open session, or end of the last one; 0: never */
    char      address[48];
    char      agent[64 * 4 + 1];
    char      end_reason[128 * 4 + 1];          /* of the last session; "" while one is open */
    char      gate_session[65];                 /* of the open session */
    char      maker_name[NAME_USER_MAX + 1];
} store_phone_t;

typedef struct {
    const char  *streams;       /* of these ids, "3,5"; NULL: any */
    const char  *owner;         /* of this user's streams; "": any */
    unsigned     most;
} store_phone_query_t;

typedef void (*store_phone_each)(const store_phone_t *phone, void *data);

store_result_t store_phone_get(store_t *store, uint64_t id, store_phone_t *phone);
/* valid ones first, the newest first */
store_result_t store_phone_list(store_t *store, const store_phone_query_t *query,
                                store_phone_each each, void *data);

/* --- links, which show a stream without an account (store_link.c) --- */

typedef struct {
    uint64_t  id;
    uint64_t  stream;
    bool      clip;             /* a span of the recordings; else live, until it expires */
    int64_t   from;             /* of a clip; unix ms, as the others */
    int64_t   to;
    int64_t   expires;
    char      label[NAME_TITLE_MAX * 4 + 1];    /* the title of its page; "": the stream's */
    char      password_hash[PASSWORD_HASH_SIZE];    /* "": no password */
    uint64_t  maker;            /* the user who made it; 0: duoluctl or by hand */
    /* set when read: */
    char      app[NAME_APP_MAX + 1];
    char      name[NAME_STREAM_MAX + 1];
    char      title[NAME_TITLE_MAX * 4 + 1];    /* of the stream */
    char      maker_name[NAME_USER_MAX + 1];
    uint64_t  views;
    bool      over;             /* revoked or expired */
    int64_t   not_before;       /* media tokens made until then are void */
} store_link_t;

typedef void (*store_link_each)(const store_link_t *link, void *data);

store_result_t store_link_add(store_t *store, const store_link_t *link,
                              const unsigned char hash[KEY_HASH_BYTES], uint64_t *id);
store_result_t store_link_by_token(store_t *store, const unsigned char hash[KEY_HASH_BYTES],
                                   store_link_t *link);
store_result_t store_link_by_id(store_t *store, uint64_t id, store_link_t *link);
/* those that are not revoked, the newest first; 0: of all streams */
store_result_t store_link_list(store_t *store, uint64_t stream, store_link_each each, void *data);
/* deletes links that are over, if the stream has as many as MOST; STORE_EXISTS: it still has */
store_result_t store_link_room(store_t *store, uint64_t stream, unsigned most);
/* counts a view, or with AGAIN only the first one; STORE_NONE: it is over */
store_result_t store_link_view(store_t *store, uint64_t id, bool again);
store_result_t store_link_revoke(store_t *store, uint64_t stream, uint64_t id);
/* one maker's valid links of a kind on a stream: those that somebody has opened */
store_result_t store_link_seen(store_t *store, uint64_t stream, uint64_t maker, bool clip,
                               store_id_each each, void *data);
store_result_t store_link_revoke_made(store_t *store, uint64_t stream, uint64_t maker, bool clip);

/* --- grants (store_grant.c) --- */

typedef struct {
    uint64_t     user;          /* 0: a grant to the group */
    uint64_t     group;
    uint64_t     stream;        /* 0: a grant on the app */
    const char  *app;
} store_grant_key_t;

typedef struct {
    bool      is_group;
    char      grantee[NAME_USER_MAX + 1];       /* name of the user or group */
    char      display[NAME_DISPLAY_MAX * 4 + 1];    /* the user's display name */
    char      app[NAME_APP_MAX + 1];
    char      stream[NAME_STREAM_MAX + 1];      /* empty: the whole app */
    unsigned  rights;
    char      makers[256];      /* managers who gave it, "mia,joe"; "": not given by a manager */
} store_grant_t;

typedef void (*store_grant_each)(const store_grant_t *grant, void *data);

/* maker: the manager who gives it, 0: the owner, an admin or duoluctl */
store_result_t store_grant_add(store_t *store, const store_grant_key_t *key, unsigned rights,
                               uint64_t maker);
/* removes these rights, whoever gave them; STORE_NONE: no such grant */
store_result_t store_grant_remove(store_t *store, const store_grant_key_t *key,
                                  unsigned rights);
/* removes all grants of this manager on the stream */
store_result_t store_grant_remove_made(store_t *store, uint64_t stream, uint64_t maker);
/* app and stream narrow the list, "" matches any */
store_result_t store_grant_list(store_t *store, const char *app, const char *stream,
                                store_grant_each each, void *data);

/* --- rights of many users or streams (store_access.c) --- */

typedef struct {
    uint64_t  user;
    bool      admin;
    bool      disabled;
    uint64_t  stream;
    uint64_t  owner;
    bool      owner_disabled;
    bool      is_public;
    unsigned  granted;
} store_access_t;

typedef void (*store_access_each)(const store_access_t *access, void *data);

/* every user (with a GROUP, its members) and one stream */
store_result_t store_access_list(store_t *store, uint64_t stream, uint64_t group,
                                 store_access_each each, void *data);
/* one user and one stream; STORE_NONE: no such stream. A missing user counts as disabled */
store_result_t store_access_one(store_t *store, uint64_t stream, uint64_t user,
                                store_access_t *access);
/* the users who made keys or grants that still exist, with their streams */
store_result_t store_access_makers(store_t *store, store_access_each each, void *data);
/* the users who made links of this kind that are valid, with their streams */
store_result_t store_access_sharers(store_t *store, bool clip, store_access_each each, void *data);
/* the rights that one maker's grants give; sets user, stream and granted */
store_result_t store_access_made(store_t *store, uint64_t stream, uint64_t maker,
                                 store_access_each each, void *data);
/* adds an audit row: this maker's keys, grants or links end */
store_result_t store_access_audit(store_t *store, uint64_t stream, uint64_t maker);

/* --- one person, for admins (store_person.c) --- */

/* A grant that gives a person rights. */
typedef struct {
    char      group[NAME_USER_MAX + 1];     /* to this group; "": to the user */
    uint64_t  stream;                       /* on this stream, or on the whole app */
    char      app[NAME_APP_MAX + 1];
    unsigned  rights;
} store_source_t;

/* A valid publishing key in the person's name. */
typedef struct {
    uint64_t  id;
    char      app[NAME_APP_MAX + 1];
    char      name[NAME_STREAM_MAX + 1];
    char      title[NAME_TITLE_MAX * 4 + 1];
    char      label[64 * 4 + 1];
    int64_t   created;          /* unix ms */
    int64_t   seen;             /* when it last published; 0: never */
} store_key_t;

typedef void (*store_source_each)(const store_source_t *source, void *data);
typedef void (*store_text_each)(const char *text, void *data);
typedef void (*store_key_each)(const store_key_t *key, void *data);

store_result_t store_person_sources(store_t *store, uint64_t user, store_source_each each,
                                    void *data);
store_result_t store_person_groups(store_t *store, uint64_t user, store_text_each each,
                                   void *data);
store_result_t store_person_keys(store_t *store, uint64_t user, unsigned most,
                                 store_key_each each, void *data);
/* counts the open logins */
store_result_t store_person_logins(store_t *store, uint64_t user, uint64_t *logins);

/* --- revocations, and whether nginx has been told (store_revocation.c) --- */

/* Revokes a user, a stream, a user on a stream, or a key; 0 matches any. */
typedef struct {
    uint64_t  user;
    uint64_t  stream;
    uint64_t  device;
    int64_t   at;                               /* unix seconds */
    char      stream_name[NAME_FULL_MAX + 1];   /* set when read; "": its row was deleted by hand */
} store_revocation_t;

/* writes its time, or a later one if existing tokens may carry a later issue time */
store_result_t store_revocation_add(store_t *store, const store_revocation_t *revocation);
/* moves an existing one to a later time */
store_result_t store_revocation_delay(store_t *store, const store_revocation_t *revocation);
/* adds revocations for users disabled, and keys and links revoked, by hand; FOUND may count some
 * twice */
store_result_t store_revocation_collect(store_t *store, uint64_t *found);
/* the oldest pending ones whose rows changed at least age_ms ago */
store_result_t store_revocation_pending(store_t *store, unsigned age_ms,
                                        store_revocation_t *rows, size_t most, size_t *count);
/* the pending one of this user, stream and device; STORE_NONE: nginx has been told */
store_result_t store_revocation_one(store_t *store, const store_revocation_t *of,
                                    store_revocation_t *row);
/*
 * All whose rows changed since then, the oldest first, in *rows, which the caller frees;
 * SINCE and *now are milliseconds of the database's clock. Rows in the future count, too,
 * since that clock may have been set back.
 */
store_result_t store_revocation_since(store_t *store, uint64_t since, uint64_t *now,
                                      store_revocation_t **rows, size_t *count);
/* Notes the stream's name in its revocations, before the stream is deleted. */
store_result_t store_revocation_name(store_t *store, uint64_t stream);
/*
 * A new stream takes over when its name was last revoked from a deleted one: nginx refuses tokens
 * for this name that were made until then.
 */
store_result_t store_revocation_inherit(store_t *store, uint64_t stream);
/* marks it as delivered, unless it was revoked again since the caller read it */
store_result_t store_revocation_told(store_t *store, const store_revocation_t *revocation);

/* --- publish and play sessions (store_session.c) --- */

store_result_t store_session_begin(store_t *store, const char *kind, const char *gate_session,
                                   uint64_t user, uint64_t stream, uint64_t device,
                                   const char *address, const char *agent);
/* Closes the session, and notes on its device when and why it ended. */
store_result_t store_session_end(store_t *store, const char *kind, const char *gate_session,
                                 uint64_t bytes, uint64_t seconds, const char *reason);

typedef struct {
    uint64_t  id;
    char      gate_session[65];
} store_open_session_t;

/* open sessions that began at least age_s ago, oldest first, after the id `after` */
store_result_t store_session_open(store_t *store, unsigned age_s, uint64_t after,
                                  store_open_session_t *rows, size_t most, size_t *count);
/* closes a session whose end nginx will not report; STORE_NONE: it was closed meanwhile */
store_result_t store_session_lost(store_t *store, uint64_t id, const char *reason);
/* deletes closed sessions, as store_audit_prune() does */
store_result_t store_session_prune(store_t *store, unsigned days, unsigned rows, unsigned most);

/* --- recordings (store_recording.c) --- */

#define RECORDING_FILE_MAX    255
#define RECORDING_REASON_MAX  200   /* characters */

typedef struct {
    uint64_t  id;
    char      app[NAME_APP_MAX + 1];
    char      name[NAME_STREAM_MAX + 1];
    char      file[RECORDING_FILE_MAX + 1];     /* below the folder of recordings */
    char      format[8];
    uint64_t  session;
    int64_t   from;             /* unix ms */
    int64_t   to;               /* 0: still recording */
    uint64_t  bytes;
    char      state[16];        /* recording, complete or interrupted */
    char      reason[RECORDING_REASON_MAX * 4 + 1];
    bool      keep;
    /* set when read, of the stream that now has this app and name; 0 and "" without one */
    uint64_t  stream;
    char      title[NAME_TITLE_MAX * 4 + 1];
    uint64_t  owner;
    uint64_t  owner_quota;
} store_recording_t;

typedef void (*store_recording_each)(const store_recording_t *recording, void *data);

/* Selects recordings, newest first. */
typedef struct {
    const char  *app;           /* of this stream; NULL: any */
    const char  *name;
    const char  *streams;       /* of these ids, "3,5"; NULL: any, also none */
    const char  *text;          /* part of the stream's name or title, "": any */
    int64_t      from;          /* recordings that end after it */
    int64_t      to;            /* recordings that begin before it; INT64_MAX: all */
    int64_t      before;        /* cursor: the start and id of the last one of the page before */
    uint64_t     before_id;
    unsigned     most;
} store_recording_query_t;

/* Inserts or updates the row of a file; an existing row keeps its `keep`. Idempotent. */
store_result_t store_recording_put(store_t *store, const store_recording_t *recording);
store_result_t store_recording_get(store_t *store, uint64_t id, store_recording_t *recording);
store_result_t store_recording_by_file(store_t *store, const char *file,
                                       store_recording_t *recording);
store_result_t store_recording_find(store_t *store, const store_recording_query_t *query,
                                    store_recording_each each, void *data);
/* all, oldest first */
store_result_t store_recording_all(store_t *store, store_recording_each each, void *data);
/* those that are being written */
store_result_t store_recording_open(store_t *store, store_recording_each each, void *data);
store_result_t store_recording_set_keep(store_t *store, uint64_t id, bool keep);
store_result_t store_recording_remove(store_t *store, const char *file);

/* The recordings of a stream or of an owner, added up. */
typedef struct {
    uint64_t  files;
    uint64_t  kept;             /* of these, protected from retention */
    uint64_t  bytes;            /* of the closed ones */
} store_recorded_t;

store_result_t store_recorded_name(store_t *store, const char *app, const char *name,
                                   store_recorded_t *recorded);
store_result_t store_recorded_owner(store_t *store, uint64_t owner,
                                    store_recorded_t *recorded);

/* Asks for the deletion of all recordings of a stream, which is deleted in the same transaction. */
store_result_t store_deletion_add(store_t *store, uint64_t stream);
/* STORE_OK: recordings of a deleted stream of this name are being deleted */
store_result_t store_deletion_of(store_t *store, const char *app, const char *name);
/* STORE_NONE: nothing is to be deleted */
store_result_t store_deletion_any(store_t *store);
/* the closed recordings to delete, oldest first, at most this many */
store_result_t store_deletion_files(store_t *store, unsigned most, store_recording_each each,
                                    void *data);
/* forgets the deletions that are done */
store_result_t store_deletion_finish(store_t *store);

/* --- what recordings take of the disk (store_use.c) --- */

/* The recordings of one stream's name; title and owner are empty if there is no such stream. */
typedef struct {
    char      app[NAME_APP_MAX + 1];
    char      name[NAME_STREAM_MAX + 1];
    char      title[NAME_TITLE_MAX * 4 + 1];
    uint64_t  owner;
    char      owner_name[NAME_USER_MAX + 1];
    uint64_t  owner_quota;
    bool      owner_full;
    uint64_t  count;
    uint64_t  bytes;
    uint64_t  kept;             /* bytes that retention leaves */
    int64_t   from;             /* unix ms, of the oldest */
} store_use_t;

typedef void (*store_use_each)(const store_use_t *use, void *data);

/* the largest first; a recording that is being written counts no bytes */
store_result_t store_use_list(store_t *store, store_use_each each, void *data);

/* --- settings (store_setting.c) --- */

typedef void (*store_setting_each)(const char *name, const char *value, void *data);

store_result_t store_setting_list(store_t *store, store_setting_each each, void *data);
store_result_t store_setting_set(store_t *store, const char *name, const char *value);
store_result_t store_setting_remove(store_t *store, const char *name);

/*
 * The defaults with all rows applied. A row that is invalid counts as none, and `wrong` names
 * it. On failure the settings stay as they were.
 */
#define STORE_SETTING_WRONG  200
store_result_t store_settings(store_t *store, const settings_t *defaults, settings_t *settings,
                              char wrong[STORE_SETTING_WRONG]);

/* --- walls that users saved (store_layout.c) --- */

#define LAYOUT_NAME_MAX  64     /* characters */
#define LAYOUT_MAX       4096   /* bytes */
#define LAYOUTS_MAX      50     /* of one user */

typedef struct {
    char  name[LAYOUT_NAME_MAX * 4 + 1];
    char  text[LAYOUT_MAX + 1];     /* JSON */
} store_layout_t;

typedef void (*store_layout_each)(const store_layout_t *layout, void *data);

store_result_t store_layout_list(store_t *store, uint64_t user, store_layout_each each, void *data);
/* replaces the one of this name; STORE_NONE: the user has LAYOUTS_MAX others */
store_result_t store_layout_put(store_t *store, uint64_t user, const store_layout_t *layout);
/* STORE_NONE: no such layout */
store_result_t store_layout_remove(store_t *store, uint64_t user, const char *name);

/* --- audit (store_audit.c) --- */

typedef struct {
    const char  *actor;
    const char  *action;
    bool         ok;
    const char  *target;
    const char  *address;
    const char  *reason;
} store_audit_t;

/*
 * Cuts texts that are too long and replaces invalid UTF-8, so that the database takes
 * every audit row.
 */
store_result_t store_audit_add(store_t *store, const store_audit_t *row);

/* Rows of the audit, newest first. Empty texts match any. */
typedef struct {
    const char  *actor;         /* these four must be equal */
    const char  *action;
    const char  *outcome;       /* ok or denied */
    const char  *target;
    const char  *text;          /* part of any text of the row, in any case */
    int64_t      from;          /* unix ms */
    int64_t      to;            /* before it; INT64_MAX: all */
    int64_t      before;        /* cursor: time and id of the last row looked at; INT64_MAX: none */
    uint64_t     before_id;
    unsigned     most;
} store_audit_query_t;

typedef struct {
    uint64_t  id;
    int64_t   at;               /* unix ms */
    char      actor[64 * 4 + 1];
    char      action[32 * 4 + 1];
    char      outcome[8];
    char      target[200 * 4 + 1];
    char      address[46];
    char      reason[200 * 4 + 1];
} store_audit_row_t;

typedef void (*store_audit_each)(const store_audit_row_t *row, void *data);

/*
 * Looks at no more than AUDIT_LOOK rows, so that a search for what is rare takes no minutes. Sets
 * `before` and `before_id` behind the last row that it looked at, and *more if there are further
 * rows to look at.
 */
#define AUDIT_LOOK  20000
store_result_t store_audit_find(store_t *store, store_audit_query_t *query,
                                store_audit_each each, void *data, bool *more);
/* the words in use as actions */
store_result_t store_audit_actions(store_t *store, store_text_each each, void *data);

/*
 * Deletes the oldest rows: those older than `days` or beyond the newest `rows` (0: no
 * limit), at most `most` of them. Returns STORE_NONE when there was none to delete.
 */
store_result_t store_audit_prune(store_t *store, unsigned days, unsigned rows, unsigned most);

#endif
