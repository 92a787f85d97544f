/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A file that is there whole or not at all.  It grows under another name in the same folder, and gets its own when it
 * is durable; until then, and after a crash, what stood under that name stands there still.
 *
 *	struct ctl_newfile nf;
 *	int r = ctl_newfile_begin(&nf, "vol.blkr", false);		-EEXIST if it is there
 *
 *	if (r == 0)
 *		r = ctl_newfile_create(&nf, &fd);
 *	...write to fd...
 *	if (r == 0)
 *		r = ctl_newfile_commit(&nf);
 *	ctl_newfile_end(&nf);						without commit: leaves nothing behind
 */
#ifndef CTL_NEWFILE_H
#define CTL_NEWFILE_H

#include <stdbool.h>
#include <stddef.h>

struct ctl_newfile {
	char *path, *temp;
	int fd; /* -1: none, or the caller writes to temp by its name */
	bool replace;
};

/* @replace: what is there is replaced on commit (the file a symbolic link points to, not the link). */
int ctl_newfile_begin(struct ctl_newfile *nf, const char *path, bool replace);
/* Create temp, with what the umask leaves of 0666; a commit gives it the mode and owner of what it replaces. */
int ctl_newfile_create(struct ctl_newfile *nf, int *ret_fd);
int ctl_newfile_write(struct ctl_newfile *nf, const void *data, size_t len);
/* After this returns 0 the new file survives a power cut under its name.  -EEXIST: it appeared meanwhile. */
int ctl_newfile_commit(struct ctl_newfile *nf);
void ctl_newfile_end(struct ctl_newfile *nf);

#endif /* CTL_NEWFILE_H */
