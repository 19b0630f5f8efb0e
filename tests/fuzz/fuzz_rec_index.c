/* rec_index_next() and rec_index_next_live(): segments read from any text read the same
 * after the writer has written them. */

#include <assert.h>
#include <string.h>

#include "rec_index.h"


int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void read_lives(const char *p, const char *last)
{
    char         text[REC_LIVE_MAX], twice[REC_LIVE_MAX];
    size_t       n;
    rec_live_t   live, same;
    const char  *at;

    while (rec_index_next_live(&p, last, &live)) {
        assert(p <= last && p[-1] == '\n' && live.size > 0);

        n = rec_index_live(text, &live);
        at = text;
        assert(n < REC_LIVE_MAX && rec_index_at_live(&at, text + n, &same) == 1);
        assert(at == text + n && rec_index_live(twice, &same) == n);
        assert(memcmp(text, twice, n) == 0);
    }
}


int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    int            rc;
    char           text[REC_HEAD_MAX + REC_LINES_MAX];
    size_t         n;
    const char    *whole;
    rec_reader_t   r, again;
    rec_segment_t  s, same;

    read_lives((const char *) data, (const char *) data + size);

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
