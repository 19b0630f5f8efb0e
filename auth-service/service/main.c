#include "keeper.h"
#include "../base/log.h"
#include "../store/migrate.h"
#include "../api/api_service.h"
#include "gate.h"

#include <curl/curl.h>
#include <mysql.h>
#include <signal.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define MAIN_MIGRATE_S  3600    /* making an index of a large table takes long */

#define MAIN_KEEPERS    (sizeof(main_keepers) / sizeof(main_keepers[0]))
#define MAIN_GRACE_MS   600     /* for requests under way at the end */
#define MAIN_KEEPERS_MS 3000    /* then for the keepers, which write their counts */

static const keeper_work_t *const  main_keepers[] = { &keeper_rights, &keeper_recordings,
                                                      &keeper_audit, &keeper_sessions,
                                                      &keeper_watch, &keeper_webhooks };


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


static bool main_keys(token_keys_t *keys, const config_t *config)
{
    char  error[1024];

    if (!token_keys_create(config->token_keys, error, sizeof(error))
        || !token_keys_load(config->token_keys, keys, error, sizeof(error)))
    {
        log_error("%s", error);
        return false;
    }

    return true;
}


static void *main_gate_begin(void *data)
{
    const gate_service_t  *service = data;

    return store_new(&service->config->dsn);
}


static void *main_api_begin(void *data)
{
    const api_service_t  *service = data;

    return store_new(&service->config->dsn);
}


static void main_store_free(void *store)
{
    store_free(store);
}


static int main_serve(const config_t *config)
{
    int               number;
    char              error[1024];
    bool              clean;
    sigset_t          signals;
    size_t            i, count;
    keeper_t         *keepers[MAIN_KEEPERS + CONFIG_EDGES_MAX];
    fastcgi_pool_t   *gate, *api;
    struct timespec   deadline;

    static token_keys_t    keys;
    static refusals_t      refusals;
    static denials_t       denials;
    static gate_service_t  gate_service;
    static api_service_t   api_service;

    static const fastcgi_work_t  gate_work = { gate_handle, main_gate_begin, main_store_free };
    static const fastcgi_work_t  api_work = { api_handle, main_api_begin, main_store_free };

    /* block before starting threads, so that they inherit it and sigwait() gets the signals */
    signal(SIGPIPE, SIG_IGN);
    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGINT);
    sigaddset(&signals, SIGUSR1);
    pthread_sigmask(SIG_BLOCK, &signals, NULL);
    log_keep_path();

    if (!main_keys(&keys, config)) {
        return 1;
    }

    refusals_init(&refusals);
    denials_init(&denials);
    gate_service = (gate_service_t) { config, &keys, &refusals, &denials };
    api_service_init(&api_service, config, &keys, &refusals, &denials);

    gate = fastcgi_start(config->gate_socket, config->gate_threads, &gate_work, &gate_service,
                         error, sizeof(error));
    if (gate == NULL) {
        log_error("%s", error);
        return 1;
    }

    api = fastcgi_start(config->api_socket, config->api_threads, &api_work, &api_service,
                        error, sizeof(error));
    if (api == NULL) {
        log_error("%s", error);
        fastcgi_stop(gate);
        return 1;
    }

    count = MAIN_KEEPERS + config->edge_count;
    for (i = 0; i < count; i++) {
        keepers[i] = i < MAIN_KEEPERS
                   ? keeper_start(config, &refusals, main_keepers[i], 0)
                   : keeper_start(config, &refusals, &keeper_edge, i - MAIN_KEEPERS);
        if (keepers[i] == NULL) {
            log_error("cannot start a keeper's thread");
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

    /* stop the keepers last: they report the refusals counted until now */
    for (i = 0; i < count; i++) {
        keeper_stop(keepers[i]);
    }
    fastcgi_deadline(&deadline, MAIN_KEEPERS_MS);
    for (i = 0; i < count; i++) {
        clean = keeper_wait(keepers[i], &deadline) && clean;
    }

    if (!clean) {
        /* a thread still waits for a peer: don't free objects that it may use */
        log_warning("duolu-auth leaves requests unanswered after %d ms",
                    MAIN_GRACE_MS + MAIN_KEEPERS_MS);
        _exit(0);
    }

    json_decref(api_service.live);
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

    /* initialise the libraries before starting threads */
    if (sodium_init() < 0 || curl_global_init(CURL_GLOBAL_DEFAULT) != 0
        || mysql_library_init(0, NULL, NULL) != 0 || FCGX_Init() != 0)
    {
        log_error("cannot initialise a library");
        return 1;
    }

    code = migrate ? main_migrate(&config) : main_serve(&config);

    mysql_library_end();
    curl_global_cleanup();
    return code;
}
