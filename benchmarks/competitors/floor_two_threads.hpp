// No library: callers on one thread, the batch function on another, no more than that.
//
// Callers push onto a lock-free stack; the push that fills a batch hands it to the other thread. Results
// come back by one post for the whole batch, or, as is often seen, by one post for each item. The items are
// gathered by the caller that fills the batch, whose thread has just written them; or by the function's
// thread when it gets to the batch, as is needed where a caller may leave until then.
#pragma once

#include <asio.hpp>
#include <atomic>
#include <competitors/packed_stack.hpp>
#include <competitors/rules.hpp>
#include <coroutine>
#include <cstddef>
#include <measure.hpp>
#include <memory>
#include <utility>
#include <vector>

namespace bench {

enum class HandBackBy { batch, item };
enum class GatherOn { callers_thread, functions_thread };

template <HandBackBy hand_back_by, GatherOn gather_on = GatherOn::callers_thread>
class FloorTwoThreads {
    struct Node {
        int input;
        int result = 0;
        Node* next = nullptr;
        std::coroutine_handle<> caller{};
    };

    struct Batch {
        std::vector<int> inputs;
        std::vector<Node*> nodes;
        std::vector<int> results;
    };

public:
    class Call : Node {
    public:
        Call(FloorTwoThreads& batcher, int x) : Node{x}, batcher_(batcher) {}
        bool await_ready() const noexcept { return false; }
        void await_suspend(std::coroutine_handle<> handle) {
            this->caller = handle;
            batcher_.add(*this);
        }
        int await_resume() const noexcept { return this->result; }

    private:
        FloorTwoThreads& batcher_;
    };

    FloorTwoThreads(asio::io_context& callers, const Rules& rules)
        : callers_(callers), rules_(rules), timer_(callers), worker_(1) {}
    ~FloorTwoThreads() { worker_.join(); }

    Call process(int x) { return {*this, x}; }

private:
    using Stack = PackedStack<Node>;

    void add(Node& node) {
        const auto pushed = stack_.push(node, rules_.max_batch_size);
        if (pushed.full.size > 0) return leave(pushed.full);
        if (pushed.waiting == 1) oldest_came();
    }

    void oldest_came() {
        oldest_since_ = Clock::now();
        if (!armed_) arm();
    }

    // On the callers' thread, as everything but run().
    void arm() {
        armed_ = true;
        timer_.expires_at(oldest_since_ + rules_.batch_timeout);
        timer_.async_wait([this](auto error) {
            if (error) return;
            armed_ = false;
            if (stack_.empty()) return;
            if (Clock::now() < oldest_since_ + rules_.batch_timeout) return arm();
            leave(stack_.take_all());
        });
    }

    void leave(typename Stack::Chain chain) {
        if constexpr (gather_on == GatherOn::functions_thread) {
            asio::post(worker_, [this, chain] { run(gather(chain)); });
        } else {
            asio::post(worker_, [this, batch = gather(chain)]() mutable { run(std::move(batch)); });
        }
    }

    static std::unique_ptr<Batch> gather(typename Stack::Chain chain) {
        auto batch = std::make_unique<Batch>();
        batch->inputs.resize(chain.size);
        batch->nodes.resize(chain.size);
        Node* node = chain.newest;
        for (std::size_t i = chain.size; i-- > 0; node = node->next) {
            batch->inputs[i] = node->input;
            batch->nodes[i] = node;
        }
        return batch;
    }

    void run(std::unique_ptr<Batch> batch) {
        batch->results = twice(batch->inputs);
        if constexpr (hand_back_by == HandBackBy::batch) {
            asio::post(callers_, [batch = std::move(batch)] {
                for (std::size_t i = 0; i < batch->nodes.size(); ++i) {
                    batch->nodes[i]->result = batch->results[i];
                    batch->nodes[i]->caller.resume();
                }
            });
        } else {
            for (std::size_t i = 0; i < batch->nodes.size(); ++i) {
                Node* const node = batch->nodes[i];
                node->result = batch->results[i];
                asio::post(callers_, [node] { node->caller.resume(); });
            }
        }
    }

    asio::io_context& callers_;
    const Rules rules_;
    asio::steady_timer timer_;
    Stack stack_;
    Clock::time_point oldest_since_;
    bool armed_ = false;
    asio::thread_pool worker_;
};

}  // namespace bench
