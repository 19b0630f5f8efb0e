#include "keeper.h"
#include "../base/log.h"
#include "../store/migrate.h"
#include "service.h"

#include <curl/curl.h>
#include <mysql.h>
#include <signal.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define MAIN_MIGRATE_S  3600    /* an index of a large table takes its time */

#define MAIN_KEEPERS    (sizeof(main_keepers) / sizeof(main_keepers[0]))
#define MAIN_GRACE_MS   600     /* for requests under way when told to stop */
#define MAIN_KEEPERS_MS 300     /* and then for the keepers */

static const keeper_work_t *const  main_keepers[] = { &keeper_rights, &keeper_recordings,
                                                      &keeper_audit, &keeper_sessions };

#define MAIN_FORGET_MS  (15 * 60 * 1000)

/* attempts that are free, the first wait, the longest */
static const backoff_rule_t  main_account_rule = { 5, 1000, 60 * 1000, MAIN_FORGET_MS };
static const backoff_rule_t  main_stranger_rule = { 20, 1000, 8 * 1000, MAIN_FORGET_MS };
static const backoff_rule_t  main_address_rule = { 20, 1000, 300 * 1000, MAIN_FORGET_MS };
static const backoff_rule_t  main_network_rule = { 60, 1000, 300 * 1000, MAIN_FORGET_MS };
static const backoff_rule_t  main_site_rule = { 180, 1000, 300 * 1000, MAIN_FORGET_MS };
static const backoff_rule_t  main_name_rule = { 10, 10 * 1000, 600 * 1000, MAIN_FORGET_MS };


static int main_migrate(const config_t *config)
{
    bool      good;
    char      error[1024], server[600];
    store_t  *store = store_new(&config->dsn);
    unsigned  applied = 0;

    dsn_describe(&config->dsn, server, sizeof(server));

    if (store) {
        store_set_patience(store, MAIN_MIGRATE_S);
    }
    good = store && migrate_run(store, config->sql, &applied, error, sizeof(error));
    store_free(store);

    if (!good) {
        log_error("migrate %s: %s", server, store ? error : "out of memory");
        return 1;
    }

    log_info("migrate %s: %u applied, schema up to date", server, applied);
    return 0;
}


/*
 * A hash takes 19 MiB and 40 ms of a core: few of the threads may be at it, about
 * half may wait for that, and a third is left for everything else.
 */
static void main_slots(slots_t *slots, unsigned threads)
{
    unsigned  most = threads / 6 ? threads / 6 : 1;
    unsigned  left = threads / 3 ? threads / 3 : 1;

    slots_init(slots, most, threads > most + left ? threads - most - left : 0);
}


static bool main_prepare(service_t *service, const config_t *config)
{
    char  error[1024];

    memset(service, 0, sizeof(*service));
    service->config = config;

    if (!token_keys_create(config->token_keys, error, sizeof(error))
        || !token_keys_load(config->token_keys, &service->keys, error, sizeof(error)))
    {
        log_error("%s", error);
        return false;
    }

    backoff_init(&service->by_account, &main_account_rule);
    backoff_init(&service->by_stranger, &main_stranger_rule);
    backoff_init(&service->by_address, &main_address_rule);
    backoff_init(&service->by_network, &main_network_rule);
    backoff_init(&service->by_site, &main_site_rule);
    backoff_init(&service->by_name, &main_name_rule);
    main_slots(&service->hashing, config->api_threads);

    refusals_init(&service->refusals);
    pthread_mutex_init(&service->live_lock, NULL);
    return true;
}


static void *main_begin(void *data)
{
    service_t  *service = data;

    return store_new(&service->config->dsn);
}


static void main_end(void *store)
{
    store_free(store);
}


static int main_serve(const config_t *config)
{
    int               number;
    char              error[1024];
    bool              clean;
    sigset_t          signals;
    size_t            i;
    keeper_t         *keepers[MAIN_KEEPERS];
    fastcgi_pool_t   *gate, *api;
    struct timespec   deadline;
    static service_t  service;

    static const fastcgi_work_t  gate_work = { gate_handle, main_begin, main_end };
    static const fastcgi_work_t  api_work = { api_handle, main_begin, main_end };

    /* before the threads, so that they inherit it and only sigwait sees these */
    signal(SIGPIPE, SIG_IGN);
    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGINT);
    sigaddset(&signals, SIGUSR1);
    pthread_sigmask(SIG_BLOCK, &signals, NULL);
    log_keep_path();

    if (!main_prepare(&service, config)) {
        return 1;
    }

    gate = fastcgi_start(config->gate_socket, config->gate_threads, &gate_work, &service,
                         error, sizeof(error));
    if (gate == NULL) {
        log_error("%s", error);
        return 1;
    }

    api = fastcgi_start(config->api_socket, config->api_threads, &api_work, &service,
                        error, sizeof(error));
    if (api == NULL) {
        log_error("%s", error);
        fastcgi_stop(gate);
        return 1;
    }

    for (i = 0; i < MAIN_KEEPERS; i++) {
        keepers[i] = keeper_start(config, &service.refusals, main_keepers[i]);
        if (keepers[i] == NULL) {
            log_error("a keeper's thread does not start");
            fastcgi_stop(gate);
            fastcgi_stop(api);
            return 1;
        }
    }

    log_info("duolu-auth ready: %u threads on %s, %u on %s", config->gate_threads,
             config->gate_socket, config->api_threads, config->api_socket);

    while (sigwait(&signals, &number) == 0 && number == SIGUSR1) {
        log_reopen();
    }
    log_info("duolu-auth stops on signal %d", number);

    fastcgi_stop(gate);
    fastcgi_stop(api);

    fastcgi_deadline(&deadline, MAIN_GRACE_MS);
    clean = fastcgi_wait(gate, &deadline);
    clean = fastcgi_wait(api, &deadline) && clean;

    /* last: they tell what was refused until now */
    for (i = 0; i < MAIN_KEEPERS; i++) {
        keeper_stop(keepers[i]);
    }
    fastcgi_deadline(&deadline, MAIN_KEEPERS_MS);
    for (i = 0; i < MAIN_KEEPERS; i++) {
        clean = keeper_wait(keepers[i], &deadline) && clean;
    }

    if (!clean) {
        /* a thread still waits for a peer: leave without running what it may use */
        log_warning("duolu-auth leaves requests unanswered after %d ms", MAIN_GRACE_MS + MAIN_KEEPERS_MS);
        _exit(0);
    }

    json_decref(service.live);
    return 0;
}


int main(int argc, char **argv)
{
    int              code;
    char             error[1024];
    bool             migrate = argc == 2 && strcmp(argv[1], "--migrate") == 0;
    static config_t  config;

    if (argc > 1 && !migrate) {
        fprintf(stderr, "duolu-auth: \"%s\"; usage: duolu-auth [--migrate]\n", argv[1]);
        return 2;
    }

    if (!config_load(&config, error, sizeof(error))) {
        log_error("%s", error);
        return 2;
    }

    /* the libraries are started before there are threads */
    if (sodium_init() < 0 || curl_global_init(CURL_GLOBAL_DEFAULT) != 0
        || mysql_library_init(0, NULL, NULL) != 0 || FCGX_Init() != 0)
    {
        log_error("a library does not start");
        return 1;
    }

    code = migrate ? main_migrate(&config) : main_serve(&config);

    mysql_library_end();
    curl_global_cleanup();
    return code;
}
