/* SPDX-License-Identifier: Apache-2.0
 *
 * Go's durations: text_parse_duration and text_format_duration. */
#include "base/mem.h"
#include "base/text.h"

#include <ctype.h>
#include <inttypes.h>

static const struct {
    const char *name;
    uint64_t ns;
} units[] = {
    {"ns", 1},
    {"us", 1000},
    {"µs", 1000}, /* U+00B5 */
    {"μs", 1000}, /* U+03BC */
    {"ms", 1000000},
    {"s", 1000000000},
    {"m", 60000000000},
    {"h", 3600000000000},
};

static const uint64_t LIMIT = (uint64_t)1 << 63;

struct part {
    uint64_t whole;
    uint64_t fraction; /* over scale */
    double scale;
    bool has_digits;
};

/* "12.34"; false: past 2^63. Digits of the fraction past 63 bits are dropped, as Go drops them. */
static bool take_number(const char **at, struct part *out_part)
{
    struct part part = {.scale = 1};
    for (; isdigit((unsigned char)**at); (*at)++) {
        unsigned digit = (unsigned)(**at - '0');
        if (part.whole > LIMIT / 10 || part.whole * 10 + digit > LIMIT) {
            return false;
        }
        part.whole = part.whole * 10 + digit;
        part.has_digits = true;
    }
    if (**at == '.') {
        bool is_full = false;
        for ((*at)++; isdigit((unsigned char)**at); (*at)++) {
            part.has_digits = true;
            is_full = is_full || part.fraction > (LIMIT - 1) / 10 - 1;
            if (!is_full) {
                part.fraction = part.fraction * 10 + (unsigned)(**at - '0');
                part.scale *= 10;
            }
        }
    }
    *out_part = part;
    return true;
}

static uint64_t unit_find(const char *name, size_t len)
{
    for (size_t i = 0; i < COUNT_OF(units); i++) {
        if (strlen(units[i].name) == len && memcmp(units[i].name, name, len) == 0) {
            return units[i].ns;
        }
    }
    return 0;
}

static struct err refuse(const char *text, struct why *why)
{
    return why_set(why, ERR(BAD_INPUT), "time: invalid duration \"%s\"", text);
}

/* One "12.34ms"; adds to *sum. */
static struct err take_part(const char *text, const char **at, uint64_t *sum, struct why *why)
{
    struct part part;
    if (!take_number(at, &part) || !part.has_digits) {
        return refuse(text, why);
    }
    size_t len = strcspn(*at, ".0123456789");
    if (len == 0) {
        return why_set(why, ERR(BAD_INPUT), "time: missing unit in duration \"%s\"", text);
    }
    uint64_t unit = unit_find(*at, len);
    if (unit == 0) {
        return why_set(why, ERR(BAD_INPUT), "time: unknown unit \"%.*s\" in duration \"%s\"",
            (int)len, *at, text);
    }
    if (part.whole > LIMIT / unit) {
        return refuse(text, why);
    }
    uint64_t value =
        part.whole * unit + (uint64_t)((double)part.fraction * ((double)unit / part.scale));
    if (value > LIMIT || *sum + value > LIMIT) {
        return refuse(text, why);
    }
    *sum += value;
    *at += len;
    return OK;
}

struct err text_parse_duration(const char *text, int64_t *out_ns, struct why *why)
{
    const char *at = text;
    bool is_negative = *at == '-';
    uint64_t sum = 0;
    if (*at == '-' || *at == '+') {
        at++;
    }
    if (strcmp(at, "0") == 0) {
        *out_ns = 0;
        return OK;
    }
    if (*at == 0) {
        return refuse(text, why);
    }
    while (*at) {
        TRY(take_part(text, &at, &sum, why));
    }
    if (!is_negative && sum > LIMIT - 1) {
        return refuse(text, why);
    }
    *out_ns = is_negative ? (int64_t)(0 - sum) : (int64_t)sum;
    return OK;
}

/* whole.fraction with the fraction's trailing zeros cut. unit is a power of ten. */
static void print_decimal(
    char out[TEXT_DURATION_SIZE / 2], uint64_t value, uint64_t unit, const char *name)
{
    char digits[24];
    int width = 0;
    for (uint64_t rest = unit; rest > 1; rest /= 10) {
        width++;
    }
    int len = snprintf(digits, sizeof(digits), "%0*" PRIu64, width, value % unit);
    while (len > 0 && digits[len - 1] == '0') {
        len--;
    }
    snprintf(out, TEXT_DURATION_SIZE / 2, "%" PRIu64 "%s%.*s%s", value / unit, len > 0 ? "." : "",
        len, digits, name);
}

const char *text_format_duration(int64_t ns, char out[TEXT_DURATION_SIZE])
{
    const char *sign = ns < 0 ? "-" : "";
    uint64_t value = ns < 0 ? 0 - (uint64_t)ns : (uint64_t)ns;
    char decimal[TEXT_DURATION_SIZE / 2] = "0s";
    char clock[TEXT_DURATION_SIZE / 2] = "";
    if (value > 0 && value < 1000) {
        print_decimal(decimal, value, 1, "ns");
    } else if (value > 0 && value < 1000000) {
        print_decimal(decimal, value, 1000, "µs");
    } else if (value > 0 && value < 1000000000) {
        print_decimal(decimal, value, 1000000, "ms");
    } else if (value > 0) {
        uint64_t minutes = value / 60000000000;
        print_decimal(decimal, value % 60000000000, 1000000000, "s");
        if (minutes >= 60) {
            snprintf(clock, sizeof(clock), "%" PRIu64 "h%" PRIu64 "m", minutes / 60, minutes % 60);
        } else if (minutes > 0) {
            snprintf(clock, sizeof(clock), "%" PRIu64 "m", minutes);
        }
    }
    snprintf(out, TEXT_DURATION_SIZE, "%s%s%s", sign, clock, decimal);
    return out;
}
