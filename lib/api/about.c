/* SPDX-License-Identifier: BSD-3-Clause */
/* What the library says about itself: codes, features, version, last error. */
#include <string.h>

#include "api/spec.h"
#include "base/compiler.h"
#include "base/error.h"
#include "blkremap/blkremap.h"

static const struct {
	const char *name, *text;
} codes[] = {
	[BLKREMAP_CODE_NONE] = { "none", "no particular reason" },
	[BLKREMAP_CODE_MEDIUM] = { "medium", "a device below failed the request" },
	[BLKREMAP_CODE_STORE_FULL] = { "store-full", "the store has no room" },
	[BLKREMAP_CODE_INVALIDATED] = { "invalidated", "the snapshot is invalid" },
	[BLKREMAP_CODE_META_DAMAGED] = { "meta-damaged", "the metadata is damaged" },
	[BLKREMAP_CODE_META_FAILED] = { "meta-failed", "the metadata could not be written" },
	[BLKREMAP_CODE_FLUSH_FAILED] = { "flush-failed", "a flush failed" },
	[BLKREMAP_CODE_SOURCE_LOST] = { "source-lost", "the source does not answer" },
	[BLKREMAP_CODE_RELEASED] = { "released", "the data was given up" },
	[BLKREMAP_CODE_READ_ONLY] = { "read-only", "the device is open for reading only" },
	[BLKREMAP_CODE_BEYOND_END] = { "beyond-end", "the request reaches beyond the end of the device" },
	[BLKREMAP_CODE_CANCELED] = { "canceled", "it was canceled" },
	[BLKREMAP_CODE_CLAIMED] = { "claimed", "a target has the only right to write to the device" },
	[BLKREMAP_CODE_LOCKED] = { "locked", "somebody else has the device open" },
	[BLKREMAP_CODE_BLANK] = { "blank", "there is no metadata" },
	[BLKREMAP_CODE_WRONG_PEER] = { "wrong-peer", "the metadata belongs to another device" },
	[BLKREMAP_CODE_TOO_NEW] = { "too-new", "the metadata is of a newer version" },
	[BLKREMAP_CODE_STALE] = { "stale", "the metadata may have missed writes" },
	[BLKREMAP_CODE_TIMED_OUT] = { "timed-out", "it took too long" },
	[BLKREMAP_CODE_UNSUPPORTED] = { "unsupported", "the device cannot do that" },
};

const char *blkremap_code_name(uint32_t code)
{
	return code < BR_ARRAY_SIZE(codes) ? codes[code].name : "unknown";
}

const char *blkremap_code_text(uint32_t code)
{
	return code < BR_ARRAY_SIZE(codes) ? codes[code].text : "a reason that this version does not know";
}

const char *blkremap_last_error(void)
{
	return br_error_text();
}

uint32_t blkremap_version(void)
{
	return BLKREMAP_VERSION_MAJOR << 16 | BLKREMAP_VERSION_MINOR << 8 | BLKREMAP_VERSION_MICRO;
}

int blkremap_has(const char *feature)
{
	static const char *const features[] = {
		"target:linear", "target:error", "target:delay", "target:origin", "target:snapshot", "target:merge",
		"target:file", "target:memory", "target:user", "engine:aio", "engine:threads", "engine:sync",
		"op:flush", "op:discard", "op:write-zeroes", "op:extents",
	};

	for (size_t i = 0; feature && i < BR_ARRAY_SIZE(features); i++)
		if (strcmp(feature, features[i]) == 0)
			return 1;
	return 0;
}

const char *blkremap_describe(const char *type)
{
	return type ? br_spec_describe(type) : NULL;
}
