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
    uint64_t  user;             /* 0: a visitor without an account */
    bool      admin;
    bool      disabled;
    uint64_t  owner;            /* of the stream */
    bool      owner_disabled;
    bool      is_public;        /* every user may view */
    unsigned  granted;          /* the rights of all grants that apply */
    bool      is_open;          /* visitors may view, too */
} rights_case_t;

/* The only function that decides about rights. Default deny: a right needs a rule that gives it. */
unsigned rights_decide(const rights_case_t *facts);

/* By the visibility of a stream: private, public, or open, which is public and more. */
bool rights_is_public(const char *visibility);
bool rights_is_open(const char *visibility);

/*
 * The same from rows; the caller has read the stream with this user's id. USER may be a visitor,
 * whose id is 0.
 */
unsigned rights_on_stream(const store_user_t *user, const store_stream_t *stream);

unsigned rights_of_access(const store_access_t *access);

/*
 * Do the keys and grants that this user made as a manager have to end? Those of a
 * disabled owner stay until the owner is enabled again; the gate refuses them meanwhile.
 */
bool rights_orphans(const store_access_t *maker);

static inline bool rights_has_all(unsigned rights, unsigned needed)
{
    return (rights & needed) == needed;
}

#define RIGHTS_TEXT_SIZE  40    /* "publish,view,replay,manage" */

/* Turns "view,replay" into bits; 0 when a word is unknown or there is none. */
unsigned rights_parse(const char *text);
const char *rights_format(unsigned rights, char out[RIGHTS_TEXT_SIZE]);

/* ["publish", "view"] */
json_t *rights_json(unsigned rights);

#endif
