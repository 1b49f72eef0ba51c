// CallQueue: takes the calls of a gRPC server, and the threads that carry them.
//
// gRPC's generic service: it says what is called and with which metadata before it reads the message.
#pragma once

#include <grpcpp/completion_queue.h>
#include <grpcpp/generic/async_generic_service.h>
#include <grpcpp/server_builder.h>

#include <algorithm>
#include <atomic>
#include <batcher/grpc/detail/incoming_call.hpp>
#include <condition_variable>
#include <cstddef>
#include <memory>
#include <mutex>
#include <new>
#include <thread>
#include <vector>

namespace batching::grpc::detail {

class CallQueue {
public:
    CallQueue() = default;
    CallQueue(const CallQueue&) = delete;
    CallQueue& operator=(const CallQueue&) = delete;
    // After the server.
    ~CallQueue() { end(); }

    void add_to(::grpc::ServerBuilder& builder) {
        queue_ = builder.AddCompletionQueue();
        builder.RegisterAsyncGenericService(&service_);
    }

    // Once the server listens.
    void start(CallReceiver& receiver) {
        missing_ = awaited_at_once;
        await_missing(receiver);
        // gRPC has some of its own for the health service, which poll the connections, too: what these do for
        // one keeps no other from being read. More than one for two processors only wake each other.
        const unsigned count = std::clamp(std::thread::hardware_concurrency() / 2, 1U, 16U);
        for (unsigned i = 0; i < count; ++i) {
            threads_.emplace_back([this, &receiver] { run(receiver); });
        }
    }

    // The next call, in place of one that has arrived.
    void await_another(CallReceiver& receiver) noexcept {
        missing_.fetch_add(1);
        await_missing(receiver);
    }
    void call_gone() noexcept {
        const std::lock_guard lock(mutex_);
        if (--calls_ == 0) none_.notify_all();
    }

    // Once the server has been shut down: until no call is left, and no thread.
    void end() {
        if (!queue_) return;
        {
            std::unique_lock lock(mutex_);
            none_.wait(lock, [this] { return calls_ == 0; });
        }
        queue_->Shutdown();
        for (auto& thread : threads_) thread.join();
        threads_.clear();
        void* tag = nullptr;
        for (bool ok = false; queue_->Next(&tag, &ok);) {
        }
        queue_.reset();
    }

private:
    // Where there is no memory for it, it is tried again with the next event.
    void await_missing(CallReceiver& receiver) noexcept {
        for (int missing = missing_.load(); missing > 0;) {
            if (!missing_.compare_exchange_weak(missing, missing - 1)) continue;
            try {
                {
                    const std::lock_guard lock(mutex_);
                    ++calls_;
                }
                IncomingCall::await(receiver, service_, *queue_);
            } catch (const std::bad_alloc&) {
                missing_.fetch_add(1);
                call_gone();
                return;
            }
            missing = missing_.load();
        }
    }

    void run(CallReceiver& receiver) {
        void* tag = nullptr;
        for (bool ok = false; queue_->Next(&tag, &ok);) {
            static_cast<Event*>(tag)->happened(ok);
            if (missing_.load(std::memory_order_relaxed) > 0) await_missing(receiver);
        }
    }

    static constexpr int awaited_at_once = 32;

    ::grpc::AsyncGenericService service_;
    std::unique_ptr<::grpc::ServerCompletionQueue> queue_;
    std::atomic<int> missing_{0};  // calls that are to be awaited
    std::mutex mutex_;
    std::condition_variable none_;
    std::size_t calls_ = 0;  // awaited or under way
    std::vector<std::thread> threads_;
};

}  // namespace batching::grpc::detail
