/* SPDX-License-Identifier: BSD-3-Clause */
#include <inttypes.h>
#include "json.h"
#include "msg.h"
#include "size.h"
#include "verbs.h"

static const struct ctl_opt opts[] = { CTL_OPT_JSON, { 0 } };

/* What a library may have; blkremap_has() says which it does. */
static const char *const engines[] = { "aio", "threads", "memory", NULL };
static const char *const targets[] = { "origin", "snapshot", "linear", "error", "delay", NULL };
static const struct {
	const char *key, *prefix;
	const char *const *names;
} features[] = { { "engines", "engine", engines }, { "targets", "target", targets } };

enum { NR_FEATURES = sizeof(features) / sizeof(features[0]) };

static bool has(size_t i, const char *name)
{
	char feature[64];

	snprintf(feature, sizeof(feature), "%s:%s", features[i].prefix, name);
	return blkremap_has(feature) == 1;
}

static struct ctl_text version_text(void)
{
	uint32_t v = blkremap_version();
	struct ctl_text t;

	snprintf(t.s, sizeof(t.s), "%" PRIu32 ".%" PRIu32 ".%" PRIu32, v >> 16, v >> 8 & 0xff, v & 0xff);
	return t;
}

static int version_json(void)
{
	struct ctl_json j;

	ctl_json_begin(&j, "version");
	ctl_json_string(&j, "library", version_text().s);
	for (size_t i = 0; i < NR_FEATURES; i++) {
		ctl_json_array(&j, features[i].key);
		for (size_t n = 0; features[i].names[n]; n++)
			if (has(i, features[i].names[n]))
				ctl_json_string(&j, NULL, features[i].names[n]);
		ctl_json_close(&j);
	}
	return ctl_json_end(&j, stdout) < 0 ? CTL_FAILED : CTL_OK;
}

static int run(struct ctl_args *args)
{
	bool json = false;
	int id;

	while ((id = ctl_args_next(args)) > 0)
		json = true;
	if (id < 0)
		return args->exit_code;
	if (json)
		return version_json();
	printf("blkremap-ctl, libblkremap %s\n", version_text().s);
	for (size_t i = 0; i < NR_FEATURES; i++) {
		unsigned int found = 0;

		printf("%-8s", features[i].key);
		for (size_t n = 0; features[i].names[n]; n++)
			if (has(i, features[i].names[n]))
				found += (unsigned int)(printf(" %s", features[i].names[n]) > 0);
		puts(found ? "" : " none");
	}
	return CTL_OK;
}

const struct ctl_verb ctl_verb_version = {
	.name = "version",
	.operands = "",
	.summary = "the library's version, its engines and targets",
	.text = "Tells what the library that is loaded now can do, not what this program was built with.",
	.example = "blkremap-ctl version --json",
	.opts = opts,
	.run = run,
};
