/*
 * Prints the playlists of 5 minutes of live as a player sees them that asks for each part:
 * with GOPs of all lengths, other headers now and then, and holes.  Each is a line
 * "MSN PART SKIP SIZE" of the request and then SIZE bytes; a delta update comes
 * before the full list of the same state.  For hls-playlist.test.mjs.
 */

#include <stdio.h>
#include <stdlib.h>

#include "hls_rig.h"

#define PART_MS   333
#define TARGET_S  3
#define LIST_S    30                         /* listed, at least */
#define TURNS     (5 * 60000 / PART_MS)

static unsigned  seed = 1;


/* A number below N: the same ones in each run. */
static unsigned below(unsigned n)
{
    seed = seed * 1103515245 + 12345;

    return (seed >> 16) % n;
}


static void print_list(uint64_t msn, uint64_t part, const hls_query_t *q)
{
    text_t  t = { 0 };

    hls_playlist_write(&t, hub_list(), hls_playlist_form(hub_list(), q));
    printf("%llu %llu %d %zu\n", (unsigned long long) msn, (unsigned long long) part,
           q->skip, text_size(&t));
    (void) fwrite(t.start, 1, text_size(&t), stdout);
    text_free(&t);
}


/* A segment begins: at a key frame or, in a long GOP, at the limit. */
static void next_segment(int key)
{
    hub_segment_t  *r = begin_segment();

    r->key = key != 0;
    r->utc += below(12) == 0 ? 200 + below(60000) : 0;
    r->anew = below(12) == 0;
    r->init += r->anew;

    while (r->start - segment(st.first)->record.start
           - (int64_t) segment(st.first)->ms >= LIST_S * 1000)
    {
        st.first++;
    }
    st.oldest = st.first;
}


int main(void)
{
    int          i;
    char         why[HLS_WHY_MAX];
    hls_query_t  q = { .skip = 1, .has_msn = 1, .has_part = 1 }, full = { 0 };

    new_stream(TARGET_S, PART_MS);
    (void) begin_segment();
    q.msn = FIRST;

    for (i = 0; i < TURNS; i++) {
        add_part(284 + below(PART_MS - 283), segment(st.end - 1)->nparts
                 ? below(20) == 0 : segment(st.end - 1)->record.key);

        /* the frame that completes a part may begin a segment */
        if (segment(st.end - 1)->nparts >= 6 && below(3) == 0) {
            next_segment(1);
        } else if (segment(st.end - 1)->nparts == 10) {
            next_segment(0);
        }

        if (hls_playlist_ready(&st, &q, why) != HLS_READY) {
            fprintf(stderr, "%llu.%llu is not ready: %s\n", (unsigned long long) q.msn,
                    (unsigned long long) q.part, why);
            return 1;
        }
        print_list(q.msn, q.part, &q);
        print_list(q.msn, q.part, &full);

        q.msn = st.end - 1;
        q.part = segment(st.end - 1)->nparts;
    }

    end_stream();
    print_list(q.msn, q.part, &q);

    return 0;
}
