/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the fuzz programs share.  Each has LLVMFuzzerTestOneInput(), run by libFuzzer in a build with -Dfuzz=true, and
 * by replay.c over its corpus in every build.
 */
#ifndef FUZZ_H
#define FUZZ_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What must hold for every input. */
#define FUZZ_MUST(what) \
	do { \
		if (!(what)) { \
			fprintf(stderr, "%s:%d: must hold: %s\n", __FILE__, __LINE__, #what); \
			abort(); \
		} \
	} while (0)

#endif /* FUZZ_H */
