/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The one encoder of all JSON that blkremap-ctl prints.  Numbers are integers, always; strings are valid UTF-8, always.
 *
 *	struct ctl_json j;
 *
 *	ctl_json_begin(&j, "info");			{"format":"blkremap/1","command":"info"
 *	ctl_json_array(&j, "state");			,"state":[
 *	ctl_json_string(&j, NULL, "clean");		"clean"
 *	ctl_json_close(&j);				]
 *	return ctl_json_end(&j, stdout);		}
 *
 * Text is gathered in memory and printed by ctl_json_end(), so a verb that fails half-way prints none
 * (ctl_json_drop()).
 */
#ifndef CTL_JSON_H
#define CTL_JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

struct ctl_json {
	FILE *out; /* a memory stream; NULL: there was no memory, and everything below does nothing */
	char *text;
	size_t len;
	unsigned int depth;
	bool comma[8]; /* a value stands before, at this depth */
	char closer[8];
};

/* Keys are the tool's own words; NULL inside an array. */
void ctl_json_begin(struct ctl_json *j, const char *command);
void ctl_json_object(struct ctl_json *j, const char *key);
void ctl_json_array(struct ctl_json *j, const char *key);
void ctl_json_close(struct ctl_json *j); /* the innermost object or array */
void ctl_json_u64(struct ctl_json *j, const char *key, uint64_t value);
void ctl_json_bool(struct ctl_json *j, const char *key, bool value);
/* Control bytes and quotes are escaped; what is not UTF-8 becomes U+FFFD, a byte at a time. */
void ctl_json_string(struct ctl_json *j, const char *key, const char *value);

/* Close what is open and print all on one line: 0 or -errno. */
int ctl_json_end(struct ctl_json *j, FILE *out);
void ctl_json_drop(struct ctl_json *j);

#endif /* CTL_JSON_H */
