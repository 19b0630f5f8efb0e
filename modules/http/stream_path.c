#include "stream_path.h"

#include <string.h>


int
stream_path_read(stream_path_t *p, const unsigned char *path, size_t len,
    size_t most)
{
    size_t                slashes = 0, first = 0;
    const unsigned char  *at = path, *end = path + len;

    while (at < end && (at = memchr(at, '/', (size_t) (end - at)))) {
        at++;

        if (++slashes == 1) {
            first = (size_t) (at - path);
        }
    }

    if (slashes != 1 && slashes != 2) {
        return 0;
    }

    p->token = path;
    p->token_len = slashes == 2 ? first - 1 : 0;
    p->stream = slashes == 2 ? path + first : path;
    p->stream_len = len - (size_t) (p->stream - path);

    return p->stream_len <= most;
}


int
stream_path_read_end(stream_path_t *p, const unsigned char *path, size_t len,
    size_t most)
{
    size_t  slashes = 0, from = len;

    while (from > 0) {
        slashes += path[from - 1] == '/';

        if (slashes == 3) {
            break;
        }

        from--;
    }

    return stream_path_read(p, path + from, len - from, most) && p->token_len > 0;
}
