#include "rights.h"

#include <string.h>

static const char *const  rights_words[] = { "publish", "view", "replay", "manage" };

#define RIGHTS_COUNT  (sizeof(rights_words) / sizeof(rights_words[0]))


unsigned rights_decide(const rights_case_t *the)
{
    unsigned  rights = 0;

    if (the->user == 0 || the->disabled) {
        return 0;
    }

    if (the->admin || the->user == the->owner) {
        rights = RIGHTS_ALL;
    } else {
        rights = the->granted & RIGHTS_ALL;
        if (the->is_public) {
            rights |= RIGHT_VIEW;
        }
    }

    /* a disabled owner's stream does not go on air, through nobody's key */
    if (the->owner_disabled) {
        rights &= ~(unsigned) RIGHT_PUBLISH;
    }

    return rights;
}


const char *rights_word(size_t index, unsigned *bit)
{
    if (index >= RIGHTS_COUNT) {
        return NULL;
    }

    *bit = 1u << index;
    return rights_words[index];
}


unsigned rights_parse(const char *text)
{
    unsigned     rights = 0, bit;
    size_t       length, i;
    const char  *word;

    for (;;) {
        length = strcspn(text, ",");

        for (i = 0; (word = rights_word(i, &bit)) != NULL; i++) {
            if (strlen(word) == length && memcmp(word, text, length) == 0) {
                rights |= bit;
                break;
            }
        }

        if (word == NULL) {
            return 0;
        }
        if (text[length] == '\0') {
            return rights;
        }
        text += length + 1;
    }
}


const char *rights_format(unsigned rights, char out[RIGHTS_TEXT_SIZE])
{
    unsigned     bit;
    size_t       i;
    const char  *word;

    out[0] = '\0';

    for (i = 0; (word = rights_word(i, &bit)) != NULL; i++) {
        if (rights & bit) {
            if (out[0]) {
                strcat(out, ",");
            }
            strcat(out, word);
        }
    }

    return out;
}
