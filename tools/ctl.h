/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What every verb of blkremap-ctl shares: the table of verbs, its options, its exit codes.
 *
 * A verb is one file cmd-NAME.c that defines one struct ctl_verb.  Options are rows of a table, from which come the
 * parser, the help text and the shell completion, so the three cannot disagree.  Typical use:
 *
 *	static const struct ctl_opt opts[] = { { 'q', "quiet", NULL, "say nothing" }, CTL_OPT_JSON, { 0 } };
 *	static int run(struct ctl_args *args)
 *	{
 *		int id;
 *
 *		while ((id = ctl_args_next(args)) > 0)
 *			if (id == 'q')
 *				quiet = true;
 *		if (id < 0)
 *			return args->exit_code;
 *		return look_at(args->operands[0]);
 *	}
 *
 * Verbs print results to stdout and everything else to stderr, and see of the library only its public header.
 */
#ifndef CTL_CTL_H
#define CTL_CTL_H

#include <stdbool.h>
#include <stdint.h>
#include <blkremap/blkremap.h>

enum { /* exit codes, the same for every verb; killed by a signal: 128 + its number */
	CTL_OK, /* done, yes, same, clean */
	CTL_NO, /* no, different, unclean but consistent */
	CTL_USAGE, /* the command line is wrong; nothing was touched */
	CTL_FAILED, /* I/O error, missing, no space */
	CTL_CORRUPT, /* metadata is damaged or invalid */
	CTL_BUSY /* in use by another process, or claimed by a target */
};

struct ctl_opt {
	int id; /* its letter, or from 256 on for an option that has none */
	const char *name;
	const char *arg; /* what its value is called in help; NULL: takes none */
	const char *help;
};

enum { CTL_ID_JSON = 256, CTL_ID_PROGRESS, CTL_ID_HELP, CTL_ID_OWN /* verbs number theirs from here */ };
#define CTL_OPT_JSON { CTL_ID_JSON, "json", NULL, "print one JSON object" }
#define CTL_OPT_PROGRESS { CTL_ID_PROGRESS, "progress", "HOW", "auto, tty, none, or fd:N for lines 'N/100'" }
#define CTL_OPT_SHARED { 'U', "shared", NULL, "look without taking the lock; what is read may be changing" }

struct ctl_args;
struct ctl_verb {
	const char *name;
	const char *operands; /* as shown in the synopsis */
	const char *summary; /* one line, lower case */
	const char *text; /* paragraphs for 'help VERB' */
	const char *example;
	const struct ctl_opt *opts; /* ends with an all-zero row */
	int min_operands, max_operands;
	int (*run)(struct ctl_args *args); /* returns an exit code */
};

struct ctl_args {
	const struct ctl_verb *verb;
	int argc;
	char **argv; /* argv[0] is the verb */
	const char *value; /* of the option just returned */
	char **operands; /* valid once ctl_args_next() has returned 0 */
	int nr_operands;
	int exit_code; /* valid once ctl_args_next() or a ctl_args_...() has returned a negative number */
};

/* The next option's id; 0: no more, the operands are there in the right number; < 0: return exit_code, all is said. */
int ctl_args_next(struct ctl_args *args);
/* Read the value of the option just returned: 0, or < 0 after naming the option and what is wrong. */
int ctl_args_size(struct ctl_args *args, const char *option, uint64_t *ret_bytes);
int ctl_args_rate(struct ctl_args *args, const char *option, uint64_t *ret_bytes_per_s);
int ctl_args_count(struct ctl_args *args, const char *option, uint32_t max, uint32_t *ret_count);

extern const struct ctl_verb *const ctl_verbs[]; /* NULL-terminated, in the order of 'help' */
const struct ctl_verb *ctl_verb_find(const char *name);
const char *ctl_verb_nearest(const char *name); /* NULL when nothing is near enough to be meant */

void ctl_help_verb(const struct ctl_verb *verb);
void ctl_help_all(void);

/*
 * Open what the user named.  A plain name that ends in ".blkr" is a stack file, as if "@" stood before it; everything
 * else goes to the library as it is.  0, or an exit code after the error has been printed.
 */
int ctl_open(struct blkremap_ctx *ctx, const char *operand, uint32_t flags, struct blkremap_dev **ret_dev);
/* The same by a spec that was made of the operand. */
int ctl_open_spec(struct blkremap_ctx *ctx, const char *spec, const char *operand, uint32_t flags,
		  struct blkremap_dev **ret_dev);
int ctl_ctx_new(struct blkremap_ctx **ret_ctx);
/* Close and free what is not NULL.  Takes the exit code so far, and returns a worse one if closing itself failed. */
int ctl_close(struct blkremap_ctx *ctx, struct blkremap_dev *dev, const char *operand, int exit_code);

#endif /* CTL_CTL_H */
