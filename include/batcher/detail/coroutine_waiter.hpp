// CoroutineWaiter: a suspended coroutine of any type that waits for a request, in its own frame.
#pragma once

#include <batcher/detail/asio.hpp>
#include <concepts>
#include <coroutine>
#include <utility>

namespace batching::detail {

template <class Promise>
concept PromiseWithExecutor = requires(Promise& promise) {
    { promise.get_executor() } -> std::convertible_to<asio::any_io_executor>;
};

template <class Request>
class [[nodiscard]] CoroutineWaiter final : public Request {
public:
    CoroutineWaiter(typename Request::engine_type& engine, typename Request::payload_type&& payload,
                    asio::any_io_executor resume_on = {})
        : Request(engine, std::move(payload)), executor_(std::move(resume_on)) {}
    ~CoroutineWaiter() { this->withdraw(); }

    bool await_ready() const noexcept { return false; }

    template <class Promise>
    void await_suspend(std::coroutine_handle<Promise> caller) {
        caller_ = caller;
        if constexpr (PromiseWithExecutor<Promise>) {
            if (!executor_) executor_ = caller.promise().get_executor();
        }
        if (executor_) this->home = &executor_;
        this->start();
    }

    typename Request::value_type await_resume() { return this->take(); }

private:
    void resume() override { caller_.resume(); }
    void abandon() noexcept override {}  // the frame is its owner's

    std::coroutine_handle<> caller_;
    asio::any_io_executor executor_;
};

}  // namespace batching::detail
