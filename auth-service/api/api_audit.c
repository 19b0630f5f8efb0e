/* The audit for the page: rows that match a filter, newest first. */

#include "api.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define AUDIT_DEFAULT  100
#define AUDIT_MAX      500
#define AUDIT_TEXT     201      /* bytes of a text to compare with, and NUL */


static void audit_collect(const store_audit_row_t *row, void *data)
{
    json_array_append_new(data, json_pack("{sI sI ss ss ss ss ss ss}", "id",
                          (json_int_t) row->id, "at", (json_int_t) row->at, "actor", row->actor,
                          "action", row->action, "outcome", row->outcome, "target", row->target,
                          "address", row->address, "reason", row->reason));
}


static void audit_collect_word(const char *text, void *data)
{
    json_array_append_new(data, json_string(text));
}


static bool audit_outcome_valid(api_t *api, const char *outcome)
{
    if (outcome[0] == '\0' || strcmp(outcome, "ok") == 0 || strcmp(outcome, "denied") == 0) {
        return true;
    }

    api_error(api, 400, "bad_request", "\"outcome\" is \"%.40s\"; expected ok or denied.",
              outcome);
    return false;
}


/* With the first page come the actions that the audit has, to choose from. */
static store_result_t audit_add_actions(api_t *api, json_t *body)
{
    json_t          *actions = json_array();
    store_result_t   result = store_audit_actions(api->store, audit_collect_word, actions);

    json_object_set_new(body, "actions", actions);
    return result;
}


static void audit_reply(api_t *api, store_audit_query_t *query)
{
    bool             more, first = query->before == INT64_MAX;
    char             next[48];
    json_t          *rows = json_array(), *body = json_pack("{so}", "rows", rows);
    store_result_t   result = store_audit_find(api->store, query, audit_collect, rows, &more);

    if (result == STORE_OK && first) {
        result = audit_add_actions(api, body);
    }
    if (result != STORE_OK) {
        json_decref(body);
        api_store_error(api, result, "audit");
        return;
    }

    json_object_set_new(body, "more", json_boolean(more));
    if (more) {
        snprintf(next, sizeof(next), "%" PRId64 "-%" PRIu64, query->before, query->before_id);
        json_object_set_new(body, "next", json_string(next));
    }
    api_reply(api, body);
}


void api_audit_list(api_t *api)
{
    char                 actor[AUDIT_TEXT], action[AUDIT_TEXT], outcome[AUDIT_TEXT];
    char                 target[4 * AUDIT_TEXT], text[AUDIT_TEXT];
    store_audit_query_t  query = { .actor = actor, .action = action, .outcome = outcome,
                                   .target = target, .text = text, .to = INT64_MAX };

    if (api_query_text(api, "actor", actor, sizeof(actor))
        && api_query_text(api, "action", action, sizeof(action))
        && api_query_text(api, "outcome", outcome, sizeof(outcome))
        && api_query_text(api, "target", target, sizeof(target))
        && api_query_text(api, "q", text, sizeof(text))
        && audit_outcome_valid(api, outcome)
        && api_query_time(api, "from", &query.from) && api_query_time(api, "to", &query.to)
        && api_query_before(api, &query.before, &query.before_id)
        && api_query_limit(api, AUDIT_DEFAULT, AUDIT_MAX, &query.most))
    {
        audit_reply(api, &query);
    }
}
