#ifndef DUOLU_API_SERVICE_H
#define DUOLU_API_SERVICE_H

#include "../base/config.h"
#include "../base/fastcgi.h"
#include "../base/token.h"
#include "../limits/backoff.h"
#include "../limits/denials.h"
#include "../limits/refusals.h"
#include "../limits/slots.h"

#include <jansson.h>

/* All threads that answer the page share this. */
typedef struct {
    const config_t      *config;
    const token_keys_t  *keys;
    refusals_t          *refusals;
    denials_t           *denials;       /* what the gate has refused lately */

    /* failed logins, see api_login.c */
    backoff_t            by_account;    /* per account and address, or known browser */
    backoff_t            by_stranger;   /* per account, of all strangers together */
    backoff_t            by_address;
    backoff_t            by_network;    /* IPv6 /56 */
    backoff_t            by_site;       /* IPv6 /48 */
    backoff_t            by_name;       /* grants to unknown names, per user */
    backoff_t            by_invite;     /* unknown links, per address or IPv6 /56 */
    backoff_t            by_code;       /* wrong codes of the second step, per user */
    backoff_t            by_visitor;    /* names of streams that are not open, per address */

    /* links, see api_link.c */
    backoff_t            by_link;       /* unknown links, per address */
    backoff_t            by_link_password;      /* wrong passwords, per link and address */
    backoff_t            by_link_stranger;      /* the same, of all addresses together */

    slots_t              hashing;       /* for password checks */

    /* nginx's view of the streams, at most LIVE_AGE_MS old */
    pthread_mutex_t      live_lock;
    json_t              *live;          /* NULL at first; empty when nginx does not answer */
    int64_t              live_at;
    bool                 live_logged;     /* it was logged that nginx does not answer */
} api_service_t;

void api_service_init(api_service_t *service, const config_t *config, const token_keys_t *keys,
                      refusals_t *refusals, denials_t *denials);

/* Answers one request of the page; a fastcgi_work_t calls it. */
void api_handle(FCGX_Request *request, void *store, void *service);

#endif
