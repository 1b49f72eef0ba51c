// Interned: what equal keys have in common, found by the key in a table (runtime/intern_table.hpp), for as long as
// anybody refers to it.
//
// References are taken by the table alone, under its lock, and the last one is given back there. So what is found is
// never about to go.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <span>

namespace batching::detail {

class Interned;

class KeyTable {
public:
    static constexpr std::size_t most_at_once = 32;

    // Gives back what may be the last references: one of each entry, to at most that many.
    virtual void release_last(std::span<Interned* const> entries) noexcept = 0;

protected:
    ~KeyTable() = default;
};

class Interned {
public:
    explicit Interned(KeyTable* table) noexcept : table_(table) {}
    Interned(const Interned&) = delete;
    Interned& operator=(const Interned&) = delete;

    // Precondition: the caller has a reference, or the lock of the table.
    void refer() noexcept { references_.fetch_add(1, std::memory_order_relaxed); }
    // It may be gone afterwards.
    void release() noexcept {
        if (released_unless_last()) return;
        Interned* const self = this;
        table_->release_last({&self, 1});
    }
    // Of the table, under its lock: true if nobody refers to it any more.
    bool released_last() noexcept {
        return references_.fetch_sub(1, std::memory_order_acq_rel) == 1;
    }
    // Then, without the lock: it gives back what it refers to.
    void let_go() noexcept {}

protected:
    ~Interned() = default;
    bool has_table() const noexcept { return table_ != nullptr; }

private:
    friend class Releases;

    // False, and nothing done, if it may be the last reference.
    bool released_unless_last() noexcept {
        std::size_t references = references_.load(std::memory_order_relaxed);
        while (references > 1) {
            if (references_.compare_exchange_weak(references, references - 1,
                                                  std::memory_order_release,
                                                  std::memory_order_relaxed))
                return true;
        }
        return false;
    }

    KeyTable* table_;  // null: it is in none, and never released
    std::atomic<std::size_t> references_{0};
};

// References that are given back one after the other: those that may be the last ones together, so that the lock of their
// table is taken once for many.
class Releases {
public:
    Releases() = default;
    Releases(const Releases&) = delete;
    Releases& operator=(const Releases&) = delete;
    ~Releases() { give_back(); }

    void add(Interned& entry) noexcept {
        if (entry.released_unless_last()) return;
        if (count_ == last_.size() || (count_ != 0 && last_[0]->table_ != entry.table_))
            give_back();
        last_[count_++] = &entry;
    }

private:
    void give_back() noexcept {
        if (count_ != 0) last_[0]->table_->release_last({last_.data(), count_});
        count_ = 0;
    }

    std::array<Interned*, KeyTable::most_at_once> last_;
    std::size_t count_ = 0;
};

}  // namespace batching::detail
