/* SPDX-License-Identifier: Apache-2.0
 *
 * CRC-32C (Castagnoli, polynomial 0x82f63b78 reflected), as Go's hash/crc32 updates it: no pre- or
 * post-inversion for the caller to do. The processor's instruction where it has one.
 */
#ifndef BASE_CRC32C_H
#define BASE_CRC32C_H

#include "base/slice.h"

/* Start with crc 0; chain calls to hash parts. crc32c(0, "123456789") is 0xe3069283. */
uint32_t crc32c(uint32_t crc, struct slice bytes);

#endif
