/* flv_walk(): it takes whole tags only, and the same ones in one piece as in
 * many; its findings survive writing and reading onMetaData. */

#include <assert.h>
#include <string.h>

#include "flv_file.h"


int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    size_t             need, done, n;
    flv_meta_t         read;
    flv_walk_t         w, again;
    static uint8_t     out[FLV_META_SIZE];
    static flv_file_t  file, same;

    flv_walk_init(&w, 0, &file);
    done = flv_walk(&w, data, size, &need);
    assert(done <= size && w.at == done);
    assert(need == 0 || need > size - done);
    assert(flv_walk_end(&w) >= 0 && file.keys.n <= FLV_KEYS_MAX);

    flv_walk_init(&again, 0, &same);
    for (n = 0; n < done; ) {
        n += FLV_TAG_HEADER_SIZE;
        n = n < done ? n : done;
        (void) flv_walk(&again, data + again.at, n - again.at, &need);
    }
    assert(again.at == done && flv_walk_end(&again) == flv_walk_end(&w));
    assert(same.keys.n == file.keys.n);
    assert(same.meta.last == file.meta.last && same.meta.video == file.meta.video
           && same.meta.rate == file.meta.rate);

    file.meta.duration = (uint64_t) flv_walk_end(&w);
    file.meta.size = done;
    assert(flv_write_meta(out, &file) == FLV_META_SIZE);
    assert(flv_read_meta(out, &read) == 0);
    assert(read.duration == file.meta.duration && read.size == done);

    /* reads the input itself as onMetaData */
    memcpy(out, data, size < sizeof(out) ? size : sizeof(out));
    (void) flv_read_meta(out, &read);

    return 0;
}
