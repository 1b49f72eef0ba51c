// Aside: work that takes as long as somebody else likes, on a thread of its own.
#pragma once

#include <cstdlib>
#include <mutex>
#include <system_error>
#include <thread>
#include <utility>

namespace batching::grpc::detail {

// None is waited for at the end of the program: what comes then is of no use.
class Aside {
public:
    // Calls then(work()), unless the program ends before. False if there is no thread to be had.
    template <class Work, class Then>
    static bool start(Work work, Then then) {
        Aside& aside = instance();
        try {
            std::thread([&aside, work = std::move(work), then = std::move(then)] {
                const auto result = work();
                const std::lock_guard lock(aside.mutex_);
                if (!aside.closed_) then(result);
            }).detach();
        } catch (const std::system_error&) {
            return false;
        }
        return true;
    }

private:
    Aside() = default;

    static Aside& instance() {
        static Aside& aside = *new Aside;
        [[maybe_unused]] static const int at_exit = std::atexit([] {
            const std::lock_guard lock(aside.mutex_);
            aside.closed_ = true;
        });
        return aside;
    }

    std::mutex mutex_;
    bool closed_ = false;
};

}  // namespace batching::grpc::detail
