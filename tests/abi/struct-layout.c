/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The layout of every public struct and the value of every public constant, as programs that were built before know
 * them.  A change here is a change of the ABI: grow structs at their end only, never change a number.  One TAP line a
 * struct, one for all constants.  Sizes are those of 64-bit machines; elsewhere only constants are tested.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "blkremap/blkremap.h"

struct field {
	const char *type, *name;	/* an empty name: the whole struct */
	size_t offset, size;		/* what the compiler says now */
	size_t expected_offset, expected_size;
};

struct constant {
	const char *name;
	long long value, expected;
};

#define FIELD(type, name, offset, size) \
	{ #type, #name, offsetof(struct type, name), sizeof(((struct type *)0)->name), offset, size }
#define WHOLE(type, size) { #type, "", 0, sizeof(struct type), 0, size }
#define CONSTANT(name, value) { #name, name, value }

static const struct field fields[] = {
	WHOLE(blkremap_ctx_opts, 48),
	FIELD(blkremap_ctx_opts, size, 0, 4),
	FIELD(blkremap_ctx_opts, flags, 4, 4),
	FIELD(blkremap_ctx_opts, workers, 8, 4),
	FIELD(blkremap_ctx_opts, log_level, 12, 4),
	FIELD(blkremap_ctx_opts, max_memory, 16, 8),
	FIELD(blkremap_ctx_opts, log, 24, 8),
	FIELD(blkremap_ctx_opts, opaque, 32, 8),
	FIELD(blkremap_ctx_opts, env, 40, 8),
	WHOLE(blkremap_event, 216),
	FIELD(blkremap_event, size, 0, 4),
	FIELD(blkremap_event, type, 4, 4),
	FIELD(blkremap_event, dev_id, 8, 8),
	FIELD(blkremap_event, job_id, 16, 8),
	FIELD(blkremap_event, result, 24, 4),
	FIELD(blkremap_event, code, 28, 4),
	FIELD(blkremap_event, value, 32, 16),
	FIELD(blkremap_event, count, 48, 8),
	FIELD(blkremap_event, text, 56, 160),
	WHOLE(blkremap_open_opts, 48),
	FIELD(blkremap_open_opts, size, 0, 4),
	FIELD(blkremap_open_opts, flags, 4, 4),
	FIELD(blkremap_open_opts, name, 8, 8),
	FIELD(blkremap_open_opts, engine, 16, 8),
	FIELD(blkremap_open_opts, bytes, 24, 8),
	FIELD(blkremap_open_opts, timeout_ns, 32, 8),
	FIELD(blkremap_open_opts, max_grow, 40, 8),
	WHOLE(blkremap_segment, 24),
	FIELD(blkremap_segment, dev, 0, 8),
	FIELD(blkremap_segment, offset, 8, 8),
	FIELD(blkremap_segment, bytes, 16, 8),
	WHOLE(blkremap_dev_info, 176),
	FIELD(blkremap_dev_info, size, 0, 4),
	FIELD(blkremap_dev_info, caps, 4, 4),
	FIELD(blkremap_dev_info, state, 8, 4),
	FIELD(blkremap_dev_info, code, 12, 4),
	FIELD(blkremap_dev_info, dev_id, 16, 8),
	FIELD(blkremap_dev_info, bytes, 24, 8),
	FIELD(blkremap_dev_info, logical_block, 32, 4),
	FIELD(blkremap_dev_info, physical_block, 36, 4),
	FIELD(blkremap_dev_info, optimal_io, 40, 4),
	FIELD(blkremap_dev_info, discard_granularity, 44, 4),
	FIELD(blkremap_dev_info, buffer_align, 48, 4),
	FIELD(blkremap_dev_info, block_bytes, 52, 4),
	FIELD(blkremap_dev_info, generation, 56, 8),
	FIELD(blkremap_dev_info, uuid, 64, 16),
	FIELD(blkremap_dev_info, type, 80, 16),
	FIELD(blkremap_dev_info, engine, 96, 16),
	FIELD(blkremap_dev_info, name, 112, 64),
	WHOLE(blkremap_status, 128),
	FIELD(blkremap_status, size, 0, 4),
	FIELD(blkremap_status, in_flight, 4, 4),
	FIELD(blkremap_status, reads, 8, 8),
	FIELD(blkremap_status, read_bytes, 16, 8),
	FIELD(blkremap_status, writes, 24, 8),
	FIELD(blkremap_status, write_bytes, 32, 8),
	FIELD(blkremap_status, flushes, 40, 8),
	FIELD(blkremap_status, discards, 48, 8),
	FIELD(blkremap_status, errors, 56, 8),
	FIELD(blkremap_status, store_used, 64, 8),
	FIELD(blkremap_status, store_meta, 72, 8),
	FIELD(blkremap_status, store_total, 80, 8),
	FIELD(blkremap_status, copied_bytes, 88, 8),
	FIELD(blkremap_status, hydrated_bytes, 96, 8),
	FIELD(blkremap_status, dirty_bytes, 104, 8),
	FIELD(blkremap_status, commits, 112, 8),
	FIELD(blkremap_status, last_commit_ns, 120, 8),
	WHOLE(blkremap_io, 64),
	FIELD(blkremap_io, op, 0, 4),
	FIELD(blkremap_io, flags, 4, 4),
	FIELD(blkremap_io, offset, 8, 8),
	FIELD(blkremap_io, length, 16, 8),
	FIELD(blkremap_io, user_data, 24, 8),
	FIELD(blkremap_io, iov, 32, 8),
	FIELD(blkremap_io, iovcnt, 40, 4),
	FIELD(blkremap_io, reserved32, 44, 4),
	FIELD(blkremap_io, reserved, 48, 16),
	WHOLE(blkremap_completion, 64),
	FIELD(blkremap_completion, user_data, 0, 8),
	FIELD(blkremap_completion, result, 8, 4),
	FIELD(blkremap_completion, code, 12, 4),
	FIELD(blkremap_completion, dev_id, 16, 8),
	FIELD(blkremap_completion, offset, 24, 8),
	FIELD(blkremap_completion, reserved, 32, 32),
	WHOLE(blkremap_queue_opts, 16),
	FIELD(blkremap_queue_opts, size, 0, 4),
	FIELD(blkremap_queue_opts, flags, 4, 4),
	FIELD(blkremap_queue_opts, depth, 8, 4),
	FIELD(blkremap_queue_opts, max_iov, 12, 4),
	WHOLE(blkremap_extent, 48),
	FIELD(blkremap_extent, offset, 0, 8),
	FIELD(blkremap_extent, length, 8, 8),
	FIELD(blkremap_extent, at, 16, 8),
	FIELD(blkremap_extent, dev_id, 24, 8),
	FIELD(blkremap_extent, kind, 32, 4),
	FIELD(blkremap_extent, reserved32, 36, 4),
	FIELD(blkremap_extent, reserved, 40, 8),
	WHOLE(blkremap_snapshot_opts, 64),
	FIELD(blkremap_snapshot_opts, size, 0, 4),
	FIELD(blkremap_snapshot_opts, flags, 4, 4),
	FIELD(blkremap_snapshot_opts, name, 8, 8),
	FIELD(blkremap_snapshot_opts, when_full, 16, 4),
	FIELD(blkremap_snapshot_opts, reserved32, 20, 4),
	FIELD(blkremap_snapshot_opts, chunk_bytes, 24, 8),
	FIELD(blkremap_snapshot_opts, bytes, 32, 8),
	FIELD(blkremap_snapshot_opts, low_space, 40, 8),
	FIELD(blkremap_snapshot_opts, grow_step, 48, 8),
	FIELD(blkremap_snapshot_opts, hold_ns, 56, 8),
	WHOLE(blkremap_take, 48),
	FIELD(blkremap_take, origin, 0, 8),
	FIELD(blkremap_take, store, 8, 8),
	FIELD(blkremap_take, opts, 16, 8),
	FIELD(blkremap_take, snap, 24, 8),
	FIELD(blkremap_take, reserved, 32, 16),
	WHOLE(blkremap_job_opts, 72),
	FIELD(blkremap_job_opts, size, 0, 4),
	FIELD(blkremap_job_opts, flags, 4, 4),
	FIELD(blkremap_job_opts, bytes_per_s, 8, 8),
	FIELD(blkremap_job_opts, iops, 16, 8),
	FIELD(blkremap_job_opts, offset, 24, 8),
	FIELD(blkremap_job_opts, length, 32, 8),
	FIELD(blkremap_job_opts, new_bytes, 40, 8),
	FIELD(blkremap_job_opts, error_budget, 48, 8),
	FIELD(blkremap_job_opts, timeout_ns, 56, 8),
	FIELD(blkremap_job_opts, suspend_flags, 64, 4),
	FIELD(blkremap_job_opts, reserved32, 68, 4),
	WHOLE(blkremap_job_status, 240),
	FIELD(blkremap_job_status, size, 0, 4),
	FIELD(blkremap_job_status, state, 4, 4),
	FIELD(blkremap_job_status, job_id, 8, 8),
	FIELD(blkremap_job_status, dev_id, 16, 8),
	FIELD(blkremap_job_status, result, 24, 4),
	FIELD(blkremap_job_status, code, 28, 4),
	FIELD(blkremap_job_status, kind, 32, 4),
	FIELD(blkremap_job_status, reserved32, 36, 4),
	FIELD(blkremap_job_status, done, 40, 8),
	FIELD(blkremap_job_status, total, 48, 8),
	FIELD(blkremap_job_status, bytes_per_s, 56, 8),
	FIELD(blkremap_job_status, errors, 64, 8),
	FIELD(blkremap_job_status, eta_ns, 72, 8),
	FIELD(blkremap_job_status, text, 80, 160),
	WHOLE(blkremap_finding, 40),
	FIELD(blkremap_finding, size, 0, 4),
	FIELD(blkremap_finding, severity, 4, 4),
	FIELD(blkremap_finding, code, 8, 4),
	FIELD(blkremap_finding, reserved32, 12, 4),
	FIELD(blkremap_finding, offset, 16, 8),
	FIELD(blkremap_finding, length, 24, 8),
	FIELD(blkremap_finding, text, 32, 8),
	WHOLE(blkremap_backend_req, 64),
	FIELD(blkremap_backend_req, id, 0, 8),
	FIELD(blkremap_backend_req, op, 8, 4),
	FIELD(blkremap_backend_req, flags, 12, 4),
	FIELD(blkremap_backend_req, offset, 16, 8),
	FIELD(blkremap_backend_req, length, 24, 8),
	FIELD(blkremap_backend_req, iov, 32, 8),
	FIELD(blkremap_backend_req, iovcnt, 40, 4),
	FIELD(blkremap_backend_req, reserved32, 44, 4),
	FIELD(blkremap_backend_req, reserved, 48, 16),
	WHOLE(blkremap_backend_info, 56),
	FIELD(blkremap_backend_info, size, 0, 4),
	FIELD(blkremap_backend_info, flags, 4, 4),
	FIELD(blkremap_backend_info, caps, 8, 4),
	FIELD(blkremap_backend_info, logical_block, 12, 4),
	FIELD(blkremap_backend_info, optimal_io, 16, 4),
	FIELD(blkremap_backend_info, buffer_align, 20, 4),
	FIELD(blkremap_backend_info, max_inflight, 24, 4),
	FIELD(blkremap_backend_info, max_iov, 28, 4),
	FIELD(blkremap_backend_info, bytes, 32, 8),
	FIELD(blkremap_backend_info, max_transfer, 40, 8),
	FIELD(blkremap_backend_info, name, 48, 8),
	WHOLE(blkremap_dev_ops, 32),
	FIELD(blkremap_dev_ops, size, 0, 4),
	FIELD(blkremap_dev_ops, flags, 4, 4),
	FIELD(blkremap_dev_ops, submit, 8, 8),
	FIELD(blkremap_dev_ops, cancel, 16, 8),
	FIELD(blkremap_dev_ops, close, 24, 8),
};

static const struct constant constants[] = {
	CONSTANT(BLKREMAP_CTX_NO_THREADS, 1),
	CONSTANT(BLKREMAP_LOG_ERROR, 1),
	CONSTANT(BLKREMAP_LOG_WARNING, 2),
	CONSTANT(BLKREMAP_LOG_INFO, 3),
	CONSTANT(BLKREMAP_LOG_DEBUG, 4),
	CONSTANT(BLKREMAP_CODE_NONE, 0),
	CONSTANT(BLKREMAP_CODE_MEDIUM, 1),
	CONSTANT(BLKREMAP_CODE_STORE_FULL, 2),
	CONSTANT(BLKREMAP_CODE_INVALIDATED, 3),
	CONSTANT(BLKREMAP_CODE_META_DAMAGED, 4),
	CONSTANT(BLKREMAP_CODE_META_FAILED, 5),
	CONSTANT(BLKREMAP_CODE_FLUSH_FAILED, 6),
	CONSTANT(BLKREMAP_CODE_SOURCE_LOST, 7),
	CONSTANT(BLKREMAP_CODE_RELEASED, 8),
	CONSTANT(BLKREMAP_CODE_READ_ONLY, 9),
	CONSTANT(BLKREMAP_CODE_BEYOND_END, 10),
	CONSTANT(BLKREMAP_CODE_CANCELED, 11),
	CONSTANT(BLKREMAP_CODE_CLAIMED, 12),
	CONSTANT(BLKREMAP_CODE_LOCKED, 13),
	CONSTANT(BLKREMAP_CODE_BLANK, 14),
	CONSTANT(BLKREMAP_CODE_WRONG_PEER, 15),
	CONSTANT(BLKREMAP_CODE_TOO_NEW, 16),
	CONSTANT(BLKREMAP_CODE_STALE, 17),
	CONSTANT(BLKREMAP_CODE_TIMED_OUT, 18),
	CONSTANT(BLKREMAP_CODE_UNSUPPORTED, 19),
	CONSTANT(BLKREMAP_EV_LOW_SPACE, 1),
	CONSTANT(BLKREMAP_EV_HELD, 2),
	CONSTANT(BLKREMAP_EV_INVALIDATED, 3),
	CONSTANT(BLKREMAP_EV_RESIZED, 7),
	CONSTANT(BLKREMAP_EV_SNAPSHOT_ADDED, 8),
	CONSTANT(BLKREMAP_EV_SNAPSHOT_GONE, 9),
	CONSTANT(BLKREMAP_EV_JOB_DONE, 10),
	CONSTANT(BLKREMAP_RDONLY, 1),
	CONSTANT(BLKREMAP_DIRECT, 2),
	CONSTANT(BLKREMAP_CREATE, 4),
	CONSTANT(BLKREMAP_NOLOCK, 8),
	CONSTANT(BLKREMAP_SUSPENDED, 32),
	CONSTANT(BLKREMAP_FORCE, 64),
	CONSTANT(BLKREMAP_LIST_ALL, 0),
	CONSTANT(BLKREMAP_LIST_LOWER, 1),
	CONSTANT(BLKREMAP_LIST_SNAPSHOTS, 2),
	CONSTANT(BLKREMAP_CAP_WRITE, 1),
	CONSTANT(BLKREMAP_CAP_VOLATILE_CACHE, 2),
	CONSTANT(BLKREMAP_CAP_FUA, 4),
	CONSTANT(BLKREMAP_CAP_DISCARD, 8),
	CONSTANT(BLKREMAP_CAP_DISCARD_ZEROES, 16),
	CONSTANT(BLKREMAP_CAP_WRITE_ZEROES, 32),
	CONSTANT(BLKREMAP_CAP_FAST_ZEROES, 64),
	CONSTANT(BLKREMAP_CAP_EXTENTS, 128),
	CONSTANT(BLKREMAP_CAP_GROW, 512),
	CONSTANT(BLKREMAP_CAP_SHRINK, 1024),
	CONSTANT(BLKREMAP_ST_SUSPENDED, 2),
	CONSTANT(BLKREMAP_ST_FAILED, 16),
	CONSTANT(BLKREMAP_ST_INVALID, 32),
	CONSTANT(BLKREMAP_ST_FULL, 64),
	CONSTANT(BLKREMAP_ST_MERGING, 128),
	CONSTANT(BLKREMAP_READ, 0),
	CONSTANT(BLKREMAP_WRITE, 1),
	CONSTANT(BLKREMAP_FLUSH, 2),
	CONSTANT(BLKREMAP_DISCARD, 3),
	CONSTANT(BLKREMAP_WRITE_ZEROES, 4),
	CONSTANT(BLKREMAP_EXTENTS, 5),
	CONSTANT(BLKREMAP_CLOSE, 7),
	CONSTANT(BLKREMAP_FUA, 1),
	CONSTANT(BLKREMAP_MAY_UNMAP, 2),
	CONSTANT(BLKREMAP_FAST_ONLY, 4),
	CONSTANT(BLKREMAP_UNSTABLE, 8),
	CONSTANT(BLKREMAP_BACKGROUND, 16),
	CONSTANT(BLKREMAP_CANCEL_ALL, 1),
	CONSTANT(BLKREMAP_EXT_DATA, 1),
	CONSTANT(BLKREMAP_EXT_HOLE, 2),
	CONSTANT(BLKREMAP_EXT_ZERO, 4),
	CONSTANT(BLKREMAP_EXT_REMAPPED, 8),
	CONSTANT(BLKREMAP_EXT_CHANGED, 128),
	CONSTANT(BLKREMAP_EXT_INEXACT, 256),
	CONSTANT(BLKREMAP_MAP_TOP_ONLY, 1),
	CONSTANT(BLKREMAP_FULL_INVALIDATE, 0),
	CONSTANT(BLKREMAP_FULL_REFUSE, 1),
	CONSTANT(BLKREMAP_FULL_HOLD, 2),
	CONSTANT(BLKREMAP_SNAP_TRANSIENT, 65536),
	CONSTANT(BLKREMAP_SNAP_DISCARD_ZEROES_COW, 131072),
	CONSTANT(BLKREMAP_SNAP_DISCARD_PASSDOWN, 262144),
	CONSTANT(BLKREMAP_SNAP_MERGING, 524288),
	CONSTANT(BLKREMAP_JOB_COMMIT, 3),
	CONSTANT(BLKREMAP_JOB_SUSPEND, 4),
	CONSTANT(BLKREMAP_JOB_RESUME, 5),
	CONSTANT(BLKREMAP_JOB_RESIZE, 6),
	CONSTANT(BLKREMAP_JOB_TAKE, 7),
	CONSTANT(BLKREMAP_JOB_MERGE, 8),
	CONSTANT(BLKREMAP_JOB_DROP, 13),
	CONSTANT(BLKREMAP_JOB_SHRINK, 1),
	CONSTANT(BLKREMAP_JOB_PAUSED, 2),
	CONSTANT(BLKREMAP_JOB_RUNNING, 1),
	CONSTANT(BLKREMAP_JOB_IS_PAUSED, 2),
	CONSTANT(BLKREMAP_JOB_STOPPING, 3),
	CONSTANT(BLKREMAP_JOB_DONE, 4),
	CONSTANT(BLKREMAP_JOB_FAILED, 5),
	CONSTANT(BLKREMAP_JOB_CANCELED, 6),
	CONSTANT(BLKREMAP_BACKEND_BLOCKING, 1),
	CONSTANT(BLKREMAP_BACKEND_SERIAL, 2),
};

enum { NR_FIELDS = sizeof(fields) / sizeof(fields[0]), NR_CONSTANTS = sizeof(constants) / sizeof(constants[0]) };

static int report(int test, int bad, const char *what)
{
	printf("%s %d - %s\n", bad ? "not ok" : "ok", test, what);
	return bad;
}

static int field_differs(const struct field *f)
{
	if (f->offset == f->expected_offset && f->size == f->expected_size)
		return 0;
	printf("# %s.%s: offset %zu, size %zu; was %zu, %zu\n", f->type, f->name, f->offset, f->size,
	       f->expected_offset, f->expected_size);
	return 1;
}

/* The fields of one struct stand together; returns how many there are. */
static size_t test_struct(const struct field *first, size_t left, int test, int *bad)
{
	size_t n = 0;
	int differ = 0;

	while (n < left && strcmp(first[n].type, first->type) == 0)
		differ |= field_differs(&first[n++]);
	*bad |= report(test, differ, first->type);
	return n;
}

static int test_constants(int test)
{
	int differ = 0;

	for (size_t i = 0; i < NR_CONSTANTS; i++) {
		if (constants[i].value == constants[i].expected)
			continue;
		printf("# %s: %lld; was %lld\n", constants[i].name, constants[i].value, constants[i].expected);
		differ = 1;
	}
	return report(test, differ, "constants");
}

int main(void)
{
	int test = 1, bad = test_constants(test);

	if (sizeof(void *) == 8)
		for (size_t at = 0; at < NR_FIELDS;)
			at += test_struct(&fields[at], NR_FIELDS - at, ++test, &bad);
	printf("1..%d\n", test);
	return bad;
}
