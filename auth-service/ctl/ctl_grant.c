#include "ctl.h"
#include "../rights/rights.h"
#include "../base/token.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define CTL_TTL_DEFAULT  (12 * 3600)
#define CTL_TTL_MAX      (366 * 24 * 3600)
#define CTL_WINDOW_MAX   (4 * 3600)          /* a playlist of nginx reaches back no further */
#define RTMP_NAME_MAX    ((size_t) 255)      /* NGX_RTMP_MAX_NAME without the final NUL */


/* words[0]: USER or group:GROUP, words[1]: APP/NAME or APP */
static int ctl_grant_key(ctl_t *ctl, store_grant_key_t *key)
{
    int              code;
    char             subject[NAME_USER_MAX + 16];
    const char      *grantee = ctl->words[0], *scope = ctl->words[1];
    store_user_t     user;
    store_stream_t   stream;
    store_result_t   result;

    memset(key, 0, sizeof(*key));

    if (strncmp(grantee, "group:", 6) == 0) {
        result = store_group_id(ctl->store, grantee + 6, &key->group);
        if (result != STORE_OK) {
            snprintf(subject, sizeof(subject), "group %.64s", grantee + 6);
            return ctl_store_fail(ctl, result, subject);
        }
    } else {
        code = ctl_find_user(ctl, grantee, &user);
        if (code != CTL_OK) {
            return code;
        }
        key->user = user.id;
    }

    if (strchr(scope, '/') == NULL) {
        if (!name_app_valid(scope)) {
            return ctl_fail(CTL_USAGE, "app \"%.60s\"; expected " NAME_APP_RULE, scope);
        }
        key->app = scope;
        return CTL_OK;
    }

    code = ctl_find_stream(ctl, scope, 0, &stream);
    key->stream = stream.id;
    return code;
}


static int ctl_rights(const char *text, unsigned *rights)
{
    *rights = rights_parse(text);
    if (*rights == 0) {
        return ctl_fail(CTL_USAGE, "rights \"%.60s\"; expected one or more of publish, view, "
                        "replay, manage, joined by commas", text);
    }
    return CTL_OK;
}


int ctl_grant(ctl_t *ctl)
{
    int                code;
    char               subject[512], text[RIGHTS_TEXT_SIZE];
    unsigned           rights;
    change_t           change = ctl_change(ctl);
    store_result_t     result;
    store_grant_key_t  key;

    code = ctl_rights(ctl->words[2], &rights);
    if (code == CTL_OK) {
        code = ctl_grant_key(ctl, &key);
    }
    if (code != CTL_OK) {
        return code;
    }

    result = change_grant_add(&change, &key, rights);
    if (result != STORE_OK) {
        return ctl_store_fail(ctl, result, "grant");
    }

    snprintf(subject, sizeof(subject), "%s %s %s", ctl->words[0], ctl->words[1],
             rights_format(rights, text));
    ctl_audit(ctl, "grant", subject);
    printf("granted %s\n", subject);
    return CTL_OK;
}


int ctl_revoke(ctl_t *ctl)
{
    int                code;
    char               subject[512], text[RIGHTS_TEXT_SIZE];
    change_t           change = ctl_change(ctl);
    unsigned           rights = RIGHTS_ALL;
    store_result_t     result;
    store_grant_key_t  key;

    code = ctl->count > 2 ? ctl_rights(ctl->words[2], &rights) : CTL_OK;
    if (code == CTL_OK) {
        code = ctl_grant_key(ctl, &key);
    }
    if (code != CTL_OK) {
        return code;
    }

    snprintf(subject, sizeof(subject), "%s %s %s", ctl->words[0], ctl->words[1],
             rights_format(rights, text));

    result = change_grant_remove(&change, &key, rights);
    if (result != STORE_OK) {
        snprintf(subject, sizeof(subject), "a grant of %s on %s", ctl->words[0], ctl->words[1]);
        return ctl_store_fail(ctl, result, subject);
    }

    ctl_audit(ctl, "revoke", subject);
    printf("revoked %s\n", subject);
    ctl_report(ctl, &change);
    return CTL_OK;
}


static void ctl_grant_print(const store_grant_t *grant, void *data)
{
    char  text[RIGHTS_TEXT_SIZE];

    (void) data;
    printf("%s%s %s%s%s %s%s%s\n", grant->is_group ? "group:" : "", grant->grantee, grant->app,
           grant->stream[0] ? "/" : "", grant->stream, rights_format(grant->rights, text),
           grant->makers[0] ? " by=" : "", grant->makers);
}


static void ctl_grant_collect(const store_grant_t *grant, void *data)
{
    json_array_append_new(data, json_pack("{ss ss ss* so ss*}", grant->is_group ? "group" : "user",
        grant->grantee, "app", grant->app, "name", grant->stream[0] ? grant->stream : NULL,
        "rights", rights_json(grant->rights), "by", grant->makers[0] ? grant->makers : NULL));
}


int ctl_grant_list(ctl_t *ctl)
{
    char             app[NAME_APP_MAX + 1] = "", name[NAME_STREAM_MAX + 1] = "";
    json_t          *grants;
    const char      *scope = ctl->count ? ctl->words[0] : "";
    store_result_t   result;

    if (strchr(scope, '/') ? !name_split(scope, app, name)
                           : *scope && !name_app_valid(scope))
    {
        return ctl_fail(CTL_USAGE, "\"%.200s\"; expected APP or APP/NAME", scope);
    }
    if (strchr(scope, '/') == NULL) {
        snprintf(app, sizeof(app), "%s", scope);
    }

    grants = (ctl->given & OPTION_JSON) ? json_array() : NULL;
    result = store_grant_list(ctl->store, app, name,
                              grants ? ctl_grant_collect : ctl_grant_print, grants);
    if (result != STORE_OK) {
        json_decref(grants);
        return ctl_store_fail(ctl, result, "grants");
    }

    if (grants) {
        ctl_print_json(json_pack("{so}", "grants", grants));
    }
    return CTL_OK;
}


int ctl_seconds(const char *option, const char *given, long otherwise, long most, long *seconds)
{
    char  *end;

    *seconds = otherwise;
    if (given == NULL) {
        return CTL_OK;
    }

    *seconds = strtol(given, &end, 10);
    if (*end || given[0] == '\0' || *seconds < 1 || *seconds > most) {
        return ctl_fail(CTL_USAGE, "%s \"%.40s\"; expected seconds from 1 to %ld", option, given,
                        most);
    }

    return CTL_OK;
}


/*
 * Puts the token behind the stream's name or, if it does not fit there, behind the app's:
 * nginx-rtmp cuts each of them, with its query, at RTMP_NAME_MAX bytes.
 */
static int ctl_print_rtmp(ctl_t *ctl, const store_stream_t *stream, const char *token)
{
    size_t  query = strlen("?token=") + strlen(token);

    if (strlen(stream->name) + query <= RTMP_NAME_MAX) {
        printf("rtmp://%s:%u/%s/%s?token=%s\n", ctl->config.host, ctl->config.rtmp_port,
               stream->app, stream->name, token);

    } else if (strlen(stream->app) + query <= RTMP_NAME_MAX) {
        printf("rtmp://%s:%u/%s?token=%s/%s\n", ctl->config.host, ctl->config.rtmp_port,
               stream->app, token, stream->name);

    } else {
        return ctl_fail(CTL_FAILED, "name %s/%s makes a token of %zu bytes; expected at most %zu "
                        "for RTMP: use --format flv", stream->app, stream->name, strlen(token),
                        RTMP_NAME_MAX - strlen(stream->app) - strlen("?token="));
    }

    return CTL_OK;
}


/* An action that `url` makes a token for. */
typedef struct {
    const char  *action;
    unsigned     rights;            /* the user needs all of them */
    const char  *format;            /* if none is given */
    const char  *formats;
    const char  *folder;
} ctl_use_t;

static const ctl_use_t  ctl_uses[] = {
    { "view", RIGHT_VIEW, "flv", "flv, hls or rtmp", "" },
    { "replay", RIGHT_REPLAY, "hls", "hls", "rec/" },
    { "watch", RIGHT_VIEW | RIGHT_REPLAY, "hls", "hls", "" },
};

#define CTL_USES  (sizeof(ctl_uses) / sizeof(ctl_uses[0]))

/* An address to be made. */
typedef struct {
    const ctl_use_t  *use;
    const char       *format;
    long              ttl;
    long              window;       /* seconds; 0: the playlist does not reach back */
} ctl_url_t;


static int ctl_url_use(const char *action, const ctl_use_t **use)
{
    size_t  i;

    for (i = 0; i < CTL_USES; i++) {
        if (strcmp(ctl_uses[i].action, action) == 0) {
            *use = &ctl_uses[i];
            return CTL_OK;
        }
    }

    return ctl_fail(CTL_USAGE, "action \"%.40s\"; expected view, replay or watch", action);
}


static int ctl_url_format(ctl_url_t *url, const char *given)
{
    bool  all = url->use->rights == RIGHT_VIEW;

    url->format = given ? given : url->use->format;

    if (strcmp(url->format, "hls") != 0
        && !(all && (strcmp(url->format, "flv") == 0 || strcmp(url->format, "rtmp") == 0)))
    {
        return ctl_fail(CTL_USAGE, "--format \"%.40s\"; expected %s", url->format,
                        url->use->formats);
    }

    return CTL_OK;
}


static int ctl_url_window(ctl_url_t *url, const char *given)
{
    if (strcmp(url->use->action, "watch") != 0) {
        return given == NULL ? CTL_OK
               : ctl_fail(CTL_USAGE, "--window \"%.40s\" with %s; expected watch, which reaches "
                          "back into the recording", given, url->use->action);
    }

    return ctl_seconds("--window", given, TOKEN_WINDOW_S, CTL_WINDOW_MAX, &url->window);
}


/* Reads the action and the options. */
static int ctl_url_read(ctl_t *ctl, ctl_url_t *url)
{
    int  code = ctl_url_use(ctl->count > 2 ? ctl->words[2] : "view", &url->use);

    if (code == CTL_OK) {
        code = ctl_url_format(url, ctl->format);
    }
    if (code == CTL_OK) {
        code = ctl_url_window(url, ctl->window);
    }

    return code == CTL_OK ? ctl_seconds("--ttl", ctl->ttl, CTL_TTL_DEFAULT, CTL_TTL_MAX, &url->ttl)
                          : code;
}


static int ctl_url_token(ctl_t *ctl, const store_user_t *user, const store_stream_t *stream,
                         const ctl_url_t *url, int64_t now, char token[TOKEN_MAX])
{
    char            error[512];
    token_keys_t    keys;
    token_claims_t  claims;

    if (!token_keys_load(ctl->config.token_keys, &keys, error, sizeof(error))) {
        return ctl_fail(CTL_FAILED, "%s", error);
    }

    memset(&claims, 0, sizeof(claims));
    claims.user = user->id;
    claims.issued = token_issue(now, stream->not_before);
    claims.expires = now + url->ttl;
    snprintf(claims.stream, sizeof(claims.stream), "%s/%s", stream->app, stream->name);
    snprintf(claims.action, sizeof(claims.action), "%s", url->use->action);

    if (!token_sign(&keys, &claims, token)) {
        return ctl_fail(CTL_FAILED, "token for %s does not fit %d bytes", claims.stream,
                        TOKEN_MAX);
    }

    return CTL_OK;
}


static void ctl_print_http(const ctl_t *ctl, const store_stream_t *stream, const ctl_url_t *url,
                           const char *token)
{
    bool  hls = strcmp(url->format, "hls") == 0;

    printf("http://%s:%u/m/%s/%s%s/%s%s", ctl->config.host, ctl->config.http_port, token,
           url->use->folder, stream->app, stream->name, hls ? "/index.m3u8" : ".flv");
    if (url->window) {
        printf("?window=%ld", url->window);
    }
    printf("\n");
}


int ctl_url(ctl_t *ctl)
{
    int              code;
    char             token[TOKEN_MAX], missing[RIGHTS_TEXT_SIZE];
    int64_t          began = (int64_t) time(NULL);     /* before the rights are read */
    unsigned         rights;
    ctl_url_t        url = { 0 };
    store_user_t     user;
    store_stream_t   stream;

    code = ctl_url_read(ctl, &url);
    if (code == CTL_OK) {
        code = ctl_find_user(ctl, ctl->words[0], &user);
    }
    if (code == CTL_OK) {
        code = ctl_find_stream(ctl, ctl->words[1], user.id, &stream);
    }
    if (code != CTL_OK) {
        return code;
    }

    rights = url.use->rights & ~rights_on_stream(&user, &stream);
    if (rights) {
        return ctl_fail(CTL_REFUSED, "user %s %smay not %s %s/%s", user.name,
                        user.disabled ? "is disabled and " : "", rights_format(rights, missing),
                        stream.app, stream.name);
    }

    code = ctl_url_token(ctl, &user, &stream, &url, began, token);
    if (code != CTL_OK) {
        return code;
    }

    if (strcmp(url.format, "rtmp") == 0) {
        return ctl_print_rtmp(ctl, &stream, token);
    }

    ctl_print_http(ctl, &stream, &url, token);
    return CTL_OK;
}
