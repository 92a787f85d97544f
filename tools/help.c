/* SPDX-License-Identifier: BSD-3-Clause */
/* Help texts, and the table of verbs that they are made from. */
#include <stdio.h>
#include <string.h>
#include "ctl.h"
#include "verbs.h"

const struct ctl_verb *const ctl_verbs[] = { &ctl_verb_create,
					     &ctl_verb_info,
					     &ctl_verb_map,
					     &ctl_verb_diff,
					     &ctl_verb_check,
					     &ctl_verb_repair,
					     &ctl_verb_dump,
					     &ctl_verb_restore,
					     &ctl_verb_size,
					     &ctl_verb_merge,
					     &ctl_verb_copy,
					     &ctl_verb_io,
					     &ctl_verb_bench,
					     &ctl_verb_help,
					     &ctl_verb_version,
					     &ctl_verb_completion,
					     NULL };

const struct ctl_verb *ctl_verb_find(const char *name)
{
	for (size_t i = 0; ctl_verbs[i]; i++)
		if (!strcmp(ctl_verbs[i]->name, name))
			return ctl_verbs[i];
	return NULL;
}

enum { MAX_WORD = 24 }; /* longer words are nobody's misspelt verb */

static size_t min2(size_t a, size_t b)
{
	return a < b ? a : b;
}

/* How many letters must be changed, added, dropped or swapped with their neighbour to make @b of @a. */
static size_t word_distance(const char *a, const char *b)
{
	size_t d[MAX_WORD + 1][MAX_WORD + 1], la = strlen(a), lb = strlen(b);

	for (size_t i = 0; i <= la; i++)
		d[i][0] = i;
	for (size_t j = 0; j <= lb; j++)
		d[0][j] = j;
	for (size_t i = 1; i <= la; i++) {
		for (size_t j = 1; j <= lb; j++) {
			d[i][j] = d[i - 1][j - 1] + (a[i - 1] != b[j - 1]);
			d[i][j] = min2(d[i][j], min2(d[i - 1][j], d[i][j - 1]) + 1);
			if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
				d[i][j] = min2(d[i][j], d[i - 2][j - 2] + 1);
		}
	}
	return d[la][lb];
}

const char *ctl_verb_nearest(const char *name)
{
	const char *best = NULL;
	size_t best_distance = 3;

	if (strlen(name) < 2 || strlen(name) > MAX_WORD)
		return NULL;
	for (size_t i = 0; ctl_verbs[i]; i++) {
		size_t distance = word_distance(name, ctl_verbs[i]->name);

		if (distance < best_distance) {
			best_distance = distance;
			best = ctl_verbs[i]->name;
		}
	}
	return best;
}

static void option_print(const struct ctl_opt *o)
{
	char left[48];
	char letter[8] = "    ";

	if (o->id < CTL_ID_JSON)
		snprintf(letter, sizeof(letter), "-%c, ", o->id);
	snprintf(left, sizeof(left), "%s--%s%s%s", letter, o->name, o->arg ? " " : "", o->arg ? o->arg : "");
	printf("  %-24s %s\n", left, o->help);
}

void ctl_help_verb(const struct ctl_verb *verb)
{
	printf("usage: blkremap-ctl %s%s%s%s\n\n%s\n", verb->name, verb->opts->id ? " [OPTION...]" : "",
	       *verb->operands ? " " : "", verb->operands, verb->text);
	if (verb->opts->id)
		puts("\noptions:");
	for (const struct ctl_opt *o = verb->opts; o->id; o++)
		option_print(o);
	printf("\nexample:\n  %s\n", verb->example);
}

void ctl_help_all(void)
{
	puts("usage: blkremap-ctl VERB [OPTION...] OPERAND...\n\n"
	     "Snapshots, their origins and merging, on files and block devices, without root.\n\nverbs:");
	for (size_t i = 0; ctl_verbs[i]; i++)
		printf("  %-12s %s\n", ctl_verbs[i]->name, ctl_verbs[i]->summary);
	puts("\nA SPEC is a path (disk.img, /dev/sdb), a stack file (@FILE, or any name that ends in .blkr),\n"
	     "a TYPE:KEY=VALUE,... text (snapshot:origin=base.img,store=snap.cow) or a device-mapper table line.\n"
	     "Sizes: 4096, 64k, 64K, 64KiB, 1M, 1G, 1T (powers of 1024), 128s (sectors of 512 bytes).\n"
	     "Exit status: 0 done, same, clean; 1 no, different, unclean; 2 usage; 3 failed; 4 corrupt; 5 busy.\n\n"
	     "'blkremap-ctl help VERB' tells more.");
}
