/* hls_name.c: each file has one name, and a refused query gets a readable sentence. */

#include <assert.h>
#include <string.h>

#include "hls_name.h"

#define STREAM_MOST  161


int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_name(const uint8_t *data, size_t size)
{
    char        back[HLS_NAME_MAX];
    size_t      len;
    hls_name_t  n;

    if (!hls_name_read(&n, data, size, STREAM_MOST)) {
        return;
    }

    assert(n.path.stream_len <= STREAM_MOST);
    assert(n.path.stream >= data && n.path.stream + n.path.stream_len < data + size);
    assert(n.path.token == data && n.path.token_len < size);
    assert(memchr(n.path.token, '/', n.path.token_len) == NULL);

    len = hls_name_write(back, n.file, n.session, n.number, n.part);
    assert(len == strlen(back) && len < HLS_NAME_MAX);

    if (n.file != HLS_NO_FILE) {
        assert(len < size && data[size - len - 1] == '/');
        assert(memcmp(data + size - len, back, len) == 0);
    }
}


static void check_query(const uint8_t *data, size_t size)
{
    char         why[HLS_WHY_MAX];
    size_t       i;
    hls_query_t  q;

    if (hls_query_read(&q, data, size, why)) {
        assert(why[0] == '\0' && (q.has_msn || !q.has_part));
        assert(q.msn <= INT64_MAX && q.part <= INT64_MAX && q.window <= HLS_WINDOW_MAX);
        return;
    }

    assert(strlen(why) > 0 && strlen(why) < HLS_WHY_MAX - 1);

    for (i = 0; why[i]; i++) {
        assert(why[i] >= ' ' && why[i] < 0x7f);
    }
}


int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    check_name(data, size);
    check_query(data, size);

    return 0;
}
