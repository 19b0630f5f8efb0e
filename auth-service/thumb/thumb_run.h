#ifndef DUOLU_THUMB_RUN_H
#define DUOLU_THUMB_RUN_H

#include "thumb_jail.h"

#include <stdint.h>

#define THUMB_PICTURE_MAX  (256 * 1024)
#define THUMB_SECONDS      10       /* after that ffmpeg is killed */

/*
 * Has ffmpeg, in the jail, make a JPEG of the first key frame of a video file, SIZE bytes
 * at MEDIA in this FORMAT ("mov" or "flv"). Returns the JPEG's size; on failure returns 0
 * and an error that ends with ffmpeg's last line.
 */
size_t thumb_run(const jail_t *jail, const char *format, const uint8_t *media, size_t size,
                 uint8_t picture[THUMB_PICTURE_MAX], char *error, size_t error_size);

#endif
