#include "links.h"
#include "sharing.h"
#include "../base/token.h"


typedef struct {
    const store_link_t  *link;
    char                *token;         /* out */
    uint64_t             id;
} link_change_t;


static store_result_t link_insert(store_t *store, uint64_t actor, void *data, uint64_t *revoked)
{
    store_link_t     link;
    unsigned char    hash[KEY_HASH_BYTES];
    link_change_t   *change = data;
    store_result_t   result = store_link_room(store, change->link->stream, LINK_MOST);

    (void) revoked;
    if (result != STORE_OK) {
        return result;
    }

    link = *change->link;
    link.maker = actor;
    password_random(change->token, SECRET_SIZE, 16);
    password_fingerprint(change->token, hash);

    return store_link_add(store, &link, hash, &change->id);
}


store_result_t link_add(change_t *change, const store_link_t *link, char token[SECRET_SIZE],
                        uint64_t *id)
{
    link_change_t   own = { link, token, 0 };
    change_rows_t   rows = { link->stream, sharing_rights(link->clip), link_insert, &own };
    store_result_t  result = change_rows(change, &rows);

    *id = own.id;
    return result;
}


/* A link that nobody has opened has given no tokens: it needs no revocation. */
static store_result_t link_close(store_t *store, uint64_t actor, void *data, uint64_t *revoked)
{
    store_link_t     link;
    link_change_t   *change = data;
    store_result_t   result = store_link_revoke(store, change->link->stream, change->link->id);

    (void) actor;
    if (result == STORE_OK) {
        result = store_link_by_id(store, change->link->id, &link);
    }
    if (result == STORE_OK && link.views) {
        *revoked = TOKEN_LINKS + link.id;
    }

    return result;
}


store_result_t link_revoke(change_t *change, const store_link_t *link)
{
    link_change_t  own = { .link = link };
    change_rows_t  rows = { link->stream, 0, link_close, &own };

    return change_rows(change, &rows);
}


void link_name_session(json_t *session, int64_t uid)
{
    long long  link = uid - (int64_t) TOKEN_LINKS;

    if (link > 0) {
        json_object_set_new(session, "user", json_sprintf("link %lld", link));
    }
}


json_t *link_json(const store_link_t *link)
{
    return json_pack("{sI ss sI sI sI ss sb sI ss* sb}", "id", (json_int_t) link->id,
        "kind", link->clip ? "clip" : "live", "from", (json_int_t) link->from,
        "to", (json_int_t) link->to, "expires", (json_int_t) link->expires,
        "label", link->label, "password", link->password_hash[0] != '\0',
        "views", (json_int_t) link->views, "by", link->maker_name[0] ? link->maker_name : NULL,
        "over", link->over);
}
