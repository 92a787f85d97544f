/* SPDX-License-Identifier: BSD-3-Clause */
#include "table.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include "msg.h"

void ctl_table_init(struct ctl_table *t, const struct ctl_column *columns, unsigned int n)
{
	*t = (struct ctl_table){ .columns = columns, .nr_columns = n, .nr_picked = n };
	for (unsigned int i = 0; i < n; i++)
		t->picked[i] = i;
}

int ctl_table_pick(struct ctl_table *t, const char *keys)
{
	unsigned int n = 0, i;

	for (;; keys++) {
		size_t len = strcspn(keys, ",");

		for (i = 0; i < t->nr_columns; i++)
			if (strlen(t->columns[i].key) == len && !memcmp(t->columns[i].key, keys, len))
				break;
		if (i == t->nr_columns || n == CTL_MAX_COLUMNS)
			return -EINVAL;
		t->picked[n++] = i;
		keys += len;
		if (!*keys)
			break;
	}
	t->nr_picked = n;
	return 0;
}

void ctl_table_row(const struct ctl_table *t, const char *const *cells)
{
	for (unsigned int i = 0; i < t->nr_picked; i++) {
		const char *cell = cells[t->picked[i]];
		int pad = t->columns[t->picked[i]].width - (int)strlen(cell);

		ctl_put(stdout, cell);
		if (i + 1 == t->nr_picked)
			break;
		if (t->raw)
			putchar('\t');
		else
			printf("%*s   ", pad > 0 ? pad : 0, "");
	}
	putchar('\n');
}

void ctl_table_head(const struct ctl_table *t)
{
	const char *cells[CTL_MAX_COLUMNS];

	if (t->raw)
		return;
	for (unsigned int i = 0; i < t->nr_columns; i++)
		cells[i] = t->columns[i].heading;
	ctl_table_row(t, cells);
}
