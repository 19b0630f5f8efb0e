#ifndef DUOLU_LOG_H
#define DUOLU_LOG_H

#include <stddef.h>

/* One line on standard error: UTC time, level, message. Safe from any thread. */
void log_info(const char *format, ...) __attribute__((format(printf, 1, 2)));
void log_warning(const char *format, ...) __attribute__((format(printf, 1, 2)));
void log_error(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Remembers the file behind standard error, if it is a file. Call it before starting threads. */
void log_keep_path(void);

/* Opens a new file of the same name, after logrotate or the keeper moved the old one. */
void log_reopen(void);

/*
 * Copies a stranger's text so that it stays on one line and can't
 * forge another field: control bytes, quotes and backslashes become \xNN.
 */
const char *log_quote(char *out, size_t size, const char *text);

#endif
