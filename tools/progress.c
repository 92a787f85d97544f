/* SPDX-License-Identifier: BSD-3-Clause */
#include "progress.h"
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include "msg.h"
#include "size.h"
#include "stop.h"

#define SECOND UINT64_C(1000000000)

int ctl_progress_init(struct ctl_progress *p, const char *verb, const char *name, const char *how)
{
	uint64_t fd;

	*p = (struct ctl_progress){ .verb = verb, .name = name, .fd = -1, .start_ns = ctl_now_ns() };
	if (!how || !strcmp(how, "auto")) {
		p->draw = isatty(STDERR_FILENO) == 1;
		p->hush_ns = SECOND;
	} else if (!strcmp(how, "tty")) {
		p->draw = true;
	} else if (!strncmp(how, "fd:", 3)) {
		if (ctl_count_parse(how + 3, INT32_MAX, &fd) < 0 || fcntl((int)fd, F_GETFD) < 0)
			return -EINVAL;
		p->fd = (int)fd;
	} else if (strcmp(how, "none")) {
		return -EINVAL;
	}
	return 0;
}

/* "6.2/10.0 GiB": both in the unit of the larger, which is named once. */
static void amount_put(FILE *out, uint64_t done, uint64_t total)
{
	struct ctl_text t = ctl_human(total);
	const char *unit = strchr(t.s, ' ') + 1;
	static const char letters[] = "KMGTPE";
	const char *l = strchr(letters, *unit);
	uint64_t unit_bytes = l && *unit != 'B' ? UINT64_C(1) << (10 * (l - letters + 1)) : 1;

	fprintf(out, "%" PRIu64 ".%" PRIu64 "/%s", done / unit_bytes, done % unit_bytes * 10 / unit_bytes, t.s);
}

static void line_put(struct ctl_progress *p, uint64_t done, uint64_t total, uint64_t now)
{
	uint64_t spent = now - p->start_ns, moved = done > p->start_done ? done - p->start_done : 0, rate, eta;
	char bar[21];
	int filled = total ? (int)((__uint128_t)done * 20 / total) : 0;

	for (int i = 0; i < 20; i++)
		bar[i] = i < filled ? '#' : '-';
	bar[20] = '\0';
	rate = spent ? (uint64_t)((__uint128_t)moved * SECOND / spent) : 0;
	fprintf(stderr, "%s ", p->verb);
	ctl_put(stderr, p->name);
	fprintf(stderr, "  %s%% [%s] ", ctl_percent(done, total, 1).s, bar);
	amount_put(stderr, done, total);
	fprintf(stderr, "  %s/s", ctl_human(rate).s);
	if (rate && total >= done) {
		eta = (total - done) / rate;
		fprintf(stderr, "  ETA %" PRIu64 ":%02" PRIu64, eta / 60, eta % 60);
	}
}

static void percent_tell(struct ctl_progress *p, uint64_t done, uint64_t total)
{
	unsigned int percent = total ? (unsigned int)((__uint128_t)done * 100 / total) : 0;

	if (percent <= p->percent_told)
		return;
	p->percent_told = percent;
	if (dprintf(p->fd, "%u/100\n", percent) < 0)
		p->fd = -1; /* the listener has gone: that must not stop the work */
}

void ctl_progress_show(struct ctl_progress *p, uint64_t done, uint64_t total)
{
	uint64_t now = ctl_now_ns();

	if (!p->started) {
		p->started = true;
		p->start_done = done;
	}
	if (p->fd >= 0)
		percent_tell(p, done, total);
	if (ctl_usr1_taken()) {
		fputs(p->drawn ? "\r" : "", stderr);
		line_put(p, done, total, now);
		fputs(p->drawn ? "\033[K\n" : "\n", stderr);
		p->drawn = false;
	}
	if (!p->draw || now - p->start_ns < p->hush_ns || now - p->shown_ns < SECOND / 5)
		return;
	p->shown_ns = now;
	p->drawn = true;
	fputc('\r', stderr);
	line_put(p, done, total, now);
	fputs("\033[K", stderr);
	fflush(stderr);
}

void ctl_progress_end(struct ctl_progress *p)
{
	if (p->drawn) {
		fputs("\r\033[K", stderr);
		fflush(stderr);
	}
	p->drawn = false;
}
