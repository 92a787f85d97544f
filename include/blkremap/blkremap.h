/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file
 * @brief libblkremap: includes the whole public face.
 *
 * Read blkremap/base.h first: the rules that hold for every call stand there.  libblkremap(3) explains the concepts.
 */
#ifndef BLKREMAP_BLKREMAP_H
#define BLKREMAP_BLKREMAP_H

#include <blkremap/backend.h>
#include <blkremap/base.h>
#include <blkremap/dev.h>
#include <blkremap/io.h>
#include <blkremap/job.h>
#include <blkremap/target.h>
#include <blkremap/version.h>

#endif /* BLKREMAP_BLKREMAP_H */
