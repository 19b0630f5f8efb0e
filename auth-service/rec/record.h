#ifndef DUOLU_RECORD_H
#define DUOLU_RECORD_H

#include "../base/control.h"
#include "../store/store.h"

/*
 * The database decides which streams are recorded. nginx learns it when a publisher
 * connects, when a user changes it, and from the keeper, which corrects differences.
 */

/* Should the stream be recorded? record_asked() ignores the owner's quota. */
bool record_wanted(const store_stream_t *stream);
bool record_asked(const store_stream_t *stream);

/* The reason why a recording that was asked for does not run. */
#define RECORD_FULL  "the owner's recordings take all of the setting rec_quota"

/*
 * Tells nginx whether to record the stream. CONTROL_NONE is no failure: the stream is
 * not live. After a failure the keeper tries again.
 */
control_result_t record_tell(const char *socket_path, const store_stream_t *stream,
                             char error[CONTROL_ERROR_SIZE]);

/*
 * Corrects nginx for each live stream whose recording differs from the rows. `logged`
 * holds the names already logged: nginx goes on differing where its configuration does
 * not let it record.
 */
void record_compare(store_t *store, const char *socket_path, json_t *logged);

#endif
