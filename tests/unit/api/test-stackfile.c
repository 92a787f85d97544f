/* SPDX-License-Identifier: BSD-3-Clause */
#include "api/stackfile.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "spec-env.h"

#include "base/compiler.h"

static const char example[] = "# a volume and two of its pasts\n"
			      "[disk]\n"
			      "type = file\n"
			      "path = base.img\n"
			      "direct = yes\n"
			      "\n"
			      "[vol]\r\n"
			      "type=origin\n"
			      "  base  =  disk  \n"
			      "[monday]\n"
			      "type = snapshot\n"
			      "origin = vol\n"
			      "store = /stores/monday.cow\n"
			      "[other]\n"
			      "\ttype = snapshot\n"
			      "\torigin = disk\n"
			      "\tstore = other.cow\n"
			      "[tuesday]\n"
			      "type = snapshot\n"
			      "origin = vol\n"
			      "store = (file:path=tuesday.cow,max_grow=1G)\n"
			      "merging = yes";	/* no newline at the end */

static struct br_stack *load(const char *file, const char *text)
{
	struct br_stack *stack = NULL;
	char *copy = strdup(text);

	if (br_stack_parse(&env, file, copy, strlen(copy), &stack) < 0)
		fail_msg("%s", br_error_text());
	free(copy);
	return stack;
}

static void sections_are_nodes_in_the_order_of_the_file(void **state)
{
	struct br_stack *stack = load("dir/vol.blkr", example);

	(void)state;
	assert_int_equal(stack->nr_sections, 5);
	assert_string_equal(stack->sections[0]->section, "disk");
	assert_string_equal(br_spec_name(stack->sections[1]), "vol");
	assert_true(br_spec_yes(stack->sections[0], "direct"));
	assert_true(br_spec_is(stack->sections[1], "origin"));
	assert_ptr_equal(br_stack_section(stack, NULL), stack->sections[4]);
	assert_ptr_equal(br_stack_section(stack, "vol"), stack->sections[1]);
	assert_null(br_stack_section(stack, "wednesday"));
	assert_string_equal(br_error_text(), "no section [wednesday] in the stack file");
	assert_true(br_spec_yes(stack->sections[4], "merging"));
	br_stack_free(stack);
	assert_int_equal(env_bytes, 0);
}

static void a_value_that_is_a_section_above_is_that_very_node(void **state)
{
	struct br_stack *stack = load("dir/vol.blkr", example);

	(void)state;
	assert_ptr_equal(br_spec_child(stack->sections[1], "base"), stack->sections[0]);
	assert_ptr_equal(br_spec_child(stack->sections[2], "origin"), stack->sections[1]);
	assert_ptr_equal(br_spec_child(stack->sections[4], "origin"), stack->sections[1]);
	assert_int_equal(stack->sections[2]->depth, 3);
	br_stack_free(stack);
}

static void an_origin_knows_its_snapshots(void **state)
{
	struct br_stack *stack = load("dir/vol.blkr", example);
	struct br_spec *s;

	(void)state;
	s = br_stack_next_snapshot(stack, stack->sections[1], NULL);
	assert_ptr_equal(s, stack->sections[2]);
	s = br_stack_next_snapshot(stack, stack->sections[1], s);
	assert_ptr_equal(s, stack->sections[4]);
	assert_null(br_stack_next_snapshot(stack, stack->sections[1], s));
	s = br_stack_next_snapshot(stack, stack->sections[0], NULL);
	assert_ptr_equal(s, stack->sections[3]);
	assert_null(br_stack_next_snapshot(stack, stack->sections[2], NULL));
	br_stack_free(stack);
}

static void relative_paths_start_at_the_folder_of_the_file(void **state)
{
	struct br_stack *stack = load("dir/sub/vol.blkr", example);
	struct br_spec *store = br_spec_child(stack->sections[4], "store");

	(void)state;
	assert_string_equal(br_spec_text(stack->sections[0], "path"), "dir/sub/base.img");
	assert_string_equal(br_spec_text(br_spec_child(stack->sections[2], "store"), "path"), "/stores/monday.cow");
	assert_string_equal(br_spec_text(store, "path"), "dir/sub/tuesday.cow");
	br_stack_free(stack);
	stack = load("vol.blkr", example);
	assert_string_equal(br_spec_text(stack->sections[0], "path"), "base.img");
	br_stack_free(stack);
	stack = load("/vol.blkr", example);
	assert_string_equal(br_spec_text(stack->sections[0], "path"), "/base.img");
	br_stack_free(stack);
}

static void a_value_is_the_rest_of_its_line(void **state)
{
	struct br_stack *stack = load("v", "[a]\ntype = linear\ndev = my, \"disk\" (1) = #2\n"
					   "dev = \"quoted \\\" one\"\n"
					   "dev = dev:a name\ndev = 0 8 linear q 0\ndev = ./a\nname = x # y\n");
	const struct br_spec_key *k = stack->sections[0]->keys;

	(void)state;
	assert_string_equal(br_spec_text(k->child, "path"), "my, \"disk\" (1) = #2");
	k = k->next;
	assert_string_equal(br_spec_text(k->child, "path"), "quoted \" one");
	k = k->next;
	assert_string_equal(br_spec_text(k->child, "name"), "a name");
	k = k->next;
	assert_true(br_spec_is(k->child, "linear"));
	k = k->next;
	assert_string_equal(br_spec_text(k->child, "path"), "./a");
	assert_string_equal(br_spec_name(stack->sections[0]), "x # y");
	br_stack_free(stack);
}

/* Only a whole name is one. */
static void a_path_may_be_a_part_of_a_sections_name(void **state)
{
	struct br_stack *stack = load("v", "[abc]\ntype = linear\ndev = ab\ndev = abcd\ndev = de\n[def]\n"
					   "type = origin\nbase = abc]\n");

	(void)state;
	assert_int_equal(stack->nr_sections, 2);
	assert_string_equal(br_spec_text(stack->sections[0]->keys->child, "path"), "ab");
	assert_string_equal(br_spec_text(br_spec_child(stack->sections[1], "base"), "path"), "abc]");
	br_stack_free(stack);
}

static void a_section_prints_as_one_spec(void **state)
{
	struct br_stack *stack = load("d/v", example);
	char buf[1024];
	struct br_spec *spec;

	(void)state;
	assert_int_equal(br_spec_print(br_stack_section(stack, "tuesday"), buf, sizeof(buf)), 0);
	assert_string_equal(buf, "snapshot:origin=(origin:base=(file:path=d/base.img,direct=yes)),"
				 "store=(file:path=d/tuesday.cow,max_grow=1G),merging=yes");
	spec = parse(buf);
	assert_true(same_tree(spec, br_stack_section(stack, "tuesday")));
	br_spec_free(spec);
	br_stack_free(stack);
}

/* Each section names the one above twice: written out that would be 2^31 devices. */
static void sections_that_fan_out_are_cheap_to_refuse_to_print(void **state)
{
	char text[4096], buf[4096];
	int n = sprintf(text, "[s0]\ntype = memory\nbytes = 4096\n");
	struct br_stack *stack;

	(void)state;
	for (int i = 1; i < BR_SPEC_MAX_DEPTH; i++)
		n += sprintf(text + n, "[s%d]\ntype = linear\ndev = s%d\ndev = s%d\n", i, i - 1, i - 1);
	stack = load("v", text);
	assert_int_equal(br_stack_section(stack, NULL)->depth, BR_SPEC_MAX_DEPTH);
	assert_int_equal(br_spec_print(br_stack_section(stack, NULL), buf, sizeof(buf)), -ENOSPC);
	br_stack_free(stack);
	sprintf(text + n, "[top]\ntype = origin\nbase = s%d\n", BR_SPEC_MAX_DEPTH - 1);
	assert_int_equal(br_stack_parse(&env, "v", text, strlen(text), &stack), -EINVAL);
	assert_non_null(strstr(br_error_text(), "deeper than 32 devices"));
	assert_int_equal(env_bytes, 0);
}

static void the_number_of_sections_is_bounded(void **state)
{
	char *text = malloc(BR_SPEC_MAX_TEXT);
	struct br_stack *stack;
	int n = 0;

	(void)state;
	for (int i = 0; i < BR_STACK_MAX_SECTIONS; i++)
		n += sprintf(text + n, "[s%d]\ntype=memory\nbytes=1\n", i);
	stack = load("v", text);
	assert_int_equal(stack->nr_sections, BR_STACK_MAX_SECTIONS);
	br_stack_free(stack);
	n += sprintf(text + n, "[s%d]\ntype=memory\nbytes=1\n", BR_STACK_MAX_SECTIONS);
	assert_int_equal(br_stack_parse(&env, "v", text, (size_t)n, &stack), -EINVAL);
	assert_string_equal(br_error_text(), "v:769: more than 256 sections");
	free(text);
}

static void each_allocation_may_fail_and_nothing_is_lost(void **state)
{
	int fails = 0, r = -1;

	(void)state;
	for (int i = 0; r < 0; i++) {
		struct br_stack *stack = NULL;

		env_fail_in = i;
		r = br_stack_parse(&env, "dir/v", example, strlen(example), &stack);
		env_fail_in = -1;
		br_stack_free(stack);
		assert_int_equal(env_bytes, 0);
		fails += r < 0;
		assert_true(r == 0 || r == -ENOMEM);
	}
	assert_true(fails >= 3);
}

/* ---- files ------------------------------------------------------------------------------------------------------- */

static char folder[] = "/tmp/br-stack-XXXXXX";

static void write_file(const char *path, const char *text, size_t len)
{
	FILE *f = fopen(path, "w");

	assert_non_null(f);
	assert_int_equal(fwrite(text, 1, len, f), len);
	assert_int_equal(fclose(f), 0);
}

static void a_file_is_read_whole(void **state)
{
	char path[64], base[64];
	struct br_stack *stack;

	(void)state;
	snprintf(path, sizeof(path), "%s/vol.blkr", folder);
	snprintf(base, sizeof(base), "%s/base.img", folder);
	write_file(path, example, strlen(example));
	assert_int_equal(br_stack_load(&env, path, &stack), 0);
	assert_int_equal(stack->nr_sections, 5);
	assert_string_equal(br_spec_text(stack->sections[0], "path"), base);
	br_stack_free(stack);
	assert_int_equal(env_bytes, 0);
	env_fail_in = 0;
	assert_int_equal(br_stack_load(&env, path, &stack), -ENOMEM);
	env_fail_in = -1;
	unlink(path);
	assert_int_equal(br_stack_load(&env, path, &stack), -ENOENT);
	assert_non_null(strstr(br_error_text(), "cannot be opened as a stack file"));
}

static void only_regular_files_of_some_size_are_read(void **state)
{
	char path[64], *text = malloc(BR_SPEC_MAX_TEXT + 1);
	struct br_stack *stack;

	(void)state;
	snprintf(path, sizeof(path), "%s/fifo", folder);
	assert_int_equal(br_stack_load(&env, folder, &stack), -EINVAL);
	assert_non_null(strstr(br_error_text(), "a stack file is a regular file"));
	assert_int_equal(mkfifo(path, 0600), 0);
	assert_int_equal(br_stack_load(&env, path, &stack), -EINVAL);	/* and does not hang */
	unlink(path);
	assert_int_equal(br_stack_load(&env, "/dev/null", &stack), -EINVAL);
	memset(text, '#', BR_SPEC_MAX_TEXT + 1);
	memcpy(text, "[a]\ntype=memory\nbytes=1\n", 24);
	write_file(path, text, BR_SPEC_MAX_TEXT + 1);
	assert_int_equal(br_stack_load(&env, path, &stack), -EINVAL);
	assert_non_null(strstr(br_error_text(), "longer than 65536 bytes"));
	write_file(path, text, BR_SPEC_MAX_TEXT);
	assert_int_equal(br_stack_load(&env, path, &stack), 0);
	br_stack_free(stack);
	write_file(path, "[a]\n\0type=memory\n", 17);
	assert_int_equal(br_stack_load(&env, path, &stack), -EINVAL);
	assert_non_null(strstr(br_error_text(), "not a text: a NUL byte"));
	unlink(path);
	free(text);
	assert_int_equal(env_bytes, 0);
}

static int make_folder(void **state)
{
	(void)state;
	return mkdtemp(folder) ? 0 : -1;
}

static int remove_folder(void **state)
{
	(void)state;
	return rmdir(folder);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sections_are_nodes_in_the_order_of_the_file),
		cmocka_unit_test(a_value_that_is_a_section_above_is_that_very_node),
		cmocka_unit_test(an_origin_knows_its_snapshots),
		cmocka_unit_test(relative_paths_start_at_the_folder_of_the_file),
		cmocka_unit_test(a_value_is_the_rest_of_its_line),
		cmocka_unit_test(a_path_may_be_a_part_of_a_sections_name),
		cmocka_unit_test(a_section_prints_as_one_spec),
		cmocka_unit_test(sections_that_fan_out_are_cheap_to_refuse_to_print),
		cmocka_unit_test(the_number_of_sections_is_bounded),
		cmocka_unit_test(each_allocation_may_fail_and_nothing_is_lost),
		cmocka_unit_test(a_file_is_read_whole),
		cmocka_unit_test(only_regular_files_of_some_size_are_read),
	};

	return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
