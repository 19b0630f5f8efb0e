#ifndef DUOLU_SERVICE_H
#define DUOLU_SERVICE_H

#include "backoff.h"
#include "config.h"
#include "fastcgi.h"
#include "rights.h"
#include "store.h"
#include "token.h"

/* What all threads of duolu-auth share. */
typedef struct {
    const config_t   *config;
    token_keys_t      keys;
    backoff_t         by_account;
    backoff_t         by_address;

    /* how many passwords are hashed at once, and how many wait for that */
    pthread_mutex_t   hash_lock;
    pthread_cond_t    hash_free;
    unsigned          hashing;
    unsigned          hash_slots;
    unsigned          hash_waiting;
    unsigned          hash_waiting_most;

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
