#include "hls_bytes.h"

#include <sys/mman.h>
#include <sys/resource.h>

#define BYTES_FILE_LEAST   (16 * 1024)  /* fewer are copied sooner than sent as a file */
#define BYTES_FILES_SHARE  8            /* of the files that this process may open */

static size_t       bytes_most = HLS_BYTES_MAX;
static size_t       bytes_held;
static ngx_uint_t   bytes_files;        /* of them */
static ngx_queue_t  bytes_offered = { &bytes_offered, &bytes_offered };


/* Adds to what this worker holds, and shows it in its row. */
static void
bytes_count(size_t more)
{
    bytes_held += more;

    if (hub && hub->worker != HUB_NO_SLOT) {
        hub_store(&hub->workers[hub->worker].hls_bytes, bytes_held);
    }
}


static size_t
bytes_size(const hls_bytes_t *bytes)
{
    if (bytes->file == NULL) {
        return sizeof(hls_bytes_t) + bytes->size;
    }

    return sizeof(hls_bytes_t) + sizeof(ngx_file_t)
           + ngx_align(bytes->size, (size_t) getpagesize());
}


void
hls_bytes_limit(size_t most)
{
    bytes_most = most ? most : HLS_BYTES_MAX;
}


size_t
hls_bytes_most(void)
{
    return bytes_most;
}


size_t
hls_bytes_held(void)
{
    return bytes_held;
}


/* Frees offered bytes that no request holds, until SIZE more are allowed. */
static int
bytes_make_room(size_t size)
{
    hls_bytes_t  *bytes;
    ngx_queue_t  *q, *next;

    if (size > bytes_most) {
        return 0;
    }

    for (q = ngx_queue_head(&bytes_offered);
         bytes_held > bytes_most - size
         && q != ngx_queue_sentinel(&bytes_offered);
         q = next)
    {
        next = ngx_queue_next(q);
        bytes = ngx_queue_data(q, hls_bytes_t, queue);

        if (bytes->refs == 1) {
            hls_bytes_drop(bytes->at);
        }
    }

    return bytes_held <= bytes_most - size;
}


/* Connections need the other descriptors. */
static int
bytes_may_open_file(void)
{
    struct rlimit  limit;

    return getrlimit(RLIMIT_NOFILE, &limit) == 0
           && bytes_files < limit.rlim_cur / BYTES_FILES_SHARE;
}


/* Opens a file that exists in memory alone, and maps it to *DATA.  NGX_INVALID_FILE:
 * there is no memory, or no descriptor. */
static ngx_fd_t
bytes_open_file(size_t size, u_char **data)
{
    void      *p;
    ngx_fd_t   fd = memfd_create("duolu-hls", MFD_CLOEXEC);

    if (fd == NGX_INVALID_FILE) {
        return NGX_INVALID_FILE;
    }

    /* its pages must be there: a store into the mapping could not be refused */
    p = fallocate(fd, 0, 0, (off_t) size) == 0
        ? mmap(NULL, size, PROT_READ|PROT_WRITE, MAP_SHARED|MAP_POPULATE, fd, 0)
        : MAP_FAILED;

    if (p == MAP_FAILED) {
        (void) ngx_close_file(fd);
        return NGX_INVALID_FILE;
    }

    *data = p;

    return fd;
}


/* Allocates bytes with MORE behind them.  NULL: there is no memory, or no more is
 * allowed. */
static hls_bytes_t *
bytes_alloc(size_t size, size_t more)
{
    hls_bytes_t  *bytes;

    if (size > SIZE_MAX / 2 || !bytes_make_room(sizeof(hls_bytes_t) + size)) {
        return NULL;
    }

    bytes = ngx_alloc(sizeof(hls_bytes_t) + more, ngx_cycle->log);

    if (bytes) {
        ngx_memzero(bytes, sizeof(hls_bytes_t));
        bytes->refs = 1;
        bytes->size = size;
    }

    return bytes;
}


hls_bytes_t *
hls_bytes_new(size_t size)
{
    hls_bytes_t  *bytes = bytes_alloc(size, size);

    if (bytes) {
        bytes->data = (u_char *) (bytes + 1);
        bytes_count(bytes_size(bytes));
    }

    return bytes;
}


static hls_bytes_t *
bytes_new_file(size_t size)
{
    ngx_file_t   *file;
    hls_bytes_t  *bytes;

    if (size < BYTES_FILE_LEAST || !bytes_may_open_file()) {
        return NULL;
    }

    bytes = bytes_alloc(size, sizeof(ngx_file_t));
    if (bytes == NULL) {
        return NULL;
    }

    file = (ngx_file_t *) (bytes + 1);
    ngx_memzero(file, sizeof(ngx_file_t));
    ngx_str_set(&file->name, "segment of HLS");
    file->log = ngx_cycle->log;
    file->fd = bytes_open_file(size, &bytes->data);

    if (file->fd == NGX_INVALID_FILE) {
        ngx_free(bytes);
        return NULL;
    }

    bytes->file = file;
    bytes_files++;
    bytes_count(bytes_size(bytes));

    return bytes;
}


hls_bytes_t *
hls_bytes_join(hls_bytes_t **bytes, ngx_uint_t n)
{
    u_char       *p;
    size_t        size = 0;
    ngx_uint_t    i;
    hls_bytes_t  *file;

    for (i = 0; i < n; i++) {
        size += bytes[i]->size;
    }

    file = bytes_new_file(size);
    p = file ? file->data : NULL;

    for (i = 0; p && i < n; i++) {
        p = ngx_cpymem(p, bytes[i]->data, bytes[i]->size);
    }

    return file;
}


/* The kernel keeps the pages of the file that a socket has still to send. */
static void
bytes_close_file(const hls_bytes_t *bytes)
{
    (void) munmap(bytes->data, bytes->size);
    (void) ngx_close_file(bytes->file->fd);
    bytes_files--;
}


void
hls_bytes_give(hls_bytes_t *bytes)
{
    if (bytes == NULL || --bytes->refs > 0) {
        return;
    }

    bytes_count(-bytes_size(bytes));

    if (bytes->file) {
        bytes_close_file(bytes);
    }

    ngx_free(bytes);
}


void
hls_bytes_offer(hls_bytes_t *bytes, hls_bytes_t **at)
{
    *at = bytes;
    bytes->at = at;
    ngx_queue_insert_tail(&bytes_offered, &bytes->queue);
}


void
hls_bytes_moved(hls_bytes_t **at)
{
    if (*at) {
        (*at)->at = at;
    }
}


void
hls_bytes_used(hls_bytes_t *bytes)
{
    ngx_queue_remove(&bytes->queue);
    ngx_queue_insert_tail(&bytes_offered, &bytes->queue);
}


void
hls_bytes_drop(hls_bytes_t **at)
{
    hls_bytes_t  *bytes = *at;

    if (bytes == NULL) {
        return;
    }

    *at = NULL;
    bytes->at = NULL;
    ngx_queue_remove(&bytes->queue);
    hls_bytes_give(bytes);
}
