/*
 * Delivers the events of the outbox to the webhooks: for each webhook one at a time and in order,
 * for all webhooks at once, so that one that hangs delays no other. An event leaves the outbox
 * after the receiver has answered 2xx: it may get one twice, if the service was killed in between.
 */

#include "../base/clock.h"
#include "../base/log.h"
#include "../hooks/hook_rules.h"
#include "keeper.h"

#include <curl/curl.h>
#include <inttypes.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#define HOOKS_TURN_MS      400      /* work of one tick */
#define HOOKS_POLL_MS      50
#define HOOKS_CONNECT_MS   5000L
#define HOOKS_ANSWER_MS    10000L   /* for connecting, sending and the whole answer */
#define HOOKS_ANSWER_MAX   65536    /* bytes of an answer */
#define HOOKS_FLIGHTS      (2 * WEBHOOK_MOST)   /* of each webhook an event and a test */
#define HOOKS_PRUNE_TICKS  (60 * 60 * 1000 / KEEPER_TICK_MS)
#define HOOKS_PRUNE_DAYS   30
#define HOOKS_PRUNE_BATCH  500

/* One request, and then its outcome until the database has it. */
typedef struct {
    store_delivery_t     delivery;
    CURL                *curl;
    struct curl_slist   *headers;
    int64_t              began;
    size_t               bytes;                 /* of the answer */
    char                 begin[100];            /* the answer's first bytes */
    char                 refused[64];           /* the address that http:// must not reach */
    char                 error[WEBHOOK_ERROR_SIZE];
    bool                 done;
    store_outcome_t      outcome;
} hooks_flight_t;

typedef struct {
    CURLM             *multi;
    hooks_flight_t    *flights[HOOKS_FLIGHTS];
    store_delivery_t   due[HOOKS_FLIGHTS];
    unsigned           prune_in;
    bool               down;                    /* logged: the database does not answer */
} hooks_t;


/* --- one request --- */

static size_t hooks_receive(char *data, size_t size, size_t count, void *user)
{
    size_t           more = size * count, room;
    hooks_flight_t  *flight = user;

    if (flight->bytes < sizeof(flight->begin) - 1) {
        room = sizeof(flight->begin) - 1 - flight->bytes;
        memcpy(flight->begin + flight->bytes, data, more < room ? more : room);
    }

    flight->bytes += more;
    return flight->bytes > HOOKS_ANSWER_MAX ? 0 : more;
}


/* curl calls it with each address of the host: http:// must not leave the own network. */
static curl_socket_t hooks_socket(void *user, curlsocktype purpose, struct curl_sockaddr *peer)
{
    char             address[64] = "";
    hooks_flight_t  *flight = user;

    (void) purpose;

    if (strncmp(flight->delivery.url, "http://", 7) == 0) {
        getnameinfo(&peer->addr, peer->addrlen, address, sizeof(address), NULL, 0,
                    NI_NUMERICHOST);
        if (!hook_address_private(address)) {
            memcpy(flight->refused, address, sizeof(address));
            return CURL_SOCKET_BAD;
        }
    }

    return socket(peer->family, peer->socktype | SOCK_CLOEXEC, peer->protocol);
}


static bool hooks_header(hooks_flight_t *flight, const char *name, const char *value)
{
    char                text[256];
    struct curl_slist  *list;

    snprintf(text, sizeof(text), "%s: %s", name, value);
    list = curl_slist_append(flight->headers, text);
    if (list) {
        flight->headers = list;
    }
    return list != NULL;
}


static bool hooks_prepare(hooks_flight_t *flight)
{
    char   signature[HOOK_SIGNATURE_SIZE];
    CURL  *curl = flight->curl;

    hook_sign(signature, flight->delivery.secret, (int64_t) time(NULL),
              flight->delivery.payload);

    if (!hooks_header(flight, "Content-Type", "application/json")
        || !hooks_header(flight, "Duolu-Event", flight->delivery.event)
        || !hooks_header(flight, "Duolu-Id", flight->delivery.event_id)
        || !hooks_header(flight, "Duolu-Signature", signature))
    {
        return false;
    }

    curl_easy_setopt(curl, CURLOPT_URL, flight->delivery.url);
    curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(curl, CURLOPT_FOLLOWLOCATION, 0L);
    curl_easy_setopt(curl, CURLOPT_HTTPHEADER, flight->headers);
    curl_easy_setopt(curl, CURLOPT_USERAGENT, "Duolu");
    curl_easy_setopt(curl, CURLOPT_POSTFIELDS, flight->delivery.payload);
    curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT_MS, HOOKS_CONNECT_MS);
    curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, HOOKS_ANSWER_MS);
    curl_easy_setopt(curl, CURLOPT_QUICK_EXIT, 1L);
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(curl, CURLOPT_PROXY, "");
    curl_easy_setopt(curl, CURLOPT_OPENSOCKETFUNCTION, hooks_socket);
    curl_easy_setopt(curl, CURLOPT_OPENSOCKETDATA, flight);
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, hooks_receive);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, flight);
    curl_easy_setopt(curl, CURLOPT_PRIVATE, flight);
    return true;
}


static void hooks_free(hooks_t *state, size_t slot)
{
    hooks_flight_t  *flight = state->flights[slot];

    if (flight->curl) {
        curl_multi_remove_handle(state->multi, flight->curl);
        curl_easy_cleanup(flight->curl);
    }
    curl_slist_free_all(flight->headers);
    free(flight);
    state->flights[slot] = NULL;
}


/* Sends the event, unless one of its webhook is on its way. */
static void hooks_send(hooks_t *state, const store_delivery_t *delivery)
{
    size_t           i, slot = HOOKS_FLIGHTS;
    hooks_flight_t  *flight;

    for (i = 0; i < HOOKS_FLIGHTS; i++) {
        flight = state->flights[i];
        if (flight == NULL) {
            slot = i;
        } else if (flight->delivery.webhook == delivery->webhook
                   && flight->delivery.test == delivery->test)
        {
            return;
        }
    }

    flight = slot < HOOKS_FLIGHTS ? calloc(1, sizeof(*flight)) : NULL;
    if (flight == NULL) {
        return;
    }

    state->flights[slot] = flight;
    flight->delivery = *delivery;
    flight->began = clock_ms();
    flight->curl = curl_easy_init();

    if (flight->curl == NULL || !hooks_prepare(flight)
        || curl_multi_add_handle(state->multi, flight->curl) != CURLM_OK)
    {
        log_error("webhook %" PRIu64 ": out of memory", delivery->webhook);
        hooks_free(state, slot);
    }
}


/* --- its outcome --- */

/* A receiver's text goes into the database and the page: leave printable ASCII. */
static void hooks_clean(char *text)
{
    for (; *text; text++) {
        if (*text < 0x20 || *text > 0x7e) {
            *text = *text == '\n' || *text == '\r' || *text == '\t' ? ' ' : '?';
        }
    }
}


/* Says why the event was not delivered. */
static void hooks_explain(hooks_flight_t *flight, CURLcode code)
{
    char    *error = flight->error;
    char    *location = NULL;
    size_t   size = sizeof(flight->error);
    unsigned status = flight->outcome.status;

    if (flight->refused[0]) {
        snprintf(error, size, "http:// leads to %s, outside the own network; use https://",
                 flight->refused);
    } else if (status >= 300 && status < 400) {
        curl_easy_getinfo(flight->curl, CURLINFO_REDIRECT_URL, &location);
        snprintf(error, size, "answered %u, a redirect, which is not followed: %.100s", status,
                 location ? location : "");
    } else if (status) {
        snprintf(error, size, "answered %u%s%.99s", status, flight->bytes ? ": " : "",
                 flight->begin);
    } else if (code == CURLE_OPERATION_TIMEDOUT) {
        snprintf(error, size, "no answer within %ld s", HOOKS_ANSWER_MS / 1000);
    } else {
        snprintf(error, size, "%s", curl_easy_strerror(code));
    }

    hooks_clean(error);
}


static void hooks_done(hooks_flight_t *flight, CURLcode code)
{
    long                     status = 0;
    const store_delivery_t  *delivery = &flight->delivery;

    curl_easy_getinfo(flight->curl, CURLINFO_RESPONSE_CODE, &status);

    flight->done = true;
    flight->outcome.status = (unsigned) status;
    flight->outcome.took_ms = (unsigned) (clock_ms() - flight->began);
    flight->outcome.error = flight->error;

    /* with 2xx the receiver has it, even if the rest of its answer is late or too long */
    if (status < 200 || status > 299) {
        hooks_explain(flight, code);
        flight->outcome.again_s = hook_pause(delivery->tries, delivery->age_s);
    }
}


static void hooks_log(const hooks_flight_t *flight)
{
    char                     name[HOOK_NAME_SIZE];
    const store_delivery_t  *delivery = &flight->delivery;
    const store_outcome_t   *outcome = &flight->outcome;

    hook_name(delivery->webhook, delivery->url, name);

    if (outcome->error[0] == '\0') {
        if (delivery->tries || delivery->test) {
            log_info("webhook %s took %s at try %u", name, delivery->event,
                     delivery->tries + 1);
        }
    } else if (outcome->again_s == 0 && !delivery->test) {
        log_error("webhook %s: gave up %s %s: %s", name, delivery->event, delivery->event_id,
                  outcome->error);
    } else if (delivery->tries == 0) {
        log_warning("webhook %s: %s: %s", name, delivery->event, outcome->error);
    }
}


/* Returns false when the database does not take the outcome: the flight keeps it. */
static bool hooks_settle(keeper_desk_t *desk, hooks_t *state, size_t slot)
{
    store_result_t   result;
    hooks_flight_t  *flight = state->flights[slot];

    result = store_webhook_tried(desk->store, &flight->delivery, &flight->outcome);
    if (result != STORE_OK && !store_refused_row(desk->store, result)) {
        return false;
    }

    /* the database refuses the row when the webhook was removed meanwhile */
    if (result == STORE_OK) {
        hooks_log(flight);
    }
    hooks_free(state, slot);
    return true;
}


/* --- the turn --- */

/* Returns false when the database does not answer. */
static bool hooks_begin(keeper_desk_t *desk, hooks_t *state)
{
    size_t          i, count;
    store_result_t  result;

    result = store_webhook_due(desk->store, state->due, HOOKS_FLIGHTS, &count);

    if (result != STORE_OK) {
        if (!state->down) {
            log_error("webhooks: database: %s", store_error(desk->store));
        }
        state->down = true;
        return false;
    }

    state->down = false;
    for (i = 0; i < count; i++) {
        hooks_send(state, &state->due[i]);
    }
    return true;
}


static bool hooks_flying(const hooks_t *state)
{
    size_t  i;

    for (i = 0; i < HOOKS_FLIGHTS; i++) {
        if (state->flights[i] && !state->flights[i]->done) {
            return true;
        }
    }

    return false;
}


/* Settles what is done; returns whether a webhook is free for its next event. */
static bool hooks_finish(keeper_desk_t *desk, hooks_t *state)
{
    int              waiting;
    bool             settled = false;
    size_t           i;
    CURLMsg         *message;
    hooks_flight_t  *flight;

    while ((message = curl_multi_info_read(state->multi, &waiting))) {
        if (message->msg == CURLMSG_DONE) {
            curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, (char **) &flight);
            hooks_done(flight, message->data.result);
        }
    }

    for (i = 0; i < HOOKS_FLIGHTS; i++) {
        if (state->flights[i] && state->flights[i]->done) {
            settled = hooks_settle(desk, state, i) || settled;
        }
    }

    return settled;
}


static void hooks_turn(keeper_desk_t *desk, hooks_t *state)
{
    int      running;
    bool     look = true;
    int64_t  until = clock_ms() + HOOKS_TURN_MS;

    hooks_finish(desk, state);

    do {
        if (look && !hooks_begin(desk, state)) {
            return;
        }
        if (!hooks_flying(state)) {
            return;
        }

        curl_multi_perform(state->multi, &running);
        look = hooks_finish(desk, state);
        if (!look) {
            curl_multi_poll(state->multi, NULL, 0, HOOKS_POLL_MS, NULL);
        }
    } while (!atomic_load(&desk->stopping) && clock_ms() < until);
}


static void hooks_tick(keeper_desk_t *desk, void *data)
{
    hooks_t  *state = data;

    if (state->multi == NULL) {
        state->multi = curl_multi_init();
    }
    if (state->multi) {
        hooks_turn(desk, state);
    }

    if (state->prune_in > 0) {
        state->prune_in--;
    } else if (store_webhook_prune(desk->store, HOOKS_PRUNE_DAYS, HOOKS_PRUNE_BATCH)
               != STORE_OK)
    {
        state->prune_in = HOOKS_PRUNE_TICKS;
    }
}


static void hooks_end(keeper_desk_t *desk, void *data)
{
    size_t    i;
    hooks_t  *state = data;

    (void) desk;
    for (i = 0; i < HOOKS_FLIGHTS; i++) {
        if (state->flights[i]) {
            hooks_free(state, i);
        }
    }
    curl_multi_cleanup(state->multi);
}


const keeper_work_t  keeper_webhooks = { sizeof(hooks_t), hooks_tick, hooks_end };
