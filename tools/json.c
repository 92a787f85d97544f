/* SPDX-License-Identifier: BSD-3-Clause */
#include "json.h"
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include "utf8.h"

static void string_put(FILE *out, const char *s)
{
	size_t len;

	fputc('"', out);
	for (; *s; s += len ? len : 1) {
		unsigned char c = (unsigned char)*s;

		len = ctl_utf8_len(s);
		if (!len)
			fputs("\\ufffd", out);
		else if (c == '"' || c == '\\')
			fprintf(out, "\\%c", c);
		else if (c < 0x20 || c == 0x7f)
			fprintf(out, "\\u%04x", c);
		else
			fwrite(s, 1, len, out);
	}
	fputc('"', out);
}

/* The comma and the key before a value. */
static void value_begin(struct ctl_json *j, const char *key)
{
	if (j->comma[j->depth])
		fputc(',', j->out);
	j->comma[j->depth] = true;
	if (key) {
		string_put(j->out, key);
		fputc(':', j->out);
	}
}

static void nest(struct ctl_json *j, const char *key, char opener, char closer)
{
	if (!j->out || j->depth + 1 >= sizeof(j->closer))
		return;
	value_begin(j, key);
	fputc(opener, j->out);
	j->depth++;
	j->comma[j->depth] = false;
	j->closer[j->depth] = closer;
}

void ctl_json_begin(struct ctl_json *j, const char *command)
{
	*j = (struct ctl_json){ 0 };
	j->out = open_memstream(&j->text, &j->len);
	nest(j, NULL, '{', '}');
	ctl_json_string(j, "format", "blkremap/1");
	ctl_json_string(j, "command", command);
}

void ctl_json_object(struct ctl_json *j, const char *key)
{
	nest(j, key, '{', '}');
}

void ctl_json_array(struct ctl_json *j, const char *key)
{
	nest(j, key, '[', ']');
}

void ctl_json_close(struct ctl_json *j)
{
	if (!j->out || !j->depth)
		return;
	fputc(j->closer[j->depth], j->out);
	j->depth--;
}

void ctl_json_u64(struct ctl_json *j, const char *key, uint64_t value)
{
	if (!j->out)
		return;
	value_begin(j, key);
	fprintf(j->out, "%" PRIu64, value);
}

void ctl_json_bool(struct ctl_json *j, const char *key, bool value)
{
	if (!j->out)
		return;
	value_begin(j, key);
	fputs(value ? "true" : "false", j->out);
}

void ctl_json_string(struct ctl_json *j, const char *key, const char *value)
{
	if (!j->out)
		return;
	value_begin(j, key);
	string_put(j->out, value);
}

void ctl_json_drop(struct ctl_json *j)
{
	if (j->out)
		fclose(j->out);
	free(j->text);
	*j = (struct ctl_json){ 0 };
}

int ctl_json_end(struct ctl_json *j, FILE *out)
{
	int r = 0;

	if (!j->out)
		return -ENOMEM;
	while (j->depth)
		ctl_json_close(j);
	fputc('\n', j->out);
	if (ferror(j->out) | fclose(j->out))
		r = -ENOMEM;
	j->out = NULL;
	if (r == 0 && fwrite(j->text, 1, j->len, out) != j->len)
		r = -EIO;
	ctl_json_drop(j);
	return r;
}
