// tls_mistake: what is wrong with the TLS of one of both ends, if that is why there is no connection.
//
// What its own OpenSSL finds gRPC tells only in words, in others from version to version. Where none of them is
// known, a call waits for its deadline, and ends with those words. What the other end finds a probe tells.
#pragma once

#include <fmt/core.h>

#include <batcher/grpc/connect_options.hpp>
#include <batcher/grpc/detail/tls_probe.hpp>
#include <initializer_list>
#include <string>
#include <string_view>

namespace batching::grpc::detail {

inline bool has_one_of(std::string_view text, std::initializer_list<std::string_view> parts) {
    for (const std::string_view part : parts) {
        if (text.find(part) != std::string_view::npos) return true;
    }
    return false;
}

// Whether gRPC cannot use the certificate and its key: it makes no connection then, not even in vain.
inline bool key_is_unusable(std::string_view reason) {
    return has_one_of(reason, {"empty address list"});
}

// What is wrong, and what to do; "" if TLS is not to blame.
inline std::string tls_mistake(std::string_view reason, const ConnectOptions& options) {
    if (!options.tls) return {};
    const Tls& tls = *options.tls;
    const auto or_else = [](const std::string& text, const char* otherwise) {
        return text.empty() ? otherwise : text;
    };
    if (has_one_of(reason, {"not in peer certificate", "Hostname Verification Check failed"})) {
        return fmt::format(
            "its certificate is not for {}; name in tls.server_name one that it is for",
            or_else(tls.server_name, "the name in the address"));
    }
    if (has_one_of(reason, {"certificate verify failed", "CERTIFICATE_VERIFY_FAILED"})) {
        return fmt::format(
            "its certificate has expired, or none of the authorities in {} has signed it",
            or_else(tls.root_certificates, "the system's list"));
    }
    if (has_one_of(reason, {"wrong version number", "WRONG_VERSION_NUMBER"})) {
        return "it does not speak TLS on this port; connect without tls, or to another port";
    }
    if (key_is_unusable(reason)) {
        return fmt::format(
            "the private key {} does not fit the certificate {}, or one of the PEM "
            "files of tls is damaged",
            or_else(tls.private_key, "(none)"), or_else(tls.certificate, "(none)"));
    }
    if (has_one_of(reason, {"Ssl handshake failed: SSL_ERROR_SSL", "SSL_ERROR_SSL"})) {
        return "the TLS handshake failed; look at both ends' certificates and keys";
    }
    return {};
}

inline std::string tls_mistake(TlsFound found, const ConnectOptions& options) {
    switch (found) {
        case TlsFound::nothing:
            return {};
        case TlsFound::speaks_tls:
            return "it speaks TLS on this port; set tls, or connect to another port";
        case TlsFound::wants_certificate:
            return "it asks its clients for a certificate; name one that its authorities have "
                   "signed in "
                   "tls.certificate, and the key of it in tls.private_key";
        case TlsFound::refuses_certificate:
            return fmt::format(
                "it refuses the certificate {}, which has expired, or none of its authorities has "
                "signed it",
                options.tls->certificate);
    }
    return {};
}

}  // namespace batching::grpc::detail
