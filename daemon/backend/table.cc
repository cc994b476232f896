/* SPDX-License-Identifier: Apache-2.0
 * RocksDB's file of rows, looked through. */
#include "shim.h"

#include "shim_text.hh"

#include <algorithm>
#include <memory>
#include <rocksdb/env.h>
#include <rocksdb/file_system.h>
#include <rocksdb/sst_file_reader.h>
#include <rocksdb/table.h>

namespace rocksdb
{
/* Of no header that is installed (RocksDB 7.8, table/format.h). */
uint32_t ComputeBuiltinChecksum(ChecksumType type, const char *data, size_t len);
} // namespace rocksdb

namespace
{
/* What is read lies where it is: RocksDB copies no more than it unpacks. */
class Held final : public rocksdb::FSRandomAccessFile
{
  public:
    Held(const char *data, size_t len) : data_(data), len_(len)
    {
    }
    rocksdb::IOStatus Read(uint64_t offset, size_t size, const rocksdb::IOOptions &,
        rocksdb::Slice *result, char *, rocksdb::IODebugContext *) const override
    {
        size_t from = std::min<uint64_t>(offset, len_);
        *result = rocksdb::Slice(data_ + from, std::min(size, len_ - from));
        return rocksdb::IOStatus::OK();
    }
    /* Else it reads ahead into memory of its own, where it would look for what it read. */
    rocksdb::IOStatus Prefetch(
        uint64_t, size_t, const rocksdb::IOOptions &, rocksdb::IODebugContext *) override
    {
        return rocksdb::IOStatus::OK();
    }

  private:
    const char *data_;
    size_t len_;
};

class HeldFiles final : public rocksdb::FileSystemWrapper
{
  public:
    HeldFiles(const char *data, size_t len)
        : FileSystemWrapper(rocksdb::FileSystem::Default()), data_(data), len_(len)
    {
    }
    const char *Name() const override
    {
        return "held";
    }
    rocksdb::IOStatus NewRandomAccessFile(const std::string &, const rocksdb::FileOptions &,
        std::unique_ptr<rocksdb::FSRandomAccessFile> *result, rocksdb::IODebugContext *) override
    {
        result->reset(new Held(data_, len_));
        return rocksdb::IOStatus::OK();
    }
    rocksdb::IOStatus GetFileSize(const std::string &, const rocksdb::IOOptions &, uint64_t *result,
        rocksdb::IODebugContext *) override
    {
        *result = len_;
        return rocksdb::IOStatus::OK();
    }

  private:
    const char *data_;
    size_t len_;
};
} // namespace

/* Each row: a block may claim any length for what is unpacked of it. Opening and walking look at
 * the checksum of every block that anyone reads: filters are not ours. */
static rocksdb::Status walk(const rocksdb::Options &options, const char *path, size_t ahead)
{
    rocksdb::ReadOptions read;
    read.readahead_size = ahead;
    read.fill_cache = false;
    rocksdb::SstFileReader reader(options);
    rocksdb::Status status = reader.Open(path);
    if (!status.ok()) {
        return status;
    }
    std::unique_ptr<rocksdb::Iterator> iter(reader.NewIterator(read));
    for (iter->SeekToFirst(); iter->Valid(); iter->Next()) {
    }
    return iter->status();
}

static rocksdb::Status check_table(const char *path, const char *data, size_t len)
{
    rocksdb::Options options;
    rocksdb::BlockBasedTableOptions table;
    std::unique_ptr<rocksdb::Env> env;
    table.no_block_cache = true;
    if (data) {
        table.max_auto_readahead_size = 0; // it would be copied
        env = rocksdb::NewCompositeEnv(std::make_shared<HeldFiles>(data, len));
        options.env = env.get();
    }
    options.table_factory.reset(rocksdb::NewBlockBasedTableFactory(table));
    return walk(options, path, data ? 0 : 1024 * 1024);
}

char *store_check_table(const char *path, const void *data, size_t len)
{
    try {
        return text_of(check_table(path, static_cast<const char *>(data), len));
    } catch (const std::exception &thrown) {
        return text_of(thrown);
    }
}

uint32_t store_shim_sum(const void *data, size_t len)
{
    return rocksdb::ComputeBuiltinChecksum(
        rocksdb::ChecksumType::kXXH3, static_cast<const char *>(data), len);
}

unsigned store_shim_sum_kind(void)
{
    return rocksdb::ChecksumType::kXXH3;
}
