#include "control.h"
#include "config.h"

#include <curl/curl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CONTROL_TIMEOUT_MS  1000L
#define CONTROL_ANSWER_MAX  (16u * 1024 * 1024)
#define CONTROL_PATH_MAX    1024

typedef struct {
    char    *data;
    size_t   length;
    size_t   size;
} control_answer_t;


static size_t control_receive(char *data, size_t size, size_t count, void *user)
{
    char              *grown;
    size_t             more = size * count, want;
    control_answer_t  *answer = user;

    if (more > CONTROL_ANSWER_MAX - answer->length) {
        return 0;
    }

    if (answer->length + more > answer->size) {
        want = 2 * (answer->length + more);
        grown = realloc(answer->data, want);
        if (grown == NULL) {
            return 0;
        }
        answer->data = grown;
        answer->size = want;
    }

    memcpy(answer->data + answer->length, data, more);
    answer->length += more;
    return more;
}


/* The socket as errors name it: without the user and password of an address. */
static const char *control_name(const char *socket_path)
{
    const char  *at = socket_path[0] == '/' ? NULL : strrchr(socket_path, '@');

    return at ? at + 1 : socket_path;
}


static void control_set_address(CURL *curl, const char *socket_path, const char *path)
{
    char  url[CONFIG_EDGE_SIZE + CONTROL_PATH_MAX];

    if (socket_path[0] == '/') {
        snprintf(url, sizeof(url), "http://control%s", path);
        curl_easy_setopt(curl, CURLOPT_UNIX_SOCKET_PATH, socket_path);
    } else {
        snprintf(url, sizeof(url), "%s%s", socket_path, path);
        curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
    }

    curl_easy_setopt(curl, CURLOPT_URL, url);
}


static control_result_t control_perform(const char *socket_path, const char *path, bool post,
                                        control_answer_t *answer, long *status, char *error)
{
    CURL      *curl = curl_easy_init();
    CURLcode   code;

    if (curl == NULL) {
        snprintf(error, CONTROL_ERROR_SIZE, "out of memory");
        return CONTROL_AWAY;
    }

    control_set_address(curl, socket_path, path);
    curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, CONTROL_TIMEOUT_MS);
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(curl, CURLOPT_PROXY, "");
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, control_receive);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, answer);
    if (post) {
        curl_easy_setopt(curl, CURLOPT_POSTFIELDS, "");
    }

    code = curl_easy_perform(curl);
    curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, status);
    curl_easy_cleanup(curl);

    if (code != CURLE_OK) {
        snprintf(error, CONTROL_ERROR_SIZE, "control socket %.200s: %s",
                 control_name(socket_path), curl_easy_strerror(code));
        return CONTROL_AWAY;
    }

    return CONTROL_OK;
}


/* Sets *root to nginx's answer, a new reference, or to NULL. */
static control_result_t control_ask(const char *socket_path, const char *path, bool post,
                                    json_t **root, char *error)
{
    long               status = 0;
    const char        *why;
    json_error_t       parse_error;
    control_result_t   result;
    control_answer_t   answer = { NULL, 0, 0 };

    *root = NULL;
    error[0] = '\0';

    result = control_perform(socket_path, path, post, &answer, &status, error);
    if (result == CONTROL_OK) {
        *root = json_loadb(answer.data ? answer.data : "", answer.length, 0, &parse_error);
    }
    free(answer.data);

    if (result != CONTROL_OK) {
        return result;
    }

    if (status != 200) {
        why = json_string_value(json_object_get(*root, "error"));
        snprintf(error, CONTROL_ERROR_SIZE, "control socket %.200s: %.80s answered %ld%s%.160s",
                 control_name(socket_path), path, status, why ? ": " : "; expected 200",
                 why ? why : "");
        json_decref(*root);
        *root = NULL;
        return status == 404 && why ? CONTROL_NONE : CONTROL_REFUSED;
    }

    if (*root == NULL) {
        snprintf(error, CONTROL_ERROR_SIZE, "control socket %.200s: the answer to %.80s is not "
                 "JSON: %.100s", control_name(socket_path), path, parse_error.text);
        return CONTROL_REFUSED;
    }

    return CONTROL_OK;
}


json_t *control_status(const char *socket_path, char error[CONTROL_ERROR_SIZE])
{
    json_t  *root;

    control_ask(socket_path, "/status", false, &root, error);
    return root;
}


json_t *control_sessions(const char *socket_path, char error[CONTROL_ERROR_SIZE])
{
    json_t  *root;

    control_ask(socket_path, "/sessions", false, &root, error);
    return root;
}


/* Posts a command that nginx answers with {"ended":N}; ended may be NULL. */
static control_result_t control_post(const char *socket_path, const char *path,
                                     uint64_t *ended, char *error)
{
    json_t            *root;
    control_result_t   result = control_ask(socket_path, path, true, &root, error);

    if (ended) {
        *ended = (uint64_t) json_integer_value(json_object_get(root, "ended"));
    }

    json_decref(root);
    return result;
}


/* Appends "?name=value", or with '&' when the path has a query already. */
static bool control_add_query(char path[CONTROL_PATH_MAX], const char *name, const char *value)
{
    int      length;
    char    *escaped = curl_easy_escape(NULL, value, 0);
    size_t   used = strlen(path);

    if (escaped == NULL) {
        return false;
    }

    length = snprintf(path + used, CONTROL_PATH_MAX - used, "%c%s=%s",
                      strchr(path, '?') ? '&' : '?', name, escaped);
    curl_free(escaped);
    return length > 0 && (size_t) length < CONTROL_PATH_MAX - used;
}


static bool control_add_number(char path[CONTROL_PATH_MAX], const char *name, uint64_t value)
{
    char  text[24];

    snprintf(text, sizeof(text), "%" PRIu64, value);
    return control_add_query(path, name, text);
}


static control_result_t control_too_long(char *error)
{
    snprintf(error, CONTROL_ERROR_SIZE, "control request is longer than %d bytes",
             CONTROL_PATH_MAX);
    return CONTROL_REFUSED;
}


control_result_t control_kick(const char *socket_path, const char *id,
                              char error[CONTROL_ERROR_SIZE])
{
    char  path[CONTROL_PATH_MAX] = "/control/kick";

    if (!control_add_query(path, "id", id)) {
        return control_too_long(error);
    }

    return control_post(socket_path, path, NULL, error);
}


control_result_t control_revoke(const char *socket_path, uint64_t user, const char *stream,
                                uint64_t key, int64_t at, uint64_t *ended,
                                char error[CONTROL_ERROR_SIZE])
{
    char  path[CONTROL_PATH_MAX] = "/control/revoke";

    *ended = 0;

    if ((user && !control_add_number(path, "user", user))
        || (stream[0] && !control_add_query(path, "stream", stream))
        || (key && !control_add_number(path, "key", key))
        || !control_add_number(path, "at", (uint64_t) at))
    {
        return control_too_long(error);
    }

    return control_post(socket_path, path, ended, error);
}


control_result_t control_record(const char *socket_path, const char *stream, bool on,
                                char error[CONTROL_ERROR_SIZE])
{
    char  path[CONTROL_PATH_MAX] = "/control/record";

    if (!control_add_query(path, "stream", stream) || !control_add_number(path, "on", on)) {
        return control_too_long(error);
    }

    return control_post(socket_path, path, NULL, error);
}


control_result_t control_refresh(const char *socket_path, uint64_t user,
                                 char error[CONTROL_ERROR_SIZE])
{
    char  path[CONTROL_PATH_MAX] = "/control/refresh";

    if (user && !control_add_number(path, "user", user)) {
        return control_too_long(error);
    }

    return control_post(socket_path, path, NULL, error);
}
