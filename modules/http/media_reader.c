#include "media_reader.h"

#define MEDIA_READ      4096         /* most moof boxes are shorter */
#define MEDIA_MOOF_MAX  (1024 * 1024)


int
media_read(media_reader_t *m, const char *file, int fd, uint8_t *p, size_t size,
    uint64_t offset)
{
    ssize_t  n;

    while (size) {
        n = pread(fd, p, size, (off_t) offset);

        if (n == -1 && errno == EINTR) {
            continue;
        }

        if (n <= 0) {
            history_fail(m->history, NGX_HTTP_INTERNAL_SERVER_ERROR,
                         "cannot read %s at %llu: %s", file,
                         (unsigned long long) offset,
                         n == 0 ? "it ends there" : strerror(errno));
            return -1;
        }

        p += n;
        size -= (size_t) n;
        offset += (uint64_t) n;
    }

    return 0;
}


int
media_broken(media_reader_t *m, const char *file, uint64_t offset)
{
    history_fail(m->history, m->guess ? NGX_HTTP_NOT_FOUND
                                      : NGX_HTTP_INTERNAL_SERVER_ERROR,
                 "%s has no valid fragment at %llu%s", file,
                 (unsigned long long) offset,
                 m->guess ? "" : ", where its index says so");
    return -1;
}


int
media_no_memory(history_t *h)
{
    history_fail(h, NGX_HTTP_INTERNAL_SERVER_ERROR, "no memory");
    return -1;
}


/* Reads SIZE bytes at OFFSET, all before END, into m->box.  Returns 0 or -1. */
static int
read_box(media_reader_t *m, const char *file, int fd, uint64_t offset,
    uint64_t end, size_t size)
{
    uint8_t  *more;

    if (size > MEDIA_MOOF_MAX || size > end - offset) {
        return media_broken(m, file, offset);
    }

    if (size > m->box_size) {
        more = realloc(m->box, size);
        if (more == NULL) {
            return media_no_memory(m->history);
        }
        m->box = more;
        m->box_size = size;
    }

    return media_read(m, file, fd, m->box, size, offset);
}


uint64_t
media_fragment(media_reader_t *m, const char *file, int fd, uint64_t offset,
    uint64_t end, mp4_fragment_t *fragment)
{
    size_t     got = ngx_min((uint64_t) MEDIA_READ, end - offset), need;
    mp4_box_t  moof, mdat;

    if (m->samples == NULL) {
        m->samples = malloc(MEDIA_SAMPLES * sizeof(mp4_sample_t));
        if (m->samples == NULL) {
            (void) media_no_memory(m->history);
            return 0;
        }
    }

    if (read_box(m, file, fd, offset, end, got) != 0) {
        return 0;
    }

    if (mp4_read_box(m->box, got, &moof) != 0 || moof.size > MEDIA_MOOF_MAX) {
        (void) media_broken(m, file, offset);
        return 0;
    }

    need = (size_t) moof.size + 8;

    if (need > got && read_box(m, file, fd, offset, end, need) != 0) {
        return 0;
    }

    if (need > end - offset
        || mp4_read_fragment(m->box, (size_t) moof.size, fragment, m->samples,
                             MEDIA_SAMPLES) != 0
        || mp4_read_box(m->box + moof.size, 8, &mdat) != 0
        || mdat.type != MP4_BOX('m', 'd', 'a', 't')
        || mdat.size != 8 + fragment->data
        || offset + moof.size + mdat.size > end)
    {
        (void) media_broken(m, file, offset);
        return 0;
    }

    return offset + need;
}


void
media_free(media_reader_t *m)
{
    free(m->samples);
    free(m->box);
    m->samples = NULL;
    m->box = NULL;
}
