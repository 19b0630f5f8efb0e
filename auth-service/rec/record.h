#ifndef DUOLU_RECORD_H
#define DUOLU_RECORD_H

#include "../base/control.h"
#include "../store/store.h"

/*
 * Which streams are recorded. The database decides; nginx learns it when a publisher
 * connects, when a user changes it, and from the keeper, which corrects differences.
 */

/* Whether the stream is to be recorded; record_asked() leaves the owner's quota aside. */
bool record_wanted(const store_stream_t *stream);
bool record_asked(const store_stream_t *stream);

/* The reason why a wanted recording does not run. */
#define RECORD_FULL  "the owner's recordings take all of DUOLU_REC_QUOTA"

/*
 * Tells nginx whether to record the stream. CONTROL_NONE: it is not live, which is no
 * error. After a failure the keeper tries again.
 */
control_result_t record_tell(const char *socket_path, const store_stream_t *stream,
                             char error[CONTROL_ERROR_SIZE]);

/*
 * Corrects nginx for each live stream whose recording differs from the rows. told, an
 * object, holds the names already logged: nginx may go on differing when it is set not
 * to record.
 */
void record_compare(store_t *store, const char *socket_path, json_t *told);

#endif
