#include "ngx_rtmp_guard_amf.h"
#include "ngx_rtmp.h"


/* AMF0 specification, 2.1: types at which nginx-rtmp's reader gives up */
#define AMF_REFERENCE     0x07
#define AMF_DATE          0x0b
#define AMF_LONG_STRING   0x0c
#define AMF_UNSUPPORTED   0x0d
#define AMF_XML           0x0f
#define AMF_TYPED_OBJECT  0x10


typedef struct {
    uint8_t                   array;     /* strict array, else named members */
    uint32_t                  left;      /* elements still to come, if array */
} ngx_rtmp_guard_level_t;


/* with `rewrite`, everything that the walk reads is copied to `out` */
typedef struct {
    ngx_rtmp_guard_cursor_t   in;
    ngx_rtmp_guard_cursor_t   out;
    ngx_uint_t                rewrite;
    ngx_uint_t                foreign;
    ngx_uint_t                depth;
    ngx_uint_t                max_depth;
    ngx_rtmp_guard_level_t    levels[NGX_RTMP_GUARD_AMF_DEPTH_MAX];
} ngx_rtmp_guard_walk_t;


static ngx_int_t ngx_rtmp_guard_get(ngx_rtmp_guard_cursor_t *cur, u_char *dst,
    size_t n);
static void ngx_rtmp_guard_put(ngx_rtmp_guard_walk_t *w, const u_char *src,
    size_t n);
static ngx_int_t ngx_rtmp_guard_copy(ngx_rtmp_guard_walk_t *w, size_t n);
static ngx_int_t ngx_rtmp_guard_copy_string(ngx_rtmp_guard_walk_t *w);
static ngx_int_t ngx_rtmp_guard_values(ngx_rtmp_guard_walk_t *w);
static ngx_int_t ngx_rtmp_guard_value(ngx_rtmp_guard_walk_t *w);
static ngx_int_t ngx_rtmp_guard_convert(ngx_rtmp_guard_walk_t *w,
    u_char type);
static ngx_int_t ngx_rtmp_guard_push_level(ngx_rtmp_guard_walk_t *w,
    ngx_uint_t array, uint32_t left);


void
ngx_rtmp_guard_cursor(ngx_rtmp_guard_cursor_t *cur, ngx_chain_t *in,
    size_t skip)
{
    cur->link = in;
    cur->pos = in->buf->pos;

    if (skip <= (size_t) (in->buf->last - in->buf->pos)) {
        cur->pos += skip;
    }
}


/* NGX_OK, or NGX_DONE when the message has fewer than n bytes left */

static ngx_int_t
ngx_rtmp_guard_get(ngx_rtmp_guard_cursor_t *cur, u_char *dst, size_t n)
{
    size_t  size;

    while (n) {
        while (cur->pos == cur->link->buf->last) {
            if (cur->link->next == NULL) {
                return NGX_DONE;
            }

            cur->link = cur->link->next;
            cur->pos = cur->link->buf->pos;
        }

        size = ngx_min((size_t) (cur->link->buf->last - cur->pos), n);

        if (dst) {
            dst = ngx_cpymem(dst, cur->pos, size);
        }

        cur->pos += size;
        n -= size;
    }

    return NGX_OK;
}


/* `out` follows `in` in the same chain, so there is always room */

static void
ngx_rtmp_guard_put(ngx_rtmp_guard_walk_t *w, const u_char *src, size_t n)
{
    size_t  size;

    if (!w->rewrite) {
        return;
    }

    while (n) {
        while (w->out.pos == w->out.link->buf->last) {
            w->out.link = w->out.link->next;
            w->out.pos = w->out.link->buf->pos;
        }

        size = ngx_min((size_t) (w->out.link->buf->last - w->out.pos), n);

        ngx_memmove(w->out.pos, src, size);

        w->out.pos += size;
        src += size;
        n -= size;
    }
}


static ngx_int_t
ngx_rtmp_guard_copy(ngx_rtmp_guard_walk_t *w, size_t n)
{
    size_t  size;
    u_char  buf[256];

    if (!w->rewrite) {
        return ngx_rtmp_guard_get(&w->in, NULL, n);
    }

    while (n) {
        size = ngx_min(n, sizeof(buf));

        if (ngx_rtmp_guard_get(&w->in, buf, size) != NGX_OK) {
            return NGX_DONE;
        }

        ngx_rtmp_guard_put(w, buf, size);
        n -= size;
    }

    return NGX_OK;
}


static ngx_int_t
ngx_rtmp_guard_copy_string(ngx_rtmp_guard_walk_t *w)
{
    u_char  len[2];

    if (ngx_rtmp_guard_get(&w->in, len, 2) != NGX_OK) {
        return NGX_DONE;
    }

    ngx_rtmp_guard_put(w, len, 2);

    return ngx_rtmp_guard_copy(w, (size_t) len[0] << 8 | len[1]);
}


ngx_int_t
ngx_rtmp_guard_amf_walk(ngx_rtmp_guard_cursor_t in, ngx_uint_t shared,
    ngx_uint_t max_depth, ngx_rtmp_guard_amf_t *amf)
{
    size_t                   n;
    u_char                  *p, head[3];
    ngx_rtmp_guard_walk_t    w;
    ngx_rtmp_guard_cursor_t  cur;

    ngx_memzero(amf, sizeof(ngx_rtmp_guard_amf_t));

    /* nginx-rtmp ends the name at a NUL or after 127 bytes: do the same */
    cur = in;
    n = shared ? 2 : 3;

    if (ngx_rtmp_guard_get(&cur, head + 3 - n, n) == NGX_OK
        && (shared || head[0] == NGX_RTMP_AMF_STRING))
    {
        n = (size_t) head[1] << 8 | head[2];
        n = ngx_min(n, sizeof(amf->name) - 1);

        if (ngx_rtmp_guard_get(&cur, amf->name, n) != NGX_OK) {
            amf->name[0] = '\0';
        }

        /* for the log: no real command has such a byte */
        for (p = amf->name; *p; p++) {
            if (*p < ' ' || *p > '~') {
                *p = '.';
            }
        }
    }

    w.in = in;
    w.rewrite = 0;
    w.foreign = 0;
    w.depth = 0;
    w.max_depth = max_depth;

    if (shared && ngx_rtmp_guard_copy_string(&w) != NGX_OK) {
        return NGX_OK;
    }

    if (ngx_rtmp_guard_values(&w) == NGX_ERROR) {
        return NGX_ERROR;
    }

    amf->foreign = w.foreign;

    return NGX_OK;
}


void
ngx_rtmp_guard_amf_rewrite(ngx_rtmp_guard_cursor_t in, ngx_uint_t shared)
{
    ngx_chain_t            *cl;
    ngx_rtmp_guard_walk_t   w;

    w.in = in;
    w.out = in;
    w.rewrite = 1;
    w.foreign = 0;
    w.depth = 0;
    w.max_depth = NGX_RTMP_GUARD_AMF_DEPTH_MAX;

    if (!shared || ngx_rtmp_guard_copy_string(&w) == NGX_OK) {
        (void) ngx_rtmp_guard_values(&w);
    }

    /* copy the rest unchanged */
    while (ngx_rtmp_guard_copy(&w, 1) == NGX_OK) { /* void */ }

    w.out.link->buf->last = w.out.pos;

    for (cl = w.out.link->next; cl; cl = cl->next) {
        cl->buf->last = cl->buf->pos;
    }
}


/* NGX_ERROR: nested too deep; NGX_DONE: the end, or a type that is not known */

static ngx_int_t
ngx_rtmp_guard_values(ngx_rtmp_guard_walk_t *w)
{
    u_char                   buf[2];
    ngx_int_t                rc;
    ngx_rtmp_guard_level_t  *level;

    for ( ;; ) {
        level = w->depth ? &w->levels[w->depth - 1] : NULL;

        if (level && level->array) {
            if (level->left == 0) {
                w->depth--;
                continue;
            }

            level->left--;

        } else if (level) {
            if (ngx_rtmp_guard_get(&w->in, buf, 2) != NGX_OK) {
                return NGX_DONE;
            }

            ngx_rtmp_guard_put(w, buf, 2);

            if (buf[0] == 0 && buf[1] == 0) {
                if (ngx_rtmp_guard_get(&w->in, buf, 1) != NGX_OK) {
                    return NGX_DONE;
                }

                ngx_rtmp_guard_put(w, buf, 1);

                if (buf[0] != NGX_RTMP_AMF_END) {
                    return NGX_DONE;
                }

                w->depth--;
                continue;
            }

            if (ngx_rtmp_guard_copy(w, (size_t) buf[0] << 8 | buf[1])
                != NGX_OK)
            {
                return NGX_DONE;
            }
        }

        rc = ngx_rtmp_guard_value(w);
        if (rc != NGX_OK) {
            return rc;
        }
    }
}


static ngx_int_t
ngx_rtmp_guard_value(ngx_rtmp_guard_walk_t *w)
{
    u_char      type, buf[4];
    uint32_t    count;

    if (ngx_rtmp_guard_get(&w->in, &type, 1) != NGX_OK) {
        return NGX_DONE;
    }

    if (type == AMF_REFERENCE || type == AMF_DATE || type == AMF_LONG_STRING
        || type == AMF_UNSUPPORTED || type == AMF_XML
        || type == AMF_TYPED_OBJECT)
    {
        w->foreign++;
        return ngx_rtmp_guard_convert(w, type);
    }

    ngx_rtmp_guard_put(w, &type, 1);

    switch (type) {

    case NGX_RTMP_AMF_NUMBER:
        return ngx_rtmp_guard_copy(w, 8);

    case NGX_RTMP_AMF_BOOLEAN:
        return ngx_rtmp_guard_copy(w, 1);

    case NGX_RTMP_AMF_STRING:
        return ngx_rtmp_guard_copy_string(w);

    case NGX_RTMP_AMF_NULL:
    case NGX_RTMP_AMF_ARRAY_NULL:
    case NGX_RTMP_AMF_END:
        return NGX_OK;

    case NGX_RTMP_AMF_MIXED_ARRAY:
        if (ngx_rtmp_guard_copy(w, 4) != NGX_OK) {
            return NGX_DONE;
        }

        return ngx_rtmp_guard_push_level(w, 0, 0);

    case NGX_RTMP_AMF_OBJECT:
        return ngx_rtmp_guard_push_level(w, 0, 0);

    case NGX_RTMP_AMF_ARRAY:
        if (ngx_rtmp_guard_get(&w->in, buf, 4) != NGX_OK) {
            return NGX_DONE;
        }

        ngx_rtmp_guard_put(w, buf, 4);

        count = (uint32_t) buf[0] << 24 | (uint32_t) buf[1] << 16
                | (uint32_t) buf[2] << 8 | buf[3];

        return ngx_rtmp_guard_push_level(w, 1, count);

    default:
        return NGX_DONE;
    }
}


/* The caller has read the type byte, but not written one. */

static ngx_int_t
ngx_rtmp_guard_convert(ngx_rtmp_guard_walk_t *w, u_char type)
{
    size_t  len, keep;
    u_char  buf[4], head[3];

    switch (type) {

    case AMF_DATE:                       /* double, s16 time zone */
        head[0] = NGX_RTMP_AMF_NUMBER;
        ngx_rtmp_guard_put(w, head, 1);

        if (ngx_rtmp_guard_copy(w, 8) != NGX_OK) {
            return NGX_DONE;
        }

        return ngx_rtmp_guard_get(&w->in, NULL, 2);

    case AMF_LONG_STRING:
    case AMF_XML:
        if (ngx_rtmp_guard_get(&w->in, buf, 4) != NGX_OK) {
            return NGX_DONE;
        }

        len = (size_t) buf[0] << 24 | (size_t) buf[1] << 16
              | (size_t) buf[2] << 8 | buf[3];
        keep = ngx_min(len, 65535);

        head[0] = NGX_RTMP_AMF_STRING;
        head[1] = (u_char) (keep >> 8);
        head[2] = (u_char) keep;
        ngx_rtmp_guard_put(w, head, 3);

        if (ngx_rtmp_guard_copy(w, keep) != NGX_OK) {
            return NGX_DONE;
        }

        return ngx_rtmp_guard_get(&w->in, NULL, len - keep);

    case AMF_TYPED_OBJECT:
        if (ngx_rtmp_guard_get(&w->in, buf, 2) != NGX_OK) {
            return NGX_DONE;
        }

        head[0] = NGX_RTMP_AMF_OBJECT;
        ngx_rtmp_guard_put(w, head, 1);

        len = (size_t) buf[0] << 8 | buf[1];

        if (ngx_rtmp_guard_get(&w->in, NULL, len) != NGX_OK) {
            return NGX_DONE;
        }

        return ngx_rtmp_guard_push_level(w, 0, 0);

    default:                             /* Reference (u16), Unsupported */
        head[0] = NGX_RTMP_AMF_NULL;
        ngx_rtmp_guard_put(w, head, 1);

        return ngx_rtmp_guard_get(&w->in, NULL, type == AMF_REFERENCE ? 2 : 0);
    }
}


static ngx_int_t
ngx_rtmp_guard_push_level(ngx_rtmp_guard_walk_t *w, ngx_uint_t array, uint32_t left)
{
    if (w->depth == w->max_depth) {
        return NGX_ERROR;
    }

    w->levels[w->depth].array = (uint8_t) array;
    w->levels[w->depth].left = left;
    w->depth++;

    return NGX_OK;
}


ngx_int_t
ngx_rtmp_guard_aggregate_check(ngx_chain_t *in, ngx_rtmp_guard_amf_t *amf)
{
    size_t                   len;
    u_char                   head[11];
    ngx_rtmp_guard_cursor_t  cur;

    ngx_rtmp_guard_cursor(&cur, in, 0);

    /* FLV tags: type, size (24), timestamp (24 + 8), stream (24), body, size */
    while (ngx_rtmp_guard_get(&cur, head, 1) == NGX_OK) {

        amf->tag_type = head[0];

        if (head[0] != NGX_RTMP_MSG_AUDIO
            && head[0] != NGX_RTMP_MSG_VIDEO
            && head[0] != NGX_RTMP_MSG_AMF_META
            && head[0] != NGX_RTMP_MSG_AMF3_META)
        {
            return NGX_DECLINED;
        }

        if (ngx_rtmp_guard_get(&cur, head + 1, 10) != NGX_OK) {
            return NGX_ERROR;
        }

        len = (size_t) head[1] << 16 | (size_t) head[2] << 8 | head[3];

        if (ngx_rtmp_guard_get(&cur, NULL, len) != NGX_OK
            || ngx_rtmp_guard_get(&cur, NULL, 4) != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}
