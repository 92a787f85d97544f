/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What blkremap-ctl says, and how: one error line, at most one hint, everything escaped.
 *
 *	if (r < 0)
 *		return ctl_fail(path, r);	blkremap-ctl: check: snap.cow: no such store: No such file or directory
 *
 * Names, labels and library sentences may hold bytes that others chose.  Whatever would move a terminal's cursor, ring
 * it or recolour it is printed as \xNN; well-formed UTF-8 stays.
 */
#ifndef CTL_MSG_H
#define CTL_MSG_H

#include <stdarg.h>
#include <stdio.h>

/* Whose errors these are: the verb's name, or NULL before there is one. */
void ctl_msg_verb(const char *verb);

void ctl_put(FILE *out, const char *text); /* escaped, no newline added */
void ctl_say(FILE *out, const char *fmt, ...) __attribute__((format(printf, 2, 3))); /* one escaped line */

/*
 * Say what failed: "blkremap-ctl: VERB: OPERAND: the library's sentence: strerror", and a hint where one is known.
 * @operand may be NULL.  Returns the exit code that belongs to @error.
 */
int ctl_fail(const char *operand, int error);
/* The same with a sentence of the tool's own; @error 0: no strerror, exit code CTL_FAILED. */
int ctl_fail_text(const char *operand, int error, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
/* The command line is wrong: say why, and which help to read.  Returns CTL_USAGE. */
int ctl_usage(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void ctl_hint(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* "blkremap-ctl: VERB: ..." that is not an error, to stderr. */
void ctl_note(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
int ctl_exit_code(int error);

/* Flush stdout at the end: a full disk under '> file' must not look like success.  Returns @exit_code or CTL_FAILED. */
int ctl_finish(int exit_code);

#endif /* CTL_MSG_H */
