#include "log.h"
#include "../../modules/rules/text.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static char  log_path[PATH_MAX];     /* empty if standard error is not a file */


static void log_write(const char *level, const char *format, va_list args)
{
    char             line[1024];
    size_t           used;
    ssize_t          written;
    struct tm        utc;
    struct timespec  now;

    clock_gettime(CLOCK_REALTIME, &now);
    gmtime_r(&now.tv_sec, &utc);

    used = strftime(line, sizeof(line), "%Y-%m-%dT%H:%M:%S", &utc);
    used += (size_t) snprintf(line + used, sizeof(line) - used, ".%03ldZ %s ",
                              now.tv_nsec / 1000000, level);

    vsnprintf(line + used, sizeof(line) - used - 1, format, args);
    used = strlen(line);
    line[used++] = '\n';

    /* one write per line, so that threads don't mix their lines */
    written = write(STDERR_FILENO, line, used);
    (void) written;
}


void log_info(const char *format, ...)
{
    va_list  args;

    va_start(args, format);
    log_write("info", format, args);
    va_end(args);
}


void log_warning(const char *format, ...)
{
    va_list  args;

    va_start(args, format);
    log_write("warning", format, args);
    va_end(args);
}


void log_error(const char *format, ...)
{
    va_list  args;

    va_start(args, format);
    log_write("error", format, args);
    va_end(args);
}


void log_keep_path(void)
{
    ssize_t      length;
    struct stat  info;

    if (fstat(STDERR_FILENO, &info) == 0 && S_ISREG(info.st_mode)) {
        length = readlink("/proc/self/fd/2", log_path, sizeof(log_path) - 1);
        log_path[length > 0 ? length : 0] = '\0';
    }
}


void log_reopen(void)
{
    int  fd;

    if (log_path[0] == '\0') {
        return;
    }

    fd = open(log_path, O_WRONLY | O_APPEND | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);

    /* dup2 is atomic: other threads that write meanwhile lose no line */
    if (fd < 0 || dup2(fd, STDERR_FILENO) < 0) {
        log_error("cannot reopen log %s: %s", log_path, strerror(errno));
    }

    if (fd >= 0) {
        close(fd);
    }
}


/* Escapes characters that a terminal would obey, hide or reorder. */
static size_t log_escape(char out[16], const char *text, size_t *taken)
{
    uint32_t       code;
    unsigned char  c = (unsigned char) *text;

    *taken = text_read(text, strnlen(text, 4), &code);

    if (*taken > 1 && text_hidden(code)) {
        return (size_t) snprintf(out, 16, "\\u{%x}", code);
    }
    if (*taken == 0) {
        *taken = 1;
    }
    if (*taken == 1 && (c < 0x20 || c == 0x7f || c == '"' || c == '\\')) {
        return (size_t) snprintf(out, 16, "\\x%02x", c);
    }

    memcpy(out, text, *taken);
    return *taken;
}


const char *log_quote(char *out, size_t size, const char *text)
{
    char    escaped[16];
    size_t  used = 0, length, taken;

    for (; *text; text += taken) {
        length = log_escape(escaped, text, &taken);
        if (used + length + 1 > size) {
            break;
        }

        memcpy(out + used, escaped, length);
        used += length;
    }

    out[used] = '\0';
    return out;
}
