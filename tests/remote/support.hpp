// What the remote tests share: waiting with an end, a directory, a batch function that can be held, and
// processes that are started, stopped and killed.
#pragma once

#include "catch.hpp"
#include "types.hpp"

#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <exception>
#include <functional>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#if defined(BATCHER_USE_BOOST_ASIO)
#include <boost/asio.hpp>
#else
#include <asio.hpp>
#endif

namespace test {

namespace aio = batching::asio;
namespace rpc = batching::grpc;
using namespace std::chrono_literals;

// True as soon as `condition` is; false if it is not within half a minute.
template <class Condition>
bool eventually(Condition condition) {
    const auto end = std::chrono::steady_clock::now() + 30s;
    while (!condition()) {
        if (std::chrono::steady_clock::now() > end) return false;
        std::this_thread::sleep_for(1ms);
    }
    return true;
}

// A directory that goes with the test.
class Directory {
public:
    Directory();
    Directory(const Directory&) = delete;
    Directory& operator=(const Directory&) = delete;
    ~Directory();
    std::string file(const std::string& name) const { return path_ + '/' + name; }

private:
    std::string path_;
};

// What became of a call.
template <class Out>
struct Ended {
    std::optional<Out> value;
    std::optional<batching::errc> error;  // of batching::Error
    std::string sentence;                 // of any exception
};

template <class In, class Out>
Ended<Out> call(batching::Batcher<In, Out>& batcher, In item) {
    Ended<Out> ended;
    try {
        ended.value = batcher.process(std::move(item)).get();
    } catch (const batching::Error& e) {
        ended.error = static_cast<batching::errc>(e.code().value());
        ended.sentence = e.what();
    } catch (const std::exception& e) {
        ended.sentence = e.what();
    }
    return ended;
}

// The sentence of what `function` throws; "" if it throws nothing.
template <class Function>
std::string sentence_of(Function function) {
    try {
        function();
    } catch (const std::exception& e) {
        return e.what();
    }
    return {};
}

inline bool contains(const std::string& text, const std::string& part) {
    return text.find(part) != std::string::npos;
}

// A batch function that doubles, and that can be held: it says when it is called, and waits until it may.
class Doubling {
public:
    auto function() {
        return [this](std::vector<int> items) {
            std::unique_lock lock(mutex_);
            ++calls_;
            batches_.push_back(items);
            changed_.notify_all();
            changed_.wait(lock, [this] { return !held_ || steps_ != 0; });
            if (held_) --steps_;
            for (int& item : items) item *= 2;
            return items;
        };
    }
    void hold() { set(true); }
    void release() { set(false); }
    // One call goes on while the others are held.
    void step() {
        const std::lock_guard lock(mutex_);
        ++steps_;
        changed_.notify_all();
    }

    // Blocks until it was called so many times.
    bool called(std::size_t times) {
        std::unique_lock lock(mutex_);
        return changed_.wait_for(lock, 30s, [&] { return calls_ >= times; });
    }
    std::vector<std::vector<int>> batches() {
        const std::lock_guard lock(mutex_);
        return batches_;
    }

private:
    void set(bool held) {
        const std::lock_guard lock(mutex_);
        held_ = held;
        changed_.notify_all();
    }

    std::mutex mutex_;
    std::condition_variable changed_;
    bool held_ = false;
    std::size_t steps_ = 0;
    std::size_t calls_ = 0;
    std::vector<std::vector<int>> batches_;
};

// remote_server, running. It is killed at the end, whatever it does.
class Process {
public:
    explicit Process(const std::vector<std::string>& arguments);
    Process(const Process&) = delete;
    Process& operator=(const Process&) = delete;
    ~Process();

    const std::string& address() const { return address_; }  // that it said it listens on
    int id() const { return pid_; }
    void signal(int number) const;
    // The exit status, or 128 + the signal that ended it; nothing if it still runs after half a minute.
    std::optional<int> wait();

private:
    int pid_ = -1;
    int output_ = -1;
    std::string address_;
};

}  // namespace test
