/* SPDX-License-Identifier: BSD-3-Clause */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include "json.h"
#include "msg.h"
#include "size.h"
#include "verbs.h"

enum { OPT_DEVICE = CTL_ID_OWN, OPT_BLOCK };
static const struct ctl_opt opts[] = {
	{ OPT_DEVICE, "device", "SIZE", "size of the device" },
	{ OPT_BLOCK, "block", "SIZE", "chunk size; 64K unless said" },
	{ 'b', "bytes", NULL, "print the number of bytes and nothing else" },
	CTL_OPT_JSON,
	{ 0 }
};

struct size_args {
	uint64_t device, block;
	bool bytes, json;
};

static int parse(struct ctl_args *args, struct size_args *a)
{
	int id, r = 0;

	while (r == 0 && (id = ctl_args_next(args)) != 0) {
		if (id == OPT_DEVICE)
			r = ctl_args_size(args, "--device", &a->device);
		else if (id == OPT_BLOCK)
			r = ctl_args_size(args, "--block", &a->block);
		else if (id == CTL_ID_JSON)
			a->json = true;
		else if (id == 'b')
			a->bytes = true;
		else
			return id;
	}
	return r;
}

static int run(struct ctl_args *args)
{
	struct size_args a = { .block = 65536 };
	struct ctl_json j;
	uint64_t need;
	int r;

	if (parse(args, &a) < 0)
		return args->exit_code;
	if (strcmp(args->operands[0], "snapshot"))
		return ctl_usage("'%s' is not a kind of metadata; this version knows: snapshot", args->operands[0]);
	if (!a.device)
		return ctl_usage("--device SIZE is missing");
	r = blkremap_meta_size("snapshot", a.device, a.block, &need);
	if (r < 0) {
		ctl_fail(args->operands[0], r);
		return CTL_USAGE;
	}
	if (a.json) {
		ctl_json_begin(&j, "size");
		ctl_json_string(&j, "type", "snapshot");
		ctl_json_u64(&j, "device_bytes", a.device);
		ctl_json_u64(&j, "block_bytes", a.block);
		ctl_json_u64(&j, "bytes", need);
		return ctl_json_end(&j, stdout) < 0 ? CTL_FAILED : CTL_OK;
	}
	if (a.bytes)
		printf("%" PRIu64 "\n", need);
	else
		printf("%s (%s sectors)\n", ctl_human(need).s, ctl_thousands((need + 511) / 512).s);
	return CTL_OK;
}

const struct ctl_verb ctl_verb_size = {
	.name = "size",
	.operands = "snapshot",
	.summary = "how large a store must be that can never overflow",
	.text = "Prints the bytes that a snapshot's store needs when every chunk of its origin is overwritten:\n"
		"all chunks, and the metadata about them.  A smaller store does until that much has been written.",
	.example = "blkremap-ctl size snapshot --device 1G --block 64K",
	.opts = opts,
	.min_operands = 1,
	.max_operands = 1,
	.run = run,
};
