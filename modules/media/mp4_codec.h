/*
 * The name of a track's codec as playlists and pages give it ("avc1.64001f").
 *
 * Source: RFC 6381, 3.3 and 3.4; ISO/IEC 14496-15, annex E (avc1, hvc1).
 *
 * Pure: no allocation, no clock, no logging.
 */

#ifndef DUOLU_MEDIA_MP4_CODEC_H
#define DUOLU_MEDIA_MP4_CODEC_H

#include "mp4_track.h"

#define MP4_CODEC_MAX  64

/* Writes it with a final '\0'.  Returns its length; 0: there is no such track, or its
 * configuration is cut. */
size_t mp4_codec_name(char out[MP4_CODEC_MAX], const mp4_track_t *track);

#endif
