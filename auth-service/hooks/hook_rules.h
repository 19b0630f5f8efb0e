#ifndef DUOLU_HOOK_RULES_H
#define DUOLU_HOOK_RULES_H

#include "../store/store_webhook.h"

/* Rules of webhooks without I/O: their events, addresses, signatures and pauses. */

#define HOOK_PUBLISHED  "published"
#define HOOK_ENDED      "ended"
#define HOOK_GAP        "gap"
#define HOOK_RECORDED   "recorded"
#define HOOK_DISK       "disk_alarm"
#define HOOK_LOGIN      "login_refused"
#define HOOK_OFFLINE    "phone_offline"
#define HOOK_TEST       "test"

/* The events that a webhook may ask for, in the order of the table's SET. */
#define HOOK_EVENTS     7
extern const char *const  hook_events[HOOK_EVENTS];

#define HOOK_EVENTS_RULE  "at least one of published, ended, gap, recorded, disk_alarm, " \
                          "login_refused, phone_offline"
bool hook_event_known(const char *event);
/* Checks a list "published,ended". */
bool hook_events_valid(const char *events);

#define HOOK_OFFLINE_DEFAULT  5
#define HOOK_OFFLINE_MAX      10080     /* minutes, a week */
#define HOOK_OFFLINE_RULE     "1 to 10080 minutes"

#define HOOK_URL_RULE  "https://HOST[:PORT][/PATH], or http:// to a loopback or private " \
                       "address, at most 500 bytes, without user, password and fragment"
/*
 * Checks the text of an address. Whether a http:// address leads into the own network is checked
 * when it is known, at each delivery: see hook_address_private().
 */
bool hook_url_valid(const char *url);

/* The settings that a request or a command line gives. */
typedef struct {
    store_webhook_set_t  set;
    char                 events[WEBHOOK_EVENTS_SIZE];
    uint64_t             enabled;
    uint64_t             offline_minutes;
} hook_form_t;

/* Sets what a new webhook has if it is not given: all events, enabled. */
void hook_form_default(hook_form_t *form);

/* Makes the secret that signs. */
void hook_secret(char secret[SECRET_SIZE]);

/*
 * Writes "ID HOST", as logs and the audit name the webhook: the path of an address may be a
 * secret.
 */
#define HOOK_NAME_SIZE  280
const char *hook_name(uint64_t id, const char *url, char out[HOOK_NAME_SIZE]);

/*
 * Is this the text of a loopback or private address, IPv4 or IPv6? A link-local one is neither:
 * clouds serve secrets of the machine there.
 */
bool hook_address_private(const char *address);

/* "t=SECONDS,v1=HEX": HMAC-SHA256 of "SECONDS.BODY" with the text of the secret as the key. */
#define HOOK_SIGNATURE_SIZE  96
void hook_sign(char out[HOOK_SIGNATURE_SIZE], const char *secret, int64_t now,
               const char *body);

/*
 * The pause after the try of this number (from 0): 10 s, doubled up to 1 h. Returns 0 when the
 * event has waited for 24 hours: it is dead.
 */
unsigned hook_pause(unsigned tries, uint64_t age_s);

#endif
