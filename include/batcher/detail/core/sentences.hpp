// Sentences: the errors that the library itself has for its callers, each a whole sentence with the figures in it. They
// are made where nothing may be thrown: std::bad_alloc if there is no memory for one.
#pragma once

#include <fmt/core.h>

#include <batcher/detail/core/call.hpp>
#include <batcher/detail/in_words.hpp>
#include <batcher/error.hpp>
#include <chrono>
#include <cstddef>
#include <exception>
#include <optional>
#include <string>
#include <utility>

namespace batching::detail {

template <class Sentence>
std::exception_ptr an_error(errc code, std::optional<Time> retry_after,
                            Sentence sentence) noexcept {
    try {
        std::string words = sentence();
        if (retry_after) words += fmt::format("; retry in about {}", in_words(*retry_after));
        return std::make_exception_ptr(Error(code, std::move(words), retry_after));
    } catch (...) {
        return std::current_exception();
    }
}

inline std::exception_ptr closed_error() noexcept {
    return an_error(errc::closed, {},
                    [] { return std::string("the batcher is closed: it accepts no more items"); });
}

// Of `count` calls that find no room.
inline std::exception_ptr queue_full(std::size_t count, std::size_t waiting, std::size_t most,
                                     std::optional<Time> retry_after) noexcept {
    return an_error(errc::overloaded, retry_after, [&] {
        if (count == 1) {
            return fmt::format("the queue is full: {} of at most {} items wait", waiting, most);
        }
        return fmt::format("the queue is full: {} items do not fit, {} of at most {} wait", count,
                           waiting, most);
    });
}
// The same where it is their weight that does not fit.
inline std::exception_ptr queue_too_heavy(std::size_t weight, std::size_t waiting, std::size_t most,
                                          std::optional<Time> retry_after) noexcept {
    return an_error(errc::overloaded, retry_after, [&] {
        return fmt::format(
            "the queue is full: a weight of {} does not fit, items of {} of at most {} wait",
            weight, waiting, most);
    });
}

// Of one that waited, and had to make room.
inline std::exception_ptr displaced(std::size_t most, std::optional<Time> retry_after) noexcept {
    return an_error(errc::overloaded, retry_after, [&] {
        return fmt::format(
            "the queue is full, at most {} items may wait, and one of a higher priority took the "
            "place of this one",
            most);
    });
}

inline std::exception_ptr item_too_heavy(std::size_t weight, const char* limit,
                                         std::size_t most) noexcept {
    return an_error(errc::too_heavy, {}, [&] {
        return fmt::format("an item of weight {} alone is heavier than {}, {}", weight, limit,
                           most);
    });
}

inline std::string items_wait(std::size_t items) {
    return items == 1 ? std::string("1 item waits") : fmt::format("{} items wait", items);
}

// Of a call whose deadline has passed, while `waiting` items wait.
inline std::exception_ptr too_late(bool ran, std::size_t waiting) noexcept {
    return an_error(errc::deadline_exceeded, {}, [&] {
        if (ran) {
            return std::string("the deadline has passed while the item's batch was running");
        }
        return fmt::format("the deadline has passed while the item waited for its batch: {}",
                           items_wait(waiting));
    });
}

// Of a call that would be too late: the smallest batch worth running takes `needed`.
inline std::exception_ptr will_be_late(Time left, Time needed) noexcept {
    return an_error(errc::deadline_exceeded, {}, [&] {
        return fmt::format(
            "the deadline cannot be met any more: {} are left, and batches have lately taken {}",
            in_words((std::max)(left, Time(0))), in_words(needed));
    });
}

// Of a call that the queue before it makes hopeless.
inline std::exception_ptr hopeless(std::size_t ahead, Time timeout, Time late) noexcept {
    return an_error(errc::overloaded, late, [&] {
        return fmt::format(
            "the deadline cannot be met: {} before this one, which would be about {} later than "
            "its timeout of {}",
            items_wait(ahead), in_words(late), in_words(timeout));
    });
}

}  // namespace batching::detail
