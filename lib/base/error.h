/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Where an error is born it leaves a sentence for this thread; whoever passes it on is silent.
 *
 *	if (chunk >= t->nr_chunks)
 *		return br_error(-EBADMSG, "exception %u: old chunk %" PRIu64 " is beyond the end", i, chunk);
 *
 * The sentence stays until this thread's next br_error().  blkremap_last_error() hands it out.
 */
#ifndef BR_BASE_ERROR_H
#define BR_BASE_ERROR_H

#include <inttypes.h>

/* Record a sentence (lower case, numbers included, no full stop, no errno text) and return @error unchanged. */
int br_error(int error, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
const char *br_error_text(void);		/* never NULL */
void br_error_set_text(const char *text);	/* for carrying a sentence from one thread to another */

#endif /* BR_BASE_ERROR_H */
