#include "control.h"

#include <curl/curl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CONTROL_TIMEOUT_MS  1000L
#define CONTROL_ANSWER_MAX  (16u * 1024 * 1024)

typedef struct {
    char    *data;
    size_t   length;
    size_t   size;
} control_answer_t;


static size_t control_take(char *data, size_t size, size_t count, void *user)
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


json_t *control_status(const char *socket_path, char *error, size_t error_size)
{
    CURL              *curl = curl_easy_init();
    long               status = 0;
    json_t            *root = NULL;
    CURLcode           code;
    json_error_t       problem;
    control_answer_t   answer = { NULL, 0, 0 };

    if (curl == NULL) {
        snprintf(error, error_size, "out of memory");
        return NULL;
    }

    curl_easy_setopt(curl, CURLOPT_URL, "http://control/status");
    curl_easy_setopt(curl, CURLOPT_UNIX_SOCKET_PATH, socket_path);
    curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, CONTROL_TIMEOUT_MS);
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(curl, CURLOPT_PROXY, "");
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, control_take);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, &answer);

    code = curl_easy_perform(curl);
    curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
    curl_easy_cleanup(curl);

    if (code != CURLE_OK) {
        snprintf(error, error_size, "control socket %.200s: %s", socket_path,
                 curl_easy_strerror(code));
    } else if (status != 200) {
        snprintf(error, error_size, "control socket %.200s: answered %ld; expected 200",
                 socket_path, status);
    } else {
        root = json_loadb(answer.data ? answer.data : "", answer.length, 0, &problem);
        if (root == NULL) {
            snprintf(error, error_size, "control socket %.200s: answer is no JSON: %s",
                     socket_path, problem.text);
        }
    }

    free(answer.data);
    return root;
}
