/*
 * The hub: live streams in shared memory.  One writer per stream, any number
 * of readers in any worker, no lock on the way of a frame.
 *
 * A stream is an endless row of FLV tags addressed by a 64-bit byte offset;
 * its window [tail, head) lies in fixed blocks taken from a common pool.
 * Beside it an index holds one entry per tag, in such blocks, too.  The writer stores bytes,
 * then the entry, then releases `head`; a reader acquires `head` and reads
 * in place, and asks hub_stream_holds() *after* it has used the bytes.
 *
 * Only creating and ending streams, and moving blocks, take the zone's mutex.
 * It is the one nginx keeps for the zone, so the master frees it when a
 * worker dies holding it.
 *
 * Times: dts is the stream's own clock in ms, from 0 at its creation and
 * never going back; *_ms of other fields is ngx_current_msec (monotonic and
 * common to all workers).
 */

#ifndef DUOLU_HUB_H
#define DUOLU_HUB_H

#include "hub_layout.h"


/* --- zone (hub_zone.c) --- */

/* The hub of this process, NULL before a worker is up or without hub_zone. */
extern hub_t  *hub;

/* What CYCLE configures, NULL when it has no hub_zone. */
hub_t *hub_of(const ngx_cycle_t *cycle);

size_t hub_zone_min_size(void);
ngx_int_t hub_zone_init(ngx_shm_zone_t *shm_zone, void *data);

/* How many slots for workers a zone of SIZE bytes has, for those that earlier
 * reloads left behind as well. */
uint32_t hub_zone_workers(size_t size);

/* Is process PID gone?  The one that holds worker SLOT? */
int hub_process_is_gone(uint32_t pid);
int hub_worker_is_gone(const hub_t *h, uint32_t slot);


/* --- blocks (hub_block.c); the caller holds the mutex --- */

/* Robs the fullest stream of its oldest block when the pool is empty, never one
 * with fewer than two blocks.  HUB_NO_BLOCK: there is nothing to take. */
uint32_t hub_block_take(hub_t *h);

void hub_block_give(hub_t *h, uint32_t block);

/* The stream that has most blocks and could be robbed of one; NULL when none
 * has at least LEAST. */
hub_stream_t *hub_fullest(hub_t *h, uint32_t least);

/* Counts the blocks of S, for hub_fullest(). */
void hub_blocks_count(hub_t *h, const hub_stream_t *s);

/* Takes one more for the row of S, or for its index.  NGX_DECLINED: it has as
 * many as it may, or there is none. */
ngx_int_t hub_blocks_grow(hub_t *h, hub_stream_t *s);
ngx_int_t hub_index_grow(hub_t *h, hub_stream_t *s);

/* Gives back those that lie before offset TAIL and before entry FIRST. */
void hub_blocks_give(hub_t *h, hub_stream_t *s, uint64_t tail, uint64_t first);


/* --- streams (hub_stream.c) --- */

/* Opens NAME ("app/name", LEN at most HUB_NAME_MAX) for writing, with a
 * session for the publisher; OWNER is the SHA-1 of the credential.  Returns
 * HUB_ADMITTED: *w is ready, w->returned tells whether an earlier stream goes
 * on, and the caller must hub_close() it; or the reason (counted). */
enum hub_refusal hub_open(hub_t *h, const u_char *name, size_t len,
    const u_char owner[20], const hub_identity_t *who, hub_client_t *c,
    hub_end_pt end, void *data, hub_writer_t *w);

/* Leaves the stream to its grace.  Harmless when it was taken over. */
void hub_close(hub_t *h, hub_client_t *c, hub_writer_t *w);

/* A sweep is to look at the streams at MS, or before. */
void hub_due(hub_t *h, uint64_t ms);

/* Leaves S to its grace, with nobody who may write to it.  The caller holds the
 * mutex. */
void hub_stream_leave(hub_t *h, hub_stream_t *s);

/* Ends a stream, whoever writes or watches.  Its blocks come back once no
 * append is under way: now, or in a sweep.  The caller holds the mutex. */
void hub_stream_end(hub_t *h, hub_stream_t *s);

/* Gives back what an ending stream holds, unless it is still appended to: the
 * sweep asks again.  The caller holds the mutex. */
void hub_stream_release(hub_t *h, hub_stream_t *s);


/* --- names and slots (hub_name.c) --- */

uint64_t hub_name_hash(const u_char *name, size_t len);

/* The stream NAME, or NULL.  No lock is needed and none is kept. */
hub_stream_t *hub_find(hub_t *h, const u_char *name, size_t len);

/* Lets S be found by its name, or no longer; harmless when that is so already.
 * The caller of these and of the next ones holds the mutex. */
void hub_name_link(hub_t *h, const hub_stream_t *s);
void hub_name_unlink(hub_t *h, const hub_stream_t *s);

/* A free slot, or HUB_NO_STREAM. */
uint32_t hub_slot_take(hub_t *h);

/* S, which is HUB_FREE, is free for another stream. */
void hub_slot_give(hub_t *h, hub_stream_t *s);

/* Finds the free slots anew: a worker that was killed may have left one in no
 * list. */
void hub_slots_rebuild(hub_t *h);


/* --- the one writer of a stream (hub_writer.c) --- */

#define HUB_INSIDE_BITS  13              /* HUB_WORKERS_MOST and none */

/* Enters an append.  0: the stream is no longer W's, leave it alone. */
int hub_write_begin(const hub_t *h, const hub_writer_t *w);
void hub_write_end(const hub_t *h, const hub_writer_t *w);

/* May W write, for as long as the mutex is held? */
int hub_owns(const hub_writer_t *w);

uint64_t hub_writer_turn(const hub_stream_t *s);

/* Nobody who could write to S may from now on; an append that is under way goes
 * on to its end.  The caller of these three holds the mutex. */
void hub_writer_stop(hub_stream_t *s);

/* Is no append to S under way?  It may be waiting for the mutex. */
int hub_writer_is_out(const hub_t *h, hub_stream_t *s);

/* Worker SLOT, which is gone, appends to S no longer. */
void hub_writer_leave(hub_stream_t *s, uint32_t slot);


/* --- appending (hub_append.c) --- */

/* An append is likely soon: asks the memory for what it will touch.  With many
 * streams none of that is in a cache, and one wait is shorter than ten. */
void hub_append_soon(const hub_client_t *c, const hub_writer_t *w);

/* Appends one tag whose body is the LEN bytes of chain IN.  TIMESTAMP is the
 * publisher's (32 bits, wraps).  Returns NGX_OK; NGX_DONE when this writer
 * no longer owns the stream (taken over or ended); NGX_DECLINED when there
 * was no memory and the frame was dropped; NGX_AGAIN when it was dropped for
 * want of the key frame before it; NGX_ABORT when the tag is larger
 * than the window may be; NGX_BUSY when the stream is above its max_kbps. */
ngx_int_t hub_append(hub_t *h, hub_writer_t *w, uint8_t type,
    const flv_frame_t *frame, uint32_t timestamp, ngx_chain_t *in, size_t len);

/* Stores LEN bytes of BODY as the present configuration of its kind and
 * appends sequence headers to the row as a tag (metadata is for newcomers
 * only).  Same returns as hub_append(). */
ngx_int_t hub_configure(hub_t *h, hub_writer_t *w, enum hub_config_kind kind,
    const flv_frame_t *frame, uint32_t timestamp, const u_char *body,
    size_t len);

/* Readers take no configuration while it is being changed. */
void hub_config_begin(hub_stream_t *s);
void hub_config_end(hub_stream_t *s);


/* --- a stream's clock (hub_clock.c) --- */

#define hub_track(type)  ((type) == FLV_AUDIO)

/* The dts of a frame of track KIND that came at NOW with TIMESTAMP (the
 * publisher's, 32 bits); moves the clock.  Sets w->discontinuity when the
 * publisher's clock was set. */
int64_t hub_clock_frame(hub_writer_t *w, hub_stream_t *s, int kind,
    uint32_t timestamp, uint64_t now);

/* The dts of a sequence header; moves nothing. */
int64_t hub_clock_config(const hub_writer_t *w, const hub_stream_t *s,
    int kind, uint64_t now);


/* --- sessions (hub_session.c) --- */

/* What all addresses of one household share: an IPv4 address, or the /56 of an
 * IPv6 one.  0: the address is none of the network. */
uint64_t hub_origin(const ngx_str_t *address);

/* Opens a session of WHO on stream S (NULL: on none).  Returns HUB_ADMITTED,
 * then the caller must hub_session_close(), or the reason (counted). */
enum hub_refusal hub_session_open(hub_t *h, hub_client_t *c,
    const hub_identity_t *who, hub_stream_t *s, hub_end_pt end, void *data);

/* MS as a session's `late`. */
#define hub_session_late(ms)  ((uint16_t) ngx_min((ms) / 10, 65535))

/* Harmless when it is closed already. */
void hub_session_close(hub_t *h, hub_client_t *c);

/* Why the session is to end, NULL when it is not. */
const char *hub_session_leaves(const hub_client_t *c);

/* A fresh session id, to be known before the session is open. */
uint64_t hub_session_id(hub_t *h);

/* Asks session ID to leave.  Returns how many were told. */
uint32_t hub_kick(hub_t *h, uint64_t id);

/* Asks those who follow events to ask again; UID 0: all.  Whoever is being let
 * in meanwhile is asked too. */
uint32_t hub_refresh(hub_t *h, uint64_t uid);

/* Calls end() of this worker's clients that were told to leave. */
void hub_session_sweep(hub_t *h);

/* Counts a refusal that was decided outside of the hub. */
void hub_refuse(hub_t *h, enum hub_refusal reason);

const char *hub_refusal_text(enum hub_refusal reason);   /* a sentence */
const char *hub_refusal_name(enum hub_refusal reason);   /* a word */
const char *hub_protocol_name(enum hub_protocol protocol);
const char *hub_protocol_kind(enum hub_protocol protocol);   /* what for */


/* --- what one has of the sessions (hub_count.c); the caller holds the mutex --- */

enum hub_count_kind { HUB_COUNT_USER, HUB_COUNT_ADDRESS, HUB_COUNT_PUBLISHER };

/* Counts ROW in where it belongs or, with IN of 0, out. */
void hub_counts_row(hub_t *h, const hub_session_t *row, int in);

/* The sessions of user or address WHO: on stream S or, with NULL, in all. */
hub_count_t hub_counts_of(const hub_t *h, enum hub_count_kind kind,
    uint64_t who, const hub_stream_t *s);

/* Forgets all counts. */
void hub_counts_clear(hub_t *h);


/* For the other hub_*.c; all but the first are called under the mutex. */
void hub_sessions_start(void);
enum hub_refusal hub_session_admit(hub_t *h, const hub_identity_t *who,
    const hub_stream_t *s, uint64_t name_hash);
void hub_session_add(hub_t *h, hub_client_t *c, const hub_identity_t *who,
    hub_stream_t *s, hub_end_pt end, void *data);
void hub_sessions_forget(hub_t *h, uint32_t worker);
void hub_session_tell(hub_t *h, hub_session_t *session, enum hub_kick kick);


/* --- the table of revocations (hub_revoked.c) --- */

/* Is what was ISSUED then to this user, stream and key void? */
int hub_revoked(hub_t *h, uint64_t uid, uint64_t stream, uint64_t key,
    int64_t issued);

/* Reads the file into a fresh zone. */
ngx_int_t hub_revocations_read(hub_t *h, ngx_log_t *log);

/* Writes the file anew with a line for each entry.  For the master, before workers
 * start: they inherit it. */
void hub_revocations_rewrite(hub_t *h, ngx_log_t *log);

/* Does R name these? */
int hub_revocation_names(const hub_revocation_t *r, uint64_t uid,
    uint64_t stream, uint64_t key);

/* Adds R to the table.  The caller holds the mutex. */
hub_revocation_t *hub_revocation_add(hub_t *h, const hub_revocation_t *r);

/* Writes R, of the stream NAME or none, to the file. */
ngx_int_t hub_revocation_keep(hub_t *h, const hub_revocation_t *r,
    const ngx_str_t *name, ngx_log_t *log);


/* --- revocations (hub_revoke.c) --- */

/* Makes R hold: ends the sessions it names, refuses later ones, and keeps it
 * in the file of hub_revocations under stream NAME (or none).  *ENDED counts
 * sessions.  NGX_ERROR: it holds, but could not be kept. */
ngx_int_t hub_revoke(hub_t *h, const hub_revocation_t *r,
    const ngx_str_t *name, uint32_t *ended, ngx_log_t *log);


/* --- revocations that nobody hears of (hub_deaf.c) --- */

/* Looks at the sockets that this worker starts with. */
void hub_deaf_start(void);

/* In a sweep: a worker that drains ends its clients when no worker of the zone
 * accepts any more; one without a master quits when its sockets are another's. */
void hub_deaf_sweep(hub_t *h, ngx_log_t *log);


/* --- workers (hub_worker.c) --- */

/* Takes this process's worker slot, at a later sweep when all are in use.
 * Without one a worker may look, but lets nobody in (HUB_NO_WORKER). */
void hub_worker_start(hub_t *h, ngx_log_t *log);
void hub_worker_stop(hub_t *h);

#define HUB_SWEEP_MS  500

/* Turns streams of dead workers to grace, ends those whose grace is over,
 * asks clients of this worker to leave that were told to. */
void hub_sweep(hub_t *h, ngx_log_t *log);


/* --- changes (hub_change.c) --- */

/* Notes that S changed to STATE.  The caller holds the mutex. */
void hub_changed(hub_t *h, const hub_stream_t *s, enum hub_state state);

/* Copies changes behind SINCE to OUT, at most MAX.  Returns how many, or -1
 * when SINCE is so old that some are lost: look at all streams anew. */
int hub_changes(hub_t *h, uint64_t since, hub_change_t *out, int max);


/* --- recordings (hub_record.c) --- */

/* Lets the stream NAME be recorded from its newest key frame on, or no longer.
 * NGX_DECLINED: there is no such stream. */
ngx_int_t hub_record_want(hub_t *h, const u_char *name, size_t len, int on);

/* The same for S.  The caller holds the mutex. */
void hub_record_set(hub_stream_t *s, int on, uint64_t from);

/* Makes this worker the recorder of stream slot I when its recording is wanted
 * and nobody has it.  A publisher's own worker comes first; an exiting one
 * takes nothing that another could.  Returns 1 and fills REF, or 0. */
int hub_record_claim(hub_t *h, uint32_t i, hub_ref_t *ref);

/* Tells how far it has come, for who goes on in its place: all of ROW but
 * `wanted`, `worker` and `state`. */
void hub_record_save(hub_t *h, const hub_ref_t *ref,
    const hub_recording_t *row);

/* Tells the zones of CYCLE and of the one before what KIND recorders are of from
 * now on.  For the master, before workers start. */
void hub_record_kind(ngx_cycle_t *cycle, uint64_t kind);

/* Is there, or will there be, a worker that can go on in the file? */
int hub_record_goes_on(hub_t *h, const hub_ref_t *ref);

/* Lets go of it: it is over when DONE, else another worker goes on. */
void hub_record_release(hub_t *h, const hub_ref_t *ref, int done);

/* Tells what becomes of it.  When it waits for its disk, or did until now,
 * returns how many streams of the zone wait for theirs. */
uint32_t hub_record_state(hub_t *h, const hub_ref_t *ref,
    enum hub_record state);

/* The recorders of dead worker SLOT.  The caller holds the mutex. */
void hub_record_forget(hub_t *h, uint32_t slot);

const char *hub_record_name(enum hub_record state);      /* a word */

/* UTC, in ms since 1970, of what was at DTS, by how the stream's clock and
 * the wall's stand now. */
int64_t hub_stream_utc(const hub_stream_t *s, int64_t dts);


/* --- readers (hub_reader.c) --- */

/* Opens a reader of stream NAME; it holds nothing and needs no closing.
 * NGX_DECLINED: there is no such stream. */
ngx_int_t hub_reader_open(hub_t *h, const u_char *name, size_t len,
    hub_reader_t *r);

/* Is the stream the reader was opened on still there? */
int hub_reader_alive(const hub_reader_t *r);

/* Positions a reader at the newest key frame.  When that is of no use, since the GOP
 * has outgrown the window or other headers came behind it, the reader is positioned
 * at what is newest, and is blind.  NGX_AGAIN: there was no key frame yet. */
ngx_int_t hub_reader_join(hub_reader_t *r);

/* For a recorder, which copies entries, when it fell behind: positions it at the oldest key frame
 * not before entry FROM in the newer half of the window, so that little is lost
 * and not all is lost again at once.  NGX_AGAIN: none yet. */
ngx_int_t hub_reader_rejoin(hub_reader_t *r, uint64_t from);

/* Finds the next batch [r->pos, r->end), whole tags, at most LIMIT bytes
 * unless one tag is larger.  NGX_OK; NGX_AGAIN when there is nothing new;
 * NGX_DECLINED when the reader lags more than LAG ms behind or fell out of
 * the window: hub_reader_join() next. */
ngx_int_t hub_reader_batch(hub_reader_t *r, size_t limit, ngx_msec_t lag);

/* Ends the batch in hand with the tag that is partly out, so that the next one
 * is chosen by how things are then. */
void hub_reader_cut(hub_reader_t *r);

/* How far the next tag to start is behind the newest, in ms. */
ngx_msec_t hub_reader_behind(const hub_reader_t *r);

/* Fills IOV with the batch's bytes from r->pos.  Returns the count. */
int hub_reader_iov(const hub_t *h, const hub_reader_t *r, struct iovec *iov,
    int max, size_t *size);

/* Positions a reader at entry INDEX, or at the oldest in the window. */
void hub_reader_seek(hub_reader_t *r, uint64_t index);

/* Copies the entry r->index to ENTRY.  NGX_OK; NGX_AGAIN when it has not come;
 * NGX_DECLINED when it left the window.  The caller moves r->index. */
ngx_int_t hub_reader_entry(const hub_t *h, const hub_reader_t *r,
    hub_entry_t *entry);

/* Copies LEN bytes at OFFSET of the row to OUT.  NGX_DECLINED: they left the
 * window, and OUT is worth nothing. */
ngx_int_t hub_reader_copy(const hub_t *h, const hub_reader_t *r,
    uint64_t offset, u_char *out, size_t len);

/* Copies the present configuration.  *AT is the first entry that needs it.
 * NGX_AGAIN: it is being changed. */
ngx_int_t hub_reader_config(const hub_reader_t *r,
    hub_config_t config[HUB_CONFIG_KINDS], uint64_t *at);

/* Were the bytes from OFFSET on in the window all the time until now?
 * Ask after use: 0 means what was read may be torn. */
int hub_stream_holds(const hub_reader_t *r, uint64_t offset);

/* Writes FLV header (with HEADER), metadata and sequence headers, stamped
 * with the dts of the reader's position, to OUT of at least
 * HUB_PREFIX_MAX bytes.  Returns the size; 0: try again later. */
#define HUB_PREFIX_MAX  (FLV_HEADER_SIZE \
                         + HUB_CONFIG_KINDS * (HUB_CONFIG_MAX + FLV_TAG_OVERHEAD))
size_t hub_reader_prefix(const hub_t *h, const hub_reader_t *r, int header,
    u_char *out);

#endif
