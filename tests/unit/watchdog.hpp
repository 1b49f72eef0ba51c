// Watchdog: turns a wait for ever into a failure. There is no other way: a destructor or a join() that
// hangs cannot be left.
//
//     const Watchdog watchdog("~Batcher");
//     batcher.reset();
#pragma once

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <future>
#include <thread>

class Watchdog {
public:
    // `what` is a string literal.
    explicit Watchdog(const char* what, std::chrono::seconds limit = std::chrono::seconds(20))
        : thread_([what, limit, over = over_.get_future()] {
              if (over.wait_for(limit) != std::future_status::timeout) return;
              std::fprintf(stderr, "FAILED: %s has not returned after %d s\n", what,
                           static_cast<int>(limit.count()));
              std::fflush(stderr);
              std::_Exit(1);
          }) {}
    Watchdog(const Watchdog&) = delete;
    Watchdog& operator=(const Watchdog&) = delete;
    ~Watchdog() {
        over_.set_value();
        thread_.join();
    }

private:
    std::promise<void> over_;
    std::thread thread_;
};
