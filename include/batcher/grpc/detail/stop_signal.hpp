// StopSignal: blocks a thread until the process is told to end, or until another thread says so.
//
// Then SIGINT does at once what it did before, so that a second Ctrl-C ends a program that takes too long. A
// second SIGTERM does nothing until the end is over: timeout(1), for one, sends it to its child and to the
// process group, and that must not cost what was accepted.
#pragma once

#include <batcher/detail/asio.hpp>
#include <csignal>
#include <mutex>
#include <optional>
#include <utility>

#if defined(BATCHER_USE_BOOST_ASIO)
#include <boost/asio/signal_set.hpp>
#else
#include <asio/signal_set.hpp>
#endif

namespace batching::grpc::detail {

class StopSignal {
public:
    // Calls `end` at SIGINT, at SIGTERM, or once stop() was called, if only before.
    template <class End>
    void wait(End end) {
        const Awaited terminate(context_, SIGTERM);
        std::optional<Awaited> interrupt(std::in_place, context_, SIGINT);
        const Unblocked unblocked;
        context_.run();
        interrupt.reset();
        end();
    }

    // Any thread.
    void stop() { context_.stop(); }

private:
    // Stops the context when the signal comes, the first time.
    class Awaited {
    public:
        Awaited(asio::io_context& context, int number) : number_(number) {
            Action& action = action_before(number);
            const std::lock_guard lock(action.mutex);
            if (action.awaited == 0) sigaction(number, nullptr, &action.before);
            signals_.emplace(context, number);
            ++action.awaited;
            signals_->async_wait([&context](const batching::detail::error_code& error, int) {
                if (!error) context.stop();
            });
        }
        Awaited(const Awaited&) = delete;
        Awaited& operator=(const Awaited&) = delete;
        ~Awaited() {
            Action& action = action_before(number_);
            const std::lock_guard lock(action.mutex);
            signals_.reset();
            if (--action.awaited == 0) sigaction(number_, &action.before, nullptr);
        }

    private:
        int number_;
        std::optional<asio::signal_set> signals_;
    };

    // What a signal did before the first that awaits it: Asio would leave the default action behind.
    struct Action {
        std::mutex mutex;
        int awaited = 0;
        struct sigaction before{};
    };
    static Action& action_before(int number) {
        static Action interrupt;
        static Action terminate;
        return number == SIGINT ? interrupt : terminate;
    }

    // A program may block both before it starts any thread: then one that comes early is found here.
    class Unblocked {
    public:
        Unblocked() noexcept {
            sigset_t both;
            sigemptyset(&both);
            sigaddset(&both, SIGINT);
            sigaddset(&both, SIGTERM);
            pthread_sigmask(SIG_UNBLOCK, &both, &before_);
        }
        Unblocked(const Unblocked&) = delete;
        Unblocked& operator=(const Unblocked&) = delete;
        ~Unblocked() { pthread_sigmask(SIG_SETMASK, &before_, nullptr); }

    private:
        sigset_t before_{};
    };

    asio::io_context context_;
};

}  // namespace batching::grpc::detail
