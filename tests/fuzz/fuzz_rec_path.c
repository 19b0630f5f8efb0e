/* rec_path.c: an accepted path or time turns back into the same text. */

#include <assert.h>
#include <string.h>

#include "rec_path.h"


int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char         dir[REC_DIR_MAX], back[REC_DIR_MAX], file[REC_FILE_MAX], utc[UTC_TEXT_MAX];
    size_t       n;
    int64_t      t;
    const char  *text = (const char *) data;

    n = rec_path_dir(dir, text, size);
    if (n) {
        assert(n < REC_DIR_MAX && strlen(dir) == n && dir[0] != '.' && strstr(dir, "/.") == NULL);
        assert(rec_path_stream(back, sizeof(back), dir, n) == size);
        assert(memcmp(back, text, size) == 0);
    }

    n = rec_path_stream(back, sizeof(back), text, size);
    if (n) {
        assert(rec_path_dir(dir, back, n) == size && memcmp(dir, text, size) == 0);
    }

    t = rec_path_utc(text, size, "mp4");
    if (t != -1) {
        assert(rec_path_file(file, t, "mp4") == size && memcmp(file, text, size) == 0);
    }

    t = utc_read(text, size);
    if (t != -1) {
        n = utc_write(utc, t);
        assert(n == 24 && utc_read(utc, n) == t);
    }

    return 0;
}
