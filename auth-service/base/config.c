#include "config.h"
#include "names.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>


static const char *config_text(const char *name, const char *otherwise)
{
    const char  *value = getenv(name);

    return value && *value ? value : otherwise;
}


static bool config_number(const char *name, unsigned otherwise, unsigned low, unsigned high,
                          unsigned *out, char *error, size_t size)
{
    const char     *text = config_text(name, NULL);
    char           *end;
    unsigned long   value;

    if (text == NULL) {
        *out = otherwise;
        return true;
    }

    errno = 0;
    value = strtoul(text, &end, 10);
    if (errno || *end || *text < '0' || *text > '9' || value < low || value > high) {
        snprintf(error, size, "%s is \"%.32s\"; expected a number from %u to %u", name, text,
                 low, high);
        return false;
    }

    *out = (unsigned) value;
    return true;
}


static bool config_defaults(settings_t *defaults, char *error, size_t size)
{
    char         rule[SETTINGS_RULE_SIZE];
    size_t       i;
    const char  *text;

    for (i = 0; i < SETTINGS_COUNT; i++) {
        text = config_text(settings_all[i].variable, settings_all[i].otherwise);
        if (!settings_put(&settings_all[i], defaults, text)) {
            snprintf(error, size, "%s is \"%.32s\"; expected %s", settings_all[i].variable, text,
                     settings_rule(&settings_all[i], rule));
            return false;
        }
    }

    return true;
}


static bool config_home(config_t *config, char *error, size_t size)
{
    const char  *text = config_text("DUOLU_HOME", "run");
    char         here[PATH_MAX];
    int          length;

    if (text[0] == '/') {
        length = snprintf(config->home, sizeof(config->home), "%s", text);
    } else {
        if (getcwd(here, sizeof(here)) == NULL) {
            snprintf(error, size, "current directory: %s", strerror(errno));
            return false;
        }
        length = snprintf(config->home, sizeof(config->home), "%s/%s", here, text);
    }

    if (length < 0 || (size_t) length >= sizeof(config->home)) {
        snprintf(error, size, "DUOLU_HOME is longer than %d bytes", CONFIG_PATH_SIZE - 1);
        return false;
    }

    while (length > 1 && config->home[length - 1] == '/') {
        config->home[--length] = '\0';
    }

    return true;
}


static bool config_socket(const config_t *config, const char *name, char *out, size_t out_size,
                          char *error, size_t size)
{
    int                 length;
    size_t              most;
    struct sockaddr_un  address;

    most = out_size < sizeof(address.sun_path) ? out_size : sizeof(address.sun_path);
    length = snprintf(out, out_size, "%s/%s.sock", config->home, name);

    if (length < 0 || (size_t) length >= most) {
        snprintf(error, size, "socket path %.160s/%s.sock has %d bytes; expected at most "
                 "%zu: use a shorter DUOLU_HOME", config->home, name, length, most - 1);
        return false;
    }

    return true;
}


/*
 * An edge's control socket: unix:/PATH, or https://[USER:PASS@]HOST[:PORT]. Without TLS
 * only on this machine, since the password and the revocations cross the network.
 */
static bool config_edge(char out[CONFIG_EDGE_SIZE], const char *text, size_t length)
{
    char        *host;
    const char  *at;

    if (length >= CONFIG_EDGE_SIZE) {
        return false;
    }
    snprintf(out, CONFIG_EDGE_SIZE, "%.*s", (int) length, text);

    if (strncmp(out, "unix:/", 6) == 0) {
        memmove(out, out + 5, length + 1 - 5);
        return out[1] != '\0';
    }

    host = strstr(out, "://");
    if (host == NULL || strpbrk(host + 3, "/?#")) {
        return false;
    }
    at = strrchr(host, '@');
    at = at ? at + 1 : host + 3;

    return strncmp(out, "https://", 8) == 0 ? *at != '\0'
         : strncmp(out, "http://", 7) == 0
           && (strncmp(at, "127.0.0.1:", 10) == 0 || strncmp(at, "localhost:", 10) == 0);
}


static bool config_edges(config_t *config, char *error, size_t size)
{
    size_t       length;
    const char  *p = config_text("DUOLU_EDGES", "");

    for (p += strspn(p, " "); *p; p += length + strspn(p + length, " ")) {
        length = strcspn(p, " ");

        if (config->edge_count == CONFIG_EDGES_MAX) {
            snprintf(error, size, "DUOLU_EDGES has too many; expected at most %d",
                     CONFIG_EDGES_MAX);
            return false;
        }
        if (!config_edge(config->edges[config->edge_count++], p, length)) {
            snprintf(error, size, "DUOLU_EDGES: number %u is none; expected unix:/PATH, "
                     "https://[USER:PASS@]HOST[:PORT] or http://[USER:PASS@]127.0.0.1:PORT, "
                     "at most %d bytes", config->edge_count, CONFIG_EDGE_SIZE - 1);
            return false;
        }
    }

    return true;
}


static bool config_dsn(config_t *config, char *error, size_t size)
{
    const char  *text = config_text("DUOLU_DB", NULL);

    if (text) {
        return dsn_parse(text, &config->dsn, error, size);
    }

    strcpy(config->dsn.user, "duolu");
    strcpy(config->dsn.host, "localhost");
    strcpy(config->dsn.database, "duolu");
    return config_socket(config, "mysql/mysql", config->dsn.socket, sizeof(config->dsn.socket),
                         error, size);
}


/* Strips a '/' at the end, since callers compare paths with this one. */
static bool config_rec(config_t *config, char *error, size_t size)
{
    int          length;
    const char  *text = config_text("DUOLU_REC", NULL);

    length = text ? snprintf(config->rec, sizeof(config->rec), "%s", text)
                  : snprintf(config->rec, sizeof(config->rec), "%s/rec", config->home);

    if (config->rec[0] != '/' || (size_t) length >= sizeof(config->rec)) {
        snprintf(error, size, "DUOLU_REC is \"%.160s\"; expected an absolute path of at most "
                 "%zu bytes", config->rec, sizeof(config->rec) - 1);
        return false;
    }

    while (length > 1 && config->rec[length - 1] == '/') {
        config->rec[--length] = '\0';
    }

    return true;
}


static bool config_ffmpeg(config_t *config, char *error, size_t size)
{
    const char  *text = config_text("DUOLU_FFMPEG", "/usr/bin/ffmpeg");

    if (text[0] != '/' || strlen(text) >= sizeof(config->ffmpeg)) {
        snprintf(error, size, "DUOLU_FFMPEG is \"%.160s\"; expected the absolute path of a "
                 "program, of at most %zu bytes", text, sizeof(config->ffmpeg) - 1);
        return false;
    }

    strcpy(config->ffmpeg, text);
    return true;
}


/* Finds the migrations beside the program: in the tree, or where packages put them. */
static void config_sql(config_t *config)
{
    static const char *const  places[] = { "../../sql", "../share/duolu/sql" };

    const char   *text = config_text("DUOLU_SQL", NULL);
    char          program[CONFIG_PATH_SIZE - 64];
    char         *slash;
    size_t        i;
    ssize_t       length;
    struct stat   info;

    if (text) {
        snprintf(config->sql, sizeof(config->sql), "%s", text);
        return;
    }

    strcpy(config->sql, "sql");

    length = readlink("/proc/self/exe", program, sizeof(program) - 1);
    if (length <= 0) {
        return;
    }
    program[length] = '\0';

    slash = strrchr(program, '/');
    if (slash == NULL) {
        return;
    }
    *slash = '\0';

    for (i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
        snprintf(config->sql, sizeof(config->sql), "%s/%s", program, places[i]);
        if (stat(config->sql, &info) == 0 && S_ISDIR(info.st_mode)) {
            return;
        }
    }
}


static void config_host(config_t *config)
{
    const char  *host = config_text("DUOLU_HOST", NULL);

    config->host_named = host != NULL;
    if (host == NULL) {
        host = config_text("DUOLU_LISTEN", "127.0.0.1");
        if (strcmp(host, "0.0.0.0") == 0 || strcmp(host, "::") == 0
            || strcmp(host, "[::]") == 0)
        {
            /* nginx listens on all addresses: the machine's name is the best guess */
            if (gethostname(config->host, sizeof(config->host) - 1) == 0) {
                return;
            }
            host = "127.0.0.1";
        }
    }

    snprintf(config->host, sizeof(config->host), "%s", host);
}


bool config_load(config_t *config, char *error, size_t error_size)
{
    memset(config, 0, sizeof(*config));

    if (!config_home(config, error, error_size)) {
        return false;
    }

    config_sql(config);
    config_host(config);
    snprintf(config->token_keys, sizeof(config->token_keys), "%s/secrets/token.keys",
             config->home);
    snprintf(config->thumb_kept, sizeof(config->thumb_kept), "%s/thumb/kept", config->home);

    return config_socket(config, "auth/gate", config->gate_socket, sizeof(config->gate_socket),
                         error, error_size)
        && config_socket(config, "auth/api", config->api_socket, sizeof(config->api_socket),
                         error, error_size)
        && config_socket(config, "sock/control", config->control_socket,
                         sizeof(config->control_socket), error, error_size)
        && config_socket(config, "thumb/thumb", config->thumb_socket, sizeof(config->thumb_socket),
                         error, error_size)
        && config_edges(config, error, error_size)
        && config_rec(config, error, error_size)
        && config_ffmpeg(config, error, error_size)
        && config_number("DUOLU_HTTP", 8080, 1, 65535, &config->http_port, error, error_size)
        && config_number("DUOLU_HTTPS", 8443, 1, 65535, &config->https_port, error, error_size)
        && config_number("DUOLU_RTMP", 1935, 1, 65535, &config->rtmp_port, error, error_size)
        && config_number("DUOLU_RTMPS", 1936, 1, 65535, &config->rtmps_port, error, error_size)
        && config_number("DUOLU_GATE_THREADS", 8, 1, 256, &config->gate_threads,
                         error, error_size)
        && config_number("DUOLU_API_THREADS", 12, 2, 256, &config->api_threads,
                         error, error_size)
        && config_number("DUOLU_THUMB_THREADS", 2, 1, 64, &config->thumb_threads,
                         error, error_size)
        && config_defaults(&config->defaults, error, error_size)
        && config_dsn(config, error, error_size);
}
