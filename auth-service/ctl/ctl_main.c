/* duoluctl: its commands and their options. */

#include "ctl.h"

#include <curl/curl.h>
#include <errno.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const ctl_command_t  ctl_commands[] = {
    { "user add", "NAME [--admin] [--invite | --password-stdin] [--json]",
      "adds a user and prints a new password, or with --invite a link by which the user sets one",
      1, 1,
      OPTION_ADMIN | OPTION_INVITE | OPTION_PASSWORD_STDIN | OPTION_JSON, 0, ctl_user_add },
    { "user invite", "NAME [--json]",
      "prints a link by which the user sets a password, once and within seven days",
      1, 1, OPTION_JSON, 0, ctl_user_invite },
    { "user disable", "NAME",
      "disables a user and ends the user's logins and sessions",
      1, 1, 0, 0, ctl_user_disable },
    { "user enable", "NAME",
      "enables a disabled user again",
      1, 1, 0, 0, ctl_user_enable },
    { "user revoke", "NAME",
      "ends all logins, sessions and tokens of a user, who may log in again",
      1, 1, 0, 0, ctl_user_revoke },
    { "user set", "NAME [display_name=TEXT] [max_publishers=N] [rec_quota=BYTES]",
      "sets the name that people read, and limits of a user; 0 is no limit",
      2, 4, 0, 0, ctl_user_set },
    { "user passwd", "NAME [--password-stdin]",
      "sets a new password and ends the user's logins and sessions",
      1, 1, OPTION_PASSWORD_STDIN, 0,
      ctl_user_passwd },
    { "user totp-off", "NAME",
      "turns off the second step of a user's login, for a lost phone",
      1, 1, 0, 0, ctl_user_totp_off },
    { "user delete", "NAME --recordings keep|delete",
      "deletes a user and the user's streams, with their recordings or without",
      1, 1, OPTION_RECORDINGS, OPTION_RECORDINGS, ctl_user_delete },
    { "user list", "[--json]",
      "lists the users",
      0, 0, OPTION_JSON, 0, ctl_user_list },
    { "group add", "GROUP",
      "adds a group",
      1, 1, 0, 0, ctl_group_add },
    { "group delete", "GROUP",
      "deletes a group and its grants, and ends the sessions that they allowed",
      1, 1, 0, 0, ctl_group_delete },
    { "group join", "GROUP USER",
      "puts a user into a group",
      2, 2, 0, 0, ctl_group_join },
    { "group leave", "GROUP USER",
      "takes a user out of a group",
      2, 2, 0, 0, ctl_group_leave },
    { "group list", "[--json]",
      "lists the groups and their members",
      0, 0, OPTION_JSON, 0, ctl_group_list },
    { "stream add", "APP/NAME --owner USER [--title TEXT] [--take-recordings] [--json]",
      "adds a stream and prints its first publishing key; --take-recordings: those of a deleted "
      "stream of this name become its own",
      1, 1,
      OPTION_OWNER | OPTION_TITLE | OPTION_TAKE | OPTION_JSON, OPTION_OWNER, ctl_stream_add },
    { "stream delete", "APP/NAME --recordings keep|delete",
      "deletes a stream, with its recordings or without",
      1, 1, OPTION_RECORDINGS, OPTION_RECORDINGS, ctl_stream_delete },
    { "stream list", "[--json]",
      "lists the streams and their settings",
      0, 0, OPTION_JSON, 0, ctl_stream_list },
    { "stream set", "APP/NAME [title=TEXT] [visibility=private|public|open] "
      "[record=never|always|demand] [max_kbps=N] [max_viewers=N]",
      "changes settings of a stream; a limit of 0 is no limit",
      2, 6, 0, 0,
      ctl_stream_set },
    { "stream revoke", "APP/NAME",
      "ends all sessions and tokens of a stream",
      1, 1, 0, 0, ctl_stream_revoke },
    { "stream key add", "APP/NAME [--user USER] [--label TEXT] [--json]",
      "makes another key for a stream and prints it",
      1, 1,
      OPTION_USER | OPTION_LABEL | OPTION_JSON, 0, ctl_key_add },
    { "stream key rotate", "APP/NAME [--json]",
      "revokes all keys of a stream, makes a new one and prints it",
      1, 1, OPTION_JSON, 0, ctl_key_rotate },
    { "stream key revoke", "APP/NAME ID",
      "revokes one key and ends its publisher",
      2, 2, 0, 0, ctl_key_revoke },
    { "stream key list", "APP/NAME [--json]",
      "lists the keys of a stream by id",
      1, 1, OPTION_JSON, 0, ctl_key_list },
    { "phone add", "USER LABEL [APP/NAME] [--json]",
      "makes a stream of the user's for a phone, and its key; with APP/NAME only a key for that",
      2, 3, OPTION_JSON, 0, ctl_phone_add },
    { "phone list", "[USER] [--json]",
      "lists the phones, or those on a user's streams, and when and why each was last seen",
      0, 1, OPTION_JSON, 0, ctl_phone_list },
    { "phone revoke", "ID",
      "revokes the key of one phone and ends its publisher",
      1, 1, 0, 0, ctl_phone_revoke },
    { "grant", "USER|group:GROUP APP/NAME|APP publish,view,replay,manage",
      "gives rights on a stream or a whole app",
      3, 3, 0, 0,
      ctl_grant },
    { "revoke", "USER|group:GROUP APP/NAME|APP [publish,view,replay,manage]",
      "takes rights, by default all, and ends the sessions that they allowed",
      2, 3, 0, 0,
      ctl_revoke },
    { "grant list", "[APP/NAME|APP] [--json]",
      "lists the grants",
      0, 1, OPTION_JSON, 0, ctl_grant_list },
    { "url", "USER APP/NAME view|replay|watch [--format flv|hls|rtmp] [--window SECONDS] "
      "[--ttl SECONDS]",
      "prints an address with a token, by default valid for 12 hours; watch: live, and --window "
      "back into the recording",
      2, 3,
      OPTION_FORMAT | OPTION_WINDOW | OPTION_TTL, 0, ctl_url },
    { "link add", "APP/NAME live|FROM TO [--ttl SECONDS] [--label TEXT] [--password-stdin] "
      "[--json]",
      "makes a link that shows a span of the recordings, or the stream live, without an account; "
      "by default for a day",
      2, 3,
      OPTION_TTL | OPTION_LABEL | OPTION_PASSWORD_STDIN | OPTION_JSON, 0, ctl_link_add },
    { "link list", "[APP/NAME] [--json]",
      "lists the links, with the number of their views",
      0, 1, OPTION_JSON, 0, ctl_link_list },
    { "link revoke", "ID",
      "ends a link and its viewers",
      1, 1, 0, 0, ctl_link_revoke },
    { "rec list", "[APP/NAME] [--json]",
      "lists recordings, the oldest first",
      0, 1, OPTION_JSON, 0, ctl_rec_list },
    { "rec start", "APP/NAME",
      "starts recording a stream whose policy is record=demand",
      1, 1, 0, 0, ctl_rec_start },
    { "rec stop", "APP/NAME",
      "stops it",
      1, 1, 0, 0, ctl_rec_stop },
    { "rec prune", "[[APP/NAME] --before TIME] [--dry-run]",
      "deletes recordings beyond the limits now, or those that ended before TIME; --dry-run only "
      "lists them",
      0, 1, OPTION_BEFORE | OPTION_DRY_RUN, 0, ctl_rec_prune },
    { "rec keep", "ID",
      "protects a recording from being deleted",
      1, 1, 0, 0, ctl_rec_keep },
    { "rec free", "ID",
      "takes that protection away",
      1, 1, 0, 0, ctl_rec_free },
    { "reindex", "",
      "makes the rows of recordings anew from the files",
      0, 0, 0, 0, ctl_reindex },
    { "audit", "[actor=NAME] [action=WORDS] [outcome=ok|denied] [target=TEXT] [text=PART] "
      "[from=TIME] [to=TIME] [limit=N] [--json]",
      "lists what users and strangers did, the newest first; text= finds a part of any text",
      0, 8, OPTION_JSON, 0, ctl_audit_list },
    { "webhook add", "URL [events=EVENT,…] [offline_minutes=N] [enabled=yes|no] [--json]",
      "posts events to an address, by default all, and prints the secret that signs them",
      1, 4, OPTION_JSON, 0, ctl_webhook_add },
    { "webhook list", "[--json]",
      "lists the webhooks, what waits and the newest delivery",
      0, 0, OPTION_JSON, 0, ctl_webhook_list },
    { "webhook set", "ID [url=URL] [events=EVENT,…] [offline_minutes=N] [enabled=yes|no]",
      "changes a webhook",
      2, 5, 0, 0, ctl_webhook_set },
    { "webhook remove", "ID",
      "removes a webhook and all that waits for it",
      1, 1, 0, 0, ctl_webhook_remove },
    { "webhook secret", "ID [--json]",
      "makes a new secret and prints it",
      1, 1, OPTION_JSON, 0, ctl_webhook_secret },
    { "webhook test", "ID",
      "sends a test and prints the answer",
      1, 1, 0, 0, ctl_webhook_test },
    { "webhook dead", "ID [--json]",
      "lists events that could not be delivered for 24 hours",
      1, 1, OPTION_JSON, 0, ctl_webhook_dead },
    { "webhook retry", "ID [LETTER]",
      "delivers dead letters again, by default all",
      1, 2, 0, 0, ctl_webhook_retry },
    { "webhook forget", "ID [LETTER]",
      "deletes dead letters, by default all",
      1, 2, 0, 0, ctl_webhook_forget },
    { "storage", "[--json]",
      "shows what recordings take of the disk, by person and by stream",
      0, 0, OPTION_JSON, 0, ctl_storage },
    { "settings", "[--json]",
      "lists the settings that can be changed at once",
      0, 0, OPTION_JSON, 0, ctl_settings },
    { "settings set", "NAME=VALUE ...",
      "changes settings; duoluctl settings shows their names",
      1, SETTINGS_COUNT, 0, 0, ctl_settings_set },
    { "settings reset", "NAME ...",
      "gives settings the value of the environment again",
      1, SETTINGS_COUNT, 0, 0, ctl_settings_reset },
    { "status", "[--edge N] [--json]",
      "shows nginx's workers and the live streams; with --edge those of number N in DUOLU_EDGES",
      0, 0, OPTION_EDGE | OPTION_JSON, 0, ctl_status },
    { "sessions", "[--edge N] [--json]",
      "lists the publishers and viewers",
      0, 0, OPTION_EDGE | OPTION_JSON, 0, ctl_sessions },
    { "kick", "ID [--edge N]",
      "ends one session, which may come back",
      1, 1, OPTION_EDGE, 0, ctl_kick },
};

#define CTL_COUNT  (sizeof(ctl_commands) / sizeof(ctl_commands[0]))


static void ctl_usage(FILE *out)
{
    size_t  i;

    fputs("usage: duoluctl COMMAND ...\n\n", out);
    for (i = 0; i < CTL_COUNT; i++) {
        fprintf(out, "  %s %s\n      %s\n", ctl_commands[i].name, ctl_commands[i].usage,
                ctl_commands[i].purpose);
    }
    fputs("\nexit status: 0 done, 1 failed, 2 usage, 3 exists already, 4 not found, 5 no right, "
          "6 no database\nenvironment: DUOLU_HOME, DUOLU_DB, DUOLU_HOST, DUOLU_LISTEN, "
          "DUOLU_HTTP, DUOLU_HTTPS, DUOLU_RTMP, DUOLU_REC, DUOLU_EDGES, and those that duoluctl "
          "settings shows\n", out);
}


/* Finds the longest command that the arguments start with; sets the number of its words. */
static const ctl_command_t *ctl_match(int argc, char **argv, int *words)
{
    int                   n, longest = 0;
    size_t                i, length;
    const char           *p;
    const ctl_command_t  *found = NULL;

    for (i = 0; i < CTL_COUNT; i++) {
        p = ctl_commands[i].name;

        for (n = 0; *p && n < argc; n++) {
            length = strcspn(p, " ");
            if (strlen(argv[n]) != length || strncmp(p, argv[n], length) != 0) {
                break;
            }
            p += length + (p[length] == ' ');
        }

        if (*p == '\0' && n > longest) {
            longest = n;
            found = &ctl_commands[i];
        }
    }

    *words = longest;
    return found;
}


typedef struct {
    const char  *name;
    unsigned     bit;
    size_t       value;         /* offset of the value in ctl_t, 0: no value */
} ctl_option_name_t;

static const ctl_option_name_t  ctl_options[] = {
    { "--admin", OPTION_ADMIN, 0 },
    { "--invite", OPTION_INVITE, 0 },
    { "--recordings", OPTION_RECORDINGS, offsetof(ctl_t, recordings) },
    { "--take-recordings", OPTION_TAKE, 0 },
    { "--password-stdin", OPTION_PASSWORD_STDIN, 0 },
    { "--json", OPTION_JSON, 0 },
    { "--owner", OPTION_OWNER, offsetof(ctl_t, owner) },
    { "--title", OPTION_TITLE, offsetof(ctl_t, title) },
    { "--ttl", OPTION_TTL, offsetof(ctl_t, ttl) },
    { "--format", OPTION_FORMAT, offsetof(ctl_t, format) },
    { "--label", OPTION_LABEL, offsetof(ctl_t, label) },
    { "--user", OPTION_USER, offsetof(ctl_t, user) },
    { "--window", OPTION_WINDOW, offsetof(ctl_t, window) },
    { "--dry-run", OPTION_DRY_RUN, 0 },
    { "--edge", OPTION_EDGE, offsetof(ctl_t, edge) },
    { "--before", OPTION_BEFORE, offsetof(ctl_t, before) },
};

#define CTL_OPTIONS  (sizeof(ctl_options) / sizeof(ctl_options[0]))


static int ctl_wrong_usage(const ctl_command_t *command, const char *subject, const char *value)
{
    return ctl_fail(CTL_USAGE, "%s \"%.100s\"; usage: duoluctl %s %s", subject, value,
                    command->name, command->usage);
}


static int ctl_take_option(ctl_t *ctl, const ctl_command_t *command, const char *text,
                           const char *next, int *used)
{
    size_t                    i, length;
    const ctl_option_name_t  *option;

    for (i = 0; i < CTL_OPTIONS; i++) {
        option = &ctl_options[i];
        length = strlen(option->name);

        if (strncmp(text, option->name, length) != 0
            || (text[length] != '\0' && (text[length] != '=' || option->value == 0))
            || !(command->options & option->bit))
        {
            continue;
        }

        ctl->given |= option->bit;
        *used = 1;

        if (option->value) {
            if (text[length] == '=') {
                next = text + length + 1;
            } else {
                *used = 2;
            }
            if (next == NULL) {
                return ctl_wrong_usage(command, "no value after", text);
            }
            *(const char **) (void *) ((char *) ctl + option->value) = next;
        }

        return CTL_OK;
    }

    return ctl_wrong_usage(command, "unknown option", text);
}


static int ctl_parse(ctl_t *ctl, const ctl_command_t *command, int argc, char **argv)
{
    int     i, used = 1, code;
    size_t  n;
    bool    plain = false;

    for (i = 0; i < argc; i += used) {

        if (!plain && strcmp(argv[i], "--") == 0) {
            plain = true;
            used = 1;
            continue;
        }

        if (!plain && argv[i][0] == '-' && argv[i][1] != '\0') {
            code = ctl_take_option(ctl, command, argv[i], i + 1 < argc ? argv[i + 1] : NULL,
                                   &used);
            if (code != CTL_OK) {
                return code;
            }
            continue;
        }

        if (ctl->count == command->most) {
            return ctl_wrong_usage(command, "one argument too many:", argv[i]);
        }
        ctl->words[ctl->count++] = argv[i];
        used = 1;
    }

    if (ctl->count < command->least) {
        return ctl_fail(CTL_USAGE, "%zu argument%s given; expected %zu; usage: duoluctl %s %s",
                        ctl->count, ctl->count == 1 ? "" : "s", command->least, command->name,
                        command->usage);
    }

    for (n = 0; n < CTL_OPTIONS; n++) {
        if ((command->required & ctl_options[n].bit) && !(ctl->given & ctl_options[n].bit)) {
            return ctl_wrong_usage(command, "missing option", ctl_options[n].name);
        }
    }

    return CTL_OK;
}


int main(int argc, char **argv)
{
    int                   code, words;
    char                  error[512];
    static ctl_t          ctl;
    const ctl_command_t  *command;

    if (argc < 2) {
        ctl_usage(stderr);
        return CTL_USAGE;
    }
    if (strcmp(argv[1], "help") == 0 || strcmp(argv[1], "--help") == 0) {
        ctl_usage(stdout);
        return CTL_OK;
    }

    command = ctl_match(argc - 1, argv + 1, &words);
    if (command == NULL) {
        return ctl_fail(CTL_USAGE, "no command \"%.60s%s%.60s\"; see duoluctl help", argv[1],
                        argc > 2 ? " " : "", argc > 2 ? argv[2] : "");
    }

    code = ctl_parse(&ctl, command, argc - 1 - words, argv + 1 + words);
    if (code != CTL_OK) {
        return code;
    }

    if (!config_load(&ctl.config, error, sizeof(error))) {
        return ctl_fail(CTL_USAGE, "%s", error);
    }
    if (sodium_init() < 0 || curl_global_init(CURL_GLOBAL_DEFAULT) != 0) {
        return ctl_fail(CTL_FAILED, "cannot initialise a library");
    }

    ctl.store = store_new(&ctl.config.dsn);
    if (ctl.store == NULL) {
        return ctl_fail(CTL_FAILED, "out of memory");
    }

    code = command->run(&ctl);

    store_free(ctl.store);
    curl_global_cleanup();
    if (fflush(stdout) != 0 && code == CTL_OK) {
        code = ctl_fail(CTL_FAILED, "standard output: write failed");
    }

    return code;
}
