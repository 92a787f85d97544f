/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What kind of name an operand is.  Only its text decides; nothing is opened and nothing is probed.
 *
 *	ctl_spec("vol.blkr")			"@vol.blkr", a stack file
 *	ctl_spec("./snapshot:x.blkr")		"@./snapshot:x.blkr"
 *	ctl_spec("cache:origin=a,fast=b.blkr")	itself: the library's to read
 */
#ifndef CTL_SPEC_H
#define CTL_SPEC_H

#include <stdbool.h>
#include "ctl.h"

/* A path of a file or block device: no URI, no '@', no TYPE:KEY=, no dm table line. */
bool ctl_spec_is_path(const char *operand);
/* The stack file that the operand names ("vol.blkr", "@vol"), as a pointer into it; NULL: it names none. */
const char *ctl_spec_stack(const char *operand);
/* What to hand to the library, to be freed; NULL: no memory. */
char *ctl_spec(const char *operand);
/*
 * The same, for a snapshot that is going to be merged: a spec gets ",merging=yes", a table line says "snapshot-merge".
 * A stack file has a line of its own for it, see ctl_stack_merging().
 */
char *ctl_spec_merging(const char *operand);

#endif /* CTL_SPEC_H */
