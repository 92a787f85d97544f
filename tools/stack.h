/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Stack files as blkremap-ctl writes them: sections of "key = value" lines, the last section on top.
 *
 *	[base]
 *	type = file
 *	path = base.img
 *
 *	[snap]
 *	type = snapshot
 *	origin = base
 *	store = snap.cow
 *
 * Reading them is the library's work.  This only makes new ones, and keeps the line "merging = yes" of a snapshot while
 * it is being merged: the store cannot say so, and a half merged origin is no image without its store.
 */
#ifndef CTL_STACK_H
#define CTL_STACK_H

#include <stdbool.h>

/* -EINVAL: a name that these lines cannot hold, or a relative spec in a folder of its own; *ret_why says which. */
int ctl_stack_text(const char *path, const char *origin, const char *store, char **ret_text, const char **ret_why);
/* Durably write it: -EEXIST if it is there, unless @replace. */
int ctl_stack_write(const char *path, const char *text, bool replace);

/*
 * In what follows @path is as in a spec behind its '@': "FILE" or "FILE#SECTION".
 *
 * Durably set or remove "merging = yes" in the section, or the last one.  1 if the file was changed, 0 if it said so
 * already, -ENOENT no such section, -EINVAL: the section is no snapshot, so there is nothing to mark.
 */
int ctl_stack_merging(const char *path, bool merging);

/*
 * The path of a section of type file, seen from the current folder, to be freed; NULL: no such section, or not
 * readable.
 */
char *ctl_stack_file_path(const char *path, const char *section);

#endif /* CTL_STACK_H */
