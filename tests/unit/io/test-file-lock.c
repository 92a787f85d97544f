/* SPDX-License-Identifier: BSD-3-Clause */
/* Who may open a file that somebody has open, and who is told about it. */
#include "file-world.h"

#include <signal.h>
#include <sys/wait.h>

static void a_second_writer_in_this_process_is_refused_and_told_who_has_it(void **state)
{
	struct br_file_opts o = { .path = w.path, .fd = -1 }, by_fd = { .fd = -1 };
	struct br_ctx other = { .env = NULL };	/* a context begins as zeroes */
	struct br_dev *dev;

	(void)state;
	assert_true(open_world(&ways[0], BYTES, 0));
	assert_int_equal(br_ctx_init(&other, &br_env_posix, false), 0);
	assert_int_equal(br_file_open(&other, &o, &dev), -EBUSY);
	assert_non_null(strstr(br_error_text(), w.dev->name));
	o.rdonly = true;
	assert_int_equal(try_open(&o), -EBUSY);
	/* A duplicate shares its lock with the original: the list finds it. */
	by_fd.fd = w.file->fd;
	assert_int_equal(try_open(&by_fd), -EBUSY);
	o.nolock = true;
	o.rdonly = false;
	assert_int_equal(try_open(&o), 0);
	br_ctx_done(&other);
	close_world();
}

static void readers_bear_each_other_and_refuse_a_writer(void **state)
{
	struct br_file_opts o = { .path = w.path, .fd = -1, .rdonly = true };
	struct br_dev *a, *b;

	(void)state;
	assert_true(open_world(&ways[0], BYTES, 0));
	br_chan_put(w.chan);
	assert_int_equal(br_dev_put(w.dev), 0);
	assert_int_equal(br_file_open(&w.ctx, &o, &a), 0);
	assert_int_equal(br_file_open(&w.ctx, &o, &b), 0);
	o.rdonly = false;
	assert_int_equal(try_open(&o), -EBUSY);
	assert_int_equal(br_dev_put(a), 0);
	assert_int_equal(try_open(&o), -EBUSY);
	assert_int_equal(br_dev_put(b), 0);
	assert_int_equal(br_file_open(&w.ctx, &o, &w.dev), 0);
	assert_int_equal(br_chan_get(&w.queue, w.dev, &w.chan), 0);
	close_world();
}

/* They share one lock, so only the list of this process can tell. */
static void a_reader_refuses_a_writer_by_a_duplicate_of_its_descriptor(void **state)
{
	struct br_file_opts reader = { .rdonly = true }, writer = { .rdonly = false };
	struct br_dev *dev;

	(void)state;
	assert_true(open_world(&ways[0], BYTES, 0));
	br_chan_put(w.chan);
	reader.fd = writer.fd = dup(w.file->fd);
	assert_int_equal(br_dev_put(w.dev), 0);
	assert_int_equal(br_file_open(&w.ctx, &reader, &dev), 0);
	assert_int_equal(try_open(&writer), -EBUSY);
	assert_int_equal(try_open(&reader), 0);
	assert_int_equal(br_dev_put(dev), 0);
	assert_int_equal(br_file_open(&w.ctx, &writer, &w.dev), 0);
	assert_int_equal(br_chan_get(&w.queue, w.dev, &w.chan), 0);
	close(writer.fd);
	close_world();
}

static void a_lock_ends_with_the_device_although_the_descriptor_lives_on(void **state)
{
	struct br_file_opts o = { .fd = -1 }, by_path = { .path = w.path, .fd = -1 };
	struct br_dev *dev;
	int fd;

	(void)state;
	assert_true(open_world(&ways[0], BYTES, 0));
	br_chan_put(w.chan);
	assert_int_equal(br_dev_put(w.dev), 0);
	fd = o.fd = open(w.path, O_RDWR);
	assert_int_equal(br_file_open(&w.ctx, &o, &dev), 0);
	assert_int_equal(try_open(&by_path), -EBUSY);
	assert_int_equal(br_dev_put(dev), 0);
	assert_int_equal(br_file_open(&w.ctx, &by_path, &w.dev), 0);
	assert_int_equal(br_chan_get(&w.queue, w.dev, &w.chan), 0);
	close(fd);
	close_world();
}

/* A process that has locked the file, says so, and waits to be ended. */
static pid_t start_holder(const char *path, bool ofd)
{
	struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
	int ready[2];
	pid_t pid;
	char c;

	assert_int_equal(pipe(ready), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		int fd = open(path, O_RDWR);
		int r = fcntl(fd, ofd ? F_OFD_SETLK : F_SETLK, &lock);

		if (r < 0 || write(ready[1], "x", 1) != 1)
			_exit(1);
		pause();
		_exit(0);
	}
	close(ready[1]);
	assert_int_equal(read(ready[0], &c, 1), 1);
	close(ready[0]);
	return pid;
}

static void another_process_that_has_the_file_is_named(void **state)
{
	struct br_file_opts o = { .fd = -1 };
	char path[220], pid_text[32];
	int fd, status;

	(void)state;
	assert_true(open_world(&ways[0], BYTES, 0));
	snprintf(path, sizeof(path), "%s-held", w.path);
	o.path = path;
	fd = open(path, O_RDWR | O_CREAT, 0600);
	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, 4096), 0);
	for (int ofd = 0; ofd < 2; ofd++) {
		pid_t pid = start_holder(path, ofd);

		assert_int_equal(try_open(&o), -EBUSY);
		snprintf(pid_text, sizeof(pid_text), "process %d (test-", (int)pid);
		if (!strstr(br_error_text(), pid_text))
			fail_msg("'%s' does not name '%s'", br_error_text(), pid_text);
		kill(pid, SIGKILL);
		waitpid(pid, &status, 0);
		assert_int_equal(try_open(&o), 0);
	}
	close(fd);
	unlink(path);
	close_world();
}

static void two_devices_are_the_same_if_they_are_one_file(void **state)
{
	struct br_file_opts same = { .path = w.path, .fd = -1, .nolock = true };
	struct br_file_opts other = { .fd = -1, .create = true, .bytes = 4096 };
	struct br_dev *a, *b;
	char path[220];

	(void)state;
	assert_true(open_world(&ways[0], BYTES, 0));
	snprintf(path, sizeof(path), "%s-other", w.path);
	other.path = path;
	assert_int_equal(br_file_open(&w.ctx, &same, &a), 0);
	assert_int_equal(br_file_open(&w.ctx, &other, &b), 0);
	assert_true(br_file_same(a, w.dev));
	assert_false(br_file_same(b, w.dev));
	assert_int_equal(br_dev_put(a), 0);
	assert_int_equal(br_dev_put(b), 0);
	unlink(path);
	close_world();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_second_writer_in_this_process_is_refused_and_told_who_has_it),
		cmocka_unit_test(readers_bear_each_other_and_refuse_a_writer),
		cmocka_unit_test(a_reader_refuses_a_writer_by_a_duplicate_of_its_descriptor),
		cmocka_unit_test(a_lock_ends_with_the_device_although_the_descriptor_lives_on),
		cmocka_unit_test(another_process_that_has_the_file_is_named),
		cmocka_unit_test(two_devices_are_the_same_if_they_are_one_file),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
