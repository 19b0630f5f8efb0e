#ifndef DUOLU_CTL_H
#define DUOLU_CTL_H

#include "../rights/change.h"
#include "../base/config.h"
#include "../store/store.h"

#include <jansson.h>

/* Exit statuses of duoluctl. */
enum {
    CTL_OK       = 0,
    CTL_FAILED   = 1,
    CTL_USAGE    = 2,
    CTL_EXISTS   = 3,
    CTL_NONE     = 4,   /* no such user, stream, group, key or grant */
    CTL_REFUSED  = 5,   /* the user does not have that right */
    CTL_DATABASE = 6    /* the database can't be reached */
};

typedef enum {
    OPTION_ADMIN          = 1 << 0,
    OPTION_PASSWORD_STDIN = 1 << 1,
    OPTION_JSON           = 1 << 2,
    OPTION_OWNER          = 1 << 3,
    OPTION_TITLE          = 1 << 4,
    OPTION_TTL            = 1 << 5,
    OPTION_FORMAT         = 1 << 6,
    OPTION_LABEL          = 1 << 7,
    OPTION_USER           = 1 << 8,
    OPTION_DRY_RUN        = 1 << 9,
    OPTION_WINDOW         = 1 << 10,
    OPTION_EDGE           = 1 << 11,
    OPTION_INVITE         = 1 << 20,
    OPTION_RECORDINGS     = 1 << 21,
    OPTION_TAKE           = 1 << 22,
    OPTION_BEFORE         = 1 << 24
} ctl_option_t;

#define CTL_WORDS_MAX  16

typedef struct {
    config_t     config;
    store_t     *store;
    unsigned     given;                     /* options on the command line */
    size_t       count;
    const char  *words[CTL_WORDS_MAX];      /* arguments after the command, without options */
    const char  *owner;
    const char  *title;
    const char  *ttl;
    const char  *format;
    const char  *label;
    const char  *user;
    const char  *window;
    const char  *edge;
    const char  *recordings;
    const char  *before;
} ctl_t;

typedef struct {
    const char    *name;                    /* "stream key rotate" */
    const char    *usage;                   /* arguments, for the usage line */
    const char    *purpose;                 /* for the help */
    size_t         least;
    size_t         most;
    unsigned       options;
    unsigned       required;                /* options that must be given */
    int          (*run)(ctl_t *ctl);
} ctl_command_t;

/* prints the message to standard error and returns the code */
int ctl_fail(int code, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* for a failed call of the store, subject: "user alice" */
int ctl_store_fail(ctl_t *ctl, store_result_t result, const char *subject);
void ctl_print_json(json_t *root);          /* takes the reference */
void ctl_audit(ctl_t *ctl, const char *action, const char *target);

/* For the calls of change.h; ctl_report() then prints how many sessions the change ended. */
change_t ctl_change(const ctl_t *ctl);
void ctl_report(const ctl_t *ctl, const change_t *change);

/* tells nginx whether to record the stream; only warns when nginx cannot be told */
void ctl_update_recording(const ctl_t *ctl, const store_stream_t *stream);

/* reads a number from 0 to NAME_LIMIT_MAX; SETTING names it in the message */
int ctl_set_number(const char *setting, const char *value, uint64_t *out);

/*
 * Shows the key, this once. Text output has lines of "word value" that a script can
 * parse: stream, owner, server, name, url, key.
 */
void ctl_key_print_new(ctl_t *ctl, const char *app, const char *name, const char *owner,
                       const char *key);

/* reads the seconds of an option, from 1 to `most`; given may be NULL */
int ctl_seconds(const char *option, const char *given, long otherwise, long most, long *seconds);
/* reads a password from standard input */
int ctl_read_password(char hash[PASSWORD_HASH_SIZE]);

/* Look up a user or stream by the name on the command line, and print their own errors. */
int ctl_find_user(ctl_t *ctl, const char *name, store_user_t *user);
int ctl_find_stream(ctl_t *ctl, const char *full, uint64_t user, store_stream_t *stream);

int ctl_user_add(ctl_t *ctl);
int ctl_user_disable(ctl_t *ctl);
int ctl_user_enable(ctl_t *ctl);
int ctl_user_revoke(ctl_t *ctl);
int ctl_user_set(ctl_t *ctl);
int ctl_user_passwd(ctl_t *ctl);
int ctl_user_invite(ctl_t *ctl);
int ctl_user_delete(ctl_t *ctl);
int ctl_user_totp_off(ctl_t *ctl);
int ctl_user_list(ctl_t *ctl);
int ctl_group_add(ctl_t *ctl);
int ctl_group_delete(ctl_t *ctl);
int ctl_group_join(ctl_t *ctl);
int ctl_group_leave(ctl_t *ctl);
int ctl_group_list(ctl_t *ctl);

int ctl_stream_add(ctl_t *ctl);
int ctl_stream_list(ctl_t *ctl);
int ctl_stream_set(ctl_t *ctl);
int ctl_stream_revoke(ctl_t *ctl);
int ctl_stream_delete(ctl_t *ctl);
int ctl_key_add(ctl_t *ctl);
int ctl_key_list(ctl_t *ctl);
int ctl_key_revoke(ctl_t *ctl);
int ctl_key_rotate(ctl_t *ctl);

int ctl_phone_add(ctl_t *ctl);
int ctl_phone_list(ctl_t *ctl);
int ctl_phone_revoke(ctl_t *ctl);

int ctl_grant(ctl_t *ctl);
int ctl_revoke(ctl_t *ctl);
int ctl_grant_list(ctl_t *ctl);
int ctl_url(ctl_t *ctl);

int ctl_link_add(ctl_t *ctl);
int ctl_link_list(ctl_t *ctl);
int ctl_link_revoke(ctl_t *ctl);

int ctl_rec_list(ctl_t *ctl);
int ctl_rec_start(ctl_t *ctl);
int ctl_rec_stop(ctl_t *ctl);
int ctl_rec_prune(ctl_t *ctl);
int ctl_rec_keep(ctl_t *ctl);
int ctl_rec_free(ctl_t *ctl);
int ctl_reindex(ctl_t *ctl);
int ctl_storage(ctl_t *ctl);

int ctl_settings(ctl_t *ctl);
int ctl_settings_set(ctl_t *ctl);
int ctl_settings_reset(ctl_t *ctl);
/* Reads the settings, and warns of rows that are invalid; prints its own errors. */
int ctl_read_settings(ctl_t *ctl, settings_t *settings);

int ctl_audit_list(ctl_t *ctl);

int ctl_webhook_add(ctl_t *ctl);
int ctl_webhook_list(ctl_t *ctl);
int ctl_webhook_set(ctl_t *ctl);
int ctl_webhook_remove(ctl_t *ctl);
int ctl_webhook_secret(ctl_t *ctl);
int ctl_webhook_test(ctl_t *ctl);
int ctl_webhook_dead(ctl_t *ctl);
int ctl_webhook_retry(ctl_t *ctl);
int ctl_webhook_forget(ctl_t *ctl);

int ctl_status(ctl_t *ctl);
int ctl_sessions(ctl_t *ctl);
int ctl_kick(ctl_t *ctl);

#endif
