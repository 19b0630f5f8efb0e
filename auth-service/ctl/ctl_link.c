/* Links, which show a stream without an account: made, listed, revoked. */

#include "ctl.h"
#include "../rec/cut.h"
#include "../rights/links.h"
#include "../../modules/rules/rec_path.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define CTL_LINK_TTL  (24 * 3600)


static int ctl_link_time(const char *text, int64_t *ms)
{
    *ms = utc_read(text, strlen(text));
    return *ms >= 0 ? CTL_OK
           : ctl_fail(CTL_USAGE, "\"%.40s\"; expected a time such as 2026-11-23T14:00:00Z, or "
                      "milliseconds or seconds since 1970", text);
}


/* Reads "live", or FROM and TO. */
static int ctl_link_span(ctl_t *ctl, const store_stream_t *stream, store_link_t *link)
{
    int             code;
    store_result_t  result;

    link->clip = ctl->count > 2;
    if (!link->clip) {
        return strcmp(ctl->words[1], "live") == 0 ? CTL_OK
               : ctl_fail(CTL_USAGE, "\"%.40s\"; expected live, or two times", ctl->words[1]);
    }

    code = ctl_link_time(ctl->words[1], &link->from);
    if (code == CTL_OK) {
        code = ctl_link_time(ctl->words[2], &link->to);
    }
    if (code != CTL_OK) {
        return code;
    }

    if (link->to <= link->from || link->to - link->from > LINK_CLIP_MS) {
        return ctl_fail(CTL_USAGE, "the span has %" PRId64 " ms; expected 1 to %d",
                        link->to - link->from, LINK_CLIP_MS);
    }

    result = cut_widen(ctl->store, ctl->config.rec, stream->app, stream->name, &link->from,
                       &link->to);
    return result == STORE_OK ? CTL_OK
           : ctl_store_fail(ctl, result, "MP4 recording in this span");
}


static int ctl_link_options(ctl_t *ctl, store_link_t *link)
{
    int   code;
    long  ttl;

    code = ctl_seconds("--ttl", ctl->ttl, CTL_LINK_TTL, LINK_LONGEST_S, &ttl);
    if (code != CTL_OK) {
        return code;
    }
    link->expires = 1000 * ((int64_t) time(NULL) + ttl);

    if (ctl->label && !name_title_valid(ctl->label)) {
        return ctl_fail(CTL_USAGE, "label \"%.60s\"; expected " NAME_TITLE_RULE, ctl->label);
    }
    snprintf(link->label, sizeof(link->label), "%s", ctl->label ? ctl->label : "");

    return ctl->given & OPTION_PASSWORD_STDIN ? ctl_read_password(link->password_hash) : CTL_OK;
}


static void ctl_link_times(const store_link_t *link, char from[UTC_TEXT_MAX],
                           char to[UTC_TEXT_MAX], char expires[UTC_TEXT_MAX])
{
    strcpy(from, "live");
    strcpy(to, "-");

    if (link->clip) {
        utc_write(from, link->from);
        utc_write(to, link->to);
    }
    utc_write(expires, link->expires);
}


/* Shows the link's address, this once. */
static void ctl_link_print_new(ctl_t *ctl, const store_link_t *link, const char *token)
{
    char     url[400], from[UTC_TEXT_MAX], to[UTC_TEXT_MAX], expires[UTC_TEXT_MAX];
    json_t  *out;

    snprintf(url, sizeof(url), "https://%s:%u/#/s/%s", ctl->config.host, ctl->config.https_port,
             token);

    if (ctl->given & OPTION_JSON) {
        out = link_json(link);
        json_object_set_new(out, "url", json_string(url));
        ctl_print_json(out);
        return;
    }

    ctl_link_times(link, from, to, expires);
    printf("id %" PRIu64 "\nfrom %s\nto %s\nexpires %s\nurl %s\n", link->id, from, to, expires,
           url);
}


int ctl_link_add(ctl_t *ctl)
{
    int              code;
    char             token[SECRET_SIZE];
    change_t         change = ctl_change(ctl);
    store_link_t     link = { 0 };
    store_stream_t   stream;
    store_result_t   result;

    code = ctl_find_stream(ctl, ctl->words[0], 0, &stream);
    if (code == CTL_OK) {
        code = ctl_link_span(ctl, &stream, &link);
    }
    if (code == CTL_OK) {
        code = ctl_link_options(ctl, &link);
    }
    if (code != CTL_OK) {
        return code;
    }

    link.stream = stream.id;
    result = link_add(&change, &link, token, &link.id);
    if (result == STORE_EXISTS) {
        return ctl_fail(CTL_EXISTS, "stream %s has %d links already; revoke some first",
                        ctl->words[0], LINK_MOST);
    }
    if (result != STORE_OK) {
        return ctl_store_fail(ctl, result, "link");
    }

    ctl_audit(ctl, "link add", ctl->words[0]);
    ctl_link_print_new(ctl, &link, token);
    return CTL_OK;
}


static void ctl_link_print(const store_link_t *link, void *data)
{
    char  from[UTC_TEXT_MAX], to[UTC_TEXT_MAX], expires[UTC_TEXT_MAX];

    (void) data;
    ctl_link_times(link, from, to, expires);
    printf("%-6" PRIu64 " %s/%s %s %s %s %s views=%" PRIu64 "%s%s%s %s\n", link->id, link->app,
           link->name, from, to, link->over ? "expired" : "expires", expires, link->views,
           link->password_hash[0] ? " password" : "", link->maker_name[0] ? " by=" : "",
           link->maker_name, link->label);
}


static void ctl_link_collect(const store_link_t *link, void *data)
{
    json_t  *out = link_json(link);

    json_object_set_new(out, "stream", json_sprintf("%s/%s", link->app, link->name));
    json_array_append_new(data, out);
}


int ctl_link_list(ctl_t *ctl)
{
    int              code;
    json_t          *links;
    store_stream_t   stream = { 0 };
    store_result_t   result;

    if (ctl->count) {
        code = ctl_find_stream(ctl, ctl->words[0], 0, &stream);
        if (code != CTL_OK) {
            return code;
        }
    }

    links = (ctl->given & OPTION_JSON) ? json_array() : NULL;
    result = store_link_list(ctl->store, stream.id, links ? ctl_link_collect : ctl_link_print,
                             links);
    if (result != STORE_OK) {
        json_decref(links);
        return ctl_store_fail(ctl, result, "links");
    }

    if (links) {
        ctl_print_json(json_pack("{so}", "links", links));
    }
    return CTL_OK;
}


int ctl_link_revoke(ctl_t *ctl)
{
    char            *end, subject[60];
    uint64_t         id = strtoull(ctl->words[0], &end, 10);
    change_t         change = ctl_change(ctl);
    store_link_t     link;
    store_result_t   result;

    if (ctl->words[0][0] < '0' || ctl->words[0][0] > '9' || *end) {
        return ctl_fail(CTL_USAGE, "link id \"%.40s\"; expected a number as in duoluctl link list",
                        ctl->words[0]);
    }

    snprintf(subject, sizeof(subject), "valid link %.20s", ctl->words[0]);
    result = store_link_by_id(ctl->store, id, &link);
    if (result == STORE_OK) {
        result = link_revoke(&change, &link);
    }
    if (result != STORE_OK) {
        return ctl_store_fail(ctl, result, subject);
    }

    ctl_audit(ctl, "link revoke", subject);
    printf("revoked: %s of stream %s/%s\n", subject, link.app, link.name);
    ctl_report(ctl, &change);
    return CTL_OK;
}
