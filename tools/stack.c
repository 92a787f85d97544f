/* SPDX-License-Identifier: BSD-3-Clause */
#include "stack.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "newfile.h"
#include "spec.h"

enum { MAX_STACK = 65536 }; /* bytes; the library reads no more either */

/* ---- making ---- */

/* Would the line come back as it went in? */
static bool is_lines_word(const char *s)
{
	size_t len = strlen(s);

	for (const char *p = s; *p; p++)
		if ((unsigned char)*p < 0x20 || *p == 0x7f)
			return false;
	return len && s[0] != ' ' && s[len - 1] != ' ';
}

/*
 * @file as seen from the folder of @stack: relative paths of a stack file start there.  Inside that folder it stays
 * relative, so that the folder can be moved; elsewhere it becomes absolute.
 */
static char *path_for(const char *stack, const char *file)
{
	const char *slash = strrchr(stack, '/');
	size_t folder = slash ? (size_t)(slash - stack) + 1 : 0;

	if (!folder || *file == '/')
		return strdup(file);
	if (!strncmp(stack, file, folder))
		return strdup(file + folder);
	return realpath(file, NULL);
}

/* As the value of a key that takes any spec or a section: nothing but a path may be seen in it. */
static char *value_for(const char *path)
{
	char *value;
	bool plain = strspn(path, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_./") > 0;

	if (*path == '/' || (plain && !strchr(path, ':') && strcmp(path, "base") && strcmp(path, "snap")))
		return strdup(path);
	return asprintf(&value, "./%s", path) < 0 ? NULL : value;
}

/* The origin is a section of its own if it is a file, else a spec in parentheses. */
static int origin_lines(const char *path, const char *origin, char **ret_section, char **ret_value,
			const char **ret_why)
{
	char *file, *value;
	int n;

	*ret_why = "a stack file cannot name another one: add a section to that one instead";
	if (ctl_spec_stack(origin))
		return -EINVAL;
	if (ctl_spec_is_path(origin)) {
		file = path_for(path, origin);
		value = file ? value_for(file) : NULL;
		n = value ? asprintf(ret_section, "[base]\ntype = file\npath = %s\n\n", value) : -1;
		*ret_value = n < 0 ? NULL : strdup("base");
		free(file);
		free(value);
		return *ret_value ? 0 : -ENOMEM;
	}
	*ret_why = "relative names inside a spec start at the stack file's folder: make both in the current folder";
	if (strchr(path, '/'))
		return -EINVAL;
	*ret_section = strdup("");
	n = *ret_section ? asprintf(ret_value, "(%s)", origin) : -1;
	return n < 0 ? -ENOMEM : 0;
}

int ctl_stack_text(const char *path, const char *origin, const char *store, char **ret_text, const char **ret_why)
{
	char *section = NULL, *above = NULL, *file = NULL, *value = NULL;
	int r;

	*ret_why = "a stack file cannot hold this name (control characters, or blanks at its ends)";
	if (!is_lines_word(origin) || !is_lines_word(store))
		return -EINVAL;
	r = origin_lines(path, origin, &section, &above, ret_why);
	if (r == 0) {
		file = path_for(path, store);
		value = file ? value_for(file) : NULL;
		r = value ? 0 : -ENOMEM;
	}
	if (r == 0 &&
	    asprintf(ret_text, "%s[snap]\ntype = snapshot\norigin = %s\nstore = %s\n", section, above, value) < 0)
		r = -ENOMEM;
	free(section);
	free(above);
	free(file);
	free(value);
	return r;
}

int ctl_stack_write(const char *path, const char *text, bool replace)
{
	struct ctl_newfile nf;
	int fd, r = ctl_newfile_begin(&nf, path, replace);

	if (r == 0)
		r = ctl_newfile_create(&nf, &fd);
	if (r == 0)
		r = ctl_newfile_write(&nf, text, strlen(text));
	if (r == 0)
		r = ctl_newfile_commit(&nf);
	ctl_newfile_end(&nf);
	return r;
}

/* ---- marking ---- */

static int text_read(const char *path, char **ret_text)
{
	FILE *f = fopen(path, "re");
	char *text = f ? malloc(MAX_STACK + 1) : NULL;
	size_t len;
	int r = 0;

	if (!text) {
		r = -errno;
		if (f)
			fclose(f);
		return r;
	}
	len = fread(text, 1, MAX_STACK + 1, f);
	if (ferror(f))
		r = -EIO;
	else if (len > MAX_STACK || memchr(text, '\0', len))
		r = -EINVAL;
	fclose(f);
	if (r < 0) {
		free(text);
		return r;
	}
	text[len] = '\0';
	*ret_text = text;
	return 0;
}

/* The line's name if it begins a section: what stands between the brackets. */
static bool line_section(const char *line, const char **ret_name, size_t *ret_len)
{
	line += strspn(line, " \t");
	if (*line != '[')
		return false;
	line++;
	*ret_len = strcspn(line, "]\n");
	*ret_name = line;
	return line[*ret_len] == ']';
}

/* The value of the line "key = value", whatever the blanks, and its length; NULL: it is another line. */
static const char *line_value(const char *line, const char *key, size_t *ret_len)
{
	size_t len = strlen(key), end;

	line += strspn(line, " \t");
	if (strncmp(line, key, len))
		return NULL;
	line += len + strspn(line + len, " \t");
	if (*line != '=')
		return NULL;
	line += 1 + strspn(line + 1, " \t");
	end = strcspn(line, "\n");
	while (end && strchr(" \t\r", line[end - 1]))
		end--;
	*ret_len = end;
	return line;
}

static bool line_is(const char *line, const char *key, const char *value)
{
	size_t len;
	const char *found = line_value(line, key, &len);

	return found && strlen(value) == len && !memcmp(found, value, len);
}

struct section {
	bool found, snapshot;
	size_t tail; /* behind its last line that is not blank: where a line is added */
	size_t mark, mark_len; /* its line "merging = ..."; length 0: none */
	bool merging;
	size_t path, path_len; /* the value of "path" */
};

/* Find a section (NULL: the last) and what stands in it. */
static struct section section_find(const char *text, const char *wanted)
{
	struct section s = { 0 };
	bool inside = false;
	const char *name, *value;
	size_t at, len, name_len = 0, value_len;

	for (at = 0; text[at]; at += len) {
		const char *line = text + at;

		len = strcspn(line, "\n");
		len += line[len] == '\n';
		if (line_section(line, &name, &name_len)) {
			inside = !wanted || (strlen(wanted) == name_len && !memcmp(wanted, name, name_len));
			if (inside)
				s = (struct section){ .found = true };
		}
		if (!inside)
			continue;
		if (strspn(line, " \t\r\n") < len)
			s.tail = at + len;
		s.snapshot |= line_is(line, "type", "snapshot");
		if (line_value(line, "merging", &value_len)) {
			s.mark = at;
			s.mark_len = len;
			s.merging = line_is(line, "merging", "yes");
		}
		value = line_value(line, "path", &value_len);
		if (value) {
			s.path = (size_t)(value - text);
			s.path_len = value_len;
		}
	}
	return s;
}

/* The text with @cut bytes at @at replaced by @line; a last line without its newline gets one first. */
static char *text_splice(const char *text, size_t at, size_t cut, const char *line)
{
	bool newline = *line && at && text[at - 1] != '\n';
	char *out;

	if (asprintf(&out, "%.*s%s%s%s", (int)at, text, newline ? "\n" : "", line, text + at + cut) < 0)
		return NULL;
	return out;
}

/* "FILE#SECTION" in two: the last '#' parts them.  *ret_section points into *ret_file's memory; NULL: there is none. */
static int name_split(const char *path, char **ret_file, const char **ret_section)
{
	char *file = strdup(path), *hash;

	if (!file)
		return -ENOMEM;
	hash = strrchr(file, '#');
	if (hash)
		*hash = '\0';
	*ret_file = file;
	*ret_section = hash ? hash + 1 : NULL;
	return 0;
}

static int merging_set(const char *file, const char *section, bool merging)
{
	struct section s;
	char *text, *edited;
	int r = text_read(file, &text);

	if (r < 0)
		return r;
	s = section_find(text, section);
	if (!s.found || !s.snapshot || s.merging == merging) {
		free(text);
		return !s.found ? -ENOENT : !s.snapshot ? -EINVAL : 0;
	}
	edited = text_splice(text, s.mark_len ? s.mark : s.tail, s.mark_len, merging ? "merging = yes\n" : "");
	r = edited ? ctl_stack_write(file, edited, true) : -ENOMEM;
	free(text);
	free(edited);
	return r < 0 ? r : 1;
}

int ctl_stack_merging(const char *path, bool merging)
{
	const char *section;
	char *file;
	int r = name_split(path, &file, &section);

	if (r < 0)
		return r;
	r = merging_set(file, section, merging);
	free(file);
	return r;
}

char *ctl_stack_file_path(const char *path, const char *section)
{
	char *file, *text = NULL, *found = NULL;
	const char *unused, *slash;
	struct section s = { 0 };

	if (name_split(path, &file, &unused) < 0)
		return NULL;
	if (text_read(file, &text) == 0)
		s = section_find(text, section);
	slash = strrchr(file, '/');
	/* A relative path starts at the folder of the stack file. */
	if (s.path_len && asprintf(&found, "%.*s%.*s", slash && text[s.path] != '/' ? (int)(slash - file) + 1 : 0, file,
				   (int)s.path_len, text + s.path) < 0)
		found = NULL;
	free(text);
	free(file);
	return found;
}
