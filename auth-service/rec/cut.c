#include "cut.h"
#include "rec_file.h"

#include <string.h>

#define CUT_FILES  500      /* nginx makes a clip of at most 256 */

typedef struct {
    const char  *root;
    int64_t      from;      /* as asked */
    int64_t      to;
    int64_t      key;       /* the last key frame in this file; -1: none yet */
    int64_t      begin;     /* the answer; INT64_MAX: nothing is recorded */
    int64_t      end;
} cut_t;


static void cut_segment(const rec_segment_t *segment, void *data)
{
    cut_t    *cut = data;
    int64_t   end = segment->utc + segment->duration;

    if (!segment->dependent) {
        cut->key = segment->utc;
    }

    if (cut->key == -1 || segment->utc >= cut->to || end <= cut->from) {
        return;
    }

    cut->begin = cut->key < cut->begin ? cut->key : cut->begin;
    cut->end = end > cut->end ? end : cut->end;
}


/* Skips a file that was deleted meanwhile. */
static void cut_file(const store_recording_t *recording, void *data)
{
    cut_t  *cut = data;

    cut->key = -1;
    if (strcmp(recording->format, "mp4") == 0) {
        rec_file_segments(cut->root, recording->file, cut_segment, cut);
    }
}


store_result_t cut_widen(store_t *store, const char *root, const char *app, const char *name,
                         int64_t *from, int64_t *to)
{
    cut_t                    cut = { .root = root, .from = *from, .to = *to, .begin = INT64_MAX,
                                     .end = *to };
    store_result_t           result;
    store_recording_query_t  query = { .app = app, .name = name, .text = "", .from = *from,
                                       .to = *to, .before = INT64_MAX, .most = CUT_FILES };

    result = store_recording_find(store, &query, cut_file, &cut);
    if (result == STORE_OK && cut.begin == INT64_MAX) {
        return STORE_NONE;
    }

    *from = cut.begin;
    *to = cut.end;
    return result;
}
