/* SPDX-License-Identifier: Apache-2.0 */
#include "record.h"

static const char *const names[] = {
#define HISTORY_WRONG(name, text, meaning) [HISTORY_WRONG_##name] = (text),
#include "wrong.def"
#undef HISTORY_WRONG
};

const char *history_wrong_name(enum history_wrong wrong)
{
    return wrong < HISTORY_WRONGS ? names[wrong] : "nothing";
}

enum history_wrong history_first_wrong(const struct history *history)
{
    return history->first_wrong;
}

size_t history_check(struct history *history, struct buf *report)
{
    history->report = report;
    return history->wrongs;
}
