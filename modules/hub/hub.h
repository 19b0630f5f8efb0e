/*
 * The hub: live streams in shared memory.  A stream has one writer, and any number
 * of readers in any worker; frames pass without a lock.
 *
 * A stream is an endless row of FLV tags addressed by a 64-bit byte offset;
 * its window [tail, head) lies in fixed blocks from a common pool.  An index, in
 * blocks of the same pool, has one entry per tag.  The writer stores the bytes,
 * then the entry, then releases `head`.  A reader acquires `head`, reads in place,
 * and calls hub_stream_holds() *after* it has used the bytes.
 *
 * Only creating and ending streams, and moving blocks, take the zone's mutex.
 * nginx keeps that mutex for the zone, so the master releases it when a worker
 * dies holding it.
 *
 * Times: dts is the stream's own clock in ms; it starts at 0 and never goes back.
 * Other fields *_ms are ngx_current_msec (monotonic and common to all workers).
 */

#ifndef DUOLU_HUB_H
#define DUOLU_HUB_H

#include "hub_layout.h"


/* --- zone (hub_zone.c) --- */

/* The hub of this process, NULL before a worker is up or without hub_zone. */
extern hub_t  *hub;

/* The hub that CYCLE configures, NULL when it has no hub_zone. */
hub_t *hub_of(const ngx_cycle_t *cycle);

size_t hub_zone_min_size(void);
ngx_int_t hub_zone_init(ngx_shm_zone_t *shm_zone, void *data);

/* The number of slots for workers in a zone of SIZE bytes; old workers of earlier
 * reloads hold slots, too. */
uint32_t hub_zone_workers(size_t size);


/* --- blocks (hub_block.c); the caller holds the mutex --- */

/* Takes a block from the pool.  When that is empty, takes the oldest block of the
 * fullest stream, unless that has fewer than two.  HUB_NO_BLOCK: there is none. */
uint32_t hub_block_take(hub_t *h);

void hub_block_give(hub_t *h, uint32_t block);

/* The stream with the most blocks that can lose one; NULL when no such stream has
 * at least LEAST. */
hub_stream_t *hub_fullest(hub_t *h, uint32_t least);

/* Counts the blocks of S, for hub_fullest(). */
void hub_blocks_count(hub_t *h, const hub_stream_t *s);

/* Takes one more block for the row of S, or for its index.  NGX_DECLINED: S has as
 * many as it may, or no block is free. */
ngx_int_t hub_blocks_grow(hub_t *h, hub_stream_t *s);
ngx_int_t hub_index_grow(hub_t *h, hub_stream_t *s);

/* Gives back the blocks of S before offset TAIL and before entry FIRST. */
void hub_blocks_give(hub_t *h, hub_stream_t *s, uint64_t tail, uint64_t first);


/* --- streams (hub_stream.c) --- */

/* Opens NAME ("app/name", LEN at most HUB_NAME_MAX) for writing, with a
 * session for the publisher; OWNER is the SHA-1 of the credential.  Returns
 * HUB_ADMITTED: *w is ready, w->returned tells whether it continues an earlier
 * stream, and the caller must hub_close() it.  Else returns the reason and counts
 * it. */
enum hub_refusal hub_open(hub_t *h, const u_char *name, size_t len,
    const u_char owner[20], const hub_identity_t *identity, hub_client_t *c,
    hub_end_pt end, void *data, hub_writer_t *w);

/* Closes W: the stream waits for its publisher for the time of hub_grace.  Harmless
 * when another publisher took over. */
void hub_close(hub_t *h, hub_client_t *c, hub_writer_t *w);

/* The slot of stream NAME for its viewers here, as another server has the stream; it
 * lasts while there are some.  NULL: the zone has no room, which is counted. */
#define HUB_CARRY_MS  30000
hub_stream_t *hub_carry(hub_t *h, const u_char *name, size_t len);

/* Asks for a sweep of the streams at MS, or before. */
void hub_due(hub_t *h, uint64_t ms);

/* Removes the writer of S, which then waits for its publisher.  The caller holds
 * the mutex. */
void hub_stream_leave(hub_t *h, hub_stream_t *s);

/* Ends a stream in spite of its publisher and viewers.  Frees its blocks in a sweep when
 * no append is under way and HLS no longer needs them, or now.  The caller holds the
 * mutex. */
void hub_stream_end(hub_t *h, hub_stream_t *s);

/* Frees the blocks and the slot of an ending stream; while an append is under way,
 * leaves that to the next sweep.  The caller holds the mutex. */
void hub_stream_release(hub_t *h, hub_stream_t *s);


/* --- names and slots (hub_name.c) --- */

uint64_t hub_name_hash(const u_char *name, size_t len);

/* The stream NAME, or NULL.  Takes no lock. */
hub_stream_t *hub_find(hub_t *h, const u_char *name, size_t len);

/* Add S to the chain of its name, and remove it; harmless when repeated.  The
 * caller of these and of the next functions holds the mutex. */
void hub_name_link(hub_t *h, const hub_stream_t *s);
void hub_name_unlink(hub_t *h, const hub_stream_t *s);

/* A free slot, or HUB_NO_STREAM. */
uint32_t hub_slot_take(hub_t *h);

/* Adds the slot of S, which is HUB_FREE, to the free list. */
void hub_slot_give(hub_t *h, hub_stream_t *s);

/* Rebuilds the free list: a killed worker may have left a slot in no list. */
void hub_slots_rebuild(hub_t *h);


/* --- the one writer of a stream (hub_writer.c) --- */

#define HUB_INSIDE_BITS  13              /* for HUB_WORKERS_MOST slots, or none */

/* Begins an append.  Returns 0 when W no longer owns the stream and must not touch
 * it. */
int hub_write_begin(const hub_t *h, const hub_writer_t *w);
void hub_write_end(const hub_t *h, const hub_writer_t *w);

/* May W write?  The answer holds while the caller holds the mutex. */
int hub_owns(const hub_writer_t *w);

uint64_t hub_writer_turn(const hub_stream_t *s);

/* Takes S from its writer; an append under way still continues to its end.  The
 * caller of these three holds the mutex. */
void hub_writer_stop(hub_stream_t *s);

/* Is no append to S under way?  One may be waiting for the mutex. */
int hub_writer_is_out(const hub_t *h, hub_stream_t *s);

/* Clears the announcement of an append to S by worker SLOT. */
void hub_writer_leave(hub_stream_t *s, uint32_t slot);


/* --- appending (hub_append.c) --- */

/* Prefetches the memory that the next append will touch.  With many streams none
 * of it is in a cache, and one wait is shorter than ten. */
void hub_append_soon(const hub_client_t *c, const hub_writer_t *w);

/* Appends one tag whose body is the LEN bytes of chain IN.  TIMESTAMP is the
 * publisher's (32 bits, wraps).  Returns NGX_OK; NGX_DONE when this writer
 * no longer owns the stream (taken over or ended); NGX_DECLINED when the frame was
 * dropped because no block was free; NGX_AGAIN when it was dropped because the key
 * frame before it is missing; NGX_ABORT when the tag is larger than
 * hub_stream_max allows; NGX_BUSY when the stream exceeds its max_kbps. */
ngx_int_t hub_append(hub_t *h, hub_writer_t *w, uint8_t type,
    const flv_frame_t *frame, uint32_t timestamp, ngx_chain_t *in, size_t len);

/* Stores LEN bytes of BODY as the current configuration of its kind, and
 * appends sequence headers to the row as a tag (only readers that join need
 * metadata).  Returns the same codes as hub_append().  A header that finds no memory
 * is stored, and hub_append() appends its tag before the next frame that needs it. */
ngx_int_t hub_configure(hub_t *h, hub_writer_t *w, enum hub_config_kind kind,
    const flv_frame_t *frame, const u_char *body, size_t len);

/* Between these calls readers take no configuration. */
void hub_config_begin(hub_stream_t *s);
void hub_config_end(hub_stream_t *s);


/* --- a stream's clock (hub_clock.c) --- */

#define hub_track(type)  ((type) == FLV_AUDIO)

/* Returns the dts of a frame of track KIND that came at NOW with TIMESTAMP (the
 * publisher's, 32 bits), and advances the clock.  Sets w->discontinuity when the
 * publisher's clock jumped. */
int64_t hub_clock_frame(hub_writer_t *w, hub_stream_t *s, int kind,
    uint32_t timestamp, uint64_t now);

/* Returns the dts of a sequence header; does not advance the clock. */
int64_t hub_clock_config(const hub_writer_t *w, const hub_stream_t *s,
    int kind, uint64_t now);


/* --- sessions (hub_session.c) --- */

/* A hash of the household of ADDRESS: of the IPv4 address, or of the /56 of the
 * IPv6 address.  0: ADDRESS is no IP address. */
uint64_t hub_origin(const ngx_str_t *address);

/* Opens a session of the client IDENTITY on stream S (NULL: on none).  Returns
 * HUB_ADMITTED, then the caller must hub_session_close(); else returns the reason and
 * counts it. */
enum hub_refusal hub_session_open(hub_t *h, hub_client_t *c,
    const hub_identity_t *identity, hub_stream_t *s, hub_end_pt end, void *data);

/* MS as a session's `late`. */
#define hub_session_late(ms)  ((uint16_t) ngx_min((ms) / 10, 65535))

/* Harmless when the session is already closed. */
void hub_session_close(hub_t *h, hub_client_t *c);

/* Returns why the session must end, NULL when it need not. */
const char *hub_session_leaves(const hub_client_t *c);

/* Returns a new session id, for callers that need one before the session opens. */
uint64_t hub_session_id(hub_t *h);

/* Asks session ID to leave.  Returns the number of sessions asked. */
uint32_t hub_kick(hub_t *h, uint64_t id);

/* Asks the event streams of UID (0: of all users) to reconnect and have their rights
 * checked again, including those that connect meanwhile. */
uint32_t hub_refresh(hub_t *h, uint64_t uid);

/* Calls end() for this worker's clients that were asked to leave. */
void hub_session_sweep(hub_t *h);

/* Counts a refusal that was decided outside of the hub. */
void hub_refuse(hub_t *h, enum hub_refusal reason);

const char *hub_kick_text(enum hub_kick kick);           /* NULL: HUB_STAYS */
const char *hub_refusal_text(enum hub_refusal reason);   /* a sentence */
const char *hub_refusal_name(enum hub_refusal reason);   /* a word */
const char *hub_protocol_name(enum hub_protocol protocol);
const char *hub_protocol_kind(enum hub_protocol protocol);   /* its purpose */


/* --- sessions of each user and address (hub_count.c); under the mutex --- */

enum hub_count_kind { HUB_COUNT_USER, HUB_COUNT_ADDRESS, HUB_COUNT_PUBLISHER };

/* Adds ROW to the counts of its user and address or, with IN of 0, removes it. */
void hub_counts_row(hub_t *h, const hub_session_t *row, int in);

/* The sessions of the user or address ID: on stream S or, with NULL, in all. */
hub_count_t hub_counts_of(const hub_t *h, enum hub_count_kind kind,
    uint64_t id, const hub_stream_t *s);

/* Forgets all counts. */
void hub_counts_clear(hub_t *h);


/* For the other hub_*.c; their callers hold the mutex for all but the first. */
void hub_sessions_start(void);
enum hub_refusal hub_session_admit(hub_t *h, const hub_identity_t *identity,
    const hub_stream_t *s, uint64_t name_hash);
void hub_session_add(hub_t *h, hub_client_t *c, const hub_identity_t *identity,
    hub_stream_t *s, hub_end_pt end, void *data);

/* Takes a free row for an admitted IDENTITY on S, and fills it, but for the id; counts
 * it and gives it the ID (0: a new one); ends it and gives it back. */
hub_session_t *hub_session_take(hub_t *h, const hub_identity_t *identity,
    const hub_stream_t *s);
void hub_session_begin(hub_t *h, hub_session_t *row, hub_stream_t *s, uint64_t id);
void hub_session_free(hub_t *h, hub_session_t *row);

void hub_sessions_forget(hub_t *h, uint32_t worker);
void hub_session_tell(hub_t *h, hub_session_t *session, enum hub_kick kick);


/* --- the table of revocations (hub_revoked.c) --- */

/* Is a token or session void that was ISSUED at that time to this user, stream and
 * key? */
int hub_revoked(hub_t *h, uint64_t uid, uint64_t stream, uint64_t key,
    int64_t issued);

/* The newest time up to which a revocation voids what this user, stream and key were
 * granted; INT64_MIN: there is none. */
int64_t hub_revoked_until(hub_t *h, uint64_t uid, uint64_t stream, uint64_t key);

/* Does R cover this user, stream and key? */
int hub_revocation_names(const hub_revocation_t *r, uint64_t uid,
    uint64_t stream, uint64_t key);

/* Have both the same user, stream and key? */
int hub_revocation_is_of(const hub_revocation_t *e, const hub_revocation_t *r);

/* Adds R to the table.  The caller holds the mutex. */
hub_revocation_t *hub_revocation_add(hub_t *h, const hub_revocation_t *r);

/* Takes over the table of OLD, the zone that H replaces in a reload.  From then on
 * hub_revoke() on OLD returns NGX_AGAIN.  The master calls it before it starts workers. */
void hub_revocations_inherit(hub_t *h, hub_t *old);


/* --- the file of revocations (hub_kept.c) --- */

/* Reads the file into a new zone. */
ngx_int_t hub_revocations_read(hub_t *h, ngx_log_t *log);

/* Compacts the file, unless it has exactly one line for each entry.  The master calls
 * it at a start. */
void hub_revocations_rewrite(hub_t *h, ngx_log_t *log);

/* Appends R to the file; NAME is its stream's, if it names one.  Compacts the file
 * when it has many more lines than the table has entries. */
ngx_int_t hub_revocation_keep(hub_t *h, const hub_revocation_t *r,
    const ngx_str_t *name, ngx_log_t *log);


/* --- revocations (hub_revoke.c) --- */

/* Applies R: ends the sessions and streams that it covers, refuses later sessions,
 * and appends R to the file of hub_revocations; NAME is its stream's, if it names
 * one.  *ENDED is the number of sessions.  NGX_ERROR: R applies, but could not be
 * written to the file.  NGX_AGAIN: R applies in this zone, but a reload has replaced
 * it by another zone, which does not know R. */
ngx_int_t hub_revoke(hub_t *h, const hub_revocation_t *r,
    const ngx_str_t *name, uint32_t *ended, ngx_log_t *log);


/* --- workers that revocations no longer reach (hub_deaf.c) --- */

/* Remembers the sockets that this worker starts with. */
void hub_deaf_start(void);

/* In a sweep: a draining worker ends its clients when no worker of the zone accepts
 * connections any more.  A worker without a master quits when another process has
 * replaced its sockets. */
void hub_deaf_sweep(hub_t *h, ngx_log_t *log);


/* --- workers (hub_worker.c) --- */

/* Takes a slot for this worker; when all are in use, a later sweep takes one.
 * Without a slot a worker may read the zone, but admits nobody (HUB_NO_WORKER). */
void hub_worker_start(hub_t *h, ngx_log_t *log);
void hub_worker_stop(hub_t *h);

#define HUB_SWEEP_MS  500

/* Moves streams of dead workers to grace, ends streams whose grace is over, and
 * ends the clients of this worker that were asked to leave. */
void hub_sweep(hub_t *h, ngx_log_t *log);


/* --- changes (hub_change.c) --- */

/* Records that S changed to STATE.  The caller holds the mutex. */
void hub_changed(hub_t *h, const hub_stream_t *s, enum hub_state state);

/* Copies at most MAX changes after SINCE to OUT.  Returns their number, or -1
 * when changes after SINCE were lost: the caller must read all streams again. */
int hub_changes(hub_t *h, uint64_t since, hub_change_t *out, int max);


/* --- recordings (hub_record.c) --- */

/* Starts recording the stream NAME from its newest key frame on, or stops it.
 * NGX_DECLINED: there is no such stream. */
ngx_int_t hub_record_want(hub_t *h, const u_char *name, size_t len, int on);

/* The same for S.  The caller holds the mutex. */
void hub_record_set(hub_stream_t *s, int on, uint64_t from);

/* Makes this worker the recorder of stream slot I when the stream is to be recorded
 * and has no recorder.  The publisher's own worker takes precedence; an exiting
 * worker claims nothing that another could.  Returns 1 and fills REF, or 0. */
int hub_record_claim(hub_t *h, uint32_t i, hub_ref_t *ref);

/* Stores the recorder's progress, so that another worker can continue: all of ROW
 * but `wanted`, `worker` and `state`. */
void hub_record_save(hub_t *h, const hub_ref_t *ref,
    const hub_recording_t *row);

/* Stores the KIND of CYCLE's recorders in its zone.  A zone that CYCLE no longer
 * uses has no more recorders.  The master calls it before it starts workers. */
void hub_record_kind(ngx_cycle_t *cycle, uint64_t kind);

/* Does, or will, a worker exist that can continue the file? */
int hub_record_goes_on(hub_t *h, const hub_ref_t *ref);

/* Gives up the recording: ends it if DONE, else another worker continues it. */
void hub_record_release(hub_t *h, const hub_ref_t *ref, int done);

/* Sets the state of the recording.  If it waits for its disk, or did until now,
 * returns the number of streams in the zone that wait for their disks. */
uint32_t hub_record_state(hub_t *h, const hub_ref_t *ref,
    enum hub_record state);

/* Releases the recordings of dead worker SLOT.  The caller holds the mutex. */
void hub_record_forget(hub_t *h, uint32_t slot);

const char *hub_record_name(enum hub_record state);      /* a word */

/* Converts DTS to UTC, in ms since 1970: when a frame of that dts was made, as far as the
 * stream's frames tell by now. */
int64_t hub_stream_utc(const hub_stream_t *s, int64_t dts);


/* --- segments for HLS (hub_cut.c); ../http/hls.md --- */

/* The start of a part, in continuous time: AT is dts minus `skip` of its first entry,
 * BEFORE the start of the part before it.  A segment's first part starts with it.  A part
 * lasts until the next one starts, or the next segment; that can only be more than
 * PART-TARGET (PART_MS + 1) where parts are not listed. */
static ngx_inline int64_t
hub_part_start(uint32_t part_ms, int64_t before, int64_t at)
{
    return ngx_max(before + 1, ngx_min(at, before + (int64_t) part_ms + 1));
}

/* How long the last part of a stream lasts, which begins at START in its last segment
 * RECORD, and whose tracks end at END.  No segment may be longer than TARGETDURATION, and
 * no listed part than PART-TARGET (PART_MS + 1).  PARTS: the list may have them. */
static ngx_inline uint32_t
hub_rest_ms(const hub_segment_t *record, uint32_t target_s, uint32_t part_ms, int parts,
    int64_t start, int64_t end)
{
    int64_t  most = record->start + (int64_t) target_s * 1000 - start;

    if (parts && !record->whole) {
        most = (int64_t) part_ms + 1;
    }

    return (uint32_t) ngx_max(1, ngx_min(end - start, most));
}

/* Copies record NUMBER of the reader's stream.  NGX_OK; NGX_AGAIN: the segment has
 * not begun; NGX_DECLINED: it is too old, or the row is gone.  The segment is
 * complete when the next record exists. */
ngx_int_t hub_segment(const hub_t *h, const hub_reader_t *r, uint64_t number,
    hub_segment_t *segment);

/* The newest record.  NGX_OK; NGX_AGAIN: no segment has begun; NGX_DECLINED: the row is
 * gone. */
ngx_int_t hub_segment_newest(const hub_t *h, const hub_reader_t *r,
    hub_segment_t *segment);

/* Copies the headers of SEGMENT.  NGX_OK; NGX_DECLINED: they are too old or larger than
 * HUB_INIT_MAX, or the row is gone. */
ngx_int_t hub_segment_init(const hub_t *h, const hub_reader_t *r,
    const hub_segment_t *segment, hub_init_t *init);

/* Asks the writer to keep the window that HLS needs for the next HUB_WANTED_MS. */
#define HUB_WANTED_MS  10000
void hub_segments_want(hub_stream_t *s);
int hub_segments_wanted(const hub_stream_t *s);

/* Playlists that reach back into the recording never begin before segment NUMBER again, in
 * no worker: else EXT-X-MEDIA-SEQUENCE went back for a player that comes to another one.
 * Returns the largest NUMBER that any worker has said; 0: none has. */
uint64_t hub_segments_cut(const hub_reader_t *r, uint64_t number);

/* For the writer.  hub_cut_start() begins a new stream.  hub_cut_entry() returns the
 * flags that entry E, which is about to be appended, gets from here; the new head makes
 * its decision valid.  hub_cut_publish() then shows a new segment to the readers. */
void hub_cut_start(const hub_t *h, hub_stream_t *s);
uint8_t hub_cut_entry(const hub_t *h, const hub_writer_t *w, const hub_entry_t *e);
void hub_cut_publish(hub_stream_t *s);

/* The window of S before a frame at DTS, in ms: longer while HLS needs it. */
int64_t hub_segments_window(const hub_t *h, const hub_stream_t *s, int64_t dts);


/* --- viewers that come by single requests (hub_visit.c) --- */

/* One request of a viewer; its session is a row that all workers share.  The caller
 * keeps it as long as the request is held. */
typedef struct {
    hub_t          *hub;
    hub_session_t  *row;
    uint64_t        id;            /* of the session; the row may be another's later */
    uint64_t        visitor;
} hub_visit_t;

/* Finds or opens the session of VISITOR (a hash of token, address and User-Agent) on
 * stream S, and keeps it for HUB_VISIT_MS more.  IDENTITY's protocol is HUB_HLS.
 * Returns HUB_ADMITTED; else the reason, and counts it.  A visitor that was kicked is
 * refused until it has stayed away for that time.  When another stream has got the slot
 * of S meanwhile, the visitor is admitted without a session: VISIT's row is NULL. */
#define HUB_VISIT_MS  12000
enum hub_refusal hub_visit(hub_t *h, const hub_identity_t *identity,
    hub_stream_t *s, uint64_t visitor, hub_visit_t *visit);

/* Adds BYTES to the session's, and keeps it. */
void hub_visit_sent(hub_visit_t *visit, size_t bytes);

/* Why a request that is held must end; NULL: it may wait.  Keeps the session. */
const char *hub_visit_leaves(hub_visit_t *visit);

/* Is the session still there?  It ends with its stream, also while answers are sent. */
int hub_visit_lasts(const hub_visit_t *visit);

/* Links the rows of all visitors anew.  The caller holds the mutex. */
void hub_visits_link(hub_t *h);

/* In a sweep: ends the sessions of all visitors that stay away, or whose stream has
 * ended. */
void hub_visit_sweep(hub_t *h);


/* --- readers (hub_reader.c) --- */

/* Opens a reader of stream NAME; it holds no resources and needs no closing.
 * NGX_DECLINED: there is no such stream. */
ngx_int_t hub_reader_open(hub_t *h, const u_char *name, size_t len,
    hub_reader_t *r);

/* Does the reader's stream still exist? */
int hub_reader_alive(const hub_reader_t *r);

/* Has the hub its row?  It may outlive the stream for some seconds, for HLS. */
int hub_reader_has_row(const hub_reader_t *r);

/* Positions a reader at the newest key frame.  If that cannot be used, because the
 * GOP has outgrown the window or newer headers followed it, positions the reader at
 * the newest entry and makes it blind.  NGX_AGAIN: no key frame came yet. */
ngx_int_t hub_reader_join(hub_reader_t *r);

/* For a recorder, which copies entries, when it fell behind: positions it at the
 * oldest key frame not before entry FROM in the newer half of the window, so that
 * it loses little and does not fall behind again at once.  NGX_AGAIN: none yet. */
ngx_int_t hub_reader_rejoin(hub_reader_t *r, uint64_t from);

/* Finds the next batch [r->pos, r->end): whole tags, at most LIMIT bytes
 * unless one tag is larger.  NGX_OK; NGX_AGAIN when there is nothing new;
 * NGX_DECLINED when the reader lags more than LAG ms or fell out of the window,
 * and must call hub_reader_join() next. */
ngx_int_t hub_reader_batch(hub_reader_t *r, size_t limit, ngx_msec_t lag);

/* Ends the current batch behind the tag that is partly sent, so that the next
 * hub_reader_batch() decides afresh. */
void hub_reader_cut(hub_reader_t *r);

/* The time from the next tag to send to the newest one, in ms. */
ngx_msec_t hub_reader_behind(const hub_reader_t *r);

/* Fills IOV with the batch's bytes from r->pos.  Returns the number of parts. */
int hub_reader_iov(const hub_t *h, const hub_reader_t *r, struct iovec *iov,
    int max, size_t *size);

/* Positions a reader at entry INDEX, or at the oldest one if INDEX has left the
 * window. */
void hub_reader_seek(hub_reader_t *r, uint64_t index);

/* Copies entry r->index to ENTRY.  NGX_OK; NGX_AGAIN when it has not come yet;
 * NGX_DECLINED when it has left the window.  The caller advances r->index. */
ngx_int_t hub_reader_entry(const hub_t *h, const hub_reader_t *r,
    hub_entry_t *entry);

/* Parses the head of E's tag.  NGX_OK: codec data begins at frame->payload of its body;
 * NGX_DONE: there is none (headers, an empty tag); NGX_DECLINED: E has left the
 * window. */
ngx_int_t hub_reader_frame(const hub_t *h, const hub_reader_t *r,
    const hub_entry_t *e, flv_frame_t *frame);

/* The size of that codec data. */
static ngx_inline size_t
hub_frame_size(const hub_entry_t *e, const flv_frame_t *frame)
{
    return e->size - FLV_TAG_OVERHEAD - frame->payload;
}

/* Copies LEN bytes at OFFSET of the row to OUT.  NGX_DECLINED: they have left the
 * window, and OUT may be torn. */
ngx_int_t hub_reader_copy(const hub_t *h, const hub_reader_t *r,
    uint64_t offset, u_char *out, size_t len);

/* Copies the current configuration.  *AT is the first entry that needs it.
 * NGX_AGAIN: the writer is changing it. */
ngx_int_t hub_reader_config(const hub_reader_t *r,
    hub_config_t config[HUB_CONFIG_KINDS], uint64_t *at);

/* Have the bytes from OFFSET on been in the window all the time until now?  Call it
 * after use: 0 means that the bytes read may be torn. */
int hub_stream_holds(const hub_reader_t *r, uint64_t offset);

/* Writes an FLV header (with HEADER), metadata and sequence headers to OUT of at
 * least HUB_PREFIX_MAX bytes, with the dts of the reader's position.  Returns the
 * size; 0: try again later. */
#define HUB_PREFIX_MAX  (FLV_HEADER_SIZE \
                         + HUB_CONFIG_KINDS * (HUB_CONFIG_MAX + FLV_TAG_OVERHEAD))
size_t hub_reader_prefix(const hub_t *h, const hub_reader_t *r, int header,
    u_char *out);

#endif
