// Every allocation of the library, and of Asio on its behalf, fails once.
//
// Each scenario is run again and again: in run n the n-th allocation, counted from the first call on and on
// all threads, throws std::bad_alloc; until a run ends before its n-th. What a scenario itself
// allocates (its items, the frames of its coroutines, its batch function's results) is not counted. After
// each run every call that was accepted has ended exactly once, with its own value, or with std::bad_alloc, or
// with operation_aborted where that was asked for; and the Batcher serves ten more.
//
//     faults           all scenarios
//     faults cancel    those whose names contain `cancel`

// So that Asio allocates with operator new. (What it keeps to allocate from again, it keeps until the end of a call
// of run() or run_one(); Asio 1.22 does not compile with ASIO_DISABLE_SMALL_BLOCK_RECYCLING.)
#define ASIO_DISABLE_STD_ALIGNED_ALLOC
#define BOOST_ASIO_DISABLE_STD_ALIGNED_ALLOC
#define BOOST_ASIO_DISABLE_BOOST_ALIGN

#include <atomic>
#include <batcher.hpp>
#include <chrono>
#include <concepts>
#include <coroutine>
#include <csignal>
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <memory>
#include <new>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#if defined(BATCHER_USE_BOOST_ASIO)
#include <boost/asio.hpp>
#else
#include <asio.hpp>
#endif

#include "../unit/aligned_memory.hpp"
#include "../unit/sanitized.hpp"

// libstdc++.so counts the references of an exception_ptr where ThreadSanitizer does not see it, so that it
// takes the last release for a race with what another thread read before it let go.
extern "C" const char* __tsan_default_suppressions();  // not inline: it replaces a weak symbol
extern "C" const char* __tsan_default_suppressions() {
    return "race:std::__exception_ptr::exception_ptr::_M_release\n";
}

namespace {

namespace aio = batching::asio;
using namespace std::chrono_literals;

// ---- the fault ---------------------------------------------------------------------------------------

struct Fault {
    std::atomic<bool> enabled{false};  // a run is under way
    std::atomic<long> at{0};           // the allocation that fails
    std::atomic<long> allocations{0};  // so far, in this run
    std::atomic<bool> hit{false};
} fault;

// What this thread allocates counts. It does not while the scenario's own code runs; the main thread says
// when it calls the library, those that the library starts are the library's.
thread_local bool counts = true;

bool strikes() noexcept {
    if (!counts || !fault.enabled.load(std::memory_order_relaxed)) return false;
    if (fault.allocations.fetch_add(1) + 1 != fault.at) return false;
    fault.hit = true;
    return true;
}

void* allocate(std::size_t size) noexcept {
    return strikes() ? nullptr : std::malloc(size == 0 ? 1 : size);
}
void* allocate(std::size_t size, std::align_val_t alignment) noexcept {
    return strikes() ? nullptr : allocate_aligned(size, alignment);
}
void* or_throw(void* p) {
    if (p == nullptr) throw std::bad_alloc();
    return p;
}

}  // namespace

void* operator new(std::size_t n) { return or_throw(allocate(n)); }
void* operator new[](std::size_t n) { return or_throw(allocate(n)); }
void* operator new(std::size_t n, std::align_val_t a) { return or_throw(allocate(n, a)); }
void* operator new[](std::size_t n, std::align_val_t a) { return or_throw(allocate(n, a)); }
void* operator new(std::size_t n, const std::nothrow_t&) noexcept { return allocate(n); }
void* operator new[](std::size_t n, const std::nothrow_t&) noexcept { return allocate(n); }
void* operator new(std::size_t n, std::align_val_t a, const std::nothrow_t&) noexcept {
    return allocate(n, a);
}
void* operator new[](std::size_t n, std::align_val_t a, const std::nothrow_t&) noexcept {
    return allocate(n, a);
}
void operator delete(void* p) noexcept { std::free(p); }
void operator delete[](void* p) noexcept { std::free(p); }
void operator delete(void* p, std::size_t) noexcept { std::free(p); }
void operator delete[](void* p, std::size_t) noexcept { std::free(p); }
void operator delete(void* p, std::align_val_t) noexcept { free_aligned(p); }
void operator delete[](void* p, std::align_val_t) noexcept { free_aligned(p); }
void operator delete(void* p, std::size_t, std::align_val_t) noexcept { free_aligned(p); }
void operator delete[](void* p, std::size_t, std::align_val_t) noexcept { free_aligned(p); }
void operator delete(void* p, const std::nothrow_t&) noexcept { std::free(p); }
void operator delete[](void* p, const std::nothrow_t&) noexcept { std::free(p); }
void operator delete(void* p, std::align_val_t, const std::nothrow_t&) noexcept { std::free(p); }
void operator delete[](void* p, std::align_val_t, const std::nothrow_t&) noexcept { std::free(p); }

namespace {

template <bool Value>
class Counting {
public:
    Counting() noexcept : before_(std::exchange(counts, Value)) {}
    Counting(const Counting&) = delete;
    Counting& operator=(const Counting&) = delete;
    ~Counting() { counts = before_; }

private:
    const bool before_;
};
using Counted = Counting<true>;     // for as long as this thread is inside the library
using Uncounted = Counting<false>;  // for as long as it is not

// ---- failures ----------------------------------------------------------------------------------------

struct Where {
    std::string name;
    std::atomic<std::int64_t> since{0};  // of this run; ns of the steady clock
} where;

[[noreturn]] void fail(const char* what) noexcept {
    std::fprintf(stderr, "FAILED: %s, allocation %ld: %s\n", where.name.c_str(), fault.at.load(),
                 what);
    std::fflush(stderr);
    std::_Exit(1);
}
void check(bool holds, const char* what) noexcept {
    if (!holds) fail(what);
}

std::int64_t now() noexcept { return std::chrono::steady_clock::now().time_since_epoch().count(); }

void fail_a_run_that_hangs() {
    std::thread([] {
        counts = false;
        for (;;) {
            std::this_thread::sleep_for(100ms);
            if (now() - where.since > std::chrono::nanoseconds(20s).count()) {
                fail("it has not ended after 20 s: a call, or the Batcher, waits for ever");
            }
        }
    }).detach();
}

// ---- calls -------------------------------------------------------------------------------------------

template <class T>
T item(int i) {
    if constexpr (std::same_as<T, int>) {
        return i;
    } else {
        return "an item that is too long to be kept inside a string: " + std::to_string(i);
    }
}
template <class T>
T result(int i) {
    if constexpr (std::same_as<T, int>) {
        return -i;
    } else {
        return item<T>(i) + ", done";
    }
}

// One call.
struct Call {
    int number = 0;
    bool started = false;
    bool accepted = true;              // false: the call itself threw std::bad_alloc
    std::atomic<bool> dropped{false};  // its handler was destroyed uncalled
    int ended = 0;
    bool right = false;  // what it ended with
    bool aborted = false;
    bool closed = false;
    bool out_of_memory = false;

    bool open() const noexcept { return accepted && ended == 0; }

    void end(const std::exception_ptr& error, bool r) noexcept {
        check(accepted, "a call that threw has ended all the same");
        check(ended++ == 0, "a call has ended twice");
        try {
            if (error) std::rethrow_exception(error);
            right = r;
        } catch (const std::bad_alloc&) {
            out_of_memory = true;
        } catch (const batching::Error& e) {
            closed = e.code() == batching::errc::closed;
        } catch (const batching::detail::system_error& e) {
            aborted = e.code() == aio::error::operation_aborted;
        } catch (...) {
        }
    }
};

// A completion handler that tells when it was dropped.
template <class Kind>
class Handler {
public:
    explicit Handler(Call& call) noexcept : call_(&call) {}
    Handler(Handler&& other) noexcept : call_(std::exchange(other.call_, nullptr)) {}
    Handler& operator=(Handler&&) = delete;
    ~Handler() {
        if (call_ != nullptr) call_->dropped = true;
    }
    void operator()(const std::exception_ptr& error, const typename Kind::value_type& value) {
        const Uncounted uncounted;
        Call& call = *std::exchange(call_, nullptr);
        call.end(error, !error && value == Kind::expected(call.number));
    }
    void operator()(const std::exception_ptr& error) {
        const Uncounted uncounted;
        std::exchange(call_, nullptr)->end(error, !error);
    }

private:
    Call* call_;
};

// A coroutine that starts at once and destroys itself; its frame does not come from operator new.
struct Coroutine {
    struct promise_type {
        static void* operator new(std::size_t size) { return std::malloc(size); }
        static void operator delete(void* p) noexcept { std::free(p); }
        Coroutine get_return_object() noexcept { return {}; }
        std::suspend_never initial_suspend() noexcept { return {}; }
        std::suspend_never final_suspend() noexcept { return {}; }
        void return_void() noexcept {}
        void unhandled_exception() noexcept { std::terminate(); }
    };
};

enum class Caller { coroutine, awaitable, handler };

// What one of the callers does: process(), process_many() or drain(). A `home` is where it resumes if
// that is not the Batcher's executor.
template <class T>
struct Process {
    using value_type = T;
    static T input(int i) { return item<T>(i); }
    static T expected(int i) { return result<T>(i); }
    template <class Batcher>
    static auto operation(Batcher& batcher, T&& input) {
        return batcher.process(std::move(input));
    }
};
template <class T>
struct ProcessMany {
    using value_type = std::vector<T>;
    static value_type input(int i) { return {item<T>(i), item<T>(i + 100)}; }
    static value_type expected(int i) { return {result<T>(i), result<T>(i + 100)}; }
    template <class Batcher>
    static auto operation(Batcher& batcher, value_type&& input) {
        return batcher.process_many(std::move(input));
    }
};
struct Drain {
    using value_type = bool;
    static bool input(int) { return true; }
    static bool expected(int) { return true; }
    template <class Batcher>
    static auto operation(Batcher& batcher, bool) {
        return batcher.drain();
    }
};

template <class Kind, class Batcher>
Coroutine coroutine(Batcher& batcher, typename Kind::value_type input, aio::io_context* home,
                    Call& call) {
    std::exception_ptr error;
    typename Kind::value_type value{};
    try {
        auto operation = Kind::operation(batcher, std::move(input));
        if constexpr (std::same_as<Kind, Drain>) {
            if (home != nullptr) {
                co_await std::move(operation).resume_on(home->get_executor());
            } else {
                co_await std::move(operation);
            }
            value = true;
        } else if (home != nullptr) {
            value = co_await std::move(operation).resume_on(home->get_executor());
        } else {
            value = co_await std::move(operation);
        }
    } catch (...) {
        error = std::current_exception();
    }
    const Uncounted uncounted;
    call.end(error, !error && value == Kind::expected(call.number));
}

// It counts from the call on, and not from its end until its frame is gone (below).
template <class Kind, class Batcher>
aio::awaitable<void> awaitable(Batcher& batcher, typename Kind::value_type input, Call& call) {
    std::exception_ptr error;
    typename Kind::value_type value{};
    call.started = true;
    counts = true;
    try {
        auto operation = Kind::operation(batcher, std::move(input));
        if constexpr (std::same_as<Kind, Drain>) {
            co_await std::move(operation);
            value = true;
        } else {
            value = co_await std::move(operation);
        }
    } catch (...) {
        error = std::current_exception();
    }
    counts = false;
    call.end(error, !error && value == Kind::expected(call.number));
}

template <class Kind, class Batcher>
void start(Caller caller, Batcher& batcher, aio::io_context& context, aio::io_context* home,
           Call& call) {
    auto input = Kind::input(call.number);
    switch (caller) {
        case Caller::coroutine: {
            const Counted counted;
            coroutine<Kind>(batcher, std::move(input), home, call);
            break;
        }
        case Caller::awaitable:
            aio::co_spawn(context, awaitable<Kind>(batcher, std::move(input), call),
                          [](const std::exception_ptr&) { counts = true; });
            return;  // see below
        case Caller::handler:
            try {
                const Counted counted;
                auto operation = Kind::operation(batcher, std::move(input));
                if (home != nullptr) {
                    std::move(operation)(aio::bind_executor(*home, Handler<Kind>(call)));
                } else {
                    std::move(operation)(Handler<Kind>(call));
                }
            } catch (const std::bad_alloc&) {
                call.accepted = false;
            }
    }
    call.started = true;
}

// Starts all of them. Awaitables are begun by the executor, before it gets to what they let the library post.
template <class Kind, class Batcher>
void start_all(Caller caller, Batcher& batcher, aio::io_context& context, aio::io_context* home,
               std::vector<Call>& calls) {
    for (Call& call : calls) start<Kind>(caller, batcher, context, home, call);
    context.restart();
    for (const Call& call : calls) {
        while (!call.started) {
            context.poll_one();
            counts = false;
        }
    }
}

// ---- scenarios ---------------------------------------------------------------------------------------

enum class Action { fill, timeout, flush, cancel, drain, destroy };
constexpr std::string_view action_names[] = {"full batches", "timeout", "flush",
                                             "cancel",       "drain",   "destroy"};

struct Scenario {
    Caller caller;
    Action action;
    bool own_worker;  // of the Batcher; else it is on the io_context of its callers
};

template <class T, class Kind>
class Run {
    using Batcher = batching::Batcher<T, T>;

public:
    explicit Run(const Scenario& scenario) : scenario_(scenario) {
        const batching::Options options{.max_batch_size = 3,
                                        .batch_timeout = scenario.action == Action::fill ? 1ms
                                                         : scenario.action == Action::timeout
                                                             ? std::chrono::nanoseconds(100us)
                                                             : batching::no_timeout};
        const auto function = [](std::vector<T> items) {
            const Uncounted uncounted;
            std::vector<T> results;
            for (T& i : items) {
                if constexpr (std::same_as<T, int>) {
                    results.push_back(-i);
                } else {
                    results.push_back(i + ", done");
                }
            }
            return results;
        };
        if (scenario.own_worker) {
            batcher_ = std::make_unique<Batcher>(function, options);
            home_ = &context_;
        } else {
            batcher_ = std::make_unique<Batcher>(context_, function, options);
        }
    }

    // True if there was an n-th allocation, which has failed.
    bool operator()(long n) {
        where.since = now();
        fault.at = n;
        fault.allocations = 0;
        fault.hit = false;
        fault.enabled = true;
        std::vector<Call> calls(number_of_calls());
        for (std::size_t i = 0; i < calls.size(); ++i) {
            calls[i].number = static_cast<int>(i);
        }
        start_all<Kind>(scenario_.caller, *batcher_, context_, home_, calls);
        act();
        wait_for(calls);
        fault.enabled = false;
        for (const Call& call : calls) check_end(call);
        if (batcher_) {
            check_stats();
            serve_ten_more();
            batcher_.reset();
        }
        context_.restart();
        context_.poll();
        return fault.hit;
    }

private:
    // Six fill two batches of three; two leave only by the action; of five, both things happen.
    std::size_t number_of_calls() const noexcept {
        switch (scenario_.action) {
            case Action::fill:
                return 6;
            case Action::timeout:
            case Action::flush:
                return 2;
            default:
                return 5;
        }
    }

    void act() {
        switch (scenario_.action) {
            case Action::fill:
            case Action::timeout:
                break;
            case Action::flush:
                twice_if_need_be([this] {
                    const Counted counted;
                    batcher_->flush();
                });
                break;
            case Action::cancel:
                twice_if_need_be([this] {
                    const Counted counted;
                    batcher_->cancel();
                });
                break;
            case Action::drain:
                twice_if_need_be([this] {
                    std::vector<Call> drains(1);
                    start_all<Drain>(scenario_.caller, *batcher_, context_, home_, drains);
                    wait_for(drains);
                    if (!drains[0].accepted || drains[0].out_of_memory) throw std::bad_alloc();
                    check(drains[0].right, "drain() has ended with another error");
                });
                break;
            case Action::destroy: {
                const Counted counted;
                batcher_.reset();
            }
        }
    }

    // What the fault has struck is done again.
    template <class F>
    void twice_if_need_be(F f) {
        try {
            f();
        } catch (const std::bad_alloc&) {
            check(fault.hit, "std::bad_alloc without a fault");
            try {
                f();
            } catch (const std::bad_alloc&) {
                fail("std::bad_alloc twice for one fault");
            }
        }
    }

    void wait_for(const std::vector<Call>& calls) {
        for (;;) {
            bool open = false;
            for (const Call& call : calls) {
                check(!call.accepted || !call.dropped, "a handler was dropped uncalled");
                open |= call.open();
            }
            if (!open) return;
            context_.restart();
            try {
                const Counted counted;
                context_.run_one_for(5ms);
            } catch (const std::bad_alloc&) {
                fail("std::bad_alloc came out of the executor");
            } catch (...) {
                fail("an exception came out of the executor");
            }
        }
    }

    void check_end(const Call& call) const {
        const bool may_be_aborted =
            scenario_.action == Action::cancel || scenario_.action == Action::destroy;
        check(!call.dropped || !call.accepted, "a handler was dropped uncalled");
        check(call.accepted || fault.hit, "a call threw std::bad_alloc without a fault");
        check(!call.out_of_memory || fault.hit, "a call got std::bad_alloc without a fault");
        check(call.ended == (call.accepted ? 1 : 0), "an accepted call ends once");
        check(
            !call.accepted || call.right || call.out_of_memory || (call.aborted && may_be_aborted),
            "a call has ended with a wrong value, or with another error");
    }

    void check_stats() const {
        for (;;) {  // until it is so: if it never is, this run hangs
            const auto s = batcher_->stats();
            check(s.submitted ==
                      s.completed + s.failed + s.cancelled + s.expired + s.waiting + s.running,
                  "stats(): submitted is not the sum of the others");
            if (s.waiting == 0 && s.running == 0) return;
            context_.restart();
            context_.poll();
        }
    }

    void serve_ten_more() {
        std::vector<Call> calls(10);
        for (std::size_t i = 0; i < calls.size(); ++i) {
            calls[i].number = 1000 + static_cast<int>(i);
        }
        start_all<Kind>(scenario_.caller, *batcher_, context_, home_, calls);
        batcher_->flush();
        wait_for(calls);
        for (const Call& call : calls) {
            check(scenario_.action == Action::drain ? call.closed : call.right,
                  "afterwards a call is not served");
        }
    }

    const Scenario scenario_;
    mutable aio::io_context context_;
    aio::io_context* home_ = nullptr;
    std::unique_ptr<Batcher> batcher_;
};

struct Totals {
    long scenarios = 0;
    long faults = 0;
    long runs = 0;
} totals;

template <class T, class Kind>
void survive(const Scenario& scenario, const std::string& name) {
    where.name = name;
    long n = 1;
    while (Run<T, Kind>(scenario)(n)) check(++n < 10'000, "the faults do not end");
    std::printf("%s: survived %ld faults in %ld runs\n", name.c_str(), n - 1, n);
    std::fflush(stdout);
    ++totals.scenarios;
    totals.faults += n - 1;
    totals.runs += n;
}

}  // namespace

int main(int argc, char** argv) {
    counts = false;
    const std::string_view wanted = argc > 1 ? argv[1] : "";
    where.since = now();
    std::set_terminate([] { fail("std::terminate() was called"); });
#if !defined(BATCHER_TEST_SANITIZED)  // they tell more
    std::signal(SIGSEGV, [](int) { fail("the program has crashed"); });
#endif
    fail_a_run_that_hangs();
    constexpr std::string_view caller_names[] = {"coroutines", "awaitables", "handlers"};
    for (const bool own_worker : {false, true}) {
        for (const Action action : {Action::fill, Action::timeout, Action::flush, Action::cancel,
                                    Action::drain, Action::destroy}) {
            for (const Caller caller : {Caller::coroutine, Caller::awaitable, Caller::handler}) {
                const Scenario scenario{caller, action, own_worker};
                const auto name = [&](const char* calls) {
                    std::string all(own_worker ? "own worker, " : "one thread, ");
                    all += action_names[static_cast<std::size_t>(action)];
                    all += ", ";
                    all += caller_names[static_cast<std::size_t>(caller)];
                    return all += calls;
                };
                const auto survive_if_wanted = [&](auto survives, const std::string& n) {
                    if (n.find(wanted) != std::string::npos) survives(scenario, n);
                };
                survive_if_wanted(survive<int, Process<int>>, name(" of process, int"));
                survive_if_wanted(survive<std::string, Process<std::string>>,
                                  name(" of process, string"));
                survive_if_wanted(survive<int, ProcessMany<int>>, name(" of process_many, int"));
                survive_if_wanted(survive<std::string, ProcessMany<std::string>>,
                                  name(" of process_many, string"));
            }
        }
    }
    if (totals.scenarios == 0) fail("no such scenario");
    std::printf("survived %ld faults in %ld runs of %ld scenarios\n", totals.faults, totals.runs,
                totals.scenarios);
    return 0;
}
