/* SPDX-License-Identifier: Apache-2.0
 *
 * The etcd command up to the point where a member could run: load, open the log, say what there is
 * to say. */
#include "config/draft.h"

#include "base/mem.h"

enum { EXIT_USAGE = 2, EXIT_REFUSED = 1 };

static void say(const struct config_note *note_)
{
    struct log_field fields[4] = {{0}};
    for (size_t i = 0; i < 3 && note_->names[i]; i++) {
        fields[i] = LOG_STR(note_->names[i], note_->values[i]);
    }
    if (log_enabled(note_->level)) {
        log_write(note_->level, __FILE__, __LINE__, note_->message, fields);
    }
}

static void say_range(const struct config_notes *notes, size_t from, size_t to)
{
    for (size_t i = from; i < to; i++) {
        say(&notes->items[i]);
    }
}

static bool is_fatal(const struct config_notes *notes)
{
    return notes->count > 0 && notes->items[notes->count - 1].level == LOG_LEVEL_FATAL;
}

static void say_refusal(
    const struct config_source *source, const struct config_notes *notes, const struct why *why)
{
    say_range(notes, 0, notes->count);
    if (is_fatal(notes)) {
        return;
    }
    LOG_INFO("Running: ", LOG_STRS("args", (const char *const *)source->argv));
    LOG_WARN("failed to verify flags", LOG_ERR(why->text));
    if (strstr(why->text, "--advertise-client-urls is required when")) {
        LOG_WARN("advertise client URLs are not set", LOG_ERR(why->text));
    }
}

static bool open_log(const struct config *config)
{
    struct why why = {""};
    struct log_options options = {config->log_level, config->log_format, config->log_outputs.items,
        config->enable_log_rotation ? &config->log_rotation : NULL};
    if (err_is(log_open(&options, &why))) {
        LOG_WARN("failed to verify flags", LOG_ERR(why.text));
        return false;
    }
    return true;
}

static bool run(const struct config_source *source, const struct config *config,
    const struct config_notes *notes, int *out_exit_code)
{
    if (config->action == CONFIG_HELP) {
        config_print_usage(stderr);
        config_print_help(stdout);
        *out_exit_code = EXIT_SUCCESS;
        return false;
    }
    if (config->action == CONFIG_VERSION) {
        config_print_version(stdout);
        *out_exit_code = EXIT_SUCCESS;
        return false;
    }
    if (!open_log(config)) {
        *out_exit_code = EXIT_REFUSED;
        return false;
    }
    say_range(notes, 0, notes->running_at);
    LOG_INFO("Running: ", LOG_STRS("args", (const char *const *)source->argv));
    say_range(notes, notes->running_at, notes->count);
    if (*config->detected) {
        LOG_INFO("looked into key directory", LOG_STR("key-dir", config->key_dir),
            LOG_STR("detected", config->detected));
    }
    return true;
}

bool config_start(const struct config_source *source, struct config *out_config, int *out_exit_code)
{
    struct config_notes notes;
    struct config config;
    struct why why = {""};
    bool runs = false;
    struct err e = config_load(source, &config, &notes, &why);
    if (IS(e, BAD_INPUT)) {
        fprintf(stderr, "%s\n", why.text);
        config_print_usage(stderr);
        *out_exit_code = EXIT_USAGE;
    } else if (err_is(e)) {
        say_refusal(source, &notes, &why);
        *out_exit_code = EXIT_REFUSED;
    } else {
        runs = run(source, &config, &notes, out_exit_code);
        if (runs) {
            *out_config = config;
        } else {
            config_fini(&config);
        }
    }
    config_notes_fini(&notes);
    return runs;
}
