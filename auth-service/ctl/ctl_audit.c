/* The audit: rows that match a filter, newest first. */

#include "ctl.h"
#include "../../modules/rules/rec_path.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define AUDIT_DEFAULT  100
#define AUDIT_MAX      100000
#define AUDIT_BATCH    500

typedef struct {
    json_t    *list;            /* NULL: print */
    uint64_t   count;
} audit_out_t;


static void audit_print(const store_audit_row_t *row, void *data)
{
    char          at[UTC_TEXT_MAX];
    audit_out_t  *out = data;

    utc_write(at, row->at);
    out->count++;

    if (out->list) {
        json_array_append_new(out->list, json_pack("{sI ss ss ss ss ss ss ss}",
            "id", (json_int_t) row->id, "at", at, "actor", row->actor, "action", row->action,
            "outcome", row->outcome, "target", row->target, "address", row->address, "reason",
            row->reason));
    } else {
        printf("%s %-6s %s: %s %s%s%s%s%s\n", at, row->outcome,
               row->actor[0] ? row->actor : "-", row->action, row->target,
               row->address[0] ? " from " : "", row->address, row->reason[0] ? ": " : "",
               row->reason);
    }
}


static int audit_time(const char *setting, const char *value, int64_t *ms)
{
    *ms = utc_read(value, strlen(value));
    if (*ms < 0) {
        return ctl_fail(CTL_USAGE, "%s is \"%.40s\"; expected a time such as "
                        "2026-11-29T14:00:00Z", setting, value);
    }

    return CTL_OK;
}


/* Reads one "word=value" of the command line. */
static int audit_setting(store_audit_query_t *query, uint64_t *limit, const char *setting)
{
    size_t       i, length = strcspn(setting, "=");
    const char  *value = setting + length + 1;

    struct { const char *word; const char **text; }  texts[] = {
        { "actor", &query->actor }, { "action", &query->action },
        { "outcome", &query->outcome }, { "target", &query->target }, { "text", &query->text }
    };

    if (setting[length]) {
        for (i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
            if (strlen(texts[i].word) == length
                && strncmp(texts[i].word, setting, length) == 0)
            {
                *texts[i].text = value;
                return CTL_OK;
            }
        }
        if (strncmp(setting, "from=", 5) == 0) {
            return audit_time("from", value, &query->from);
        }
        if (strncmp(setting, "to=", 3) == 0) {
            return audit_time("to", value, &query->to);
        }
        if (strncmp(setting, "limit=", 6) == 0) {
            return ctl_set_number("limit", value, limit);
        }
    }

    return ctl_fail(CTL_USAGE, "filter \"%.60s\"; expected actor=, action=, outcome=ok or "
                    "denied, target=, text=, from=, to= or limit=", setting);
}


int ctl_audit_list(ctl_t *ctl)
{
    int                  code = CTL_OK;
    bool                 more = true;
    size_t               i;
    uint64_t             limit = AUDIT_DEFAULT;
    audit_out_t          out = { NULL, 0 };
    store_result_t       result = STORE_OK;
    store_audit_query_t  query = { "", "", "", "", "", .to = INT64_MAX, .before = INT64_MAX };

    for (i = 0; i < ctl->count && code == CTL_OK; i++) {
        code = audit_setting(&query, &limit, ctl->words[i]);
    }
    if (code != CTL_OK) {
        return code;
    }
    limit = limit == 0 || limit > AUDIT_MAX ? AUDIT_MAX : limit;

    out.list = (ctl->given & OPTION_JSON) ? json_array() : NULL;
    while (more && out.count < limit && result == STORE_OK) {
        query.most = limit - out.count < AUDIT_BATCH ? (unsigned) (limit - out.count)
                                                     : AUDIT_BATCH;
        result = store_audit_find(ctl->store, &query, audit_print, &out, &more);
    }

    if (result != STORE_OK) {
        json_decref(out.list);
        return ctl_store_fail(ctl, result, "audit");
    }

    if (out.list) {
        ctl_print_json(json_pack("{so}", "rows", out.list));
    }
    return CTL_OK;
}
