// Of Machine: which calls come in, and which have to make room for them.
#pragma once

#include <algorithm>
#include <batcher/detail/core/machine.hpp>
#include <batcher/detail/core/sentences.hpp>
#include <cstddef>

namespace batching::detail {

BATCHER_DECL Admission Machine::admit(std::size_t count, Accept accept) noexcept {
    const std::size_t below = queue_.below(Priority::normal).calls;
    Admission admission = rules_.admit(queue_.size() - below, closed_, count, accept);
    const std::size_t refused = count - admission.accepted;
    closed_ ? recorder_.rejected(refused) : recorder_.overloaded(refused);
    if (admission.accepted != 0) make_room(admission.accepted, 0);
    admission.waiting = queue_.size() + admission.accepted;
    return admission;
}

BATCHER_DECL std::exception_ptr Machine::admit(const ItemCall& first, std::size_t count,
                                               std::size_t weight, Time now) noexcept {
    if (closed_) {
        recorder_.rejected(count);
        return closed_error();
    }
    const auto refuse = [&](std::exception_ptr error) {
        recorder_.overloaded(count);
        return error;
    };
    if (count == 1 && joins(first)) return nullptr;
    const Amount below = queue_.below(class_of(first));
    const auto fits = [](std::size_t waiting, std::size_t leaves, std::size_t comes,
                         std::size_t most) {
        return comes <= most && waiting - leaves <= most - comes;
    };
    if (!fits(queue_.size(), below.calls, count, rules_.max_queue_size)) {
        return refuse(queue_full(count, queue_.size(), rules_.max_queue_size, room_in()));
    }
    if (!fits(queue_.weight(), below.weight, weight, rules_.max_queue_weight)) {
        return refuse(queue_too_heavy(weight, queue_.weight(), rules_.max_queue_weight, room_in()));
    }
    if (const Time deadline = deadline_of(static_cast<const Call&>(first));
        deadline != Rules::never && deadline > now) {
        const std::size_t ahead = queue_.size() - below.calls;
        const Time timeout = deadline - now;
        if (ahead >= slots_.free()) {
            const auto late = estimate_.hopeless_by(
                sizes_.of(ahead, queue_.weight() - below.weight), slots_.free(), timeout,
                sizes_.usual_most(rules_.max_batch_size), sizes_.of(first));
            if (late) return refuse(hopeless(ahead, timeout, *late));
        }
    }
    make_room(count, weight);
    return nullptr;
}

BATCHER_DECL bool Machine::learns_from(const Batch& batch) const noexcept {
    // That a queue is full can be told from fewer.
    const bool limited = rules_.limited() && (!estimate_.known() || batch.number % 4 == 0);
    const bool plans = had_deadlines_ || has_target();
    return (plans || limited) && !batch.error;
}

BATCHER_DECL std::optional<Time> Machine::room_in() const noexcept {
    return estimate_.until_next(
        (std::min)(sizes_.usual_most(rules_.max_batch_size), sizes_.waiting()));
}

BATCHER_DECL void Machine::make_room(std::size_t count, std::size_t weight) noexcept {
    std::exception_ptr error;
    while (queue_.size() > rules_.max_queue_size - count ||
           queue_.weight() > rules_.max_queue_weight - weight) {
        if (!error) {
            error = displaced(rules_.max_queue_size, room_in());
        }
        fail_place(queue_.newest_of_lowest(), error, [&] { recorder_.displaced(); });
    }
}

}  // namespace batching::detail
