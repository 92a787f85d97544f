/* SPDX-License-Identifier: BSD-3-Clause */
/* Stack files as the tool writes and marks them, and files that are there whole or not at all. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "newfile.h"
#include "stack.h"

static const char two[] = "# of two\n[disk]\ntype = origin\nbase = base.img\n\n"
			  "[mon]\ntype = snapshot\norigin = disk\nstore = mon.cow\n\n"
			  "[tue]\ntype = snapshot\norigin = disk\nstore = tue.cow\n";

#define SNAP(store) "[snap]\ntype = snapshot\norigin = base\nstore = " store "\n"
#define BASE(path) "[base]\ntype = file\npath = " path "\n\n"

struct text {
	char s[1024];
};

static void put(const char *name, const char *text)
{
	FILE *f = fopen(name, "w");

	assert_non_null(f);
	fputs(text, f);
	assert_int_equal(fclose(f), 0);
}

static struct text get(const char *name)
{
	struct text t = { { 0 } };
	FILE *f = fopen(name, "r");

	assert_non_null(f);
	assert_true(fread(t.s, 1, sizeof(t.s) - 1, f) < sizeof(t.s) - 1);
	fclose(f);
	return t;
}

static unsigned int files_here(void)
{
	DIR *d = opendir(".");
	unsigned int n = 0;

	assert_non_null(d);
	while (readdir(d))
		n++;
	closedir(d);
	return n - 2;
}

static void is_made_as(const char *stack, const char *origin, const char *store, const char *wanted)
{
	const char *why;
	char *text = NULL;

	assert_int_equal(ctl_stack_text(stack, origin, store, &text, &why), 0);
	assert_string_equal(text, wanted);
	free(text);
}

static void a_stack_names_base_and_store(void **state)
{
	(void)state;
	is_made_as("vol.blkr", "base.img", "snap.cow", BASE("base.img") SNAP("snap.cow"));
	is_made_as("/a/vol.blkr", "/b/base.img", "/a/snap.cow", BASE("/b/base.img") SNAP("/a/snap.cow"));
}

static void what_lies_in_the_stacks_folder_is_named_from_there(void **state)
{
	(void)state;
	is_made_as("dir/vol.blkr", "dir/base.img", "dir/snap.cow", BASE("base.img") SNAP("snap.cow"));
}

static void a_name_that_could_be_something_else_is_made_a_path(void **state)
{
	(void)state;
	is_made_as("vol.blkr", "base", "base", BASE("./base") SNAP("./base"));
	is_made_as("vol.blkr", "a:b", "(x", BASE("./a:b") SNAP("./(x"));
}

static void an_origin_that_is_a_spec_stands_in_parentheses(void **state)
{
	(void)state;
	is_made_as("vol.blkr", "linear:dev=a.img,dev=b.img", "s.cow",
		   "[snap]\ntype = snapshot\norigin = (linear:dev=a.img,dev=b.img)\nstore = s.cow\n");
}

static void what_lines_cannot_hold_is_refused(void **state)
{
	static const char *const bad[][3] = { { "v.blkr", "a\nb", "s" },   { "v.blkr", "a", " s" },
					      { "v.blkr", "a", "s " },	   { "v.blkr", "@other.blkr", "s" },
					      { "v.blkr", "o.blkr", "s" }, { "d/v.blkr", "linear:dev=a", "s" } };
	const char *why = NULL;
	char *text = NULL;

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		assert_int_equal(ctl_stack_text(bad[i][0], bad[i][1], bad[i][2], &text, &why), -EINVAL);
		assert_null(text);
		assert_non_null(why);
	}
}

static void marking_adds_one_line_and_unmarking_restores_the_text(void **state)
{
	(void)state;
	put("v", two);
	assert_int_equal(ctl_stack_merging("v", true), 1);
	assert_string_equal(strstr(get("v").s, "[tue]"),
			    "[tue]\ntype = snapshot\norigin = disk\nstore = tue.cow\nmerging = yes\n");
	assert_int_equal(ctl_stack_merging("v", true), 0);
	assert_int_equal(ctl_stack_merging("v", false), 1);
	assert_string_equal(get("v").s, two);
	assert_int_equal(ctl_stack_merging("v", false), 0);
}

static void a_section_that_is_named_is_marked(void **state)
{
	(void)state;
	put("v", two);
	assert_int_equal(ctl_stack_merging("v#mon", true), 1);
	assert_non_null(strstr(get("v").s, "store = mon.cow\nmerging = yes\n\n[tue]"));
	assert_int_equal(ctl_stack_merging("v#mon", false), 1);
	assert_string_equal(get("v").s, two);
}

static void only_snapshots_are_marked(void **state)
{
	(void)state;
	put("v", two);
	assert_int_equal(ctl_stack_merging("v#disk", true), -EINVAL);
	assert_int_equal(ctl_stack_merging("v#wed", true), -ENOENT);
	assert_int_equal(ctl_stack_merging("none", true), -ENOENT);
	assert_string_equal(get("v").s, two);
}

static void odd_lines_are_understood(void **state)
{
	(void)state;
	put("v", "[s]\r\n type=snapshot\r\nmerging\t=  no \r\n# end");
	assert_int_equal(ctl_stack_merging("v", true), 1);
	assert_string_equal(get("v").s, "[s]\r\n type=snapshot\r\nmerging = yes\n# end");
	put("v", "[s]\ntype = snapshot\nstore = x");
	assert_int_equal(ctl_stack_merging("v", true), 1);
	assert_string_equal(get("v").s, "[s]\ntype = snapshot\nstore = x\nmerging = yes\n");
}

static void a_text_too_long_or_with_nul_is_left_alone(void **state)
{
	char *big = malloc(70001);

	(void)state;
	assert_non_null(big);
	memset(big, '#', 70000);
	big[70000] = '\0';
	put("v", big);
	free(big);
	assert_int_equal(ctl_stack_merging("v", true), -EINVAL);
	put("v", "");
	assert_int_equal(ctl_stack_merging("v", true), -ENOENT);
}

static void a_mark_keeps_the_files_mode_and_follows_its_link(void **state)
{
	struct stat st;

	(void)state;
	put("v", two);
	chmod("v", 0640);
	assert_int_equal(symlink("v", "link"), 0);
	assert_int_equal(ctl_stack_merging("link", true), 1);
	assert_int_equal(lstat("link", &st), 0);
	assert_true(S_ISLNK(st.st_mode));
	assert_int_equal(stat("v", &st), 0);
	assert_int_equal(st.st_mode & 07777, 0640);
	assert_non_null(strstr(get("v").s, "merging = yes"));
	unlink("link");
}

static void the_path_of_a_section_is_seen_from_here(void **state)
{
	char *path;

	(void)state;
	assert_int_equal(mkdir("dir", 0700), 0);
	put("dir/v", "[a]\ntype = file\npath = x.img\n[b]\ntype = file\npath = /abs.img\n[c]\ntype = memory\n");
	path = ctl_stack_file_path("dir/v", "a");
	assert_string_equal(path, "dir/x.img");
	free(path);
	path = ctl_stack_file_path("dir/v#c", "b");
	assert_string_equal(path, "/abs.img");
	free(path);
	assert_null(ctl_stack_file_path("dir/v", "c"));
	assert_null(ctl_stack_file_path("dir/v", "d"));
	assert_null(ctl_stack_file_path("none", "a"));
	unlink("dir/v");
	rmdir("dir");
}

static void a_new_file_has_no_name_before_it_is_whole(void **state)
{
	struct ctl_newfile nf;
	int fd;

	(void)state;
	assert_int_equal(ctl_newfile_begin(&nf, "n", false), 0);
	assert_int_equal(ctl_newfile_create(&nf, &fd), 0);
	assert_int_equal(ctl_newfile_write(&nf, "all", 3), 0);
	assert_int_equal(access("n", F_OK), -1);
	assert_int_equal(ctl_newfile_commit(&nf), 0);
	ctl_newfile_end(&nf);
	assert_string_equal(get("n").s, "all");
	unlink("n");
}

static void a_new_file_that_is_given_up_leaves_nothing(void **state)
{
	struct ctl_newfile nf;
	unsigned int before = files_here();
	int fd;

	(void)state;
	assert_int_equal(ctl_newfile_begin(&nf, "n", false), 0);
	assert_int_equal(ctl_newfile_create(&nf, &fd), 0);
	ctl_newfile_end(&nf);
	assert_int_equal(files_here(), before);
}

static void a_name_that_was_taken_meanwhile_is_not_replaced(void **state)
{
	struct ctl_newfile nf;
	int fd;

	(void)state;
	assert_int_equal(ctl_newfile_begin(&nf, "n", false), 0);
	assert_int_equal(ctl_newfile_create(&nf, &fd), 0);
	put("n", "theirs");
	assert_int_equal(ctl_newfile_commit(&nf), -EEXIST);
	ctl_newfile_end(&nf);
	assert_string_equal(get("n").s, "theirs");
	assert_int_equal(ctl_newfile_begin(&nf, "n", false), -EEXIST);
	ctl_newfile_end(&nf);
	unlink("n");
}

static void only_files_are_replaced(void **state)
{
	struct ctl_newfile nf;

	(void)state;
	assert_int_equal(ctl_newfile_begin(&nf, ".", true), -EISDIR);
	ctl_newfile_end(&nf);
	assert_int_equal(ctl_newfile_begin(&nf, "/dev/null", true), -EINVAL);
	ctl_newfile_end(&nf);
}

/* Each test leaves its folder as it was but for "v". */
static int folder_enter(void **state)
{
	static char name[] = "/tmp/ctl-stack-XXXXXX";

	*state = mkdtemp(name);
	return *state ? chdir(name) : -1;
}

static int folder_leave(void **state)
{
	unlink("v");
	return chdir("/") ? -1 : rmdir(*state);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_stack_names_base_and_store),
		cmocka_unit_test(what_lies_in_the_stacks_folder_is_named_from_there),
		cmocka_unit_test(a_name_that_could_be_something_else_is_made_a_path),
		cmocka_unit_test(an_origin_that_is_a_spec_stands_in_parentheses),
		cmocka_unit_test(what_lines_cannot_hold_is_refused),
		cmocka_unit_test(marking_adds_one_line_and_unmarking_restores_the_text),
		cmocka_unit_test(a_section_that_is_named_is_marked),
		cmocka_unit_test(only_snapshots_are_marked),
		cmocka_unit_test(odd_lines_are_understood),
		cmocka_unit_test(a_text_too_long_or_with_nul_is_left_alone),
		cmocka_unit_test(a_mark_keeps_the_files_mode_and_follows_its_link),
		cmocka_unit_test(the_path_of_a_section_is_seen_from_here),
		cmocka_unit_test(a_new_file_has_no_name_before_it_is_whole),
		cmocka_unit_test(a_new_file_that_is_given_up_leaves_nothing),
		cmocka_unit_test(a_name_that_was_taken_meanwhile_is_not_replaced),
		cmocka_unit_test(only_files_are_replaced),
	};

	return cmocka_run_group_tests(tests, folder_enter, folder_leave);
}
