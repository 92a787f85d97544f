/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Who may open a file.
 *
 * Between processes: an OFD lock on the whole file, shared for readers.  It belongs to the open file description, so it
 * ends with the process whatever happens.  Inside this process: the list below, because descriptors that were
 * duplicated from one another share their description, and a block device may be opened by two names.
 *
 * The kernel does not tell who holds an OFD lock.  /proc/PID/fdinfo shows the locks of each descriptor, so the holder
 * is looked for there; that takes long on a big machine, and happens only on the way to an error.
 */
#include "io/file-internal.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"

enum { TEXT = 128, LINE = 256 };

static pthread_mutex_t list_lock = PTHREAD_MUTEX_INITIALIZER;
static struct br_list open_files = { &open_files, &open_files };	/* struct br_file.open_link; under list_lock */

/* ---- the holder's name ------------------------------------------------------------------------------------------- */

static void program_of(long pid, char *name, size_t size)
{
	char path[TEXT];
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%ld/comm", pid);
	snprintf(name, size, "?");
	f = fopen(path, "re");
	if (!f)
		return;
	if (fgets(name, (int)size, f))
		name[strcspn(name, "\n")] = '\0';
	fclose(f);
}

/* Does an fdinfo file show a lock on our inode?  "lock:  1: OFDLCK ADVISORY WRITE -1 fe:00:1234 0 EOF" */
static bool shows_lock(int dir, const char *fdinfo, const char *inode)
{
	char line[LINE];
	bool found = false;
	int fd = openat(dir, fdinfo, O_RDONLY | O_CLOEXEC);
	FILE *f = fd < 0 ? NULL : fdopen(fd, "r");

	if (!f) {
		if (fd >= 0)
			close(fd);
		return false;
	}
	while (!found && fgets(line, sizeof(line), f))
		found = strncmp(line, "lock:", 5) == 0 && strstr(line, inode);
	fclose(f);
	return found;
}

static bool holds_lock(const char *pid, const char *inode)
{
	char path[TEXT];
	struct dirent *e;
	bool found = false;
	DIR *d;

	snprintf(path, sizeof(path), "/proc/%.20s/fdinfo", pid);
	d = opendir(path);
	if (!d)
		return false;	/* gone, or not ours to look at */
	while (!found && (e = readdir(d)))
		found = isdigit((unsigned char)e->d_name[0]) && shows_lock(dirfd(d), e->d_name, inode);
	closedir(d);
	return found;
}

/* The first process that shows a lock on this inode, or 0. */
static long find_holder(const struct br_file *f)
{
	char inode[TEXT];
	struct dirent *e;
	long pid = 0;
	DIR *d = opendir("/proc");

	if (!d)
		return 0;
	snprintf(inode, sizeof(inode), ":%llu ", (unsigned long long)f->id_ino);
	while (!pid && (e = readdir(d)))
		if (isdigit((unsigned char)e->d_name[0]) && holds_lock(e->d_name, inode))
			pid = strtol(e->d_name, NULL, 10);
	closedir(d);
	return pid;
}

static int tell_holder(const struct br_file *f, const char *what, const struct flock *wanted)
{
	struct flock lock = *wanted;
	char program[TEXT];
	long pid = 0;

	if (fcntl(f->fd, F_OFD_GETLK, &lock) == 0 && lock.l_type != F_UNLCK && lock.l_pid > 0)
		pid = lock.l_pid;	/* an ordinary lock names its owner */
	else if (!f->block)
		pid = find_holder(f);
	if (!pid)
		return br_error(-EBUSY, "%s is locked by another program or another library in this process", what);
	program_of(pid, program, sizeof(program));
	return br_error(-EBUSY, "%s is in use by process %ld (%s)", what, pid, program);
}

/* ---- the two locks ----------------------------------------------------------------------------------------------- */

/* F_OFD_SETLK does not wait; a lock that is there already is EAGAIN or EACCES. */
static int lock_description(struct br_file *f, const char *what)
{
	struct flock lock = { .l_type = f->rdonly ? F_RDLCK : F_WRLCK, .l_whence = SEEK_SET };

	if (fcntl(f->fd, F_OFD_SETLK, &lock) == 0)
		return 0;
	if (errno == EAGAIN || errno == EACCES)
		return tell_holder(f, what, &lock);
	return br_error(-errno, "%s cannot be locked (errno %d); nolock opens it without", what, errno);
}

/* Under list_lock.  Two readers bear each other. */
static struct br_file *conflicting(const struct br_file *f)
{
	struct br_list *l;

	br_list_for_each(l, &open_files) {
		struct br_file *o = br_container_of(l, struct br_file, open_link);

		if (o->id_dev == f->id_dev && o->id_ino == f->id_ino && o->block == f->block &&
		    !(o->rdonly && f->rdonly))
			return o;
	}
	return NULL;
}

static int busy_here(const char *what, const char *name)
{
	return br_error(-EBUSY, "%s is open in this process already, as device '%s'", what, name);
}

/* To look and to enter is one step, or two openers would both find nobody. */
static int enter_list(struct br_file *f, const char *what)
{
	struct br_file *other;
	char name[sizeof(f->dev.name)] = "";

	pthread_mutex_lock(&list_lock);
	other = conflicting(f);
	if (other)
		snprintf(name, sizeof(name), "%s", other->dev.name);
	else
		br_list_add_tail(&open_files, &f->open_link);
	pthread_mutex_unlock(&list_lock);
	return other ? busy_here(what, name) : 0;
}

int br_file_busy(const char *path)
{
	struct br_file wanted = { .block = true, .rdonly = false }, *other;
	char name[sizeof(wanted.dev.name)] = "";
	struct stat st;

	if (stat(path, &st) == 0)
		wanted.id_dev = st.st_rdev;
	pthread_mutex_lock(&list_lock);
	other = conflicting(&wanted);
	if (other)
		snprintf(name, sizeof(name), "%s", other->dev.name);
	pthread_mutex_unlock(&list_lock);
	if (other)
		return busy_here(path, name);
	return br_error(-EBUSY, "%s is in use: mounted, or held by another device or program", path);
}

static void leave_list(struct br_file *f)
{
	pthread_mutex_lock(&list_lock);
	br_list_del(&f->open_link);
	pthread_mutex_unlock(&list_lock);
}

int br_file_lock(struct br_file *f, const char *what)
{
	int r;

	if (f->nolock)
		return 0;
	r = enter_list(f, what);
	if (r < 0)
		return r;
	r = lock_description(f, what);
	if (r < 0)
		leave_list(f);
	return r;
}

/* The lock is taken back by hand: a duplicate of the descriptor may live on in the application. */
void br_file_unlock(struct br_file *f)
{
	struct flock lock = { .l_type = F_UNLCK, .l_whence = SEEK_SET };

	if (f->nolock)
		return;
	fcntl(f->fd, F_OFD_SETLK, &lock);
	leave_list(f);
}
