/* SPDX-License-Identifier: BSD-3-Clause */
#include "finding.h"
#include <inttypes.h>
#include "msg.h"
#include "size.h"

static const char *severity_word(uint32_t severity)
{
	return severity >= CTL_CORRUPTION ? "corrupt" : severity == CTL_UNCLEAN ? "unclean" : "note";
}

static void finding_json(struct ctl_json *j, const struct blkremap_finding *finding)
{
	ctl_json_object(j, NULL);
	ctl_json_string(j, "severity", severity_word(finding->severity));
	if (finding->code)
		ctl_json_string(j, "reason", blkremap_code_name(finding->code));
	ctl_json_u64(j, "offset", finding->offset);
	ctl_json_u64(j, "length", finding->length);
	ctl_json_string(j, "text", finding->text);
	ctl_json_close(j);
}

int ctl_finding_take(void *opaque, const struct blkremap_finding *finding)
{
	struct ctl_findings *f = opaque;
	uint32_t severity = finding->severity < CTL_NR_SEVERITIES ? finding->severity : CTL_CORRUPTION;

	f->count[severity]++;
	if (f->print_json)
		finding_json(&f->json, finding);
	else if (severity == CTL_REMARK || !finding->length)
		ctl_say(stdout, "%s: %s", f->operand, finding->text);
	else
		ctl_say(stdout, "%s: %s (offset %s, %s)", f->operand, finding->text, ctl_human(finding->offset).s,
			ctl_human(finding->length).s);
	return 0;
}
