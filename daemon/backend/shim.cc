/* SPDX-License-Identifier: Apache-2.0
 *
 * The structs behind the handles of rocksdb/c.h are not in any header that is installed; they hold
 * one pointer each (RocksDB 7.8, c.cc).
 *
 * RocksDB makes room for a block or a value before it knows whether the file can hold it: where a
 * length lies, that throws, and nothing may be thrown through C. */
#include "shim.h"

#include "shim_text.hh"

#include <atomic>
#include <cstdarg>
#include <cstdio>
#include <cstring>
#include <memory>
#include <rocksdb/comparator.h>
#include <rocksdb/db.h>
#include <rocksdb/env.h>
#include <rocksdb/file_system.h>
#include <rocksdb/listener.h>
#include <rocksdb/metadata.h>
#include <rocksdb/version.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

static_assert(ROCKSDB_MAJOR == 7 && ROCKSDB_MINOR == 8, "look at the structs in db/c.cc again");

struct rocksdb_t {
    rocksdb::DB *rep;
};

struct rocksdb_column_family_handle_t {
    rocksdb::ColumnFamilyHandle *rep;
};

struct rocksdb_compactoptions_t {
    rocksdb::CompactRangeOptions rep;
    rocksdb::Slice full_history_ts_low;
};

struct rocksdb_options_t {
    rocksdb::Options rep;
};

char *store_shim_open(const rocksdb_options_t *const *options, const char *path,
    const char *const *names, size_t count, rocksdb_column_family_handle_t **out_families,
    rocksdb_t **out)
{
    char *text = nullptr;
    try {
        rocksdb_t *db = rocksdb_open_column_families(
            options[0], path, static_cast<int>(count), names, options, out_families, &text);
        if (db) {
            *out = db;
        }
    } catch (const std::exception &thrown) {
        text = text_of(thrown);
    }
    return text;
}

rocksdb_pinnableslice_t *store_shim_get(rocksdb_t *db, const rocksdb_readoptions_t *read,
    rocksdb_column_family_handle_t *family, const char *key, size_t key_len, char **out_text)
{
    try {
        return rocksdb_get_pinned_cf(db, read, family, key, key_len, out_text);
    } catch (const std::exception &thrown) {
        *out_text = text_of(thrown);
        return nullptr;
    }
}

char *store_shim_get_many(rocksdb_t *db, const rocksdb_readoptions_t *read,
    rocksdb_column_family_handle_t *family, const struct store_keys *keys,
    rocksdb_pinnableslice_t **out, char **out_texts)
{
    try {
        rocksdb_batched_multi_get_cf(
            db, read, family, keys->count, keys->keys, keys->lens, out, out_texts, keys->is_sorted);
        return nullptr;
    } catch (const std::exception &thrown) {
        return text_of(thrown);
    }
}

rocksdb_iterator_t *store_shim_iter(rocksdb_t *db, const rocksdb_readoptions_t *read,
    rocksdb_column_family_handle_t *family, char **out_text)
{
    try {
        return rocksdb_create_iterator_cf(db, read, family);
    } catch (const std::exception &thrown) {
        *out_text = text_of(thrown);
        return nullptr;
    }
}

char *store_shim_move(
    rocksdb_iterator_t *iter, enum store_move move, const char *key, size_t key_len)
{
    try {
        switch (move) {
        case STORE_MOVE_NEXT:
            rocksdb_iter_next(iter);
            break;
        case STORE_MOVE_TO:
            rocksdb_iter_seek(iter, key, key_len);
            break;
        case STORE_MOVE_BEFORE:
            rocksdb_iter_seek_for_prev(iter, key, key_len);
            break;
        }
        return nullptr;
    } catch (const std::exception &thrown) {
        return text_of(thrown);
    }
}

/* As the head of a file of values says (blobfile.c). */
static bool is_of_family(const std::string &file, uint32_t id)
{
    uint8_t bytes[4] = {0};
    FILE *from = fopen(file.c_str(), "rbe");
    bool is_read = from && fseek(from, 8, SEEK_SET) == 0 && fread(bytes, 1, 4, from) == 4;
    if (from) {
        fclose(from);
    }
    return is_read && id < 256 && bytes[0] == id && !bytes[1] && !bytes[2] && !bytes[3];
}

/* RocksDB looks for tables when it opens, and for these when a value is asked for. */
static char *check_apart(const rocksdb::BlobMetaData &meta, uint32_t family, const char *path)
{
    struct stat st;
    std::string name = meta.blob_file_name;
    std::string file = std::string(path) + (name.empty() || name[0] != '/' ? "/" : "") + name;
    if (stat(file.c_str(), &st) != 0 || static_cast<uint64_t>(st.st_size) != meta.blob_file_size) {
        std::string text = "Corruption: " + file + " is named by the store and is not all there";
        return strdup(text.c_str());
    }
    if (!is_of_family(file, family)) {
        std::string text = "Corruption: " + file + " has values of another family";
        return strdup(text.c_str());
    }
    return nullptr;
}

char *store_shim_check_apart(
    rocksdb_t *db, rocksdb_column_family_handle_t *family, const char *path, bool *out_has_any)
{
    try {
        rocksdb::ColumnFamilyMetaData meta;
        db->rep->GetColumnFamilyMetaData(family->rep, &meta);
        *out_has_any = !meta.blob_files.empty();
        for (const rocksdb::BlobMetaData &apart : meta.blob_files) {
            char *text = check_apart(apart, family->rep->GetID(), path);
            if (text) {
                return text;
            }
        }
        return nullptr;
    } catch (const std::exception &thrown) {
        return text_of(thrown);
    }
}

char *store_shim_flush(rocksdb_t *db, rocksdb_column_family_handle_t *const *families, size_t count)
{
    std::vector<rocksdb::ColumnFamilyHandle *> handles;
    for (size_t i = 0; i < count; i++) {
        handles.push_back(families[i]->rep);
    }
    return text_of(db->rep->Flush(rocksdb::FlushOptions(), handles));
}

static_assert(sizeof(std::atomic<bool>) == sizeof(bool), "C's are of the same size");

void store_shim_end_by(rocksdb_compactoptions_t *options, void *flag)
{
    options->rep.canceled = static_cast<std::atomic<bool> *>(flag);
}

char *store_shim_ingest(rocksdb_t *db, rocksdb_column_family_handle_t *const *families,
    const char **const *paths, const size_t *counts, size_t families_count)
{
    std::vector<rocksdb::IngestExternalFileArg> args;
    for (size_t i = 0; i < families_count; i++) {
        rocksdb::IngestExternalFileArg arg;
        arg.column_family = families[i]->rep;
        arg.external_files.assign(paths[i], paths[i] + counts[i]);
        arg.options.move_files = true;
        if (counts[i] > 0) {
            args.push_back(arg);
        }
    }
    return args.empty() ? nullptr : text_of(db->rep->IngestExternalFiles(args));
}

namespace
{
class Lowering final : public rocksdb::EventListener
{
  public:
    void OnCompactionBegin(rocksdb::DB *, const rocksdb::CompactionJobInfo &) override
    {
        id_t thread = gettid(); // a process to these calls, on Linux
        if (getpriority(PRIO_PROCESS, thread) < MERGE_NICE) {
            (void)setpriority(PRIO_PROCESS, thread, MERGE_NICE);
        }
    }

  private:
    static const int MERGE_NICE = 5; // not less: flushing waits for merges that never end
};
} // namespace

void store_shim_lower_merges(rocksdb_options_t *options)
{
    options->rep.listeners.push_back(std::make_shared<Lowering>());
}

namespace
{
class Telling final : public rocksdb::Logger
{
  public:
    explicit Telling(void (*tell)(const char *text))
        : Logger(rocksdb::InfoLogLevel::WARN_LEVEL), tell_(tell)
    {
    }
    using rocksdb::Logger::Logv;
    void Logv(const char *, va_list) override // what has no level
    {
    }
    __attribute__((format(printf, 3, 0))) void Logv(
        const rocksdb::InfoLogLevel level, const char *format, va_list values) override
    {
        if (level >= GetInfoLogLevel() && level < rocksdb::InfoLogLevel::HEADER_LEVEL) {
            char text[1024];
            vsnprintf(text, sizeof(text), format, values);
            tell_(text);
        }
    }

  private:
    void (*tell_)(const char *text);
};

class Guarded final : public rocksdb::FileSystemWrapper
{
  public:
    explicit Guarded(store_look *look)
        : FileSystemWrapper(rocksdb::FileSystem::Default()), look_(look)
    {
    }
    const char *Name() const override
    {
        return "guarded";
    }
    rocksdb::IOStatus NewRandomAccessFile(const std::string &path,
        const rocksdb::FileOptions &options, std::unique_ptr<rocksdb::FSRandomAccessFile> *result,
        rocksdb::IODebugContext *context) override
    {
        static const std::string end = ".sst";
        char text[256];
        bool is_table = path.size() > end.size() &&
                        path.compare(path.size() - end.size(), end.size(), end) == 0;
        if (is_table && !look_(path.c_str(), text, sizeof(text))) {
            return rocksdb::IOStatus::Corruption(text);
        }
        return target()->NewRandomAccessFile(path, options, result, context);
    }

  private:
    store_look *look_;
};
} // namespace

void store_shim_tell(rocksdb_options_t *options, void (*tell)(const char *text))
{
    options->rep.info_log = std::make_shared<Telling>(tell);
}

void store_shim_guard(rocksdb_options_t *options, store_look *look)
{
    /* For as long as the process lasts: stores come and go. */
    static rocksdb::Env *const guarded =
        rocksdb::NewCompositeEnv(std::make_shared<Guarded>(look)).release();
    options->rep.env = guarded;
}

#define TEXT_OF(number) #number
#define TEXT(number) TEXT_OF(number)

const char *store_format(void)
{
    return "rocksdb-" TEXT(ROCKSDB_MAJOR) "." TEXT(ROCKSDB_MINOR) " default,values";
}

namespace
{
class Family final : public rocksdb::ColumnFamilyHandle
{
  public:
    explicit Family(uint32_t id) : id_(id)
    {
    }
    const std::string &GetName() const override
    {
        return name_;
    }
    uint32_t GetID() const override
    {
        return id_;
    }
    rocksdb::Status GetDescriptor(rocksdb::ColumnFamilyDescriptor *) override
    {
        return rocksdb::Status::NotSupported();
    }
    const rocksdb::Comparator *GetComparator() const override
    {
        return rocksdb::BytewiseComparator();
    }

  private:
    uint32_t id_;
    std::string name_;
};
} // namespace

rocksdb_column_family_handle_t *store_shim_family(unsigned id)
{
    static Family families[] = {Family(0), Family(1), Family(2)};
    static rocksdb_column_family_handle_t handles[] = {
        {&families[0]}, {&families[1]}, {&families[2]}};
    return &handles[id];
}
