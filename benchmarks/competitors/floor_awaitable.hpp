// No library: the same for callers in asio::awaitable. Asio keeps a coroutine's continuation as a
// completion handler, so each call allocates one node that holds it.
#pragma once

#include <algorithm>
#include <asio.hpp>
#include <competitors/rules.hpp>
#include <cstddef>
#include <measure.hpp>
#include <memory>
#include <utility>
#include <vector>

namespace bench {

class FloorAwaitable {
    struct Node {
        explicit Node(int x) : input(x) {}
        virtual ~Node() = default;
        // Resumes the caller; frees the node before.
        virtual void complete(int result) = 0;
        int input;
        Node* next = nullptr;
    };

    template <class Handler>
    struct NodeOf final : Node {
        NodeOf(int x, Handler&& h) : Node(x), handler(std::move(h)) {}
        void complete(int result) override {
            Handler call(std::move(handler));
            delete this;
            std::move(call)(result);
        }
        Handler handler;
    };

public:
    FloorAwaitable(asio::io_context& context, const Rules& rules)
        : context_(context), rules_(rules), timer_(context) {}

    // What a stopped io_context leaves here. The handlers own the callers' coroutines.
    ~FloorAwaitable() {
        while (first_ != nullptr) delete std::exchange(first_, first_->next);
    }

    asio::awaitable<int> process(int x) {
        return asio::async_initiate<const asio::use_awaitable_t<>, void(int)>(
            [this, x](auto&& handler) {
                using Handler = std::decay_t<decltype(handler)>;
                add(*new NodeOf<Handler>(x, std::move(handler)));
            },
            asio::use_awaitable);
    }

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
        asio::post(context_, [this] {
            run_batch();
            leaving_ = false;
            if (waiting_ >= rules_.max_batch_size) leave_full();
        });
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

    void run_batch() {
        Node* node = first_;
        std::vector<int> inputs;
        inputs.reserve(std::min(waiting_, rules_.max_batch_size));
        while (first_ != nullptr && inputs.size() < rules_.max_batch_size) {
            inputs.push_back(first_->input);
            first_ = first_->next;
        }
        if (first_ == nullptr) last_ = &first_;
        waiting_ -= inputs.size();
        if (waiting_ > 0) oldest_came();
        for (const int result : twice(inputs)) std::exchange(node, node->next)->complete(result);
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
