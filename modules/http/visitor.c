#include "visitor.h"

#include <ngx_md5.h>


uint64_t
visitor_hash(ngx_http_request_t *r, const u_char *token, size_t len)
{
    u_char            digest[16];
    uint64_t          visitor;
    ngx_md5_t         md5;
    ngx_str_t        *address = &r->connection->addr_text;
    ngx_table_elt_t  *agent = r->headers_in.user_agent;

    ngx_md5_init(&md5);
    ngx_md5_update(&md5, token, len);
    ngx_md5_update(&md5, " ", 1);
    ngx_md5_update(&md5, address->data, address->len);
    ngx_md5_update(&md5, " ", 1);

    if (agent) {
        ngx_md5_update(&md5, agent->value.data, agent->value.len);
    }

    ngx_md5_final(digest, &md5);
    ngx_memcpy(&visitor, digest, sizeof(uint64_t));

    return visitor;
}


enum hub_refusal
visitor_admit(ngx_http_request_t *r, hub_stream_t *s, uint64_t name_hash,
    const access_holder_t *holder, uint64_t visitor, hub_visit_t *visit)
{
    hub_identity_t  identity;

    ngx_memzero(&identity, sizeof(hub_identity_t));
    identity.protocol = HUB_HLS;
    identity.uid = holder->uid;
    identity.issued = holder->issued;
    identity.address = r->connection->addr_text;
    identity.name_hash = name_hash;

    return hub_visit(hub, &identity, s, visitor, visit);
}
