#ifndef DUOLU_SHARING_H
#define DUOLU_SHARING_H

#include "../store/store.h"

/*
 * A link belongs to the user who made it: it ends when that user may no longer share the stream,
 * whoever else manages it, and also when an owner is disabled.
 */

/* The rights that a user needs to make a link of this kind: to manage, and what it gives. */
unsigned sharing_rights(bool clip);

/* Whether the link's maker may still share the stream. */
store_result_t sharing_allowed(store_t *store, const store_link_t *link, bool *may);

/* Counts the makers, each with a stream, whose links have to end. */
store_result_t sharing_count_orphans(store_t *store, unsigned *count);

/*
 * Ends those links, in the caller's transaction. Calls revoke() for each whose sessions have to
 * end, with the number of its user.
 */
store_result_t sharing_end_orphans(store_t *store, store_id_each revoke, void *data,
                                   unsigned *count);

#endif
