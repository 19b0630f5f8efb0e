#ifndef DUOLU_QUOTA_H
#define DUOLU_QUOTA_H

#include "../base/config.h"
#include "../store/store.h"

/*
 * DUOLU_REC_QUOTA, the share of each owner without a rec_quota of their own. It
 * deletes nothing: an owner who reaches it is no longer recorded, until recordings
 * are deleted or an admin sets a rec_quota. quota_look() finds the owners over
 * it, marks their rows, and logs each change.
 */
store_result_t quota_look(store_t *store, const config_t *config);

#endif
