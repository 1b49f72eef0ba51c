// StopSignal: blocks a thread until the process is told to end, or until another thread says so.
//
// The handlers stand only meanwhile; then those from before are back, so that a second signal does what it
// always did.
#pragma once

#include <batcher/detail/asio.hpp>
#include <csignal>

#if defined(BATCHER_USE_BOOST_ASIO)
#include <boost/asio/signal_set.hpp>
#else
#include <asio/signal_set.hpp>
#endif

namespace batching::grpc::detail {

class StopSignal {
public:
    // Returns at SIGINT, at SIGTERM, or once stop() was called, if only before.
    void wait() {
        const Restored interrupt(SIGINT);
        const Restored terminate(SIGTERM);
        asio::signal_set signals(context_, SIGINT, SIGTERM);
        signals.async_wait([this](const batching::detail::error_code& error, int) {
            if (!error) context_.stop();
        });
        const Unblocked unblocked;
        context_.run();
    }

    // Any thread.
    void stop() { context_.stop(); }

private:
    // Asio would leave the default action behind.
    class Restored {
    public:
        explicit Restored(int number) noexcept : number_(number) {
            sigaction(number, nullptr, &before_);
        }
        Restored(const Restored&) = delete;
        Restored& operator=(const Restored&) = delete;
        ~Restored() { sigaction(number_, &before_, nullptr); }

    private:
        int number_;
        struct sigaction before_{};
    };

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
