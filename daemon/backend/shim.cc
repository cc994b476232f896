/* SPDX-License-Identifier: Apache-2.0
 *
 * The structs behind the handles of rocksdb/c.h are not in any header that is installed; they hold
 * one pointer each (RocksDB 7.8, c.cc). */
#include "shim.h"

#include <cstring>
#include <exception>
#include <memory>
#include <rocksdb/comparator.h>
#include <rocksdb/db.h>
#include <rocksdb/listener.h>
#include <rocksdb/sst_file_reader.h>
#include <rocksdb/table.h>
#include <rocksdb/version.h>
#include <sys/resource.h>
#include <unistd.h>

static_assert(ROCKSDB_MAJOR == 7 && ROCKSDB_MINOR == 8, "look at the structs in db/c.cc again");

struct rocksdb_t {
    rocksdb::DB *rep;
};

struct rocksdb_column_family_handle_t {
    rocksdb::ColumnFamilyHandle *rep;
};

struct rocksdb_options_t {
    rocksdb::Options rep;
};

static char *text_of(const rocksdb::Status &status)
{
    return status.ok() ? nullptr : strdup(status.ToString().c_str());
}

char *store_shim_flush(rocksdb_t *db, rocksdb_column_family_handle_t *const *families, size_t count)
{
    std::vector<rocksdb::ColumnFamilyHandle *> handles;
    for (size_t i = 0; i < count; i++) {
        handles.push_back(families[i]->rep);
    }
    return text_of(db->rep->Flush(rocksdb::FlushOptions(), handles));
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

#define TEXT_OF(number) #number
#define TEXT(number) TEXT_OF(number)

const char *store_format(void)
{
    return "rocksdb-" TEXT(ROCKSDB_MAJOR) "." TEXT(ROCKSDB_MINOR) " default,values";
}

/* Read once and from its beginning to its end. */
static rocksdb::Status check_table(const char *path)
{
    rocksdb::Options options;
    rocksdb::BlockBasedTableOptions table;
    rocksdb::ReadOptions read;
    table.no_block_cache = true;
    options.table_factory.reset(rocksdb::NewBlockBasedTableFactory(table));
    read.readahead_size = 1024 * 1024;
    read.fill_cache = false;
    rocksdb::SstFileReader reader(options);
    rocksdb::Status status = reader.Open(path);
    if (status.ok()) {
        status = reader.VerifyChecksum(read);
    }
    return status;
}

/* RocksDB makes room for a block before it knows whether the file can hold it: where a foot or an
 * index lies about a length, that throws. */
char *store_check_table(const char *path)
{
    try {
        return text_of(check_table(path));
    } catch (const std::exception &) {
        return strdup("Corruption: a block that no memory can hold");
    }
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
