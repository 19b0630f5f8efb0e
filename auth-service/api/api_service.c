#include "api_service.h"

#include <string.h>

#define FORGET_MS    (15 * 60 * 1000)
#define HASH_WAIT_S  3      /* after that the answer is "busy" */

/* free attempts, the first wait, the longest wait, when to forget */
static const backoff_rule_t  account_rule = { 5, 1000, 60 * 1000, FORGET_MS };
static const backoff_rule_t  stranger_rule = { 20, 1000, 8 * 1000, FORGET_MS };
static const backoff_rule_t  address_rule = { 20, 1000, 300 * 1000, FORGET_MS };
static const backoff_rule_t  network_rule = { 60, 1000, 300 * 1000, FORGET_MS };
static const backoff_rule_t  site_rule = { 180, 1000, 300 * 1000, FORGET_MS };
static const backoff_rule_t  invite_rule = { 10, 1000, 300 * 1000, FORGET_MS };
static const backoff_rule_t  code_rule = { 5, 1000, 60 * 1000, FORGET_MS };
static const backoff_rule_t  visitor_rule = { 20, 1000, 60 * 1000, FORGET_MS };
static const backoff_rule_t  name_rule = { 10, 10 * 1000, 600 * 1000, FORGET_MS };


/*
 * A hash takes 19 MiB and 40 ms of a core: a sixth of the threads may compute hashes,
 * about half may wait to do so, and a third remains for all other calls.
 */
static void hashing_init(slots_t *slots, unsigned threads)
{
    unsigned      most = threads / 6 ? threads / 6 : 1;
    unsigned      others = threads / 3 ? threads / 3 : 1;
    slots_rule_t  rule = { .slots = most, .wait_s = HASH_WAIT_S,
                           .queue = threads > most + others ? threads - most - others : 0 };

    slots_init(slots, &rule);
}


void api_service_init(api_service_t *service, const config_t *config, const token_keys_t *keys,
                      refusals_t *refusals, denials_t *denials)
{
    memset(service, 0, sizeof(*service));
    service->config = config;
    service->keys = keys;
    service->refusals = refusals;
    service->denials = denials;

    backoff_init(&service->by_account, &account_rule);
    backoff_init(&service->by_stranger, &stranger_rule);
    backoff_init(&service->by_address, &address_rule);
    backoff_init(&service->by_network, &network_rule);
    backoff_init(&service->by_site, &site_rule);
    backoff_init(&service->by_name, &name_rule);
    backoff_init(&service->by_invite, &invite_rule);
    backoff_init(&service->by_code, &code_rule);
    backoff_init(&service->by_visitor, &visitor_rule);
    backoff_init(&service->by_link, &network_rule);
    backoff_init(&service->by_link_password, &account_rule);
    backoff_init(&service->by_link_stranger, &stranger_rule);
    hashing_init(&service->hashing, config->api_threads);

    pthread_mutex_init(&service->live_lock, NULL);
}
