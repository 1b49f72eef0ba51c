// Error and errc: what can go wrong in the library itself, as one exception type and one enum.
//
// An exception thrown by the batch function reaches its callers as it is, not as an Error. A cancelled
// call fails with asio::error::operation_aborted, as every Asio operation does.
//
// Errors of a call. The batch function throws: that exception, in every caller of that batch. A Result
// of one item holds an exception: that one, in that caller alone. A wrong number of results:
// errc::result_count_mismatch in every caller of that batch. Queue full: errc::overloaded, at once. After
// close(): errc::closed, at once. An item that is too heavy: errc::too_heavy, at once. The deadline of the call passed,
// or cannot be met: errc::deadline_exceeded. Cancelled, or the Batcher destroyed while the item waits:
// asio::error::operation_aborted. The constructor of In throws while the value is moved into its batch:
// that exception, in that caller alone. No memory for the items of a batch: std::bad_alloc, in every caller
// of that batch. Every accepted call completes exactly once: where something small is needed to bring it
// back (the memory of a post, say) and there is none, it is tried again until there is.
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <system_error>
#include <type_traits>
#include <utility>

namespace batching {

// Why a call failed, if it is the library that says so: what Error::code() is compared with.
enum class errc {           // NOLINT(performance-enum-size): an int, as all error codes
    overloaded = 1,         // as many items wait as may, here or over there
    closed,                 // called after close() or drain()
    result_count_mismatch,  // the batch function returned more or fewer results than it got items
    deadline_exceeded,      // the call's deadline passed
    schema_mismatch,        // a remote handle's types are not the deployment's
    // Of remote calls:
    unavailable,         // the deployment could not be reached, or the connection broke
    unknown_deployment,  // nothing of that name is served there
    unauthenticated,     // the deployment does not accept the token
    message_too_large,   // an item, or a reply, does not fit into one message
    malformed,           // bytes that are not what they should be
    remote_failure,      // an item failed over there; the sentence ends with what was said there
    deadlock,            // get() on a thread that the batch function needs
    too_heavy            // an item alone weighs more than a batch, or the queue, may
};

// The category of errc, "batching".
inline const std::error_category& error_category() noexcept {
    struct Category final : std::error_category {
        const char* name() const noexcept override { return "batching"; }
        std::string message(int value) const override {
            switch (static_cast<errc>(value)) {
                case errc::overloaded:
                    return "the queue is full";
                case errc::closed:
                    return "the batcher is closed";
                case errc::result_count_mismatch:
                    return "the batch function returned a wrong number of results";
                case errc::deadline_exceeded:
                    return "the deadline has passed";
                case errc::schema_mismatch:
                    return "the types of the handle are not those of the deployment";
                case errc::unavailable:
                    return "the deployment cannot be reached";
                case errc::unknown_deployment:
                    return "there is no such deployment";
                case errc::unauthenticated:
                    return "the deployment does not accept the token";
                case errc::message_too_large:
                    return "the message is too large";
                case errc::malformed:
                    return "the bytes are malformed";
                case errc::remote_failure:
                    return "the item failed in the deployment";
                case errc::deadlock:
                    return "the caller would wait for itself";
                case errc::too_heavy:
                    return "the item is too heavy";
            }
            return "unknown batching error";
        }
    };
    // Never destroyed: handles of static storage duration may still fail their calls after main.
    union Kept {
        Category category{};
        Kept() noexcept {}
        Kept(const Kept&) = delete;
        Kept& operator=(const Kept&) = delete;
        ~Kept() {}
    };
    static const Kept kept;
    return kept.category;
}

// An errc as the standard's error_code, which compares with it.
inline std::error_code make_error_code(errc value) noexcept {
    return {static_cast<int>(value), error_category()};
}

// An error of the library: code() compares with errc, what() is a whole sentence with the figures in it.
//
//     catch (const batching::Error& error) { if (error.code() == batching::errc::overloaded) ... }
class Error : public std::system_error {
public:
    // With the sentence that what() gives.
    Error(errc code, std::string sentence,
          std::optional<std::chrono::nanoseconds> retry_after = std::nullopt)
        : std::system_error(make_error_code(code), sentence),
          sentence_(std::move(sentence)),
          retry_after_(retry_after) {}

    // The whole sentence, with the figures in it.
    const char* what() const noexcept override { return sentence_.c_str(); }

    // Of errc::overloaded: about how long from now it may be worth trying again, judged by what batches have lately
    // taken; none while too few have run.
    std::optional<std::chrono::nanoseconds> retry_after() const noexcept { return retry_after_; }

private:
    std::string sentence_;
    std::optional<std::chrono::nanoseconds> retry_after_;
};

}  // namespace batching

template <>
struct std::is_error_code_enum<batching::errc> : std::true_type {};
