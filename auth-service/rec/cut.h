#ifndef DUOLU_CUT_H
#define DUOLU_CUT_H

#include "../store/store.h"

/*
 * Widens a span of a stream's recordings to what can be cut out of them: from the key frame at
 * its begin or before, to the end of the segment that holds its end. Both are unix ms. nginx cuts
 * by the same indexes, so that a clip of the widened span has all of it and nothing else.
 * STORE_NONE: no MP4 was recorded in the span.
 */
store_result_t cut_widen(store_t *store, const char *root, const char *app, const char *name,
                         int64_t *from, int64_t *to);

#endif
