#ifndef DUOLU_RECORD_H
#define DUOLU_RECORD_H

#include "../base/control.h"
#include "../store/store.h"

/*
 * Which streams are recorded. The database says it; nginx learns it when a
 * publisher comes in, when somebody changes it, and from the keeper, which
 * looks for what differs.
 */

/* The rows tell whether it is to be recorded, and whether that was asked for. */
bool record_wanted(const store_stream_t *stream);
bool record_asked(const store_stream_t *stream);

/* Why what was asked for is not done. */
#define RECORD_FULL  "the owner's recordings take all of DUOLU_REC_QUOTA"

/*
 * Tells nginx so. CONTROL_NONE: the stream is not live, and no error; else the
 * keeper goes on telling.
 */
control_result_t record_tell(const char *socket_path, const store_stream_t *stream,
                             char error[CONTROL_ERROR_SIZE]);

/*
 * Tells nginx of each live stream for which it does otherwise. told, an object,
 * holds the names for which that stands in the log already: an nginx that is
 * not to record goes on being told.
 */
void record_compare(store_t *store, const char *socket_path, json_t *told);

#endif
