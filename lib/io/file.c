/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Opening goes: descriptor, identity, lock, geometry, engine, a place in the context.  Whatever fails on the way takes
 * back what was done before it; a file that was created is removed again.
 */
#include "io/file.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "io/file-internal.h"

enum { WHAT_BYTES = 200 };

/* ---- channels ---------------------------------------------------------------------------------------------------- */

/* Aio refused (the kernel has no room for one more context): this queue goes without, more slowly. */
static int file_chan_open(struct br_chan *chan)
{
	struct br_file *f = br_to_file(chan->dev);
	struct br_file_chan *c = br_container_of(chan, struct br_file_chan, chan);
	int r = br_jobs_get(chan->queue, f->sync, &c->jobs);

	if (r < 0)
		return br_error(r, "no memory for the I/O of %s on one more queue", f->dev.name);
	if (f->aio && br_aio_get(chan->queue, &c->aio) < 0) {
		c->aio = NULL;
		f->dev.engine = f->sync ? "sync" : "threads";
	}
	return 0;
}

/* The sources are the queue's, and stay. */
static void file_chan_close(struct br_chan *chan)
{
	(void)chan;
}

/* Aio knows reads, writes and flushes; all else blocks and goes where blocking is allowed. */
static void file_submit(struct br_chan *chan, struct br_req *req)
{
	struct br_file *f = br_to_file(chan->dev);
	struct br_file_chan *c = br_container_of(chan, struct br_file_chan, chan);
	bool by_aio = c->aio && req->op <= BR_FLUSH;

	if (br_unlikely(req->op == BR_FLUSH ? f->tmpfs : !req->length)) {
		br_req_complete(req, 0);
		return;
	}
	if (br_unlikely(req->op == BR_FLUSH) && atomic_load_explicit(&f->no_aio_fdsync, memory_order_relaxed))
		by_aio = false;
	if (by_aio)
		br_aio_submit(c->aio, req);
	else
		br_jobs_submit(c->jobs, req, BR_STAGE_WHOLE);
}

/* ---- size -------------------------------------------------------------------------------------------------------- */

/* Under f->resizing. */
static int grow(struct br_file *f, uint64_t bytes)
{
	uint64_t now;
	int r = br_file_bytes(f, &now);

	if (r < 0)
		return r;
	if (bytes % f->dev.logical_block || bytes < now)
		return br_error(-EINVAL, "%s: %" PRIu64 " bytes are not whole blocks of %u, or less than its %" PRIu64,
				f->dev.name, bytes, f->dev.logical_block, now);
	if (bytes > f->max_grow)
		return br_error(-ENOSPC, "%s may not grow to %" PRIu64 " bytes, only to %" PRIu64, f->dev.name, bytes,
				f->max_grow);
	if (ftruncate(f->fd, (off_t)bytes) < 0)
		return br_error(-errno, "%s cannot grow from %" PRIu64 " to %" PRIu64 " bytes (errno %d)",
				f->dev.name, now, bytes, errno);
	return 0;
}

/* New size first in the file, then in dev->bytes: nobody can address what is not there yet. */
static int file_resize(struct br_dev *dev, uint64_t bytes, uint64_t *ret_bytes)
{
	struct br_file *f = br_to_file(dev);
	uint64_t now;
	int r = 0;

	if (bytes && (f->block || f->rdonly || !f->max_grow))
		return br_error(-EOPNOTSUPP, "%s is not a file that was opened to grow", dev->name);
	pthread_mutex_lock(&f->resizing);
	if (bytes)
		r = grow(f, bytes);
	if (r == 0)
		r = br_file_bytes(f, &now);
	if (r == 0)
		atomic_store(&dev->bytes, now);
	pthread_mutex_unlock(&f->resizing);
	if (r == 0)
		*ret_bytes = now;
	return r;
}

/* ---- closing ----------------------------------------------------------------------------------------------------- */

static void free_file(struct br_file *f)
{
	pthread_mutex_destroy(&f->resizing);
	br_free(f->dev.ctx->env, f, sizeof(*f));
}

/* Network file systems tell of failed writes only here. */
static int file_close(struct br_dev *dev)
{
	struct br_file *f = br_to_file(dev);
	int r = 0;

	br_file_unlock(f);
	if (close(f->fd) < 0 && errno != EINTR)
		r = br_error(-errno, "closing %s failed (errno %d): what was not flushed may be lost", dev->name,
			     errno);
	free_file(f);
	return r;
}

static const struct br_dev_ops file_ops = {
	.type = "file",
	.chan_bytes = sizeof(struct br_file_chan),
	.chan_open = file_chan_open,
	.chan_close = file_chan_close,
	.submit = file_submit,
	.resize = file_resize,
	.close = file_close,
};

/* ---- getting a descriptor ---------------------------------------------------------------------------------------- */

/* The new name is durable only when its folder is. */
static int sync_folder(const char *path)
{
	char copy[PATH_MAX];
	int fd, r = 0;

	snprintf(copy, sizeof(copy), "%s", path);
	fd = open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	if (fsync(fd) < 0 && errno != EINVAL)	/* EINVAL: this file system has nothing to sync */
		r = -errno;
	close(fd);
	return r;
}

/* Size, then file, then folder: a crash before the end leaves no name, or a file of zeroes. */
static int fill_new_file(int fd, const struct br_file_opts *o)
{
	int r;

	if (ftruncate(fd, (off_t)o->bytes) < 0 || fsync(fd) < 0)
		return br_error(-errno, "%s cannot be made %" PRIu64 " bytes long (errno %d)", o->path, o->bytes,
				errno);
	r = sync_folder(o->path);
	return r < 0 ? br_error(r, "the folder of %s cannot be synced (errno %d)", o->path, -r) : 0;
}

/* Exclusively, and for its owner alone; on failure the name is gone again. */
static int create_file(const struct br_file_opts *o, int flags)
{
	int fd, r;

	if (o->rdonly)
		return br_error(-EINVAL, "%s cannot be created and opened for reading only", o->path);
	if (o->bytes > INT64_MAX || strlen(o->path) >= PATH_MAX)
		return br_error(-EINVAL, "%.64s: %" PRIu64 " bytes are too many, or its name is too long", o->path,
				o->bytes);
	fd = open(o->path, flags | O_CREAT | O_EXCL, 0600);
	if (fd < 0)
		return br_error(-errno, "%s cannot be created (errno %d)", o->path, errno);
	r = fill_new_file(fd, o);
	if (r == 0)
		return fd;
	unlink(o->path);
	close(fd);
	return r;
}

static bool is_block_path(const char *path)
{
	struct stat st;

	return stat(path, &st) == 0 && S_ISBLK(st.st_mode);
}

/*
 * O_NONBLOCK so that a pipe, which is refused later, does not hold us up; O_EXCL on a device keeps mounts and others
 * away.
 */
static int open_path(const struct br_file_opts *o)
{
	int flags = O_CLOEXEC | O_NOCTTY | O_NONBLOCK | (o->rdonly ? O_RDONLY : O_RDWR), fd;

	if (o->direct)
		flags |= O_DIRECT;
	if (o->create)
		return create_file(o, flags);
	if (!o->rdonly && !o->nolock && is_block_path(o->path))
		flags |= O_EXCL;
	fd = open(o->path, flags);
	if (fd >= 0)
		return fd;
	if (errno == EBUSY)
		return br_file_busy(o->path);
	if (errno == EINVAL && o->direct)
		return br_error(-EINVAL, "%s cannot be opened for direct I/O: its file system has none", o->path);
	return br_error(-errno, "%s cannot be opened (errno %d)", o->path, errno);
}

/* The flags of a description are shared with the application, so they are demanded, never changed. */
static int duplicate_fd(const struct br_file_opts *o)
{
	int flags = fcntl(o->fd, F_GETFL), fd;

	if (flags < 0 || (flags & O_PATH))
		return br_error(-EBADF, "%d is not a descriptor that can be read", o->fd);
	if ((flags & O_ACCMODE) == O_WRONLY || (!o->rdonly && (flags & O_ACCMODE) != O_RDWR))
		return br_error(-EACCES, "descriptor %d is not open for reading%s", o->fd,
				o->rdonly ? "" : " and writing");
	if (flags & O_APPEND)
		return br_error(-EINVAL, "descriptor %d is in append mode, which ignores offsets", o->fd);
	if (o->create || (o->direct && !(flags & O_DIRECT)))
		return br_error(-EINVAL, "descriptor %d: %s", o->fd,
				o->create ? "only a path can be created" : "it was not opened with O_DIRECT");
	fd = fcntl(o->fd, F_DUPFD_CLOEXEC, 3);
	return fd < 0 ? br_error(-errno, "descriptor %d cannot be duplicated (errno %d)", o->fd, errno) : fd;
}

static int get_fd(const struct br_file_opts *o)
{
	if (o->fd >= 0)
		return duplicate_fd(o);
	if (!o->path || !*o->path)
		return br_error(-EINVAL, "neither a path nor a descriptor was given");
	return open_path(o);
}

/* ---- opening ----------------------------------------------------------------------------------------------------- */

/* What it is, from the descriptor and not from the path, which may mean another file by now. */
static int identify(struct br_file *f, const char *what)
{
	int flags = fcntl(f->fd, F_GETFL);
	struct stat st;

	if (flags < 0 || fstat(f->fd, &st) < 0)
		return br_error(-errno, "%s cannot be looked at (errno %d)", what, errno);
	if (!S_ISREG(st.st_mode) && !S_ISBLK(st.st_mode))
		return br_error(-EINVAL, "%s is neither a regular file nor a block device", what);
	f->block = S_ISBLK(st.st_mode);
	f->id_dev = f->block ? st.st_rdev : st.st_dev;
	f->id_ino = f->block ? 0 : st.st_ino;
	f->direct = flags & O_DIRECT;
	return 0;
}

/* What the caller wants, else what blocks nobody; where aio is refused, the next best without a word of failure. */
static int choose_engine(struct br_file *f, const struct br_ctx *ctx, const char *wanted)
{
	bool aio = f->direct || ctx->no_threads || f->tmpfs;

	f->sync = ctx->no_threads;
	if (wanted) {
		aio = strcmp(wanted, "aio") == 0;
		f->sync |= strcmp(wanted, "sync") == 0;
		if (!aio && strcmp(wanted, "sync") != 0 && strcmp(wanted, "threads") != 0)
			return br_error(-EINVAL, "there is no engine '%.32s' for files: aio, threads, sync", wanted);
		if (ctx->no_threads && strcmp(wanted, "threads") == 0)
			return br_error(-EINVAL, "engine threads needs a context with threads");
	}
	f->aio = aio && br_aio_works();
	f->dev.engine = f->aio ? "aio" : f->sync ? "sync" : "threads";
	return 0;
}

/* Everything but the descriptor itself. */
static int set_up(struct br_file *f, struct br_ctx *ctx, const struct br_file_opts *o, const char *what)
{
	int r = identify(f, what);

	if (r == 0)
		r = br_file_lock(f, what);
	if (r < 0)
		return r;
	if (o->fd < 0)
		fcntl(f->fd, F_SETFL, fcntl(f->fd, F_GETFL) & ~O_NONBLOCK);
	r = br_file_geometry(f);
	if (r == 0)
		r = choose_engine(f, ctx, o->engine);
	if (r == 0)
		r = br_dev_add(&f->dev, ctx, &file_ops, o->name);
	if (r < 0)
		br_file_unlock(f);
	return r;
}

static struct br_file *new_file(struct br_ctx *ctx, const struct br_file_opts *o, const char *what)
{
	struct br_file *f = br_alloc_aligned(ctx->env, sizeof(*f), BR_CACHE_LINE);

	if (!f)
		return NULL;
	f->dev.ctx = ctx;
	f->rdonly = o->rdonly;
	f->nolock = o->nolock;
	f->max_grow = o->max_grow;
	br_list_init(&f->open_link);
	pthread_mutex_init(&f->resizing, NULL);
	snprintf(f->dev.name, sizeof(f->dev.name), "%.60s", what);	/* for messages, until it has its own */
	return f;
}

int br_file_open(struct br_ctx *ctx, const struct br_file_opts *opts, struct br_dev **ret_dev)
{
	char what[WHAT_BYTES];
	struct br_file *f;
	int fd, r;

	if (opts->fd >= 0)
		snprintf(what, sizeof(what), "descriptor %d", opts->fd);
	else
		snprintf(what, sizeof(what), "%s", opts->path ? opts->path : "");
	fd = get_fd(opts);
	if (fd < 0)
		return fd;
	f = new_file(ctx, opts, what);
	if (f)
		f->fd = fd;
	r = f ? set_up(f, ctx, opts, what) : br_error(-ENOMEM, "no memory to open %s", what);
	if (r == 0) {
		*ret_dev = &f->dev;
		return 0;
	}
	if (opts->create)
		unlink(opts->path);
	close(fd);
	if (f)
		free_file(f);
	return r;
}

bool br_file_same(const struct br_dev *a, const struct br_dev *b)
{
	const struct br_file *f = (const struct br_file *)(const void *)a, *g = (const struct br_file *)(const void *)b;

	if (a->ops != &file_ops || b->ops != &file_ops)
		return false;
	return f->block == g->block && f->id_dev == g->id_dev && f->id_ino == g->id_ino;
}
