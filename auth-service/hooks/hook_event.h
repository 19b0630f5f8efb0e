#ifndef DUOLU_HOOK_EVENT_H
#define DUOLU_HOOK_EVENT_H

#include "hook_rules.h"

#include <jansson.h>

/*
 * Queues an event for the webhooks that want it, in the caller's transaction if there is one.
 * FACTS, which this takes, go into the payload beside id, event and at. OF names the thing that
 * happened: the same event of the same thing has the same id, so that a second one is dropped
 * here or by the receiver. NULL: each is another one.
 */
store_result_t hook_event_add(store_t *store, const char *event, const char *of, json_t *facts);

/* The same for one webhook. */
store_result_t hook_event_add_for(store_t *store, uint64_t webhook, const char *event,
                                  json_t *facts);

/* Queues a test for one webhook, which is sent at once; sets its delivery. */
store_result_t hook_event_test(store_t *store, uint64_t webhook, const char *actor,
                               uint64_t *delivery);

/* Adds stream "live/demo" and its title, if it has one. */
void hook_event_stream(json_t *facts, const char *app, const char *name, const char *title);

#endif
