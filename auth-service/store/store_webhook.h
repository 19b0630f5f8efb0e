#ifndef DUOLU_STORE_WEBHOOK_H
#define DUOLU_STORE_WEBHOOK_H

#include "store.h"

/* Webhooks, the outbox of their events, and the streams as they were seen last. */

#define WEBHOOK_URL_MAX      500    /* bytes */
#define WEBHOOK_EVENTS_SIZE  128    /* "published,ended,..." */
#define WEBHOOK_PAYLOAD_MAX  2000   /* bytes */
#define WEBHOOK_ERROR_SIZE   200
#define WEBHOOK_MOST         20     /* webhooks */
#define WEBHOOK_WAITING      1000   /* events of one kind that wait for one webhook */
#define WEBHOOK_DEAD         200    /* dead letters of one webhook */
#define WEBHOOK_EVENT_ID     32     /* hex digits */

typedef struct {
    uint64_t  id;
    char      url[WEBHOOK_URL_MAX + 1];
    char      events[WEBHOOK_EVENTS_SIZE];
    bool      enabled;
    unsigned  offline_minutes;
    char      maker[NAME_USER_MAX + 1];     /* "": duoluctl, or a user who was deleted */
    uint64_t  waiting;
    uint64_t  dead;
    uint64_t  dropped;
    /* the newest delivery: */
    uint64_t  last_delivery;                /* 0: none */
    char      last_event[32];
    int64_t   last_at;                      /* unix ms */
    unsigned  last_status;                  /* of HTTP, 0: no answer */
    char      last_error[WEBHOOK_ERROR_SIZE * 4 + 1];
    unsigned  last_took_ms;
} store_webhook_t;

typedef void (*store_webhook_each)(const store_webhook_t *webhook, void *data);

/* NULL leaves a setting unchanged; all are set for a new one. */
typedef struct {
    const char      *url;
    const char      *events;
    const uint64_t  *enabled;
    const uint64_t  *offline_minutes;
} store_webhook_set_t;

store_result_t store_webhook_count(store_t *store, uint64_t *count);
store_result_t store_webhook_add(store_t *store, const store_webhook_set_t *set,
                                 const char *secret, uint64_t maker, uint64_t *id);
store_result_t store_webhook_update(store_t *store, uint64_t id, const store_webhook_set_t *set);
store_result_t store_webhook_set_secret(store_t *store, uint64_t id, const char *secret);
store_result_t store_webhook_remove(store_t *store, uint64_t id);
store_result_t store_webhook_get(store_t *store, uint64_t id, store_webhook_t *webhook);
store_result_t store_webhook_list(store_t *store, store_webhook_each each, void *data);
/* STORE_OK: an enabled webhook wants one of these events, "published,ended" */
store_result_t store_webhook_wanted(store_t *store, const char *events);

/* --- the outbox --- */

/*
 * Queues the event for each webhook that wants it and has fewer than `most` of the kind waiting,
 * and counts it as dropped for the others. Idempotent by event_id.
 */
store_result_t store_webhook_event(store_t *store, const char *event, const char *event_id,
                                   const char *payload, unsigned most);
/* queues it for one webhook, even if it does not want it; STORE_EXISTS: it has it already */
store_result_t store_webhook_event_for(store_t *store, uint64_t webhook, const char *event,
                                       const char *event_id, const char *payload);
/* queues a test, which is sent at once and only once; with one waiting, returns that one */
store_result_t store_webhook_test(store_t *store, uint64_t webhook, const char *event_id,
                                  const char *payload, uint64_t *delivery);

typedef struct {
    uint64_t  id;
    uint64_t  webhook;
    bool      test;
    char      event[32];
    char      event_id[WEBHOOK_EVENT_ID + 1];
    char      payload[WEBHOOK_PAYLOAD_MAX + 1];
    char      url[WEBHOOK_URL_MAX + 1];
    char      secret[65];
    unsigned  tries;
    uint64_t  age_s;            /* since it began to wait */
} store_delivery_t;

/* The oldest waiting event of each webhook, if it is due, and the tests. */
store_result_t store_webhook_due(store_t *store, store_delivery_t *rows, size_t most,
                                 size_t *count);

/* The outcome of one try. */
typedef struct {
    unsigned     status;
    const char  *error;         /* "": delivered */
    unsigned     took_ms;
    unsigned     again_s;       /* try again after it; 0: it is dead */
} store_outcome_t;

/* removes, delays or buries the event, and notes the outcome */
store_result_t store_webhook_tried(store_t *store, const store_delivery_t *delivery,
                                   const store_outcome_t *outcome);

typedef struct {
    uint64_t  id;
    char      event[32];
    char      event_id[WEBHOOK_EVENT_ID + 1];
    char      payload[WEBHOOK_PAYLOAD_MAX + 1];
    int64_t   since;            /* when it died, unix ms */
    unsigned  tries;
    unsigned  status;
    char      error[WEBHOOK_ERROR_SIZE * 4 + 1];
} store_dead_t;

typedef void (*store_dead_each)(const store_dead_t *dead, void *data);

/* newest first, those with an id below `before` */
store_result_t store_webhook_dead(store_t *store, uint64_t webhook, uint64_t before,
                                  unsigned most, store_dead_each each, void *data);
/* one dead letter, or with id 0 all: lets them wait again, or deletes them */
store_result_t store_webhook_retry(store_t *store, uint64_t webhook, uint64_t id,
                                   uint64_t *count);
store_result_t store_webhook_forget(store_t *store, uint64_t webhook, uint64_t id,
                                    uint64_t *count);
/* deletes old dead letters, at most `most`; STORE_NONE: there was none */
store_result_t store_webhook_prune(store_t *store, unsigned days, unsigned most);

/* --- the streams as they were seen last --- */

typedef struct {
    uint64_t  stream;
    char      app[NAME_APP_MAX + 1];        /* app, name, title and owner: set when read */
    char      name[NAME_STREAM_MAX + 1];
    char      title[NAME_TITLE_MAX * 4 + 1];
    char      owner[NAME_USER_MAX + 1];
    char      state[16];                    /* live, grace, offline */
    char      session[25];
    int64_t   live;                         /* unix ms */
    int64_t   away;
} store_seen_t;

typedef void (*store_seen_each)(const store_seen_t *seen, void *data);

/* sets app, name, title and owner by the stream's id; STORE_NONE: it was deleted */
store_result_t store_seen_name(store_t *store, store_seen_t *seen);
store_result_t store_seen_put(store_t *store, const store_seen_t *seen);
/* by stream */
store_result_t store_seen_list(store_t *store, store_seen_each each, void *data);
/* forgets all streams and marks */
store_result_t store_seen_clear(store_t *store);

/* a webhook and a stream whose phone has been away for the webhook's offline_minutes */
typedef void (*store_offline_each)(uint64_t webhook, unsigned minutes, const store_seen_t *seen,
                                   void *data);
/* those that became due since the webhook's offline_until */
store_result_t store_seen_offline(store_t *store, int64_t now, store_offline_each each,
                                  void *data);
/* sets offline_until of all webhooks */
store_result_t store_seen_offline_told(store_t *store, int64_t now);

store_result_t store_mark_get(store_t *store, const char *name, bool *set);
store_result_t store_mark_set(store_t *store, const char *name, bool set);

#endif
