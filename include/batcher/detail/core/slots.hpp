// Slots: where batches run, and how many more may.
//
// The slots of a Batcher are alike. Those of a handle are spread over replicas, several at each, so that
// what one replica holds up are its own slots. The next batch goes to a replica with the fewest:
//
//     to one that has none     whatever waits, at once
//     to one that has some     only if what waits is worth a batch: else it would make small batches
//                              where it could wait and make large ones
//
// and takes its share of all calls, so that no replica gets everything while others wait; but no less than
// is worth a batch.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <utility>
#include <vector>

namespace batching::detail {

class Slots {
public:
    explicit Slots(std::size_t count) : count_(count) {
        free_.reserve(count);
        while (count > 0) free_.push_back(--count);
    }

    // From now on there are so many, alike. Batches that run keep theirs, and count. Throws std::bad_alloc, then nothing
    // has changed. O(slots). Precondition: they are not spread.
    void resize(std::size_t count) {
        std::vector<bool> listed((std::max)(count_, count));
        free_.reserve(count);
        leaving_.reserve(listed.size());
        for (const std::size_t slot : free_) listed[slot] = true;
        for (const std::size_t slot : leaving_) {
            if (slot < listed.size()) listed[slot] = true;
        }
        std::erase_if(free_, [&](std::size_t slot) { return slot >= count; });
        std::erase_if(leaving_, [&](std::size_t slot) { return slot < count; });
        for (std::size_t slot = count; slot < count_; ++slot) {
            if (!listed[slot]) leaving_.push_back(slot);
        }
        for (std::size_t slot = count_; slot < count; ++slot) {
            if (!listed[slot]) free_.push_back(slot);
        }
        count_ = count;
    }

    // From now on there are `at_each` slots at each of some replicas, and as many calls as `worth` are worth
    // a batch there. Batches that run keep their slots, which count no more. With one replica the slots are
    // alike, too.
    void spread(std::size_t replicas, std::size_t at_each, std::size_t worth) {
        at_each_ = at_each;
        worth_ = worth;
        if (replicas == taken_.size()) return;
        taken_.assign(replicas, 0);
        ++generation_;
        next_ = 0;
    }

    // How many calls have to wait for the next batch to start; 0: no slot is free.
    std::size_t needed() const noexcept {
        if (!is_spread()) return in_use_ < count_ ? 1 : 0;
        const std::size_t fewest = *std::min_element(taken_.begin(), taken_.end());
        if (fewest >= at_each_) return 0;
        return fewest == 0 || taken_.size() == 1 ? 1 : worth_;
    }

    // Most calls that the next batch takes, of so many.
    std::size_t share_of(std::size_t calls) const noexcept {
        if (taken_.size() < 2) return (std::numeric_limits<std::size_t>::max)();
        const std::size_t slots = taken_.size() * at_each_;
        return (std::max)(worth_, (calls + slots - 1) / slots);
    }

    bool all_free() const noexcept { return in_use_ == 0; }
    std::size_t in_use() const noexcept { return in_use_; }
    // How many more batches could run now.
    std::size_t free() const noexcept {
        const std::size_t all = is_spread() ? taken_.size() * at_each_ : count_;
        return all - (std::min)(all, in_use_);
    }

    std::size_t take() noexcept {
        ++in_use_;
        if (!is_spread()) {
            const std::size_t slot = free_.back();
            free_.pop_back();
            return slot;
        }
        std::size_t place = next_;
        for (std::size_t i = 0, at = next_; i < taken_.size(); ++i) {
            if (taken_[at] < taken_[place]) place = at;
            if (++at == taken_.size()) at = 0;
        }
        next_ = place + 1 == taken_.size() ? 0 : place + 1;
        ++taken_[place];
        return generation_ << 16U | place;
    }
    void give_back(std::size_t slot) noexcept {
        --in_use_;
        if (slot >> 16U != generation_) return;  // of replicas before
        if (is_spread()) {
            --taken_[place_of(slot)];
        } else if (slot < count_) {
            free_.push_back(slot);
        } else {
            std::erase(leaving_, slot);
        }
    }

    // The number of a slot's replica.
    static std::size_t place_of(std::size_t slot) noexcept { return slot & 0xffffU; }

private:
    bool is_spread() const noexcept { return !taken_.empty(); }

    std::size_t in_use_ = 0;
    std::size_t count_;
    std::vector<std::size_t> free_;     // the one that was freed last is taken first
    std::vector<std::size_t> leaving_;  // run, and are beyond the count by now

    std::vector<std::size_t> taken_;  // of each replica's
    std::size_t at_each_ = 0;
    std::size_t worth_ = 1;
    std::size_t generation_ = 0;
    std::size_t next_ = 0;  // whose turn it is
};

}  // namespace batching::detail
