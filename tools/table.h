/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Lists in columns: aligned with headings for people, or with -H tabs and no headings for scripts; -o picks the
 * columns.
 *
 *	static const struct ctl_column columns[] = { { "offset", "Offset", 10 }, { "state", "State", 6 } };
 *	struct ctl_table t;
 *
 *	ctl_table_init(&t, columns, 2);
 *	ctl_table_pick(&t, "state");		-EINVAL: a word is no column
 *	ctl_table_head(&t);
 *	ctl_table_row(&t, (const char *const[]){ "0x00000000", "copied" });
 */
#ifndef CTL_TABLE_H
#define CTL_TABLE_H

#include <stdbool.h>

enum { CTL_MAX_COLUMNS = 8 };
struct ctl_column {
	const char *key, *heading;
	int width; /* at least; a longer cell shifts what follows */
};
struct ctl_table {
	const struct ctl_column *columns;
	unsigned int picked[CTL_MAX_COLUMNS], nr_picked, nr_columns;
	bool raw; /* -H */
};

void ctl_table_init(struct ctl_table *t, const struct ctl_column *columns, unsigned int n);
int ctl_table_pick(struct ctl_table *t, const char *keys);
void ctl_table_head(const struct ctl_table *t);
/* A cell for each column, also for those that are not picked; escaped here. */
void ctl_table_row(const struct ctl_table *t, const char *const *cells);

#endif /* CTL_TABLE_H */
