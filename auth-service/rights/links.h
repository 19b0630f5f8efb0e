#ifndef DUOLU_LINKS_H
#define DUOLU_LINKS_H

#include "change.h"

#include <jansson.h>

/*
 * Links show a span of a stream's recordings, or the stream live for a while, without an account.
 * Their viewers are the user TOKEN_LINKS + id to nginx, so one revocation ends them all.
 */
#define LINK_MOST       200                     /* of a stream */
#define LINK_LEAST_S    60                      /* the shortest and the longest lifetime */
#define LINK_LONGEST_S  (30 * 24 * 3600)
#define LINK_CLIP_MS    (6 * 3600 * 1000)       /* as nginx's hub_history_clip_max */

/* Makes the link, whose maker is the actor. STORE_EXISTS: the stream has LINK_MOST. */
store_result_t link_add(change_t *change, const store_link_t *link, char token[SECRET_SIZE],
                        uint64_t *id);
store_result_t link_revoke(change_t *change, const store_link_t *link);

/* Names the user UID of one of nginx's sessions, if that is a link: "link 7". */
void link_name_session(json_t *session, int64_t uid);

/* As the page and duoluctl --json show it: without its token. */
json_t *link_json(const store_link_t *link);

#endif
