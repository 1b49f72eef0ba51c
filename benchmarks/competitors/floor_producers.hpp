// No library: callers on several threads, each with an io_context. A batch is run by whoever fills it; or on the
// first of those threads, where a function has a thread of its own. Callers of the thread that runs it are resumed
// in place, those of each other thread by one post.
#pragma once

#include <asio.hpp>
#include <atomic>
#include <competitors/packed_stack.hpp>
#include <competitors/rules.hpp>
#include <coroutine>
#include <cstddef>
#include <deque>
#include <measure.hpp>
#include <memory>
#include <utility>
#include <vector>

namespace bench {

enum class RunOn { filling_thread, first_thread };

template <RunOn run_on = RunOn::filling_thread>
class FloorProducers {
    struct Node {
        int input;
        int result = 0;
        std::size_t home;  // the number of its thread
        Node* next = nullptr;
        std::coroutine_handle<> caller{};
    };

public:
    class Call : Node {
    public:
        Call(FloorProducers& batcher, std::size_t thread, int x)
            : Node{.input = x, .home = thread}, batcher_(batcher) {}
        bool await_ready() const noexcept { return false; }
        void await_suspend(std::coroutine_handle<> handle) {
            this->caller = handle;
            batcher_.add(*this);
        }
        int await_resume() const noexcept { return this->result; }

    private:
        FloorProducers& batcher_;
    };

    class Producer {
    public:
        Producer(FloorProducers& batcher, std::size_t home) : batcher_(batcher), home_(home) {}
        Call process(int x) { return {batcher_, home_, x}; }

    private:
        FloorProducers& batcher_;
        std::size_t home_;
    };

    FloorProducers(std::deque<asio::io_context>& contexts, const Rules& rules)
        : contexts_(contexts), rules_(rules), timer_(contexts[0]), threads_(contexts.size()) {}

    Producer producer(std::size_t i) { return {*this, i}; }

private:
    using Stack = PackedStack<Node>;

    // The callers of one thread, of one batch; newest first.
    struct Share {
        Node* newest = nullptr;
        void resume() const {
            for (Node* node = newest; node != nullptr;) {
                Node* const next = node->next;
                node->caller.resume();
                node = next;
            }
        }
    };

    // What one thread has to run after what it runs now: a caller that is resumed may fill a batch.
    struct alignas(64) Thread {
        bool runs = false;
        std::vector<typename Stack::Chain> later;
    };

    void add(Node& node) {
        const std::size_t home = node.home;
        const auto pushed = stack_.push(node, rules_.max_batch_size);
        if (pushed.full.size > 0) return leave(pushed.full, home);
        if (pushed.waiting == 1) oldest_came();
    }

    void oldest_came() {
        oldest_since_.store(Clock::now(), std::memory_order_relaxed);
        if (armed_.load() || armed_.exchange(true)) return;
        asio::dispatch(contexts_[0], [this] { arm(); });
    }

    void arm() {
        timer_.expires_at(due());
        timer_.async_wait([this](auto error) {
            if (error) return;
            if (Clock::now() < due()) return arm();
            armed_ = false;
            if (const auto chain = stack_.take_all(); chain.size > 0) run(chain, 0);
        });
    }

    Clock::time_point due() const { return oldest_since_.load() + rules_.batch_timeout; }

    void leave(typename Stack::Chain chain, std::size_t here) {
        if constexpr (run_on == RunOn::first_thread) {
            asio::post(contexts_[0], [this, chain] { run(chain, 0); });
        } else {
            run(chain, here);
        }
    }

    void run(typename Stack::Chain chain, std::size_t here) {
        Thread& thread = threads_[here];
        thread.later.push_back(chain);
        if (std::exchange(thread.runs, true)) return;
        while (!thread.later.empty()) {
            const auto next = thread.later.back();
            thread.later.pop_back();
            run_now(next, here);
        }
        thread.runs = false;
    }

    void run_now(typename Stack::Chain chain, std::size_t here) {
        std::vector<int> inputs(chain.size);
        Node* node = chain.newest;
        for (std::size_t i = chain.size; i-- > 0; node = node->next) inputs[i] = node->input;
        const std::vector<int> results = twice(inputs);
        std::vector<Share> shares(contexts_.size());
        node = chain.newest;
        for (std::size_t i = chain.size; i-- > 0;) {
            Node* const next = node->next;
            node->result = results[i];
            node->next = std::exchange(shares[node->home].newest, node);
            node = next;
        }
        for (std::size_t i = 0; i < shares.size(); ++i) {
            if (i == here || shares[i].newest == nullptr) continue;
            asio::post(contexts_[i], [share = shares[i]] { share.resume(); });
        }
        shares[here].resume();
    }

    std::deque<asio::io_context>& contexts_;
    const Rules rules_;
    asio::steady_timer timer_;
    Stack stack_;
    std::atomic<Clock::time_point> oldest_since_{};
    std::atomic<bool> armed_{false};
    std::vector<Thread> threads_;
};

}  // namespace bench
