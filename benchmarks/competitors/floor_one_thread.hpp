// No library: a batcher for plain coroutines on one thread, and nothing else. It has no other threads, no
// cancellation, no errors, no statistics: what is left is what any batcher has to do.
//
// A node in the caller's frame, callers resumed in place, and one timer that is left alone while items
// come: only when it goes off it is looked whether it is due.
#pragma once

#include <algorithm>
#include <asio.hpp>
#include <competitors/rules.hpp>
#include <coroutine>
#include <cstddef>
#include <measure.hpp>
#include <utility>
#include <vector>

namespace bench {

// When a full batch runs.
enum class RunFull {
    posted,  // in a task of its own, so that others on the io_context have their turn
    in_place,  // inside the call that fills it. The io_context gets its turn only when no batch is full:
               // under load, never. Only the callers of the first batch then ever come to call.
};

template <RunFull run_full>
class FloorOneThread {
    struct Node {
        int input;
        int result = 0;
        Node* next = nullptr;
        std::coroutine_handle<> caller{};
    };

public:
    class Call : Node {
    public:
        Call(FloorOneThread& batcher, int x) : Node{x}, batcher_(batcher) {}
        bool await_ready() const noexcept { return false; }
        void await_suspend(std::coroutine_handle<> handle) {
            this->caller = handle;
            batcher_.add(*this);
        }
        int await_resume() const noexcept { return this->result; }

    private:
        FloorOneThread& batcher_;
    };

    FloorOneThread(asio::io_context& context, const Rules& rules)
        : context_(context), rules_(rules), timer_(context) {}

    Call process(int x) { return {*this, x}; }

private:
    void add(Node& node) {
        *last_ = &node;
        last_ = &node.next;
        if (++waiting_ == 1) oldest_came();
        if (waiting_ >= rules_.max_batch_size && !leaving_) leave_full();
    }

    void oldest_came() {
        if (rules_.max_batch_size == 1) return;
        oldest_since_ = Clock::now();
        if (!armed_) arm();
    }

    void leave_full() {
        leaving_ = true;
        if constexpr (run_full == RunFull::in_place) {
            while (waiting_ >= rules_.max_batch_size) run_batch();
            leaving_ = false;
        } else {
            asio::post(context_, [this] {
                run_batch();
                leaving_ = false;
                if (waiting_ >= rules_.max_batch_size) leave_full();
            });
        }
    }

    void arm() {
        armed_ = true;
        timer_.expires_at(oldest_since_ + rules_.batch_timeout);
        timer_.async_wait([this](auto error) {
            if (error) return;
            armed_ = false;
            if (waiting_ == 0) return;
            if (Clock::now() < oldest_since_ + rules_.batch_timeout) return arm();
            run_batch();
        });
    }

    // The oldest items; those that their callers then call with make up a batch of their own.
    void run_batch() {
        Node* const first = first_;
        std::vector<int> inputs;
        inputs.reserve(std::min(waiting_, rules_.max_batch_size));
        while (first_ != nullptr && inputs.size() < rules_.max_batch_size) {
            inputs.push_back(first_->input);
            first_ = first_->next;
        }
        if (first_ == nullptr) last_ = &first_;
        waiting_ -= inputs.size();
        if (waiting_ > 0) oldest_came();
        const std::vector<int> results = twice(inputs);
        Node* node = first;
        for (const int result : results) {
            Node* const next = node->next;  // the node is gone once its caller runs
            node->result = result;
            node->caller.resume();
            node = next;
        }
    }

    asio::io_context& context_;
    const Rules rules_;
    asio::steady_timer timer_;
    Node* first_ = nullptr;
    Node** last_ = &first_;
    std::size_t waiting_ = 0;
    Clock::time_point oldest_since_;
    bool armed_ = false;
    bool leaving_ = false;
};

}  // namespace bench
