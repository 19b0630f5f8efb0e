#include "flv_file.h"

#include "mp4.h"

#include <string.h>

#define META_BODY    (FLV_META_SIZE - FLV_TAG_OVERHEAD)
#define FILLER_MAX   1000        /* some readers accept no longer string */
#define STEP_MAX     1000        /* ms; a longer one is a gap */

/* AMF 0, 2.1 */
enum { AMF_NUMBER = 0, AMF_BOOLEAN = 1, AMF_STRING = 2, AMF_OBJECT = 3,
       AMF_ECMA_ARRAY = 8, AMF_OBJECT_END = 9, AMF_STRICT_ARRAY = 10 };

#define FOURCC_HVC1  0x68766331
#define FOURCC_AVC1  0x61766331


/* --- key frames --- */

void
flv_file_init(flv_file_t *file)
{
    file->meta = (flv_meta_t) { 0 };
    file->keys.n = file->keys.seen = 0;
    file->keys.step = 1;
}


void
flv_keys_add(flv_keys_t *keys, uint32_t time, uint64_t position)
{
    uint32_t  i;

    if (keys->seen++ % keys->step) {
        return;
    }

    if (keys->n == FLV_KEYS_MAX) {           /* drop every second one */
        for (i = 0; i < FLV_KEYS_MAX / 2; i++) {
            keys->key[i] = keys->key[2 * i];
        }
        keys->n = FLV_KEYS_MAX / 2;
        keys->step *= 2;                     /* this key fits both steps */
    }

    keys->key[keys->n].time = time;
    keys->key[keys->n++].position = position;
}


void
flv_keys_cut(flv_keys_t *keys, uint64_t size)
{
    while (keys->n && keys->key[keys->n - 1].position >= size) {
        keys->n--;
    }
}


/* --- onMetaData, written --- */

static uint8_t *
put_be(uint8_t *p, uint64_t value, unsigned n)
{
    while (n--) {
        *p++ = (uint8_t) (value >> 8 * n);
    }

    return p;
}


static uint8_t *
put_number(uint8_t *p, double value)
{
    uint64_t  bits;

    memcpy(&bits, &value, sizeof(bits));
    p = put_be(p, AMF_NUMBER, 1);

    return put_be(p, bits, 8);
}


/* Writes the name of a property: a string without its marker. */
static uint8_t *
put_name(uint8_t *p, const char *name)
{
    size_t  len = strlen(name);

    p = put_be(p, len, 2);
    memcpy(p, name, len);

    return p + len;
}


static uint8_t *
put_named(uint8_t *p, const char *name, double value)
{
    return put_number(put_name(p, name), value);
}


static uint8_t *
put_flag(uint8_t *p, const char *name, int value)
{
    p = put_name(p, name);
    p = put_be(p, AMF_BOOLEAN, 1);

    return put_be(p, value != 0, 1);
}


static uint8_t *
put_array(uint8_t *p, const char *name, uint32_t n)
{
    p = put_name(p, name);
    p = put_be(p, AMF_STRICT_ARRAY, 1);

    return put_be(p, n, 4);
}


static uint8_t *
put_keys(uint8_t *p, const flv_keys_t *keys)
{
    uint32_t  i;

    p = put_name(p, "keyframes");
    p = put_be(p, AMF_OBJECT, 1);

    p = put_array(p, "times", keys->n);
    for (i = 0; i < keys->n; i++) {
        p = put_number(p, keys->key[i].time / 1000.0);
    }

    p = put_array(p, "filepositions", keys->n);
    for (i = 0; i < keys->n; i++) {
        p = put_number(p, (double) keys->key[i].position);
    }

    return put_be(p, AMF_OBJECT_END, 3);
}


/* Fills the room up to LAST with strings of spaces. */
static uint8_t *
put_filler(uint8_t *p, uint8_t *last)
{
    size_t    room, len;
    uint32_t  n;

    room = (size_t) (last - p) - (2 + 6 + 5);
    n = (uint32_t) ((room + FILLER_MAX - 1) / FILLER_MAX);
    p = put_array(p, "filler", n);

    for ( ; n > 0; n--) {
        len = (size_t) (last - p) / n - 3;
        p = put_be(p, AMF_STRING, 1);
        p = put_be(p, len, 2);
        memset(p, ' ', len);
        p += len;
    }

    return p;
}


size_t
flv_write_meta(uint8_t out[FLV_META_SIZE], const flv_file_t *file)
{
    uint8_t           *p, *count, *last = out + FLV_META_SIZE - FLV_BACK_SIZE - 3;
    uint32_t           n = 12;
    const flv_meta_t  *meta = &file->meta;
    const flv_keys_t  *keys = &file->keys;
    const flv_key_t   *key = keys->n ? &keys->key[keys->n - 1] : NULL;

    p = out + flv_write_tag_header(out, FLV_SCRIPT, META_BODY, 0);
    p = put_be(p, AMF_STRING, 1);
    p = put_name(p, "onMetaData");
    p = put_be(p, AMF_ECMA_ARRAY, 1);
    count = p;
    p += 4;

    p = put_named(p, "duration", (double) meta->duration / 1000.0);
    p = put_named(p, "filesize", (double) meta->size);
    p = put_named(p, "session", (double) meta->session);
    p = put_named(p, "lasttimestamp", meta->last / 1000.0);
    p = put_named(p, "lastkeyframetimestamp", key ? key->time / 1000.0 : 0);
    p = put_named(p, "lastkeyframelocation", key ? (double) key->position : 0);
    p = put_flag(p, "hasVideo", meta->video != 0);
    p = put_flag(p, "hasAudio", meta->audio != 0);
    p = put_flag(p, "hasMetadata", 1);
    p = put_flag(p, "hasKeyframes", keys->n != 0);

    if (meta->video) {
        p = put_named(p, "videocodecid", meta->video);
        p = put_named(p, "width", meta->width);
        p = put_named(p, "height", meta->height);
        n += 3;
    }

    if (meta->audio) {
        p = put_named(p, "audiocodecid", meta->audio);
        p = put_named(p, "audiosamplerate", meta->rate);
        p = put_flag(p, "stereo", meta->channels > 1);
        n += 3;
    }

    p = put_keys(p, keys);
    p = put_filler(p, last);
    p = put_be(p, AMF_OBJECT_END, 3);
    (void) put_be(count, n, 4);

    return (size_t) (p - out) + flv_write_back(p, META_BODY);
}


void
flv_meta_header(flv_meta_t *meta, uint8_t type, const uint8_t *body,
    size_t size)
{
    flv_frame_t  frame;
    mp4_track_t  track;

    if ((type == FLV_VIDEO ? flv_parse_video(body, size, &frame)
                           : flv_parse_audio(body, size, &frame)) != FLV_OK
        || !frame.config
        || mp4_track(&track, frame.codec, body + frame.payload,
                     size - frame.payload) != 0)
    {
        return;
    }

    if (type == FLV_AUDIO) {
        meta->audio = frame.codec_id;
        meta->rate = track.timescale;
        meta->channels = track.channels;
        return;
    }

    meta->video = !(body[0] & 0x80) ? frame.codec_id
                  : frame.codec == FLV_CODEC_HEVC ? FOURCC_HVC1 : FOURCC_AVC1;
    meta->width = track.width;
    meta->height = track.height;
}


/* --- onMetaData, read --- */

static uint64_t
get_be(const uint8_t *p, unsigned n)
{
    uint64_t  v = 0;

    while (n--) {
        v = v << 8 | *p++;
    }

    return v;
}


static int
get_value(const uint8_t *p, double scale, uint64_t *value)
{
    double    number;
    uint64_t  bits = get_be(p + 1, 8);

    memcpy(&number, &bits, sizeof(number));

    if (p[0] != AMF_NUMBER || !(number >= 0 && number * scale < 9e15)) {
        return -1;
    }

    *value = (uint64_t) (number * scale + 0.5);

    return 0;
}


/* Reads the number NAME at *P and moves *P behind it.  Returns 0, or -1 when another
 * property is there. */
static int
get_named(const uint8_t **p, const char *name, double scale, uint64_t *value)
{
    size_t  len = strlen(name);

    if (get_be(*p, 2) != len || memcmp(*p + 2, name, len) != 0
        || get_value(*p + 2 + len, scale, value) != 0)
    {
        return -1;
    }

    *p += 2 + len + 9;

    return 0;
}


int
flv_read_meta(const uint8_t tag[FLV_META_SIZE], flv_meta_t *meta)
{
    static const uint8_t  begin[] = {
        AMF_STRING, 0, 10, 'o', 'n', 'M', 'e', 't', 'a', 'D', 'a', 't', 'a',
        AMF_ECMA_ARRAY
    };
    uint8_t         head[FLV_TAG_HEADER_SIZE];
    const uint8_t  *p = tag + FLV_TAG_HEADER_SIZE;

    *meta = (flv_meta_t) { 0 };

    (void) flv_write_tag_header(head, FLV_SCRIPT, META_BODY, 0);

    if (memcmp(tag, head, sizeof(head)) != 0
        || memcmp(p, begin, sizeof(begin)) != 0
        || get_be(tag + FLV_META_SIZE - FLV_BACK_SIZE, FLV_BACK_SIZE)
           != FLV_META_SIZE - FLV_BACK_SIZE)
    {
        return -1;
    }

    p += sizeof(begin) + 4;

    return get_named(&p, "duration", 1000, &meta->duration) == 0
           && get_named(&p, "filesize", 1, &meta->size) == 0
           && get_named(&p, "session", 1, &meta->session) == 0 ? 0 : -1;
}


/* Moves *P behind NAME and the value's TYPE if they are at *P.  Returns 1 or
 * 0. */
static int
get_name(const uint8_t **p, const uint8_t *last, const char *name, int type)
{
    size_t  len = strlen(name);

    if ((size_t) (last - *p) < 2 + len + 1 || get_be(*p, 2) != len
        || memcmp(*p + 2, name, len) != 0 || (*p)[2 + len] != type)
    {
        return 0;
    }

    *p += 2 + len + 1;

    return 1;
}


/* Returns the array NAME of *N numbers (0: any, and sets *N) at *P and moves *P behind
 * it.  NULL: no such array is there. */
static const uint8_t *
get_array(const uint8_t **p, const uint8_t *last, const char *name, uint32_t *n)
{
    uint64_t        count;
    const uint8_t  *numbers;

    if (!get_name(p, last, name, AMF_STRICT_ARRAY) || last - *p < 4) {
        return NULL;
    }

    count = get_be(*p, 4);
    numbers = *p + 4;

    if (count == 0 || count > FLV_KEYS_MAX || (*n && count != *n)
        || (size_t) (last - numbers) < 9 * count)
    {
        return NULL;
    }

    *n = (uint32_t) count;
    *p = numbers + 9 * count;

    return numbers;
}


int
flv_read_key(const uint8_t tag[FLV_META_SIZE], uint32_t time, flv_key_t *key)
{
    int             found = -1;
    uint32_t        i, n = 0;
    uint64_t        at, position;
    const uint8_t  *p = tag, *times, *positions;
    const uint8_t  *last = tag + FLV_META_SIZE - FLV_BACK_SIZE;

    while (p < last && !get_name(&p, last, "keyframes", AMF_OBJECT)) {
        p++;
    }

    times = get_array(&p, last, "times", &n);
    positions = times ? get_array(&p, last, "filepositions", &n) : NULL;

    for (i = 0; positions && i < n; i++) {
        if (get_value(times + 9 * i, 1000, &at) != 0
            || get_value(positions + 9 * i, 1, &position) != 0 || at > time)
        {
            break;
        }

        key->time = (uint32_t) at;
        key->position = position;
        found = 0;
    }

    return found;
}


/* --- tags --- */

void
flv_walk_init(flv_walk_t *w, uint64_t at, flv_file_t *file)
{
    *w = (flv_walk_t) { .at = at, .dts = { -1, -1 }, .file = file };
    flv_file_init(file);
}


static void
walk_tag(flv_walk_t *w, const flv_tag_t *tag, const uint8_t *body)
{
    int          kind = tag->type == FLV_AUDIO;
    flv_frame_t  frame;

    if (tag->type == FLV_SCRIPT
        || (kind ? flv_parse_audio(body, tag->size, &frame)
                 : flv_parse_video(body, tag->size, &frame)) != FLV_OK
        || frame.empty)
    {
        return;
    }

    if (frame.config) {
        flv_meta_header(&w->file->meta, tag->type, body, tag->size);
        return;
    }

    w->step[kind] = w->dts[kind] >= 0 ? (int64_t) tag->time - w->dts[kind] : 0;
    w->dts[kind] = tag->time;

    if (tag->time > w->file->meta.last) {
        w->file->meta.last = tag->time;
    }

    if (!kind && frame.key) {
        flv_keys_add(&w->file->keys, tag->time, w->at);
    }
}


size_t
flv_walk(flv_walk_t *w, const uint8_t *p, size_t size, size_t *need)
{
    size_t     done = 0;
    flv_tag_t  tag;

    for ( ;; ) {
        *need = FLV_TAG_HEADER_SIZE;

        if (size - done < FLV_TAG_HEADER_SIZE) {
            return done;
        }

        if (flv_read_tag_header(p, &tag) != 0) {
            *need = 0;
            return done;
        }

        *need = FLV_TAG_OVERHEAD + tag.size;

        if (size - done < *need) {
            return done;
        }

        if (flv_read_back(p + FLV_TAG_HEADER_SIZE + tag.size)
            != (int32_t) tag.size)
        {
            *need = 0;
            return done;
        }

        walk_tag(w, &tag, p + FLV_TAG_HEADER_SIZE);
        w->at += *need;
        done += *need;
        p += *need;
    }
}


int64_t
flv_walk_end(const flv_walk_t *w)
{
    int      i;
    int64_t  end = 0, of;

    for (i = 0; i < 2; i++) {
        if (w->dts[i] >= 0) {
            of = w->dts[i] + (w->step[i] > 0 && w->step[i] < STEP_MAX
                              ? w->step[i] : 1);
            end = of > end ? of : end;
        }
    }

    return end;
}
