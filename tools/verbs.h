/* SPDX-License-Identifier: BSD-3-Clause */
/* The verbs, each defined in its own cmd-NAME.c; help.c puts them into one table. */
#ifndef CTL_VERBS_H
#define CTL_VERBS_H

#include "ctl.h"

extern const struct ctl_verb ctl_verb_bench;
extern const struct ctl_verb ctl_verb_check;
extern const struct ctl_verb ctl_verb_completion;
extern const struct ctl_verb ctl_verb_copy;
extern const struct ctl_verb ctl_verb_create;
extern const struct ctl_verb ctl_verb_diff;
extern const struct ctl_verb ctl_verb_dump;
extern const struct ctl_verb ctl_verb_help;
extern const struct ctl_verb ctl_verb_info;
extern const struct ctl_verb ctl_verb_io;
extern const struct ctl_verb ctl_verb_map;
extern const struct ctl_verb ctl_verb_merge;
extern const struct ctl_verb ctl_verb_repair;
extern const struct ctl_verb ctl_verb_restore;
extern const struct ctl_verb ctl_verb_size;
extern const struct ctl_verb ctl_verb_version;

#endif /* CTL_VERBS_H */
