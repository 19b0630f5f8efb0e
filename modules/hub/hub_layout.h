/*
 * The layout of the zone that all workers share, and each process's hold on it.
 * hub.h says what is done with it.
 */

#ifndef DUOLU_HUB_LAYOUT_H
#define DUOLU_HUB_LAYOUT_H

#include <ngx_config.h>
#include <ngx_core.h>
#include <sys/uio.h>

#include "../media/flv.h"

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
#define HUB_ADDRESS_MAX     45       /* IPv6 in text is 45 at most */
#define HUB_CHANGES         256      /* the last ones, for who follows them */
#define HUB_REVOCATIONS     4096
#define HUB_AHEAD           4        /* streams that a walk fetches beforehand */
#define HUB_WORKERS_MOST    4096     /* a session's row has 16 bits for it */

enum hub_state {
    HUB_FREE = 0,
    HUB_LIVE,
    HUB_GRACE,         /* the publisher is gone, its return is awaited */
    HUB_ENDING         /* it is over, a sweep frees it when its writer is out */
};

enum hub_entry_flags {
    HUB_KEY = 1,
    HUB_CONFIG = 2,
    HUB_DISCONTINUITY = 4
};

typedef struct {
    uint64_t  offset;      /* of the tag in the stream's byte row */
    uint32_t  size;        /* of the tag, back-pointer included */
    int32_t   cts;
    int64_t   dts;
    uint32_t  stored_ms;   /* when, low 32 bits */
    uint8_t   type;        /* enum flv_type */
    uint8_t   flags;       /* enum hub_entry_flags */
    uint8_t   pad[2];
} hub_entry_t;

/* The latest of each kind of tag that a newcomer needs before media. */
enum hub_config_kind { HUB_CONFIG_META, HUB_CONFIG_VIDEO, HUB_CONFIG_AUDIO,
                       HUB_CONFIG_KINDS };

typedef struct {
    uint32_t  size;
    uint8_t   body[HUB_CONFIG_MAX];
} hub_config_t;

/* How far a track has come: [0] video, [1] audio. */
typedef struct {
    int64_t   dts;             /* of its newest frame */
    int64_t   step;            /* from the frame before */
    uint64_t  wall_ms;         /* when it came; 0: there was none */
} hub_track_t;

/* States of a stream's recording.  HUB_RECORD_FULL and _FAILED: it is
 * wanted and waits for space, or for the disk to work again. */
enum hub_record { HUB_RECORD_OFF = 0, HUB_RECORD_ON, HUB_RECORD_FULL,
                  HUB_RECORD_FAILED };

/* A stream's recording, as the workers hand it to one another.  Its recorder
 * alone writes it; `wanted` and `worker` change under the mutex. */
typedef struct {
    uint32_t  wanted;              /* the gate or control says so */
    uint32_t  state;               /* enum hub_record */
    uint32_t  worker;              /* the recorder's slot + 1, 0: nobody */
    uint32_t  gaps;                /* times that frames were lost to the disk */
    uint64_t  session;             /* utc ms of its start, 0: not begun */
    uint64_t  next;                /* first entry that is in no file */
    uint64_t  bytes;               /* written in this session */
    int64_t   file_utc;            /* of the file being written, 0: none */
    int64_t   file_dts;            /* the stream's dts at its start */
    uint64_t  file_config;         /* what the headers in it were, a hash */
} hub_recording_t;

typedef struct {
    /* these go on when another stream gets the slot */
    uint64_t         writer;           /* who may write, who does: hub_writer.c */
    uint32_t         generation;       /* goes up when the slot is reused */

    uint32_t         state;            /* enum hub_state */
    uint32_t         name_len;
    u_char           name[HUB_NAME_MAX + 1];
    u_char           owner[20];        /* SHA-1 of the publisher's credential */
    u_char           address[HUB_ADDRESS_MAX + 1];  /* of the publisher */
    uint64_t         name_hash;        /* hub_name_hash() of name */
    uint64_t         id;               /* the database's, 0: not known */
    uint64_t         uid;              /* who publishes, likewise */
    uint64_t         session;          /* the publisher's */
    uint32_t         session_row;      /* where that was */
    uint32_t         worker;           /* slot of the publisher's worker */
    uint64_t         grace_until_ms;
    uint64_t         created_ms;
    uint64_t         started_ms;       /* of the present publisher */

    uint64_t         head;             /* entries written so far */
    uint64_t         first;            /* oldest entry still in the window */
    uint64_t         tail;             /* oldest byte still in the window */
    int64_t          first_dts;        /* of `first`, or of one before it */
    uint64_t         end;              /* byte behind the newest tag */
    uint64_t         key_plus_one;     /* newest entry to join at, 0: none */
    uint64_t         config_at;        /* entries before need an older config */
    uint32_t         config_seq;       /* odd while being changed */
    int64_t          dts;              /* newest of both tracks */
    int64_t          lead;             /* dts minus wall clock, in real time */
    hub_track_t      track[2];

    uint64_t         bytes_in;
    uint32_t         kbps_in;
    uint32_t         fps_milli;        /* video frames per 1000 s, measured */
    uint32_t         gop_ms;           /* between the newest two key frames */
    uint32_t         gaps;             /* returns of a publisher, clock jumps */
    uint16_t         width, height;
    uint8_t          video, audio;     /* enum flv_codec */

    /* under the mutex: */
    uint32_t         viewers;
    uint32_t         max_viewers;      /* 0: no limit */
    uint32_t         max_kbps;         /* 0: no limit */
    int64_t          credit;           /* bytes the writer may bring now */
    uint64_t         credit_ms;        /* when that was counted */
    uint32_t         kbps_out;
    uint64_t         bytes_out;        /* of viewers that left */
    uint64_t         bytes_out_now;    /* those present with them */
    uint64_t         bytes_out_seen;   /* when kbps_out was measured */
    uint32_t         viewers_now;      /* while they are counted anew */
    hub_recording_t  recording;

    /* Blocks held, numbered by offset >> shift: [first_block, end_block).
     * Both move under the mutex; others may raise the first one, the end
     * belongs to the writer, who therefore may look at it without. */
    uint64_t         first_block;
    uint64_t         end_block;

    /* Likewise of the index: entry i is in block i >> HUB_INDEX_SHIFT. */
    uint64_t         first_index;
    uint64_t         end_index;

    /* not cleared for another stream: a reader of the last one may look here */
    uint32_t         index[HUB_INDEX_BLOCKS];
    uint32_t         blocks[HUB_STREAM_BLOCKS];
    hub_config_t     config[HUB_CONFIG_KINDS];
} hub_stream_t;


/* --- sessions: everybody who is connected, in whatever worker --- */

enum hub_protocol {
    HUB_PUBLISH = 0,
    HUB_FLV,
    HUB_WS,
    HUB_RTMP,
    HUB_EVENTS,            /* follows changes, watches nothing */
    HUB_REPLAY,            /* downloads a clip of what was recorded */
    HUB_FILE,              /* a file of it, or a range of one */
    HUB_LIST,              /* what there is */
    HUB_PROTOCOLS
};

/* Why a client is asked to leave. */
enum hub_kick { HUB_STAYS = 0, HUB_KICKED, HUB_REVOKED, HUB_TAKEN_OVER,
                HUB_REFRESHED, HUB_UNHEARD };

typedef struct {
    uint64_t  id;              /* 0: a free row */
    uint64_t  uid;
    uint64_t  origin;          /* hub_origin() of the address */
    int64_t   issued;          /* unix seconds: of the token, or the question */
    uint64_t  started_ms;
    uint64_t  bytes;           /* received or sent; its owner alone writes it */
    uint32_t  stream;          /* slot, or HUB_NO_STREAM */
    uint32_t  generation;      /* of the stream */
    uint32_t  next;            /* free row */
    uint16_t  worker;
    uint8_t   protocol;        /* enum hub_protocol */
    uint8_t   kick;            /* enum hub_kick */
    u_char    address[HUB_ADDRESS_MAX + 1];
    uint16_t  late;            /* of a viewer, in 10 ms; its owner writes it */
    uint64_t  name_hash;       /* of the stream, live or not; 0: of none */
    uint64_t  key;             /* publishing key's id in the database */
                               /* two cache lines, shared with nobody */
} hub_session_t;

/* A client that asks to be admitted. */
typedef struct {
    enum hub_protocol  protocol;
    uint64_t           id;              /* 0: take a fresh one */
    uint64_t           uid;
    uint64_t           key;
    int64_t            issued;
    int64_t            asked_ms;        /* unix; a page's rights are not older */
    uint64_t           name_hash;       /* of a stream that need not be live */
    ngx_str_t          address;

    /* a publisher's; limits are 0 when there is none */
    uint64_t           stream;          /* its id in the database */
    uint32_t           max_publishers;  /* of this user */
    uint32_t           max_viewers;
    uint32_t           max_kbps;
    uint32_t           record;          /* the gate wants it recorded */
} hub_identity_t;

/* How many sessions one user, or one address, has: in all, or on one stream.
 * Counts are found by their key, in chains, and are given back at 0. */
typedef struct {
    uint64_t  key;
    uint32_t  rows;            /* sessions that were not told to leave */
    uint32_t  viewers;         /* of them, those that watch */
    uint32_t  next;            /* in its chain, or the next free count */
    uint32_t  first;           /* of the chain that has this count's number */
} hub_count_t;

/* Beside each stream, close together: a search passes by thousands of them. */
typedef struct {
    uint32_t  hash;            /* of the name in the chain, 0: it is in none */
    uint32_t  next;            /* in its chain, or the next free slot */
    uint32_t  first;           /* of the chain that has this slot's number */
    uint32_t  blocks;          /* it has, or had when a worker was killed */
} hub_slot_t;

enum hub_refusal {
    HUB_ADMITTED = 0,
    HUB_NO_ROOM,               /* no stream slot or no block left */
    HUB_BUSY,                  /* live, by another credential */
    HUB_NO_SESSION,            /* the table of sessions is full */
    HUB_NO_WORKER,             /* this worker waits for a slot of its own */
    HUB_IS_REVOKED,
    HUB_VIEWERS_TOTAL,         /* hub_viewers_max */
    HUB_VIEWERS_STREAM,        /* hub_stream_viewers_max, or the stream's own */
    HUB_USER_SHARE,            /* one user has as much as hub_user_share */
    HUB_ADDRESS_SHARE,
    HUB_PUBLISHERS_USER,
    HUB_BITRATE,
    HUB_DENIED,                /* by the gate */
    HUB_TOKEN,                 /* no token, or one that does not hold */
    HUB_STUCK,                 /* the last writer stands still in an append */
    HUB_REFUSALS
};

/* All tokens and sessions of UID, of STREAM (a hub_name_hash()) and of KEY
 * made at AT (unix seconds) or before are void; 0 stands for any. */
typedef struct {
    int64_t   at;
    uint64_t  uid;
    uint64_t  stream;
    uint64_t  key;
    int64_t   kept;            /* what the file says of `at` */
} hub_revocation_t;

/* A stream went to STATE (HUB_FREE: it ended), or its headers changed. */
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
    uint64_t  recorder;        /* of what kind its recorders are */
} hub_worker_t;

typedef struct {
    uint32_t      magic;
    uint32_t      layout;
    size_t        size;
    uint32_t      nstreams;        /* slots */
    uint32_t      stream_end;      /* behind the last slot ever used */
    uint32_t      stream_free;     /* first free slot */
    uint64_t      names;           /* goes up when a slot is linked elsewhere */
    uint64_t      due_ms;          /* no stream is to be ended before */
    uint64_t      half_line;       /* the file of revocations ends within one */
    uint32_t      nblocks;
    uint32_t      nfree;
    uint32_t      free;            /* first free block, linked through next[] */
    uint32_t      nsessions;       /* rows */
    uint32_t      sessions;        /* in use */
    uint32_t      publishing;      /* of them, publishers */
    uint32_t      session_free;    /* first free row */
    uint32_t      session_end;     /* behind the last row in use */
    uint32_t      ncounts;
    uint32_t      count_end;       /* behind the last count ever used */
    uint32_t      count_free;      /* first that was given back */
    uint32_t      nworkers;        /* slots */
    uint32_t      worker_end;      /* behind the last slot ever used */
    uint32_t      viewers;
    uint32_t      nrevoked;
    uint64_t      session_id;      /* the last one given */
    uint64_t      kicks;           /* goes up when somebody is to leave */
    uint64_t      changes;         /* seq of the newest */
    uint64_t      heard;           /* goes up while a worker accepts */
    uint64_t      measured_ms;
    int64_t       refreshed_ms;    /* unix; rights of pages may be older then */
    uint64_t      bytes_in;        /* of sessions that ended */
    uint64_t      bytes_out;
    uint64_t      admitted[HUB_PROTOCOLS];
    uint64_t      refused[HUB_REFUSALS];
    uint64_t      recorder;        /* the kind of the present configuration */
    uint64_t      recorded;        /* bytes, and gaps, of all recordings */
    uint64_t      record_gaps;
    hub_change_t  change[HUB_CHANGES];
} hub_header_t;

/* How much of a table one of many may take: so many percent, or `least` when
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
    hub_count_t       *counts;
    hub_slot_t        *slots;      /* of the streams */
    hub_stream_t      *streams;
    uint32_t          *next;
    u_char            *data;
    ngx_msec_t         window;
    ngx_msec_t         grace;
    size_t             stream_max;
    ngx_int_t          viewers_max;
    ngx_int_t          stream_viewers_max;
    hub_share_t        user_share;
    hub_share_t        address_share;
    ngx_open_file_t   *revocations;    /* keeps them over a restart */
    uint64_t           recorder;   /* recorders of this kind can go on in one
                                      another's files; 0: there are none */
    uint32_t           worker;     /* this process's slot, or HUB_NO_SLOT */
} hub_t;

/* Called from a timer: the client was kicked, revoked or taken over and must
 * be ended; WHY is a sentence for it and the log. */
typedef void (*hub_end_pt)(void *data, const char *why);

/* This process's side of a session, inside of what it is a session of. */
typedef struct {
    ngx_queue_t     queue;
    hub_session_t  *session;       /* NULL: not open */
    hub_end_pt      end;
    void           *data;
} hub_client_t;

/* A writer's or a reader's hold on a stream; survives its end. */
typedef struct {
    hub_stream_t  *stream;
    uint32_t       generation;
} hub_ref_t;

/* A publisher's clock, as one of its tracks has it. */
typedef struct {
    int64_t   in;                /* newest timestamp, unwrapped */
    int64_t   offset;            /* from timestamp to dts */
    int64_t   late_off;          /* how far ahead of real time it was (< 0) ... */
    uint64_t  late_ms;           /* ... when it was last seen to be late; 0: it is not */
    int64_t   over;              /* how far ahead of the other one it was at first */
    uint64_t  alone_ms;          /* since when it is further ahead of it; 0: it is not */
    uint64_t  held_ms;           /* when it was last held for that; 0: never */
    unsigned  started:1;
} hub_writer_track_t;

typedef struct {
    hub_ref_t  ref;
    uint64_t   turn;             /* may write while it is the stream's */
    uint64_t   session;          /* the publisher's */
    hub_writer_track_t  track[2];        /* video, audio */
    int64_t    high, low;        /* most and least that dts - wall clock was */
    uint64_t   set_ms;           /* when the publisher's clock was set; 0: never */
    uint64_t   kept_ms;          /* when it was last moved to real time; 0: never */
    uint64_t   pair_ms;          /* when its second track began; 0: not yet */
    uint64_t   arrived_ms;       /* of a frame that was held back; 0: now */
    uint64_t   rate_ms;          /* measuring kbps since */
    uint64_t   rate_bytes;
    uint16_t   width, height;    /* set before a video sequence header */
    int64_t    key_dts;          /* of the newest key frame */
    uint32_t   rate_frames;
    const void  *next[3];        /* what the next frame will need, likely */
    unsigned   configured:HUB_CONFIG_KINDS;   /* bits of what it has sent */
    unsigned   settled:1;        /* what it did not send was forgotten */
    unsigned   returned:1;       /* an earlier stream goes on */
    unsigned   keyed:1;
    unsigned   discontinuity:1;
    unsigned   wait_key:1;       /* the GOP is broken, or not this writer's */
    unsigned   outgrown:1;       /* a GOP was larger than the window: told once */
} hub_writer_t;

typedef struct {
    hub_ref_t  ref;
    uint64_t   index;            /* next entry to start */
    uint64_t   pos;              /* next byte to send */
    uint64_t   end;              /* where the batch in hand ends */
    unsigned   joined:1;
    unsigned   blind:1;          /* gets sound alone until the next key frame */
} hub_reader_t;


/* --- plain loads and stores of what several processes share --- */

#define hub_load(p)      __atomic_load_n((p), __ATOMIC_ACQUIRE)
#define hub_store(p, v)  __atomic_store_n((p), (v), __ATOMIC_RELEASE)
#define hub_add(p, v)    __atomic_add_fetch((p), (v), __ATOMIC_ACQ_REL)

/* Between two stores that are to be seen in this order: by readers without a
 * lock, and by the sweep when a SIGKILL comes between them. */
#define hub_step()       __atomic_thread_fence(__ATOMIC_RELEASE)


/* Never NULL.  When the entry has left the window meanwhile, what is there may say
 * anything: look at `first` after use. */
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

    return key && key <= first;              /* not a newer one than `first` saw */
}


/* Is it a stream, for whoever looks for one? */
static ngx_inline int
hub_stream_is_on(const hub_stream_t *s)
{
    uint32_t  state = __atomic_load_n(&s->state, __ATOMIC_ACQUIRE);

    return state == HUB_LIVE || state == HUB_GRACE;
}


static ngx_inline int
hub_watches(enum hub_protocol protocol)
{
    return protocol == HUB_FLV || protocol == HUB_WS || protocol == HUB_RTMP;
}


/* For a walk over all streams: rows lie pages apart, and none is in a cache.  FROM
 * and TO are offsets of what the walk looks at. */
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
