#ifndef DUOLU_QUOTA_H
#define DUOLU_QUOTA_H

#include "../base/config.h"
#include "../store/store.h"

/*
 * The setting rec_quota is the share of each owner without a rec_quota. At the quota nothing is
 * deleted; recording of the owner's streams stops until recordings are deleted or an
 * admin sets a rec_quota. quota_check() finds the owners at their quota, marks their
 * rows, and logs each change.
 */
store_result_t quota_check(store_t *store, const config_t *config, const settings_t *settings);

#endif
