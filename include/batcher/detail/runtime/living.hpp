// Living: which engines there are, for who has only an address. Asked in debug builds, so that an operation that is
// started after its Batcher has gone is told so, instead of what then happens.
#pragma once

#include <algorithm>
#include <cassert>
#include <mutex>
#include <vector>

namespace batching::detail {

class Living {
public:
    Living() {
        const std::lock_guard lock(mutex());
        all().push_back(this);
    }
    Living(const Living&) = delete;
    Living& operator=(const Living&) = delete;
    ~Living() {
        const std::lock_guard lock(mutex());
        std::erase(all(), this);
    }

    // Precondition: `object` still lives.
    static void check([[maybe_unused]] const Living* object) noexcept {
        assert(has(object) && "this operation was started after its Batcher had gone");
    }

private:
    static bool has(const Living* object) noexcept {
        const std::lock_guard lock(mutex());
        return std::find(all().begin(), all().end(), object) != all().end();
    }

    // Never destroyed: Batchers of static storage duration may go after them.
    static std::mutex& mutex() {
        static auto* const mutex = new std::mutex;
        return *mutex;
    }
    static std::vector<const Living*>& all() {
        static auto* const all = new std::vector<const Living*>;
        return *all;
    }
};

}  // namespace batching::detail
