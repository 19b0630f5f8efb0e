#include "sound_clock.h"


uint64_t
sound_clock_frame(sound_clock_t *c, uint64_t own, uint32_t rate, int first)
{
    uint64_t  at = c->next, before, drift = (uint64_t) SOUND_DRIFT * rate / 1000;

    if (!c->set || own > at + drift) {
        at = own;

    } else if (!first && own + drift < at) {
        before = at - AAC_FRAME;
        at = own > before ? own : before + 1;
    }

    c->next = at + AAC_FRAME;
    c->set = 1;

    return at;
}
