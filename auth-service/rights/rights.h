#ifndef DUOLU_RIGHTS_H
#define DUOLU_RIGHTS_H

#include "../store/store.h"

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The bits are those of the SET column grants.rights, in its order. */
typedef enum {
    RIGHT_PUBLISH = 1,
    RIGHT_VIEW    = 2,
    RIGHT_REPLAY  = 4,
    RIGHT_MANAGE  = 8,
    RIGHTS_ALL    = 15
} right_t;

typedef struct {
    uint64_t  user;
    bool      admin;
    bool      disabled;
    uint64_t  owner;            /* the stream's */
    bool      owner_disabled;
    bool      is_public;
    unsigned  granted;          /* all grants that apply, joined */
} rights_case_t;

/* The one place that decides. Default deny: what no rule gives is not given. */
unsigned rights_decide(const rights_case_t *the);

/* The same for rows as read: the stream was asked for with this user. */
unsigned rights_on_stream(const store_user_t *user, const store_stream_t *stream);

unsigned rights_of_access(const store_access_t *access);

/*
 * Whether what this user made by managing the stream has to end. An owner who
 * is disabled may come back to the own keys: the gate refuses them until then.
 */
bool rights_orphans(const store_access_t *maker);

#define RIGHTS_TEXT_SIZE  40    /* "publish,view,replay,manage" */

/* "view,replay" into bits; 0 when a word is unknown or there is none */
unsigned rights_parse(const char *text);
const char *rights_format(unsigned rights, char out[RIGHTS_TEXT_SIZE]);

/* ["publish", "view"] */
json_t *rights_json(unsigned rights);

#endif
