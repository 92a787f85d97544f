/* SPDX-License-Identifier: BSD-3-Clause */
#include "base/error.h"

#include <stdarg.h>
#include <stdio.h>

enum { TEXT_BYTES = 320 };

static _Thread_local char text[TEXT_BYTES];

int br_error(int error, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	return error;
}

const char *br_error_text(void)
{
	return text;
}

void br_error_set_text(const char *s)
{
	snprintf(text, sizeof(text), "%s", s);
}
