// Between exceptions and gRPC's status codes, on both sides.
#pragma once

#include <fmt/core.h>
#include <grpcpp/support/status.h>

#include <batcher/detail/asio.hpp>
#include <batcher/error.hpp>
#include <batcher/grpc/detail/remote.hpp>
#include <batcher/grpc/detail/wire.hpp>
#include <chrono>
#include <exception>
#include <optional>
#include <string>
#include <string_view>

namespace batching::grpc::detail {

// ---- in the deployment: what an item failed with, as it is sent ----------------------------------------

inline ::grpc::StatusCode code_of(errc code) noexcept {
    switch (code) {
        case errc::overloaded:
            return ::grpc::StatusCode::RESOURCE_EXHAUSTED;
        case errc::closed:
        case errc::unavailable:
            return ::grpc::StatusCode::UNAVAILABLE;
        case errc::deadline_exceeded:
            return ::grpc::StatusCode::DEADLINE_EXCEEDED;
        case errc::schema_mismatch:
        case errc::too_heavy:
            return ::grpc::StatusCode::FAILED_PRECONDITION;
        case errc::unknown_deployment:
            return ::grpc::StatusCode::NOT_FOUND;
        case errc::unauthenticated:
            return ::grpc::StatusCode::UNAUTHENTICATED;
        case errc::message_too_large:
            return ::grpc::StatusCode::OUT_OF_RANGE;
        case errc::malformed:
            return ::grpc::StatusCode::INVALID_ARGUMENT;
        case errc::result_count_mismatch:
            return ::grpc::StatusCode::INTERNAL;
        case errc::remote_failure:
        case errc::deadlock:
            break;
    }
    return ::grpc::StatusCode::UNKNOWN;
}

inline ::grpc::Status status_of(const std::exception_ptr& error) noexcept {
    try {
        std::rethrow_exception(error);
    } catch (const Error& e) {
        return {code_of(static_cast<errc>(e.code().value())), e.what()};
    } catch (const batching::detail::system_error& e) {
        const bool aborted = e.code() == asio::error::operation_aborted;
        return {aborted ? ::grpc::StatusCode::CANCELLED : ::grpc::StatusCode::UNKNOWN, e.what()};
    } catch (const std::exception& e) {
        return {::grpc::StatusCode::UNKNOWN, e.what()};
    } catch (...) {
        return {::grpc::StatusCode::UNKNOWN, "an exception that is not a std::exception"};
    }
}

// What an item failed with.
struct Failure {
    int code = ::grpc::StatusCode::UNKNOWN;
    std::string message;
    std::optional<std::chrono::nanoseconds> retry_after;
};

inline Failure failure_of(const std::exception_ptr& error) {
    const ::grpc::Status status = status_of(error);
    Failure failure{status.error_code(), wire::valid_utf8(status.error_message()), {}};
    try {
        std::rethrow_exception(error);
    } catch (const Error& e) {
        failure.retry_after = e.retry_after();
        // Of an item FAILED_PRECONDITION says that it is too heavy. (A deployment that calls another may get this.)
        if (e.code() == errc::schema_mismatch) failure.code = ::grpc::StatusCode::UNKNOWN;
    } catch (...) {
    }
    return failure;
}

// ---- in the handle -------------------------------------------------------------------------------------

inline std::exception_ptr make_error(
    errc code, const std::string& sentence,
    std::optional<std::chrono::nanoseconds> retry_after = std::nullopt) {
    return std::make_exception_ptr(Error(code, sentence, retry_after));
}

// What one item of a call failed with, over there.
inline std::exception_ptr item_error(const Remote& remote, const wire::Result& failure) {
    const auto sentence = [&](std::string_view how) {
        return fmt::format("{} {}: {}", remote.name(), how, failure.message);
    };
    switch (failure.code) {
        case ::grpc::StatusCode::RESOURCE_EXHAUSTED:
            return make_error(errc::overloaded, sentence("refused the item"), failure.retry_after);
        case ::grpc::StatusCode::FAILED_PRECONDITION:
            return make_error(errc::too_heavy, sentence("refused the item"));
        case ::grpc::StatusCode::UNAVAILABLE:
            return make_error(errc::unavailable, sentence("did not run the item"));
        case ::grpc::StatusCode::CANCELLED:
            return make_error(errc::unavailable, sentence("cancelled the item"));
        case ::grpc::StatusCode::DEADLINE_EXCEEDED:
            return make_error(errc::deadline_exceeded, sentence("did not run the item in time"));
        case ::grpc::StatusCode::INVALID_ARGUMENT:
            return make_error(errc::malformed, sentence("could not read the item"));
        case ::grpc::StatusCode::OUT_OF_RANGE:
            return make_error(errc::message_too_large, sentence("could not answer"));
        default:
            return make_error(errc::remote_failure, sentence("failed on the item"));
    }
}

// What a reply, or a result in it, cannot be read for.
inline std::exception_ptr reply_error(const Remote& remote, const std::exception_ptr& error) {
    try {
        std::rethrow_exception(error);
    } catch (const Error& e) {
        if (e.code() == errc::result_count_mismatch) {
            return make_error(errc::result_count_mismatch,
                              fmt::format("{} {}", remote.name(), e.what()));
        }
    } catch (...) {
    }
    return make_error(errc::malformed,
                      fmt::format("{} gave an answer that cannot be read: {}", remote.name(),
                                  status_of(error).error_message()));
}

// What an item cannot be written for, here.
inline std::exception_ptr request_error(const Remote& remote, const std::exception_ptr& error) {
    return make_error(errc::malformed,
                      fmt::format("an item for {} cannot be written: {}", remote.name(),
                                  status_of(error).error_message()));
}

inline std::string late_sentence(const Remote& remote, std::string_view reason) {
    const auto timeout = remote.options.timeout.count();
    return reason.empty() ? fmt::format("{} did not answer within {} ms", remote.name(), timeout)
                          : fmt::format("{} could not be reached within {} ms: {}", remote.name(),
                                        timeout, reason);
}

// What a call that was not sent failed with, as nobody can be reached in this way.
inline std::exception_ptr unreachable_error(const Remote& remote, std::string_view mistake) {
    return make_error(errc::unavailable,
                      fmt::format("{} cannot be reached: {}", remote.name(), mistake));
}

// What gRPC itself says at a deadline; a proxy that gives up has words of its own.
inline bool is_own_deadline(const ::grpc::Status& status) {
    const std::string& what = status.error_message();
    return status.error_code() == ::grpc::StatusCode::DEADLINE_EXCEEDED &&
           (what.empty() || what == "Deadline Exceeded");
}

// What gRPC says where nobody else does: the name of the status, or of the frame that ended the stream.
inline bool is_wordless_cancellation(const ::grpc::Status& status) {
    const std::string& what = status.error_message();
    return status.error_code() == ::grpc::StatusCode::CANCELLED &&
           (what.empty() || what == "CANCELLED" || what.starts_with("Received RST_STREAM"));
}

// By what gRPC says, in C++ ("Received message larger than max (9 vs. 5)") and Go, and in Java.
inline bool is_too_large(const ::grpc::Status& status) {
    const std::string& what = status.error_message();
    return what.find("message larger than max") != std::string::npos ||
           what.find("message exceeds maximum size") != std::string::npos;
}

// What a call failed with, and so all of its items, in the words of whoever failed it: the deployment, gRPC,
// or a proxy between. `reason`: why there is no connection, if known.
inline std::exception_ptr call_error(const Remote& remote, const ::grpc::Status& status,
                                     std::string_view reason) {
    const auto sentence = [&](std::string_view how) {
        const std::string& what = status.error_message();
        return fmt::format("{} {}: {}", remote.name(), how,
                           what.empty() ? "nothing more was said" : what);
    };
    switch (status.error_code()) {
        case ::grpc::StatusCode::DEADLINE_EXCEEDED:
            return make_error(errc::deadline_exceeded, is_own_deadline(status)
                                                           ? late_sentence(remote, reason)
                                                           : sentence("did not answer in time"));
        case ::grpc::StatusCode::UNAVAILABLE:
            return make_error(errc::unavailable,
                              sentence("is not available, and whether it has run the item is not "
                                       "known"));
        case ::grpc::StatusCode::NOT_FOUND:
            return make_error(errc::unknown_deployment, sentence("does not exist"));
        case ::grpc::StatusCode::UNIMPLEMENTED:
            return make_error(errc::unknown_deployment,
                              sentence("does not exist, a server that is no deployment answers"));
        case ::grpc::StatusCode::FAILED_PRECONDITION:
            return make_error(errc::schema_mismatch, sentence("has other types"));
        case ::grpc::StatusCode::UNAUTHENTICATED:
        case ::grpc::StatusCode::PERMISSION_DENIED:
            return make_error(errc::unauthenticated, sentence("refused the call"));
        case ::grpc::StatusCode::RESOURCE_EXHAUSTED:
            return is_too_large(status)
                       ? make_error(errc::message_too_large,
                                    sentence("cannot take or give a message"))
                       : make_error(errc::overloaded, sentence("refused the call"));
        case ::grpc::StatusCode::INVALID_ARGUMENT:
            return make_error(errc::malformed, sentence("could not read the call"));
        case ::grpc::StatusCode::CANCELLED:
            return make_error(errc::unavailable,
                              sentence("cancelled the call, and whether it has run the item is not "
                                       "known"));
        default:
            return make_error(errc::remote_failure,
                              sentence(fmt::format("failed with status {}",
                                                   static_cast<int>(status.error_code()))));
    }
}

}  // namespace batching::grpc::detail
