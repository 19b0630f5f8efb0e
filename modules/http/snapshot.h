/*
 * A consistent snapshot of the hub, copied in one pass under the zone's mutex.
 * Answers are written from the copy, after the unlock, so that no worker waits for
 * an answer of megabytes.
 */

#ifndef DUOLU_HTTP_SNAPSHOT_H
#define DUOLU_HTTP_SNAPSHOT_H

#include "../hub/hub.h"

typedef struct {
    uint32_t   state;              /* HUB_FREE: an empty slot, all else unset */
    uint32_t   generation;
    uint32_t   name_len;
    u_char     name[HUB_NAME_MAX + 1];
    u_char     address[HUB_ADDRESS_MAX + 1];
    uint64_t   id, uid, session;
    uint32_t   publisher_pid;      /* 0 in grace */
    uint64_t   since_ms;           /* a duration, as window_ms */
    uint64_t   window_ms, window_bytes;
    int64_t    dts;
    uint64_t   bytes_in, bytes_out;
    uint32_t   kbps_in, kbps_out;
    uint32_t   fps_milli, gop_ms, gaps;
    uint16_t   width, height;
    uint8_t    video, audio;
    uint32_t   max_kbps, max_viewers;
    uint32_t   viewers;
    int        outgrown;           /* its GOP exceeds the window: hub_outgrown() */
    uint32_t   by[HUB_PROTOCOLS];  /* sessions; with SNAPSHOT_SESSIONS */
    hub_recording_t  recording;
} snapshot_stream_t;

typedef struct {
    uint32_t            nworkers, workers_max;
    hub_worker_t       *workers;           /* by slot; pid 0: an empty one */
    uint64_t            size;
    uint32_t            nblocks, nfree;
    uint32_t            sessions_max;
    uint64_t            changes;           /* seq of the newest change in it */
    uint64_t            admitted[HUB_PROTOCOLS];
    uint64_t            refused[HUB_REFUSALS];
    uint64_t            bytes_in, bytes_out;       /* since the zone began */
    uint64_t            recorded, record_gaps;
    uint64_t            hls_parts, hls_frames;
    uint32_t            by[HUB_PROTOCOLS];

    uint32_t            nstreams, streams_max;
    snapshot_stream_t  *streams;           /* by slot */
    uint32_t            nsessions;
    hub_session_t      *sessions;
} snapshot_t;

/* With SNAPSHOT_STREAMS there are no sessions, and their counts are missing (`by`,
 * and the bytes of sessions that are still open). */
enum snapshot_scope { SNAPSHOT_STREAMS, SNAPSHOT_SESSIONS };

/* NULL when there is no memory.  Free with snapshot_free(). */
snapshot_t *snapshot_take(hub_t *h, enum snapshot_scope scope);
void snapshot_free(snapshot_t *s);

/* Copies one slot alone.  ROW's state is HUB_FREE when the slot no longer has the
 * stream of GENERATION. */
void snapshot_stream(hub_t *h, uint32_t slot, uint32_t generation,
    snapshot_stream_t *row);

/* The stream a session is on, or NULL. */
const snapshot_stream_t *snapshot_stream_of(const snapshot_t *s,
    const hub_session_t *session);

#endif
