// CoroutineWaiter: a suspended coroutine of any type that waits for a request, in its own frame.
#pragma once

#include <batcher/detail/asio.hpp>
#include <concepts>
#include <coroutine>
#include <memory>
#include <utility>

namespace batching::detail {

template <class Promise>
concept PromiseWithExecutor = requires(Promise& promise) {
    { promise.get_executor() } -> std::convertible_to<asio::any_io_executor>;
};

template <class Request>
class [[nodiscard]] CoroutineWaiter final : public Request {
public:
    // `resume_on`, if not null, lives until the coroutine is resumed.
    CoroutineWaiter(typename Request::engine_type& engine, typename Request::payload_type&& payload,
                    asio::any_io_executor* resume_on = nullptr)
        : Request(engine, std::move(payload)) {
        this->home = resume_on;
        this->in_frame = true;
    }
    ~CoroutineWaiter() { this->withdraw(); }

    bool await_ready() const noexcept { return false; }

    template <class Promise>
    void await_suspend(std::coroutine_handle<Promise> caller) {
        caller_ = caller;
        if constexpr (PromiseWithExecutor<Promise>) {
            if (this->home == nullptr) {
                executor_ =
                    std::make_unique<asio::any_io_executor>(caller.promise().get_executor());
                this->home = executor_.get();
            }
        }
        if (this->home != nullptr) this->engine().watch(*this->home);
        this->start();
    }

    typename Request::value_type await_resume() { return this->take(); }

private:
    void resume() override { caller_.resume(); }
    // The frame is its owner's. A strand, say, must not outlive its context.
    void abandon() noexcept override {
        if (this->home != nullptr) *this->home = asio::any_io_executor();
    }

    std::coroutine_handle<> caller_;
    // Apart from the frame: few promises have one, and an executor is half as large as all the rest.
    std::unique_ptr<asio::any_io_executor> executor_;
};

}  // namespace batching::detail
