/*
 * The layout of the zone that all workers share, and the handles that a process
 * has on it.  hub.h declares the functions.
 */

#ifndef DUOLU_HUB_LAYOUT_H
#define DUOLU_HUB_LAYOUT_H

#include <ngx_config.h>
#include <ngx_core.h>
#include <sys/uio.h>

#include "../media/flv.h"
#include "../media/sound_clock.h"

#define HUB_BLOCK_SIZE      65536
#define HUB_BLOCK_SHIFT     16
#define HUB_STREAM_BLOCKS   1024     /* at most 64 MB of window per stream */
#define HUB_INDEX_SHIFT     11       /* 2,048 entries are one block */
#define HUB_INDEX_BLOCKS    64       /* at most 131,072 entries per stream */
#define HUB_NAME_MAX        161      /* app (32) + '/' + name (128) */
#define HUB_CONFIG_MAX      4096     /* one stored sequence header or metadata */
#define HUB_NO_BLOCK        ((uint32_t) -1)
#define HUB_NO_STREAM       ((uint32_t) -1)
#define HUB_NO_SLOT         ((uint32_t) -1)
#define HUB_NO_ROW          ((uint32_t) -1)
#define HUB_ADDRESS_MAX     45       /* IPv6 in text is 45 at most */
#define HUB_CHANGES         256      /* kept for event streams */
#define HUB_REVOCATIONS     4096
#define HUB_SEGMENTS        64       /* newest segments of a stream that are known */
#define HUB_HEADERS         8192     /* bytes of their headers */
#define HUB_INIT_MAX        1000     /* codec data of both tracks */
#define HUB_AHEAD           4        /* streams that a walk prefetches */
#define HUB_WORKERS_MOST    4096     /* hub_session_t has 16 bits for the slot */
#define HUB_ANY_WORKER      65535    /* in these bits: all workers serve the client */

enum hub_state {
    HUB_FREE = 0,
    HUB_LIVE,
    HUB_GRACE,         /* the publisher is gone and may return */
    HUB_ENDING,        /* ended; a sweep frees it when no append is under way */
    HUB_CARRIED        /* another server has it: only its viewers are here */
};

enum hub_entry_flags {
    HUB_KEY = 1,
    HUB_CONFIG = 2,
    HUB_DISCONTINUITY = 4,
    HUB_SEGMENT = 8,       /* a segment of HLS begins here, and a part with it */
    HUB_PART = 16,         /* a part of HLS begins here */
    HUB_HIDDEN = 32        /* HLS leaves this frame out */
};

typedef struct {
    uint64_t  offset;      /* of the tag in the stream's byte row */
    uint32_t  size;        /* of the tag, back-pointer included */
    int32_t   cts;
    int64_t   dts;
    uint32_t  stored_ms;   /* when it was stored, low 32 bits */
    uint8_t   type;        /* enum flv_type */
    uint8_t   flags;       /* enum hub_entry_flags */
    uint8_t   pad[2];
} hub_entry_t;

/* The newest tag of each kind that a joining reader needs before media. */
enum hub_config_kind { HUB_CONFIG_META, HUB_CONFIG_VIDEO, HUB_CONFIG_AUDIO,
                       HUB_CONFIG_KINDS };

typedef struct {
    uint32_t  size;
    uint8_t   body[HUB_CONFIG_MAX];
} hub_config_t;

/* Has a stream's list parts?  It is known with the first sound or the second segment, and
 * never changes. */
enum hub_parts { HUB_PARTS_UNKNOWN = 0, HUB_PARTS_LISTED, HUB_PARTS_NONE };

/* A segment of the row, for HLS (../http/hls.md).  Record N is in the ring at
 * N % HUB_SEGMENTS.  It ends where the next record starts, in entries and in time. */
typedef struct {
    uint64_t  number;      /* its media sequence number; -1 while the record changes */
    uint64_t  index;       /* its first entry */
    uint64_t  listed;      /* the first segment of a list that ends with this one */
    int64_t   start;       /* ms, of HLS's continuous time */
    int64_t   skip;        /* dts of its entries minus continuous time */
    int64_t   utc;         /* ms since 1970, of its start */
    uint64_t  sound;       /* ticks: where its first frame of sound should begin */
    uint64_t  bytes;       /* of the row, before it, since the stream's start */
    uint64_t  headers;     /* where they are, for hub_segment_init() */
    uint32_t  breaks;      /* segments before it that have `anew` */
    uint32_t  init;        /* the number of its headers */
    uint8_t   sound_set;   /* `sound` is known */
    uint8_t   key;         /* its first picture, if any, is a key frame */
    uint8_t   anew;        /* EXT-X-DISCONTINUITY: its headers are other ones */
    uint8_t   whole;       /* its parts are not listed: pictures are too slow */
    uint8_t   pad[2];
    uint16_t  step;        /* ms between the pictures before it; 0: not known */
} hub_segment_t;

/* The headers of segments.  Those that differ are one after another in a ring of bytes,
 * each without the unused end of `data`. */
typedef struct {
    uint32_t  number;
    uint16_t  size[2];     /* of the codec data of video and audio, 0: no such track */
    uint8_t   codec[2];    /* enum flv_codec */
    uint16_t  width, height;
    uint8_t   data[HUB_INIT_MAX];        /* video's, then audio's */
} hub_init_t;

/* Where the segments of a stream stand after `head` entries.  Times are ms of HLS's
 * continuous time. */
typedef struct {
    uint64_t       end;        /* number of the next segment */
    int64_t        skip;       /* as in the newest segment's record */
    int64_t        paid;       /* dts until which the segments are paid for */
    uint64_t       headers;    /* the newest ones, and where the next ones go */
    uint64_t       headers_end;
    int64_t        start;      /* of that segment */
    int64_t        part;       /* of its newest part */
    uint64_t       part_index; /* the part's first entry, and that one's offset */
    uint64_t       part_offset;
    int64_t        key;        /* the newest key frame, -1: none */
    int64_t        last[2];    /* the newest frame of each track, -1: none */
    int64_t        heard;      /* the segment's newest frame of sound, -1: none; as
                                  fragment_add() moves it */
    uint32_t       step[2];    /* a frame of each track lasts about so long */
    uint32_t       gop;        /* between the newest two key frames, 0: not known */
    uint32_t       rate;       /* of sound */
    sound_clock_t  sound;
    uint32_t       breaks;     /* segments so far that have `anew` */
    uint32_t       init;       /* number of the newest headers */
    uint32_t       frames;     /* of the newest segment */
    uint32_t       config_seq; /* of the stream when these were compared */
    uint8_t        begun;      /* there is a segment */
    uint8_t        pictured;   /* the segment has a picture */
    uint8_t        sounded;    /* the part has sound */
    uint8_t        jumped;     /* HUB_DISCONTINUITY, of frames that were left out */
} hub_cut_t;

/* The newest frame of a track: [0] video, [1] audio. */
typedef struct {
    int64_t   dts;
    int64_t   step;            /* from the frame before */
    uint64_t  wall_ms;         /* when it came; 0: none came yet */
} hub_track_t;

/* States of a recording.  HUB_RECORD_FULL: it waits for free space;
 * HUB_RECORD_FAILED: it waits for the disk to work again. */
enum hub_record { HUB_RECORD_OFF = 0, HUB_RECORD_ON, HUB_RECORD_FULL,
                  HUB_RECORD_FAILED };

/* The state of a stream's recording, which one worker hands to the next.  Only the
 * recorder writes it; `wanted` and `worker` change under the mutex. */
typedef struct {
    uint32_t  wanted;              /* the gate or control asked for it */
    uint32_t  state;               /* enum hub_record */
    uint32_t  worker;              /* the recorder's slot + 1, 0: none */
    uint32_t  gaps;                /* times that the disk lost frames */
    uint64_t  session;             /* utc ms of its start, 0: not begun */
    uint64_t  next;                /* first entry that is in no file */
    uint64_t  bytes;               /* written in this session */
    int64_t   file_utc;            /* of the open file, 0: none */
    int64_t   file_dts;            /* the stream's dts at the file's start */
    uint64_t  file_config;         /* hash of the sequence headers in the file */
    uint64_t  file_size;           /* after the newest write */
    uint64_t  live;                /* the segment of HLS that goes on there, whose
                                      frames are all in the file; 0: none */
    uint64_t  live_at;             /* its offset in the file */
} hub_recording_t;

typedef struct {
    /* not reset when another stream gets the slot */
    uint64_t         writer;           /* turn and inside: hub_writer.md */
    uint32_t         generation;       /* grows when the slot is reused */

    uint32_t         state;            /* enum hub_state */
    uint32_t         name_len;
    u_char           name[HUB_NAME_MAX + 1];
    u_char           owner[20];        /* SHA-1 of the publisher's credential */
    u_char           address[HUB_ADDRESS_MAX + 1];  /* of the publisher */
    uint64_t         name_hash;        /* hub_name_hash() of name */
    uint64_t         id;               /* in the database, 0: not known */
    uint64_t         uid;              /* of the publisher, 0: not known */
    int64_t          issued;           /* as in its session */
    uint64_t         session;          /* id of the publisher's session */
    uint32_t         session_row;      /* its row */
    uint32_t         worker;           /* slot of the publisher's worker */
    uint64_t         grace_until_ms;   /* HUB_CARRIED: it stays so long without viewers */
    uint64_t         created_ms;
    uint64_t         started_ms;       /* of the current publisher */

    uint64_t         head;             /* entries written so far */
    uint64_t         first;            /* oldest entry still in the window */
    uint64_t         tail;             /* oldest byte still in the window */
    int64_t          first_dts;        /* of `first`, or of an older entry */
    uint64_t         end;              /* byte behind the newest tag */
    uint64_t         key_plus_one;     /* newest entry to join at, 0: none */
    uint64_t         config_at;        /* entries before it need an older config */
    uint32_t         config_seq;       /* odd while the config changes */
    uint32_t         config_due;       /* bits of kinds whose tag was not appended */
    int64_t          dts;              /* newest of both tracks */
    int64_t          lead;             /* dts minus wall clock, in real time */
    hub_track_t      track[2];
    int64_t          zero;             /* wall clock at dts 0, by the frames that come
                                          soonest */
    uint64_t         zero_ms;          /* when one of them came last */

    uint64_t         bytes_in;
    uint32_t         kbps_in;
    uint32_t         fps_milli;        /* video frames per 1000 s, measured */
    uint32_t         gop_ms;           /* between the newest two key frames */
    uint32_t         gaps;             /* from returned publishers, clock jumps */
    uint16_t         width, height;
    uint8_t          video, audio;     /* enum flv_codec */

    /* under the mutex: */
    uint32_t         viewers;
    uint32_t         max_viewers;      /* 0: no limit */
    uint32_t         max_kbps;         /* 0: no limit */
    int64_t          credit;           /* bytes the writer may append now */
    uint64_t         credit_ms;        /* when `credit` was computed */
    uint32_t         kbps_out;
    uint64_t         bytes_out;        /* of viewers that left */
    uint64_t         bytes_out_now;    /* of these and of present viewers */
    uint64_t         bytes_out_seen;   /* when kbps_out was measured */
    uint32_t         viewers_now;      /* scratch of hub_sessions_rebuild() */
    hub_recording_t  recording;

    /* The blocks of the row, numbered by offset >> shift: [first_block,
     * end_block).  Both change under the mutex.  Any worker may raise first_block;
     * only the writer changes end_block, so it may read it without the mutex. */
    uint64_t         first_block;
    uint64_t         end_block;

    /* The blocks of the index; entry i is in block i >> HUB_INDEX_SHIFT. */
    uint64_t         first_index;
    uint64_t         end_index;

    /* HLS.  An append reads cut[head & 1] and writes the other one, which becomes
     * valid with the new head: a SIGKILL leaves both, or neither. */
    hub_cut_t        cut[2];
    uint64_t         segment_end;      /* behind the newest segment that is readable */
    uint64_t         headers_end;      /* behind the newest headers */
    uint64_t         started_utc;      /* ms since 1970, of the stream's start */
    uint64_t         wanted_ms;        /* when a worker last needed HLS's window */
    uint64_t         listed_from;      /* hub_segments_cut() */
    uint32_t         segment_ms;       /* hls_segment and hls_part of its start */
    uint32_t         part_ms;
    uint32_t         target_s;         /* EXT-X-TARGETDURATION */
    uint32_t         parts;            /* enum hub_parts */

    /* not cleared: a reader of the slot's previous stream may still look here */
    uint32_t         index[HUB_INDEX_BLOCKS];
    uint32_t         blocks[HUB_STREAM_BLOCKS];
    hub_config_t     config[HUB_CONFIG_KINDS];
    hub_segment_t    segments[HUB_SEGMENTS];
    uint8_t          headers[HUB_HEADERS];
} hub_stream_t;


/* --- sessions: the clients of all workers --- */

enum hub_protocol {
    HUB_PUBLISH = 0,
    HUB_FLV,
    HUB_WS,
    HUB_RTMP,
    HUB_HLS,               /* comes by single requests, to any worker */
    HUB_EVENTS,            /* follows changes, watches no stream */
    HUB_REPLAY,            /* downloads a clip of recordings */
    HUB_FILE,              /* a recorded file, or a range of it */
    HUB_LIST,              /* a list of recordings */
    HUB_PROTOCOLS
};

/* Why a client is asked to leave. */
enum hub_kick { HUB_STAYS = 0, HUB_KICKED, HUB_REVOKED, HUB_TAKEN_OVER,
                HUB_REFRESHED, HUB_UNHEARD };

typedef struct {
    uint64_t  id;              /* 0: a free row */
    uint64_t  uid;
    uint64_t  origin;          /* hub_origin() of the address */
    int64_t   issued;          /* unix seconds: of the token, or of the request */
    uint64_t  started_ms;
    uint64_t  bytes;           /* received or sent; only its worker writes it, or
                                  all add to it (HUB_HLS) */
    uint32_t  stream;          /* slot, or HUB_NO_STREAM */
    uint32_t  generation;      /* of the stream */
    uint32_t  next;            /* free row */
    uint16_t  worker;
    uint8_t   protocol;        /* enum hub_protocol */
    uint8_t   kick;            /* enum hub_kick */
    u_char    address[HUB_ADDRESS_MAX + 1];
    uint16_t  late;            /* a viewer's delay in 10 ms; likewise */
    uint64_t  name_hash;       /* of the stream, live or not; 0: none */
    uint64_t  key;             /* id of the publishing key in the database; of
                                  HUB_HLS the visitor */
                               /* two cache lines of its own */
} hub_session_t;

/* Beside each row of sessions, for viewers that come by single requests. */
typedef struct {
    uint64_t  seen_ms;         /* 0: the row is no such viewer's */
    uint32_t  next;            /* row in its chain */
    uint32_t  first;           /* head of the chain with this row's number */
} hub_visitor_t;

/* A client that asks to be admitted. */
typedef struct {
    enum hub_protocol  protocol;
    uint64_t           id;              /* 0: the hub chooses a new one */
    uint64_t           uid;
    uint64_t           key;
    int64_t            issued;
    int64_t            asked_ms;        /* unix; when its rights were read, or before */
    uint64_t           name_hash;       /* of a stream that need not be live */
    ngx_str_t          address;

    /* of a publisher; a limit of 0 is none */
    uint64_t           stream;          /* its id in the database */
    uint32_t           max_publishers;  /* of this user */
    uint32_t           max_viewers;
    uint32_t           max_kbps;
    uint32_t           record;          /* the gate wants it recorded */
} hub_identity_t;

/* The number of sessions of one user, or one address: in all, or on one stream.
 * A hash table finds counts by their key; a count of 0 is freed. */
typedef struct {
    uint64_t  key;
    uint32_t  rows;            /* sessions that were not asked to leave */
    uint32_t  viewers;         /* of them, viewers */
    uint32_t  next;            /* in its chain, or the next free count */
    uint32_t  first;           /* head of the chain with this count's number */
} hub_count_t;

/* The part of a stream that searches read.  It is apart from hub_stream_t, as a
 * search passes by thousands of them. */
typedef struct {
    uint32_t  hash;            /* of the name, 0: the slot is in no chain */
    uint32_t  next;            /* in its chain, or the next free slot */
    uint32_t  first;           /* head of the chain with this slot's number */
    uint32_t  blocks;          /* of the stream; stale after a SIGKILL */
} hub_slot_t;

enum hub_refusal {
    HUB_ADMITTED = 0,
    HUB_NO_ROOM,               /* no stream slot or no block left */
    HUB_BUSY,                  /* live, with another credential */
    HUB_NO_SESSION,            /* the table of sessions is full */
    HUB_NO_WORKER,             /* this worker has no slot yet */
    HUB_IS_REVOKED,
    HUB_VIEWERS_TOTAL,         /* hub_viewers_max */
    HUB_VIEWERS_STREAM,        /* hub_stream_viewers_max, or the stream's own */
    HUB_USER_SHARE,            /* the user has as much as hub_user_share allows */
    HUB_ADDRESS_SHARE,
    HUB_PUBLISHERS_USER,
    HUB_BITRATE,
    HUB_DENIED,                /* by the gate */
    HUB_TOKEN,                 /* no token, or an invalid one */
    HUB_STUCK,                 /* the previous writer is stopped in an append */
    HUB_IS_KICKED,             /* a viewer that was kicked has not stayed away */
    HUB_REFUSALS
};

/* All tokens and sessions of UID, of STREAM (a hub_name_hash()) and of KEY that
 * were issued at AT (unix seconds) or before are void; 0 stands for any. */
typedef struct {
    int64_t   at;
    uint64_t  uid;
    uint64_t  stream;
    uint64_t  key;
    int64_t   kept;            /* the newest `at` that the file has */
} hub_revocation_t;

/* A stream changed to STATE (HUB_FREE: it ended), or its headers changed. */
typedef struct {
    uint64_t  seq;
    uint64_t  id;
    uint32_t  stream;          /* slot */
    uint32_t  generation;
    uint32_t  state;
    uint32_t  name_len;
    u_char    name[HUB_NAME_MAX + 1];
} hub_change_t;

typedef struct {
    uint32_t  pid;             /* 0: free */
    uint32_t  viewers;
    uint32_t  sessions;
    uint32_t  hls_streams;     /* with HLS viewers */
    uint64_t  hls_bytes;       /* that it holds for them */
    uint64_t  recorder;        /* the kind of its recorders */
} hub_worker_t;

typedef struct {
    uint32_t      magic;
    uint32_t      layout;
    size_t        size;
    uint32_t      nstreams;        /* slots */
    uint32_t      stream_end;      /* behind the last slot ever used */
    uint32_t      stream_free;     /* first free slot */
    uint64_t      names;           /* grows when a slot changes its chain */
    uint64_t      due_ms;          /* the sweep of streams may wait until then */
    uint64_t      half_line;       /* the file of revocations ends within a line */
    uint64_t      lines;           /* of that file; its lock protects both */
    uint64_t      lines_most;      /* compact it when it has so many */
    uint32_t      replaced;        /* a reload started another zone */
    uint32_t      nblocks;
    uint32_t      nfree;
    uint32_t      free;            /* first free block, linked through next[] */
    uint32_t      nsessions;       /* rows */
    uint32_t      sessions;        /* in use */
    uint32_t      publishing;      /* of them, publishers */
    uint32_t      session_free;    /* first free row */
    uint32_t      session_end;     /* behind the last row in use */
    uint32_t      visit_end;       /* behind the last row of HUB_HLS */
    uint64_t      visits_swept_ms;
    uint32_t      ncounts;
    uint32_t      count_end;       /* behind the last count ever used */
    uint32_t      count_free;      /* first free count below that */
    uint32_t      nworkers;        /* slots */
    uint32_t      worker_end;      /* behind the last slot ever used */
    uint32_t      viewers;
    uint32_t      nrevoked;
    uint64_t      session_id;      /* the newest one */
    uint64_t      kicks;           /* grows when a session is asked to leave */
    uint64_t      changes;         /* seq of the newest */
    uint64_t      heard;           /* grows while a worker accepts connections */
    uint64_t      measured_ms;
    int64_t       refreshed_ms;    /* unix; rights that pages read before may be
                                      stale */
    uint64_t      bytes_in;        /* of sessions that ended */
    uint64_t      bytes_out;
    uint64_t      admitted[HUB_PROTOCOLS];
    uint64_t      refused[HUB_REFUSALS];
    uint64_t      recorder;        /* the recorders' kind by the configuration */
    uint64_t      recorded;        /* bytes, and gaps, of all recordings */
    uint64_t      record_gaps;
    uint64_t      hls_parts;       /* made by all workers */
    uint64_t      hls_frames;      /* in them */
    hub_change_t  change[HUB_CHANGES];
} hub_header_t;

/* The share of a table that one user or address may take: PERCENT, or LEAST if
 * that is more. */
typedef struct {
    ngx_uint_t  percent;
    ngx_uint_t  least;
} hub_share_t;

typedef struct {
    ngx_shm_zone_t    *shm_zone;
    ngx_slab_pool_t   *pool;       /* for its mutex alone */
    hub_header_t      *header;
    hub_worker_t      *workers;
    hub_revocation_t  *revoked;
    hub_session_t     *sessions;
    hub_visitor_t     *visitors;   /* by row */
    hub_count_t       *counts;
    hub_slot_t        *slots;      /* of the streams */
    hub_stream_t      *streams;
    uint32_t          *next;
    u_char            *data;
    ngx_msec_t         window;
    ngx_msec_t         grace;
    size_t             stream_max;
    ngx_msec_t         hls_segment;    /* for streams that begin from now on */
    ngx_msec_t         hls_part;
    ngx_msec_t         hls_window;
    ngx_int_t          viewers_max;
    ngx_int_t          stream_viewers_max;
    hub_share_t        user_share;
    hub_share_t        address_share;
    ngx_open_file_t   *revocations;    /* keeps them over a restart */
    uint64_t           recorder;   /* recorders of this kind can continue one
                                      another's files; 0: there are none */
    uint32_t           worker;     /* this process's slot, or HUB_NO_SLOT */
} hub_t;

/* Called from a timer: ends a client that was kicked, revoked or taken over; WHY is
 * a sentence for the client and the log. */
typedef void (*hub_end_pt)(void *data, const char *why);

/* A session's state in its own process; embedded in the client's state. */
typedef struct {
    ngx_queue_t     queue;
    hub_session_t  *session;       /* NULL: not open */
    hub_end_pt      end;
    void           *data;
} hub_client_t;

/* A reference to a stream, which remains valid memory after the stream's end. */
typedef struct {
    hub_stream_t  *stream;
    uint32_t       generation;
} hub_ref_t;

/* A publisher's clock by the timestamps of one track. */
typedef struct {
    int64_t   in;                /* newest timestamp, unwrapped */
    int64_t   offset;            /* from timestamp to dts */
    int64_t   late_off;          /* distance ahead of real time (< 0) at late_ms */
    uint64_t  late_ms;           /* when the track fell behind; 0: it is not behind */
    int64_t   over;              /* initial distance ahead of the other track */
    uint64_t  alone_ms;          /* since when that is larger; 0: it is not */
    uint64_t  held_ms;           /* when it was last held back for that; 0: never */
    unsigned  started:1;
} hub_writer_track_t;

typedef struct {
    hub_ref_t  ref;
    uint64_t   turn;             /* may write while the stream has this turn */
    uint64_t   session;          /* of the publisher */
    uint64_t   from;             /* its first entry */
    hub_writer_track_t  track[2];        /* video, audio */
    int64_t    high, low;        /* the range of dts - wall clock so far */
    uint64_t   set_ms;           /* when the publisher's clock jumped; 0: never */
    uint64_t   kept_ms;          /* when it was last moved to real time; 0: never */
    uint64_t   pair_ms;          /* when the second track began; 0: not yet */
    uint64_t   arrived_ms;       /* of a frame that was held back; 0: now */
    uint64_t   rate_ms;          /* begin of the measurement of kbps */
    uint64_t   rate_bytes;
    uint16_t   width, height;    /* set before a video sequence header */
    int64_t    key_dts;          /* of the newest key frame */
    uint32_t   rate_frames;
    const void  *next[3];        /* addresses that the next frame will likely touch */
    unsigned   configured:HUB_CONFIG_KINDS;   /* a bit for each kind it has sent */
    unsigned   settled:1;        /* other kinds were forgotten */
    unsigned   returned:1;       /* it continues an earlier stream */
    unsigned   keyed:1;
    unsigned   discontinuity:1;
    unsigned   wait_key:1;       /* the GOP is broken, or another writer's */
    unsigned   outgrown:1;       /* logged: a GOP was larger than the window */
} hub_writer_t;

typedef struct {
    hub_ref_t  ref;
    uint64_t   index;            /* next entry to start */
    uint64_t   pos;              /* next byte to send */
    uint64_t   end;              /* where the current batch ends */
    unsigned   joined:1;
    unsigned   blind:1;          /* gets only sound until the next key frame */
} hub_reader_t;


/* --- loads and stores of memory that processes share --- */

#define hub_load(p)      __atomic_load_n((p), __ATOMIC_ACQUIRE)
#define hub_store(p, v)  __atomic_store_n((p), (v), __ATOMIC_RELEASE)
#define hub_add(p, v)    __atomic_add_fetch((p), (v), __ATOMIC_ACQ_REL)

/* Keeps two stores in their order: for readers without a lock, and for the sweep
 * when a SIGKILL comes between them. */
#define hub_step()       __atomic_thread_fence(__ATOMIC_RELEASE)


/* Never NULL.  The entry may have left the window and contain anything: check
 * `first` after use. */
static ngx_inline hub_entry_t *
hub_entry(const hub_t *h, const hub_stream_t *s, uint64_t index)
{
    hub_entry_t  *entries;
    uint32_t      block = s->index[(index >> HUB_INDEX_SHIFT)
                                   % HUB_INDEX_BLOCKS];

    entries = (hub_entry_t *) (h->data + ((size_t) block << HUB_BLOCK_SHIFT));

    return &entries[index & ((1 << HUB_INDEX_SHIFT) - 1)];
}


/* Is the newest key frame no longer in the window? */
static ngx_inline int
hub_outgrown(const hub_stream_t *s)
{
    uint64_t  first = hub_load(&s->first), key = hub_load(&s->key_plus_one);

    return key && key <= first;              /* loaded after `first`, so not older */
}


/* May clients find the stream? */
static ngx_inline int
hub_stream_is_on(const hub_stream_t *s)
{
    uint32_t  state = __atomic_load_n(&s->state, __ATOMIC_ACQUIRE);

    return state == HUB_LIVE || state == HUB_GRACE || state == HUB_CARRIED;
}


static ngx_inline int
hub_watches(enum hub_protocol protocol)
{
    return protocol == HUB_FLV || protocol == HUB_WS || protocol == HUB_RTMP
           || protocol == HUB_HLS;
}


/* The publishing key of ROW's client, 0: none. */
static ngx_inline uint64_t
hub_session_key(const hub_session_t *row)
{
    return row->protocol == HUB_HLS ? 0 : row->key;
}


/* Was ROW's viewer, which comes by single requests, asked to leave?  The row stays to
 * refuse the next requests; it is not listed, and counts only as a row in use. */
static ngx_inline int
hub_session_is_barred(const hub_session_t *row)
{
    return row->protocol == HUB_HLS && row->kick != HUB_STAYS;
}


/* Does ROW count as a viewer? */
static ngx_inline int
hub_session_watches(const hub_session_t *row)
{
    return hub_watches(row->protocol) && !hub_session_is_barred(row);
}


/* Prefetches for a walk over all streams: they lie pages apart, and none is in a
 * cache.  FROM and TO are offsets of the fields that the walk reads. */
static ngx_inline void
hub_stream_ahead(const hub_t *h, uint32_t i, size_t from, size_t to)
{
    const u_char  *p = (const u_char *) &h->streams[i + HUB_AHEAD];

    if (i + HUB_AHEAD >= h->header->nstreams) {
        return;
    }

    for ( ; from < to; from += 64) {
        __builtin_prefetch(p + from);
    }
}


/* A process that is not yet waited for by its parent counts as alive. */
static ngx_inline int
hub_process_is_gone(uint32_t pid)
{
    return kill((pid_t) pid, 0) == -1 && ngx_errno == NGX_ESRCH;
}


static ngx_inline int
hub_worker_is_gone(const hub_t *h, uint32_t slot)
{
    uint32_t  pid = hub_load(&h->workers[slot].pid);

    return pid == 0 || hub_process_is_gone(pid);
}


static ngx_inline uint32_t
hub_blocks(const hub_stream_t *s)
{
    return (uint32_t) (s->end_block - s->first_block
                       + s->end_index - s->first_index);
}


static ngx_inline void
hub_raise(uint64_t *p, uint64_t value)
{
    uint64_t  old = hub_load(p);

    while (old < value
           && !__atomic_compare_exchange_n(p, &old, value, 0, __ATOMIC_ACQ_REL,
                                           __ATOMIC_ACQUIRE))
    { /* void */ }
}

#endif
