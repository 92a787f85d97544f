/* SPDX-License-Identifier: BSD-3-Clause */
/* How long the UTF-8 character at a place is; for whoever prints text that others chose. */
#ifndef CTL_UTF8_H
#define CTL_UTF8_H

#include <stddef.h>

/*
 * Bytes of the well-formed character at @s, 1 to 4; 0 when there is none: a stray or missing continuation, an overlong
 * form, a surrogate, beyond U+10FFFF.  Never reads past the terminating NUL, which itself counts as a character of 1.
 */
size_t ctl_utf8_len(const char *s);

#endif /* CTL_UTF8_H */
