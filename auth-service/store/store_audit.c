#include "store_core.h"

#include <stdio.h>

#define AUDIT_TEXT_MAX  200


/*
 * Makes a stranger's text fit to store: replaces every byte that is neither printable
 * ASCII nor part of valid UTF-8 by '?', and cuts the end between characters.
 */
static const char *audit_text(char *out, size_t size, const char *text)
{
    size_t          used;
    unsigned char  *p;

    snprintf(out, size, "%s", text ? text : "");

    for (p = (unsigned char *) out; *p; p++) {
        if (*p < 0x20 || *p == 0x7f) {
            *p = '?';
        }
    }

    used = (size_t) ((char *) p - out);
    if (name_utf8_valid(out)) {
        return out;
    }

    /* snprintf() may have cut the last character in two */
    while (used > 0 && ((unsigned char) out[used - 1] & 0xc0) == 0x80) {
        out[--used] = '\0';
    }
    if (used > 0 && (unsigned char) out[used - 1] >= 0xc0) {
        out[--used] = '\0';
    }
    if (name_utf8_valid(out)) {
        return out;
    }

    for (p = (unsigned char *) out; *p; p++) {
        if (*p >= 0x80) {
            *p = '?';
        }
    }

    return out;
}


store_result_t store_audit_add(store_t *store, const store_audit_t *row)
{
    static const char  sql[] =
        "INSERT INTO audit (actor, action, outcome, target, address, reason) "
        "VALUES (?, ?, ?, ?, ?, ?)";

    char           actor[64], action[32], target[AUDIT_TEXT_MAX], address[46];
    char           reason[AUDIT_TEXT_MAX];
    store_value_t  values[] = {
        store_text(audit_text(actor, sizeof(actor), row->actor)),
        store_text(audit_text(action, sizeof(action), row->action)),
        store_text(row->ok ? "ok" : "denied"),
        store_text(audit_text(target, sizeof(target), row->target)),
        store_text(audit_text(address, sizeof(address), row->address)),
        store_text(audit_text(reason, sizeof(reason), row->reason)),
    };

    return store_execute(store, sql, values, 6, NULL, NULL);
}


store_result_t store_audit_prune(store_t *store, unsigned days, unsigned rows, unsigned most)
{
    static const char  newest[] = "SELECT id FROM audit ORDER BY id DESC LIMIT 1";
    static const char  old[] = "DELETE FROM audit WHERE at < UTC_TIMESTAMP(3) - INTERVAL ? DAY "
                               "ORDER BY at LIMIT ?";
    static const char  many[] = "DELETE FROM audit WHERE id <= ? ORDER BY id LIMIT ?";

    return store_prune(store, &(store_prune_t) { newest, old, many }, days, rows, most);
}
