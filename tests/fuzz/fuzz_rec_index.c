/* rec_index_next(): segments read from any text read the same after the writer
 * has written them. */

#include <assert.h>
#include <string.h>

#include "rec_index.h"


int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    int            rc;
    char           text[REC_HEAD_MAX + REC_LINES_MAX];
    size_t         n;
    const char    *whole;
    rec_reader_t   r, again;
    rec_segment_t  s, same;

    if (rec_index_open(&r, (const char *) data, size) != 0) {
        return 0;
    }

    assert(r.head.init_size > 0 && strlen(r.head.stream) <= REC_STREAM_MAX);

    for ( ;; ) {
        whole = r.whole;
        rc = rec_index_next(&r, &s);
        assert(r.whole >= whole && r.whole <= r.last && r.whole[-1] == '\n');

        if (rc != 1) {
            break;
        }

        n = rec_index_head(text, &r.head, "f.mp4");
        n += rec_index_segment(text + n, &s, "f.mp4");
        assert(rec_index_open(&again, text, n) == 0);
        again.utc = s.utc;
        assert(rec_index_next(&again, &same) == 1);
        assert(same.duration == s.duration && same.offset == s.offset
               && same.size == s.size && same.gap == s.gap
               && same.dependent == s.dependent && again.whole == text + n);
        assert(same.utc == s.utc || s.utc > 253402300799999);
    }

    return 0;
}
