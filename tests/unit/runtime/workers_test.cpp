// The threads of a Batcher that has some of its own.
#include "../sanitized.hpp"

#if defined(__linux__) && !defined(BATCHER_TEST_SANITIZED)  // those need addresses without a limit

#include <sys/resource.h>
#include <unistd.h>

#include <cstddef>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <system_error>
#include <thread>
#include <vector>

#include "../catch.hpp"
#include "../support.hpp"

namespace workers_test {

using namespace test;

std::vector<int> identity(std::vector<int> items) { return items; }

std::ptrdiff_t threads() {
    using Entries = std::filesystem::directory_iterator;
    return std::distance(Entries("/proc/self/task"), Entries());
}

// Meanwhile the process gets so many bytes of addresses more, and no others.
class LittleRoom {
public:
    explicit LittleRoom(std::size_t bytes) {
        getrlimit(RLIMIT_AS, &before_);
        std::size_t pages = 0;
        std::ifstream("/proc/self/statm") >> pages;
        rlimit limit = before_;
        limit.rlim_cur = pages * static_cast<std::size_t>(sysconf(_SC_PAGESIZE)) + bytes;
        setrlimit(RLIMIT_AS, &limit);
    }
    LittleRoom(const LittleRoom&) = delete;
    LittleRoom& operator=(const LittleRoom&) = delete;
    ~LittleRoom() { setrlimit(RLIMIT_AS, &before_); }

private:
    rlimit before_{};
};

TEST_CASE(
    "a Batcher that cannot start all of its workers says so, and ends those that it has started",
    "[workers]") {
    const std::ptrdiff_t before = threads();
    const auto make = [] {
        const LittleRoom room(68 << 20);  // some stacks, and less than one
        return batching::Batcher{identity, {.max_concurrent_batches = 1'000}};
    };
    CHECK_THROWS_AS(make(), std::system_error);
    // A thread that has been joined may be seen for a moment longer.
    for (int i = 0; threads() > before && i != 10'000; ++i) std::this_thread::yield();
    CHECK(threads() <= before);
    CHECK(batching::Batcher{identity}.process(1).get() == 1);
}

}  // namespace workers_test

#endif
