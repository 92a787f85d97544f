/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The table of types and their keys: what the parser accepts, what the printer knows, what br_spec_describe() tells.
 * All three come from one list, the KEYS_* of spec-types.c; a new key is one line there.
 */
#ifndef BR_API_SPEC_TYPES_H
#define BR_API_SPEC_TYPES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct br_spec;

enum {
	BR_KEY_NAME, BR_KEY_PATH, BR_KEY_SIZE, BR_KEY_TIME, BR_KEY_COUNT, BR_KEY_BOOL, BR_KEY_CHOICE,
	BR_KEY_DEVICE
};
enum {
	BR_KEY_PLAIN,
	BR_KEY_REQUIRED = 1,
	BR_KEY_REPEATED = 2,	/* may be given more than once; the order counts */
	BR_KEY_LIVE = 4		/* blkremap_dev_set() takes it */
};

struct br_spec_keydef {
	const char *name;
	uint32_t kind, flags;
	const char *choices;	/* "\"aio\",\"threads\"": as in JSON; empty unless BR_KEY_CHOICE */
};

struct br_spec_typedef {
	const char *name;
	const struct br_spec_keydef *keys;
	size_t nr_keys;
	const char *json;
	/* What no single key shows.  Returns a sentence about what is wrong, or NULL; *ret_at: the byte. */
	const char *(*check)(const struct br_spec *spec, size_t *ret_at);
};

/* By name; @name needs no NUL.  NULL: none. */
const struct br_spec_typedef *br_spec_type(const char *name, size_t len);
const struct br_spec_keydef *br_spec_keydef(const struct br_spec_typedef *type, const char *name, size_t len);
/* A name that a later version, or a module, will know: refused with -EOPNOTSUPP, not taken for a path. */
bool br_spec_type_is_reserved(const char *name, size_t len);
/* Index of a choice, or -1; and back. */
int br_spec_choice(const struct br_spec_keydef *def, const char *text, size_t len);
/* "aio, threads", for sentences. */
void br_spec_choices_text(const struct br_spec_keydef *def, char *buf, size_t size);

/* What the writer may have meant, or NULL if nothing comes near. */
const char *br_spec_nearest_key(const struct br_spec_typedef *type, const char *name, size_t len);
const char *br_spec_nearest_type(const char *name, size_t len);

#endif /* BR_API_SPEC_TYPES_H */
