#ifndef DUOLU_THUMB_KEPT_H
#define DUOLU_THUMB_KEPT_H

#include "thumb_run.h"

#include <pthread.h>

/*
 * The last picture of each stream, a file APP:NAME, for the time when it is offline. Its
 * first line is the time up to which the stream's rights were void (SINCE) when the picture was
 * made. When that has changed, the stream was revoked or deleted since then, and perhaps
 * another one has its name: then the picture is void, too, and goes.
 */

#define KEPT_FILES_MAX  4000
#define KEPT_BYTES_MAX  (64 * 1024 * 1024)  /* beyond either, the oldest files go */

typedef struct {
    const char       *folder;
    pthread_mutex_t   lock;
    unsigned          written;      /* since the limits were checked */
    bool              failed;       /* and logged */
} kept_t;

void kept_init(kept_t *kept, const char *folder);

/* A failure is logged once. */
void kept_write(kept_t *kept, const char *stream, const char *since, const uint8_t *picture,
                size_t size);

/* Returns the size; 0: there is none. */
size_t kept_read(kept_t *kept, const char *stream, const char *since,
                 uint8_t picture[THUMB_PICTURE_MAX]);

#endif
