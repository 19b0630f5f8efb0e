/* Arguments of the page's lists, in the query string and the path. */

#include "api.h"
#include "../../modules/rules/rec_path.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>


static const char *query_of(const api_t *api)
{
    return fastcgi_param(api->request, "QUERY_STRING");
}


bool api_query_time(api_t *api, const char *key, int64_t *ms)
{
    char            text[64];
    query_result_t  given = query_value(query_of(api), key, text, sizeof(text));

    if (given == QUERY_ABSENT || (given == QUERY_FOUND && text[0] == '\0')) {
        return true;
    }

    *ms = given == QUERY_FOUND ? utc_read(text, strlen(text)) : -1;
    if (*ms < 0) {
        api_error(api, 400, "bad_request", "\"%s\" is not a time; expected RFC 3339, or "
                  "milliseconds or seconds since 1970.", key);
        return false;
    }

    return true;
}


bool api_query_limit(api_t *api, unsigned otherwise, unsigned most, unsigned *limit)
{
    char            text[16], *end;
    query_result_t  given = query_value(query_of(api), "limit", text, sizeof(text));

    *limit = otherwise;
    if (given == QUERY_ABSENT) {
        return true;
    }

    *limit = given == QUERY_FOUND && text[0] >= '0' && text[0] <= '9'
             ? (unsigned) strtoul(text, &end, 10) : 0;
    if (*limit == 0 || *limit > most || *end) {
        api_error(api, 400, "bad_request", "\"limit\" is not a number from 1 to %u.", most);
        return false;
    }

    return true;
}


bool api_query_before(api_t *api, int64_t *before, uint64_t *before_id)
{
    int              used = 0;
    char             text[48];
    long long        ms;
    query_result_t   given = query_value(query_of(api), "before", text, sizeof(text));

    *before = INT64_MAX;
    if (given == QUERY_ABSENT) {
        return true;
    }

    if (given != QUERY_FOUND
        || sscanf(text, "%15lld-%19" SCNu64 "%n", &ms, before_id, &used) != 2
        || text[used] || ms < 0)
    {
        api_error(api, 400, "bad_request", "\"before\" is not the \"next\" of an earlier answer.");
        return false;
    }

    *before = ms;
    return true;
}


/* HTML forms encode a space as '+'. */
bool api_query_text(api_t *api, const char *key, char *text, size_t size)
{
    char            *copy = strdup(query_of(api)), *p;
    query_result_t   given = QUERY_BAD;

    text[0] = '\0';

    if (copy) {
        for (p = copy; *p; p++) {
            *p = *p == '+' ? ' ' : *p;
        }
        given = query_value(copy, key, text, size);
        free(copy);
    }

    if (given == QUERY_BAD || !name_utf8_valid(text)) {
        api_error(api, 400, "bad_request", "\"%s\" is not a text of at most %zu bytes.", key,
                  size - 1);
        return false;
    }

    return true;
}


bool api_part_id(const api_t *api, size_t part, uint64_t *id)
{
    char        *end;
    const char  *text = api->parts[part];

    *id = strtoull(text, &end, 10);
    return text[0] >= '0' && text[0] <= '9' && *end == '\0';
}
