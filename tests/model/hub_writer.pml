/*
 * The steps of modules/hub/hub_writer.md, under the same numbers: three publishers of
 * one stream, a revocation, a sweep and another stream that takes blocks.  Each process
 * may be killed at any crash().  Steps under the mutex are atomic apart from that,
 * unless a process can see them without the mutex.
 *
 * With OLD_PROTOCOL a writer stores its pid before it checks that it owns the stream,
 * and clears it with a plain store; with OLD_ORDER a block goes to the pool before its
 * owner forgets it.  The verifier must find an error in both.
 */

#define REVOKER     3
#define SWEEPER     4
#define OTHER       5
#define LAST        6              /* sweeps after all others; is never killed */
#define PROCESSES   7

#ifndef PUBLISHERS
#define PUBLISHERS  3
#endif
#ifndef KILLS
#define KILLS       1
#endif
#ifndef APPENDS
#define APPENDS     1
#endif

#define BLOCKS      3
#define ROW         2              /* most blocks of the stream */
#define NONE        BLOCKS

mtype = { FREE, LIVE, GRACE, ENDING };

mtype state = FREE;
byte  turn, inside;                /* the word, both as process + 1.  The real turn
                                      only grows; here its owner identifies it */
byte  worker, session;
byte  held, row[ROW];              /* blocks of the stream, oldest first */
bool  pool[BLOCKS] = true;
bool  others[BLOCKS];              /* of the other stream */

byte  mutex;                       /* process + 1 */
bool  dead[PROCESSES], done[PROCESSES], forgotten[PROCESSES];
byte  kills = KILLS;

/* for the assertions: the process + 1 that is appending, or writes to a block */
byte  copying;
byte  filled[BLOCKS];

#define over(p)   (done[p] || dead[p])
#define lock()    mutex == 0 -> mutex = me + 1
#define unlock()  mutex = 0

/* SIGKILL, after which nginx's master releases the mutex */
inline crash()
{
    if
    :: true
    :: atomic {
           kills > 0 ->
           kills--;
           dead[me] = true;
           if :: mutex == me + 1 -> mutex = 0 :: else fi;
           if :: copying == me + 1 -> copying = 0 :: else fi;
           if :: filled[0] == me + 1 -> filled[0] = 0 :: else fi;
           if :: filled[1] == me + 1 -> filled[1] = 0 :: else fi;
           if :: filled[2] == me + 1 -> filled[2] = 0 :: else fi;
           goto corpse
       }
    fi
}

/* Writes bytes to block B, which takes a while. */
inline fill(b)
{
    atomic { crash(); assert(!pool[b] && filled[b] == 0); filled[b] = me + 1 }
    atomic { crash(); assert(filled[b] == me + 1); filled[b] = 0 }
}

inline give(b)
{
    assert(!pool[b] && !others[b]);
    pool[b] = true
}

/* Moves first_block. */
inline forget_block()
{
    row[0] = row[1];
    row[1] = 0;
    held--
}

/* Gives the oldest blocks of the row back to the pool, all but KEEP. */
inline give_row(keep)
{
    do
    :: held > keep ->
       b = row[0];
#ifdef OLD_ORDER
       give(b);
       crash();
       forget_block();
#else
       forget_block();
       crash();
       give(b);
#endif
       crash()
    :: else -> break
    od;
    b = NONE
}

inline take()
{
    if
    :: pool[0] -> b = 0
    :: pool[1] -> b = 1
    :: pool[2] -> b = 2
    :: else -> b = NONE
    fi;
    if
    :: b != NONE -> pool[b] = false; crash()
    :: else
    fi
}

/* T2 */
inline look_inside()
{
    ok = true;
    if
    :: inside == 0
    :: else ->
       if
       :: dead[inside - 1] -> inside = 0
       :: else -> ok = false
       fi
    fi
}

inline leave()
{
    turn = 0;
    crash();
    state = GRACE;
    crash()
}

inline free_stream()
{
    state = FREE;
    worker = 0;
    session = 0
}

/* E2 */
inline release()
{
    look_inside();
    if
    :: ok -> give_row(0); free_stream()
    :: else
    fi;
    ok = false
}

/* E1 */
inline end_stream()
{
#ifdef OLD_PROTOCOL
    was = turn;
    turn = 0;
    look_inside();
    if
    :: ok -> give_row(0); free_stream()
    :: else -> turn = was
    fi;
    was = 0;
    ok = false
#else
    turn = 0;
    crash();
    state = ENDING;
    crash();
    release()
#endif
}

/* A1 */
inline enter()
{
#ifdef OLD_PROTOCOL
    atomic { crash(); inside = me + 1 }
    atomic { crash(); ok = turn == me + 1 }
    if
    :: ok
    :: atomic { !ok -> crash(); inside = 0 }
    fi
#else
    atomic {
        crash();
        if
        :: turn == me + 1 && inside == 0 -> inside = me + 1; ok = true
        :: else -> ok = false
        fi
    }
#endif
}

/* A2: takes and gives blocks, then writes bytes */
inline append()
{
    atomic {
        crash();
        assert(copying == 0);
        copying = me + 1;
        lock();
        if
        :: held == ROW -> give_row(1)
        :: else
        fi;
        take();
        if
        :: b != NONE -> row[held] = b; held++; crash()
        :: else
        fi;
        if
        :: held > 0 -> b = row[held - 1]
        :: else -> b = NONE
        fi;
        unlock()
    }
    if
    :: b != NONE -> fill(b)
    :: else
    fi;
    atomic { crash(); assert(copying == me + 1); copying = 0; b = NONE }
}

/* A3 */
inline exit()
{
#ifdef OLD_PROTOCOL
    atomic { crash(); inside = 0; n++ }
#else
    atomic {
        crash();
        if :: inside == me + 1 -> inside = 0 :: else fi;
        n++
    }
#endif
}

proctype publisher(byte me)
{
    byte  n, tries, was, b = NONE;
    bool  ok;

    do                                           /* T */
    :: atomic {                                  /* T1 */
           crash();
           lock();
           if
           :: state == LIVE || state == GRACE -> was = turn; turn = 0
           :: else
           fi
       }
       atomic {                                  /* T2 */
           crash();
           if
           :: state == LIVE || state == GRACE -> look_inside()
           :: else -> ok = state == FREE
           fi;
           if
           :: ok ->
              crash();
              if                                 /* T3 */
              :: state == LIVE -> leave()
              :: else
              fi;
              session = me + 1;
              crash();
              worker = me + 1;
              crash();
              state = LIVE;
              crash();
              turn = me + 1
           :: else ->
              tries++;
#ifdef OLD_PROTOCOL
              turn = was
#endif
           fi;
           was = 0;
           unlock()
       }
       if
       :: ok || tries == 2 -> break              /* stuck */
       :: else
       fi
    od;

    do                                           /* A */
    :: n < APPENDS && ok ->
       enter();
       if
       :: ok -> append(); exit()
       :: else -> break
       fi
    :: else -> break
    od;

    atomic {
        crash();
        lock();
        if
        :: state == LIVE && session == me + 1 -> leave()
        :: else
        fi;
        unlock();
        done[me] = true
    }
corpse:
    atomic { n = 0; tries = 0; was = 0; b = 0; ok = false }
}

proctype revoker(byte me)
{
    byte  was, b = NONE;
    bool  ok;

    atomic {
        crash();
        lock();
        if
        :: state == LIVE || state == GRACE -> end_stream()
        :: else
        fi;
        unlock();
        done[me] = true
    }
corpse:
    atomic { b = 0; ok = false }
}

/* S2, S3 */
inline forget(p)
{
    atomic {
        dead[p] && !forgotten[p] ->
        crash();
        lock();
        if :: inside == p + 1 -> inside = 0 :: else fi;
        crash();
        if
        :: state == LIVE && worker == p + 1 -> leave()
        :: else
        fi;
        forgotten[p] = true;
        unlock()
    }
}

inline sweep_zone()
{
    do
    :: forget(0)
    :: forget(1)
    :: forget(2)
    :: else -> break
    od;
    if
    :: atomic {
           state == GRACE || state == ENDING ->
           crash();
           lock();
           if
           :: state == GRACE -> end_stream()
           :: state == ENDING -> release()
           :: else
           fi;
           unlock()
       }
    :: else
    fi
}

proctype sweeper(byte me)
{
    byte  was, b = NONE;
    bool  ok;

    sweep_zone();
    done[me] = true;
corpse:
    atomic { b = 0; ok = false }
}

/* Takes a block from the pool, or the oldest block of the stream. */
proctype other(byte me)
{
    byte  b = NONE;

    atomic {
        crash();
        lock();
        take();
        if
        :: b == NONE && held == ROW && state != FREE ->
           b = row[0];
           forget_block();
           crash()
        :: else
        fi;
        if
        :: b != NONE -> assert(!others[b]); others[b] = true
        :: else
        fi;
        unlock()
    }
    if
    :: b != NONE ->
       fill(b);
       atomic {
           crash();
           lock();
           others[b] = false;
           crash();
           give(b);
           unlock()
       }
    :: else
    fi;
    done[me] = true;
corpse:
    b = 0
}

/* When all processes are done or dead, a sweep must free the stream. */
proctype last(byte me)
{
    byte  was, b = NONE;
    bool  ok;

    (over(0) && over(1) && over(2) && over(REVOKER) && over(SWEEPER)
     && over(OTHER));
    kills = 0;
    sweep_zone();
    assert(state == FREE);
corpse:
    skip
}

init
{
    atomic {
        run publisher(0);
        run publisher(1);
#if PUBLISHERS == 3
        run publisher(2);
        done[OTHER] = true;
#else
        done[2] = true;
        run other(OTHER);
#endif
        run revoker(REVOKER);
        run sweeper(SWEEPER);
        run last(LAST)
    }
}
