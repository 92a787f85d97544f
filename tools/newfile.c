/* SPDX-License-Identifier: BSD-3-Clause */
#include "newfile.h"
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

int ctl_newfile_begin(struct ctl_newfile *nf, const char *path, bool replace)
{
	struct stat st;
	char *real = NULL;

	*nf = (struct ctl_newfile){ .fd = -1, .replace = replace };
	if (lstat(path, &st) == 0) {
		if (!replace)
			return -EEXIST;
		real = realpath(path, NULL);
		if (!real || stat(real, &st) < 0)
			return -errno;
		if (!S_ISREG(st.st_mode)) {
			free(real);
			return S_ISDIR(st.st_mode) ? -EISDIR : -EINVAL;
		}
	} else if (errno != ENOENT) {
		return -errno;
	}
	nf->path = real ? real : strdup(path);
	if (!nf->path || asprintf(&nf->temp, "%s.new-%ld", nf->path, (long)getpid()) < 0) {
		nf->temp = NULL;
		return -ENOMEM;
	}
	return 0;
}

/* Only root can give files away; a mode that differs for want of an owner is no reason to fail. */
static void mode_keep(const struct ctl_newfile *nf)
{
	struct stat st;

	if (!nf->replace || stat(nf->path, &st) < 0)
		return;
	if (chown(nf->temp, st.st_uid, st.st_gid) == 0 || st.st_uid == geteuid())
		chmod(nf->temp, st.st_mode & 07777);
}

int ctl_newfile_create(struct ctl_newfile *nf, int *ret_fd)
{
	int fd = open(nf->temp, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, nf->replace ? 0600 : 0666);

	if (fd < 0)
		return -errno;
	nf->fd = fd;
	*ret_fd = fd;
	return 0;
}

int ctl_newfile_write(struct ctl_newfile *nf, const void *data, size_t len)
{
	const char *p = data;

	while (len) {
		ssize_t n = write(nf->fd, p, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		p += n;
		len -= (size_t)n;
	}
	return 0;
}

static int folder_sync(const char *path)
{
	char *copy = strdup(path);
	int fd, r = 0;

	if (!copy)
		return -ENOMEM;
	fd = open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0 || fsync(fd) < 0)
		r = -errno;
	if (fd >= 0)
		close(fd);
	free(copy);
	return r;
}

/* Give temp its name; a file of that name that was not there before is not ours to replace. */
static int name_take(struct ctl_newfile *nf)
{
	if (nf->replace)
		return rename(nf->temp, nf->path) < 0 ? -errno : 0;
	if (renameat2(AT_FDCWD, nf->temp, AT_FDCWD, nf->path, RENAME_NOREPLACE) == 0)
		return 0;
	if (errno != EINVAL && errno != ENOSYS)
		return -errno;
	/* A file system without that flag: a hard link is refused as well if the name is taken. */
	if (link(nf->temp, nf->path) < 0)
		return -errno;
	unlink(nf->temp);
	return 0;
}

int ctl_newfile_commit(struct ctl_newfile *nf)
{
	int r;

	mode_keep(nf);
	if (nf->fd >= 0 && fsync(nf->fd) < 0)
		return -errno;
	r = name_take(nf);
	if (r < 0)
		return r;
	free(nf->temp);
	nf->temp = NULL;
	return folder_sync(nf->path);
}

void ctl_newfile_end(struct ctl_newfile *nf)
{
	if (nf->fd >= 0)
		close(nf->fd);
	if (nf->temp)
		unlink(nf->temp);
	free(nf->temp);
	free(nf->path);
	*nf = (struct ctl_newfile){ .fd = -1 };
}
