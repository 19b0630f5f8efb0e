#ifndef DUOLU_TESTS_CASES_H
#define DUOLU_TESTS_CASES_H

/*
 * Reads tables of cases that several programs must decide in the same way: the .tsv
 * files of cases/.  Each line is a case, with tabs between columns; a line that begins
 * with "# " is a comment.
 */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CASES_COLUMNS  6
#define CASES_LINE     4096

/* Calls EACH with the columns of every line; fails the test when there are fewer lines
 * than COUNT. */
static inline void
cases_read(const char *name, size_t count, void (*each)(char *column[CASES_COLUMNS]))
{
    char   path[512] = __FILE__, line[CASES_LINE], *column[CASES_COLUMNS], *p;
    FILE  *file;
    size_t  i, seen = 0;

    snprintf(strrchr(path, '/'), 128, "/cases/%s", name);
    file = fopen(path, "r");
    if (file == NULL) {
        fail_msg("%s: can't be opened", path);
    }

    while (fgets(line, sizeof(line), file)) {
        line[strcspn(line, "\n")] = '\0';
        if (strncmp(line, "# ", 2) == 0) {
            continue;
        }

        memset(column, 0, sizeof(column));
        for (i = 0, p = line; p && i < CASES_COLUMNS; i++) {
            column[i] = p;
            p = strchr(p, '\t');
            if (p) {
                *p++ = '\0';
            }
        }

        each(column);
        seen++;
    }

    fclose(file);
    if (seen < count) {
        fail_msg("%s: %zu cases, expected at least %zu", path, seen, count);
    }
}


/* Turns \n \r \t and \xHH into bytes, in place.  Returns the length. */
static inline size_t
cases_bytes(char *text)
{
    char  *from = text, *to = text, digits[3] = "";

    while (*from) {
        if (from[0] == '\\' && from[1] == 'x') {
            memcpy(digits, from + 2, 2);
            *to++ = (char) strtoul(digits, NULL, 16);
            from += 4;
        } else if (from[0] == '\\') {
            *to++ = from[1] == 'n' ? '\n' : from[1] == 'r' ? '\r' : '\t';
            from += 2;
        } else {
            *to++ = *from++;
        }
    }

    *to = '\0';
    return (size_t) (to - text);
}


/* Replaces each WHAT by WITH in TEXT, which has room for SIZE bytes. */
static inline void
cases_replace(char *text, size_t size, const char *what, const char *with)
{
    char  *at, rest[CASES_LINE];

    while ((at = strstr(text, what)) != NULL) {
        snprintf(rest, sizeof(rest), "%s", at + strlen(what));
        snprintf(at, size - (size_t) (at - text), "%s%s", with, rest);
    }
}

#endif
