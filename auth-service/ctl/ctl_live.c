/* Commands that ask nginx, or an edge: status, sessions, kick. */

#include "ctl.h"
#include "../base/control.h"
#include "../base/token.h"
#include "../rights/links.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>


static const char *ctl_text_of(json_t *object, const char *key)
{
    const char  *text = json_string_value(json_object_get(object, key));

    return text && *text ? text : "-";
}


static long long ctl_number_of(json_t *object, const char *key)
{
    return (long long) json_number_value(json_object_get(object, key));
}


/* The control socket of nginx, or of the edge that --edge names. */
static int ctl_socket(ctl_t *ctl, const char **out)
{
    uint64_t  number = 0;

    if (!(ctl->given & OPTION_EDGE)) {
        *out = ctl->config.control_socket;
        return CTL_OK;
    }

    if (strlen(ctl->edge) <= 2 && strspn(ctl->edge, "0123456789") == strlen(ctl->edge)) {
        number = strtoul(ctl->edge, NULL, 10);
    }
    if (number < 1 || number > ctl->config.edge_count) {
        return ctl_fail(CTL_USAGE, "--edge is \"%.40s\"; expected the number of one of the %u "
                        "edges in DUOLU_EDGES", ctl->edge, ctl->config.edge_count);
    }

    *out = ctl->config.edges[number - 1];
    return CTL_OK;
}


static int ctl_nginx_away(ctl_t *ctl, const char *error)
{
    if (ctl->given & OPTION_EDGE) {
        return ctl_fail(CTL_FAILED, "edge %s: %s", ctl->edge, error);
    }
    return ctl_fail(CTL_FAILED, "%s (is nginx running with DUOLU_HOME %s?)", error,
                    ctl->config.home);
}


/* "1h02m", "3m20s", "8s" */
static const char *ctl_age(long long ms, char out[32])
{
    long long  s = ms / 1000;

    if (s >= 86400) {
        snprintf(out, 32, "%lldd%02lldh", s / 86400, s % 86400 / 3600);
    } else if (s >= 3600) {
        snprintf(out, 32, "%lldh%02lldm", s / 3600, s % 3600 / 60);
    } else if (s >= 60) {
        snprintf(out, 32, "%lldm%02llds", s / 60, s % 60);
    } else {
        snprintf(out, 32, "%llds", s);
    }

    return out;
}


/* "12.3 MB" */
static const char *ctl_bytes(long long bytes, char out[32])
{
    static const char *const  units[] = { "B", "kB", "MB", "GB", "TB" };

    size_t  unit = 0;
    double  value = (double) bytes;

    while (value >= 1000 && unit < sizeof(units) / sizeof(units[0]) - 1) {
        value /= 1000;
        unit++;
    }

    snprintf(out, 32, unit ? "%.1f %s" : "%.0f %s", value, units[unit]);
    return out;
}


/* Prints an object of numbers: "; refused: busy 2, token 1"; nothing when all are 0. */
static void ctl_print_counts(const char *before, json_t *counts)
{
    json_t      *count;
    const char  *key;

    json_object_foreach(counts, key, count) {
        if (json_integer_value(count)) {
            printf("%s%s %lld", before, key, (long long) json_integer_value(count));
            before = ", ";
        }
    }
}


static void ctl_print_limit(json_t *stream, const char *key, const char *unit)
{
    long long  limit = ctl_number_of(stream, key);

    if (limit) {
        printf(" (at most %lld%s)", limit, unit);
    }
}


static void ctl_print_recording(json_t *recording)
{
    char  bytes[32];

    if (recording && strcmp(ctl_text_of(recording, "state"), "off") != 0) {
        printf("  recording %s, %s, gaps %lld\n", ctl_text_of(recording, "state"),
               ctl_bytes(ctl_number_of(recording, "bytes"), bytes),
               ctl_number_of(recording, "gaps"));
    }
}


static void ctl_print_viewers(json_t *stream)
{
    printf("  viewers %lld", ctl_number_of(stream, "viewers"));
    ctl_print_limit(stream, "max_viewers", "");
    ctl_print_counts(": ", json_object_get(stream, "viewers_by"));
    printf("\n");
}


static void ctl_print_stream(json_t *stream)
{
    char  age[32];

    if (strcmp(ctl_text_of(stream, "state"), "carried") == 0) {      /* an edge has no more */
        printf("stream %s: carried for %s, out %lld kbit/s\n", ctl_text_of(stream, "name"),
               ctl_age(ctl_number_of(stream, "since_ms"), age),
               ctl_number_of(stream, "kbps_out"));
        ctl_print_viewers(stream);
        return;
    }

    printf("stream %s: %s for %s, %s %lldx%lld", ctl_text_of(stream, "name"),
           ctl_text_of(stream, "state"), ctl_age(ctl_number_of(stream, "since_ms"), age),
           ctl_text_of(stream, "video"), ctl_number_of(stream, "width"),
           ctl_number_of(stream, "height"));
    if (json_object_get(stream, "fps")) {
        printf(" %.4g fps GOP %lld ms", json_number_value(json_object_get(stream, "fps")),
               ctl_number_of(stream, "gop_ms"));
    }
    printf(", %s\n", ctl_text_of(stream, "audio"));

    printf("  in %lld kbit/s", ctl_number_of(stream, "kbps_in"));
    ctl_print_limit(stream, "max_kbps", " kbit/s");
    printf(" from %s, gaps %lld; out %lld kbit/s\n", ctl_text_of(stream, "address"),
           ctl_number_of(stream, "gaps"), ctl_number_of(stream, "kbps_out"));

    ctl_print_recording(json_object_get(stream, "recording"));
    ctl_print_viewers(stream);
}


int ctl_status(ctl_t *ctl)
{
    int          code;
    char         error[CONTROL_ERROR_SIZE];
    json_t      *root, *zone, *each, *streams;
    size_t       i;
    const char  *socket;

    code = ctl_socket(ctl, &socket);
    if (code != CTL_OK) {
        return code;
    }

    root = control_status(socket, error);
    if (root == NULL) {
        return ctl_nginx_away(ctl, error);
    }

    if (ctl->given & OPTION_JSON) {
        ctl_print_json(root);
        return CTL_OK;
    }

    zone = json_object_get(root, "zone");
    printf("zone %s: %lld of %lld blocks free, %lld of %lld sessions", ctl_text_of(zone, "name"),
           ctl_number_of(zone, "free"), ctl_number_of(zone, "blocks"),
           ctl_number_of(zone, "sessions"), ctl_number_of(zone, "sessions_max"));
    ctl_print_counts("; refused: ", json_object_get(zone, "refused"));
    printf("\n");

    json_array_foreach(json_object_get(root, "workers"), i, each) {
        printf("worker %lld: %lld publishers, %lld viewers, %lld sessions\n",
               ctl_number_of(each, "pid"), ctl_number_of(each, "publishers"),
               ctl_number_of(each, "viewers"), ctl_number_of(each, "sessions"));
    }

    streams = json_object_get(root, "streams");
    json_array_foreach(streams, i, each) {
        ctl_print_stream(each);
    }
    if (json_array_size(streams) == 0) {
        printf("no live stream\n");
    }

    json_decref(root);
    return CTL_OK;
}


static void ctl_name_collect(const store_user_t *user, void *data)
{
    char  id[24];

    snprintf(id, sizeof(id), "%" PRIu64, user->id);
    json_object_set_new(data, id, json_string(user->name));
}


/* Adds the user's name to each session: nginx knows users by number. */
static int ctl_name_users(ctl_t *ctl, json_t *sessions)
{
    char             id[24];
    json_t          *names = json_object(), *each;
    size_t           i;
    store_result_t   result = store_user_list(ctl->store, ctl_name_collect, names);

    if (result != STORE_OK) {
        json_decref(names);
        return ctl_store_fail(ctl, result, "users");
    }

    json_array_foreach(sessions, i, each) {
        snprintf(id, sizeof(id), "%lld", ctl_number_of(each, "uid"));
        json_object_set(each, "user", json_object_get(names, id));
        if (ctl_number_of(each, "uid") == (long long) TOKEN_VISITOR) {
            json_object_set_new(each, "user", json_string(TOKEN_VISITOR_NAME));
        }
        link_name_session(each, ctl_number_of(each, "uid"));
    }

    json_decref(names);
    return CTL_OK;
}


static const char *ctl_late(json_t *session, char out[32])
{
    if (strcmp(ctl_text_of(session, "kind"), "view") != 0
        || strcmp(ctl_text_of(session, "protocol"), "hls") == 0)     /* not measured */
    {
        return "-";
    }
    snprintf(out, 32, "%.1f s", (double) ctl_number_of(session, "late_ms") / 1000);
    return out;
}


int ctl_sessions(ctl_t *ctl)
{
    int          code;
    char         error[CONTROL_ERROR_SIZE], age[32], bytes[32], late[32];
    json_t      *root, *sessions, *each;
    size_t       i;
    const char  *socket;

    code = ctl_socket(ctl, &socket);
    if (code != CTL_OK) {
        return code;
    }

    root = control_sessions(socket, error);
    if (root == NULL) {
        return ctl_nginx_away(ctl, error);
    }

    sessions = json_object_get(root, "sessions");
    code = ctl_name_users(ctl, sessions);
    if (code != CTL_OK) {
        json_decref(root);
        return code;
    }

    if (ctl->given & OPTION_JSON) {
        ctl_print_json(root);
        return CTL_OK;
    }

    printf("%-16s %-8s %-8s %-24s %-16s %-24s %-8s %-9s %s\n", "ID", "KIND", "PROTOCOL",
           "STREAM", "USER", "ADDRESS", "AGE", "BYTES", "LATE");
    json_array_foreach(sessions, i, each) {
        printf("%-16s %-8s %-8s %-24s %-16s %-24s %-8s %-9s %s\n", ctl_text_of(each, "id"),
               ctl_text_of(each, "kind"), ctl_text_of(each, "protocol"),
               ctl_text_of(each, "stream"), ctl_text_of(each, "user"),
               ctl_text_of(each, "address"), ctl_age(ctl_number_of(each, "age_ms"), age),
               ctl_bytes(ctl_number_of(each, "bytes"), bytes),
               ctl_late(each, late));
    }

    json_decref(root);
    return CTL_OK;
}


int ctl_kick(ctl_t *ctl)
{
    int               code;
    char              error[CONTROL_ERROR_SIZE], target[64];
    const char       *id = ctl->words[0], *socket;
    control_result_t  result;

    if (*id == '\0' || strspn(id, "0123456789") != strlen(id) || strlen(id) > 20) {
        return ctl_fail(CTL_USAGE, "session \"%.40s\"; expected an ID as in duoluctl sessions",
                        id);
    }

    code = ctl_socket(ctl, &socket);
    if (code != CTL_OK) {
        return code;
    }

    result = control_kick(socket, id, error);
    if (result == CONTROL_NONE) {
        return ctl_fail(CTL_NONE, "session %s does not exist", id);
    }
    if (result != CONTROL_OK) {
        return ctl_nginx_away(ctl, error);
    }

    snprintf(target, sizeof(target), "session %s%s%s", id, ctl->edge ? " of edge " : "",
             ctl->edge ? ctl->edge : "");
    ctl_audit(ctl, "kick", target);
    printf("kicked session %s\n", id);
    return CTL_OK;
}
