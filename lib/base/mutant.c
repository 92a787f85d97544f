/* SPDX-License-Identifier: BSD-3-Clause */
/* Compiled only with -Dmutants=true. */
#include "base/mutant.h"

#include <stddef.h>

const char *br_mutant = NULL;
