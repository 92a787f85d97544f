/* SPDX-License-Identifier: BSD-3-Clause */
#include "spec.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* "word:key=" with a lower case word: a spec, whether or not this library knows the type. */
static bool has_type(const char *s)
{
	size_t word = strspn(s, "abcdefghijklmnopqrstuvwxyz-"), key;

	if (!word || s[word] != ':')
		return false;
	s += word + 1;
	key = strspn(s, "abcdefghijklmnopqrstuvwxyz_0123456789");
	return key && s[key] == '=';
}

/* "rbd:pool/image": the one URI without slashes.  "scheme://" are the others. */
static bool is_uri(const char *s)
{
	size_t scheme = strspn(s, "abcdefghijklmnopqrstuvwxyz+");

	return scheme && (!strncmp(s + scheme, "://", 3) || !strncmp(s, "rbd:", 4) || !strncmp(s, "dev:", 4));
}

/* "0 2097152 snapshot ...": two numbers and a word. */
static bool is_table(const char *s)
{
	for (int i = 0; i < 2; i++) {
		size_t digits = strspn(s, "0123456789");

		if (!digits || s[digits] != ' ')
			return false;
		s += digits + 1;
	}
	return *s >= 'a' && *s <= 'z' && strchr(s, ' ');
}

bool ctl_spec_is_path(const char *operand)
{
	return *operand != '@' && !has_type(operand) && !is_uri(operand) && !is_table(operand);
}

const char *ctl_spec_stack(const char *operand)
{
	size_t len = strlen(operand);

	if (*operand == '@')
		return operand + 1;
	if (len > 5 && !strcmp(operand + len - 5, ".blkr") && ctl_spec_is_path(operand))
		return operand;
	return NULL;
}

char *ctl_spec(const char *operand)
{
	const char *stack = ctl_spec_stack(operand);
	char *spec;

	if (!stack)
		return strdup(operand);
	return asprintf(&spec, "@%s", stack) < 0 ? NULL : spec;
}

char *ctl_spec_merging(const char *operand)
{
	static const char word[] = " snapshot ";
	const char *at = strstr(operand, word);
	char *spec;
	int n;

	if (is_table(operand) && at)
		n = asprintf(&spec, "%.*s snapshot-merge %s", (int)(at - operand), operand, at + strlen(word));
	else if (has_type(operand) && !strstr(operand, "merging="))
		n = asprintf(&spec, "%s,merging=yes", operand);
	else
		return ctl_spec(operand);
	return n < 0 ? NULL : spec;
}
