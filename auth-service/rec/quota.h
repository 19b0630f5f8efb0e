#ifndef DUOLU_QUOTA_H
#define DUOLU_QUOTA_H

#include "../base/config.h"
#include "../store/store.h"

/*
 * DUOLU_REC_QUOTA, the share of each owner to whom no admin gave a rec_quota. It
 * deletes nothing: at it, the owner's streams are no longer recorded, until some
 * recordings are deleted or a rec_quota is given. quota_look() finds the owners over
 * it, marks their rows, and logs what has changed.
 */
store_result_t quota_look(store_t *store, const config_t *config);

#endif
