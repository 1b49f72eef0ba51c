// Interned: what equal keys have in common, found by the key in a table (runtime/intern_table.hpp), for as long as
// anybody refers to it.
//
// References are taken by the table alone, under its lock, and the last one is given back there. So what is found is
// never about to go.
#pragma once

#include <atomic>
#include <cstddef>

namespace batching::detail {

class Interned;

class KeyTable {
public:
    // Gives back what may be the last reference.
    virtual void release_last(Interned& entry) noexcept = 0;

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
        std::size_t references = references_.load(std::memory_order_relaxed);
        while (references > 1) {
            if (references_.compare_exchange_weak(references, references - 1,
                                                  std::memory_order_release,
                                                  std::memory_order_relaxed))
                return;
        }
        table_->release_last(*this);
    }
    // Of the table, under its lock: true if nobody refers to it any more.
    bool released_last() noexcept {
        return references_.fetch_sub(1, std::memory_order_acq_rel) == 1;
    }

protected:
    ~Interned() = default;
    bool has_table() const noexcept { return table_ != nullptr; }

private:
    KeyTable* table_;  // null: it is in none, and never released
    std::atomic<std::size_t> references_{0};
};

}  // namespace batching::detail
