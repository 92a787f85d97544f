/* SPDX-License-Identifier: BSD-3-Clause */
#include "msg.h"
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include "ctl.h"
#include "utf8.h"

static const char *msg_verb;
static bool hinted; /* one hint a run: more than one is a manual */

void ctl_msg_verb(const char *verb)
{
	msg_verb = verb;
}

/* C0, DEL, and the C1 controls in their UTF-8 form, which some terminals obey as well. */
static bool is_control(const char *s, size_t len)
{
	unsigned char c = (unsigned char)s[0];

	return c < 0x20 || c == 0x7f || (len == 2 && c == 0xc2 && (unsigned char)s[1] < 0xa0);
}

void ctl_put(FILE *out, const char *text)
{
	while (*text) {
		size_t len = ctl_utf8_len(text), n = len ? len : 1;

		if (len && !is_control(text, len))
			fwrite(text, 1, n, out);
		else
			for (size_t i = 0; i < n; i++)
				fprintf(out, "\\x%02x", (unsigned char)text[i]);
		text += n;
	}
}

__attribute__((format(printf, 3, 0))) static void line_put(FILE *out, const char *prefix, const char *fmt, va_list ap)
{
	char *text;

	if (vasprintf(&text, fmt, ap) < 0)
		text = NULL;
	fputs(prefix, out);
	ctl_put(out, text ? text : fmt);
	fputc('\n', out);
	free(text);
}

void ctl_say(FILE *out, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	line_put(out, "", fmt, ap);
	va_end(ap);
}

void ctl_hint(const char *fmt, ...)
{
	va_list ap;

	if (hinted)
		return;
	hinted = true;
	va_start(ap, fmt);
	line_put(stderr, "hint: ", fmt, ap);
	va_end(ap);
}

static void speaker_put(void)
{
	fputs("blkremap-ctl: ", stderr);
	if (msg_verb)
		fprintf(stderr, "%s: ", msg_verb);
}

void ctl_note(const char *fmt, ...)
{
	va_list ap;

	fflush(stdout);
	speaker_put();
	va_start(ap, fmt);
	line_put(stderr, "", fmt, ap);
	va_end(ap);
}

int ctl_usage(const char *fmt, ...)
{
	va_list ap;

	fflush(stdout);
	speaker_put();
	va_start(ap, fmt);
	line_put(stderr, "", fmt, ap);
	va_end(ap);
	if (msg_verb)
		ctl_hint("'blkremap-ctl help %s' shows how it is used", msg_verb);
	else
		ctl_hint("'blkremap-ctl help' lists the verbs");
	return CTL_USAGE;
}

int ctl_exit_code(int error)
{
	switch (error) {
	case -EBADMSG:
	case -ENOTRECOVERABLE:
		return CTL_CORRUPT;
	case -EBUSY:
		return CTL_BUSY;
	default:
		return CTL_FAILED;
	}
}

static void hint_for(const char *operand, int error)
{
	switch (error) {
	case -EBADMSG:
		ctl_hint("'blkremap-ctl check %s' says what is damaged", operand);
		break;
	case -ENOTRECOVERABLE:
		ctl_hint("'blkremap-ctl repair -n %s' shows what can be saved", operand);
		break;
	case -ENODATA:
		ctl_hint("a store is made by 'blkremap-ctl create snapshot'");
		break;
	}
}

/* Parts that are NULL or empty are left out, and @text does not repeat the operand that it begins with itself. */
static int fail_line(const char *operand, int error, const char *text)
{
	size_t len = operand ? strlen(operand) : 0;
	bool begins = !strncmp(text, operand ? operand : "", len) && (text[len] == ':' || text[len] == ' ');

	fflush(stdout);
	speaker_put();
	if (len && !begins) {
		ctl_put(stderr, operand);
		fputs(*text || error ? ": " : "", stderr);
	}
	ctl_put(stderr, text);
	if (error)
		fprintf(stderr, "%s%s", *text ? ": " : "", strerror(-error));
	fputc('\n', stderr);
	return error ? ctl_exit_code(error) : CTL_FAILED;
}

int ctl_fail(const char *operand, int error)
{
	int code = fail_line(operand, error, blkremap_last_error());

	if (operand)
		hint_for(operand, error);
	return code;
}

int ctl_fail_text(const char *operand, int error, const char *fmt, ...)
{
	char *text;
	va_list ap;
	int code;

	va_start(ap, fmt);
	if (vasprintf(&text, fmt, ap) < 0)
		text = NULL;
	va_end(ap);
	code = fail_line(operand, error, text ? text : fmt);
	free(text);
	return code;
}

int ctl_finish(int exit_code)
{
	bool lost = ferror(stdout) != 0;

	errno = 0;
	if (fflush(stdout) || lost) {
		if (exit_code == CTL_OK || exit_code == CTL_NO)
			exit_code = ctl_fail_text("standard output", errno ? -errno : -EIO, "not all could be written");
	}
	return exit_code;
}
