/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Any bytes as a spec, and as a stack file: they are refused with a sentence, or become a tree that survives printing
 * and parsing.  Memory is bounded by the length of the text, and all of it comes back.
 */
#include "fuzz.h"

#include <errno.h>
#include <string.h>

#include "api/spec.h"
#include "api/stackfile.h"
#include "base/env.h"
#include "base/error.h"

#include "../unit/api/spec-same.h"

enum { PRINT_MAX = 4 * BR_SPEC_MAX_TEXT };

static size_t env_bytes, env_most;

static void *fuzz_alloc(const struct blkremap_env *env, size_t size, size_t align)
{
	(void)env;
	(void)align;
	env_bytes += size;
	if (env_bytes > env_most)
		env_most = env_bytes;
	return calloc(1, size);
}

static void fuzz_free(const struct blkremap_env *env, void *p, size_t size)
{
	(void)env;
	env_bytes -= size;
	free(p);
}

static const struct br_env_ops env_ops = { .alloc = fuzz_alloc, .free = fuzz_free };
static const struct blkremap_env env = { .ops = &env_ops };

/* A tree prints to a text that parses to an equal tree and prints the same.  What gets too long need not. */
static void check_printing(const struct br_spec *spec)
{
	static char printed[PRINT_MAX], again[PRINT_MAX];
	struct br_spec *back;

	if (br_spec_print(spec, printed, sizeof(printed)) < 0 || strlen(printed) > BR_SPEC_MAX_TEXT)
		return;
	FUZZ_MUST(br_spec_parse(&env, printed, &back) == 0);
	FUZZ_MUST(same_tree(spec, back));
	FUZZ_MUST(br_spec_print(back, again, sizeof(again)) == 0);
	FUZZ_MUST(!strcmp(printed, again));
	br_spec_free(back);
}

static void check_refusal(int error, const char *begin)
{
	FUZZ_MUST(error == -EINVAL || error == -EOPNOTSUPP);
	FUZZ_MUST(!strncmp(br_error_text(), begin, strlen(begin)));
	FUZZ_MUST(strlen(br_error_text()) > strlen(begin));
}

static void check_spec(const char *text)
{
	struct br_spec *spec = NULL;
	int r = br_spec_parse(&env, text, &spec);

	if (r < 0) {
		FUZZ_MUST(!spec);
		check_refusal(r, "spec: ");
		return;
	}
	FUZZ_MUST(spec->depth <= BR_SPEC_MAX_DEPTH);
	check_printing(spec);
	br_spec_free(spec);
}

/* Sections may share others many times over, so a section is not compared as a tree unless it prints in reason. */
static void check_stack(const char *text, size_t len)
{
	struct br_stack *stack = NULL;
	int r = br_stack_parse(&env, "d/v", text, len, &stack);

	if (r < 0) {
		FUZZ_MUST(!stack);
		check_refusal(r, "d/v:");
		return;
	}
	FUZZ_MUST(stack->nr_sections > 0);
	for (uint32_t i = 0; i < stack->nr_sections; i++) {
		struct br_spec *section = stack->sections[i], *snapshot = NULL;

		FUZZ_MUST(br_stack_section(stack, section->section) == section);
		FUZZ_MUST(section->depth <= BR_SPEC_MAX_DEPTH);
		while ((snapshot = br_stack_next_snapshot(stack, section, snapshot)) != NULL)
			FUZZ_MUST(br_spec_child(snapshot, "origin") == section);
		check_printing(section);
	}
	br_stack_free(stack);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = malloc(size + 1);

	FUZZ_MUST(text);
	memcpy(text, data, size);
	text[size] = '\0';
	env_most = 0;
	check_spec(text);
	FUZZ_MUST(env_bytes == 0);
	check_stack(text, size);
	FUZZ_MUST(env_bytes == 0);
	/* A key takes two bytes of text at least, a node in the table's shape three; both are below 100 bytes. */
	FUZZ_MUST(env_most < 16384 + 100 * size || size > BR_SPEC_MAX_TEXT);
	free(text);
	return 0;
}
