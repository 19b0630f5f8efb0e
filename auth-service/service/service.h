#ifndef DUOLU_SERVICE_H
#define DUOLU_SERVICE_H

#include "../limits/backoff.h"
#include "../base/config.h"
#include "../base/fastcgi.h"
#include "../limits/refusals.h"
#include "../rights/rights.h"
#include "../limits/slots.h"
#include "../store/store.h"
#include "../base/token.h"

/* What all threads of duolu-auth share. */
typedef struct {
    const config_t   *config;
    token_keys_t      keys;

    /* failed logins, see api_login.c */
    backoff_t         by_account;       /* of an account, from one address or known browser */
    backoff_t         by_stranger;      /* of an account, by all strangers to it */
    backoff_t         by_address;
    backoff_t         by_network;       /* IPv6 /56 */
    backoff_t         by_site;          /* IPv6 /48 */
    backoff_t         by_name;          /* names that a user grants to and that are not there */
    slots_t           hashing;          /* passwords looked at */

    refusals_t        refusals;

    /* nginx's view of the streams, at most LIVE_AGE_MS old */
    pthread_mutex_t   live_lock;
    json_t           *live;             /* NULL: nginx does not answer */
    int64_t           live_at;
    bool              live_told;        /* its silence is logged once */
} service_t;

/* gate.c: what nginx asks, on the gate socket only */
void gate_handle(FCGX_Request *request, void *store, void *service);

/* api.c: what the page asks, on the api socket only */
void api_handle(FCGX_Request *request, void *store, void *service);

#endif
