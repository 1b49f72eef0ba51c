// What a client of TLS 1.2 and its server say to each other before anything is encrypted (RFC 5246): enough to
// see who is there, without the means to go on.
#pragma once

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>

namespace batching::grpc::detail::tls {

// Of a record, and of a message in one.
inline constexpr std::uint8_t alert = 21;
inline constexpr std::uint8_t handshake = 22;
inline constexpr std::uint8_t client_hello = 1;
inline constexpr std::uint8_t certificate = 11;
inline constexpr std::uint8_t certificate_request = 13;
inline constexpr std::uint8_t hello_done = 14;

inline std::size_t number_in(std::string_view bytes) {
    std::size_t number = 0;
    for (const char byte : bytes) number = number << 8 | static_cast<std::uint8_t>(byte);
    return number;
}
inline std::string number(std::size_t value, int bytes) {
    std::string text;
    for (int shift = 8 * (bytes - 1); shift >= 0; shift -= 8) {
        text += static_cast<char>(value >> shift & 0xff);
    }
    return text;
}
// `bytes`, and before them how many these are, in a number of so many bytes.
inline std::string counted(const std::string& bytes, int in) {
    return number(bytes.size(), in) + bytes;
}
inline std::string numbers(std::initializer_list<std::uint16_t> values) {
    std::string text;
    for (const std::uint16_t value : values) text += number(value, 2);
    return text;
}

inline std::string message(std::uint8_t kind, const std::string& body) {
    return number(handshake, 1) + number(0x0303, 2) +
           counted(number(kind, 1) + counted(body, 3), 2);
}

// `host`: the name in the server's certificate; "" to name none.
inline std::string hello(const std::string& host) {
    const auto extension = [](std::uint16_t kind, const std::string& body) {
        return number(kind, 2) + counted(body, 2);
    };
    std::string extensions;
    if (!host.empty()) extensions += extension(0, counted(number(0, 1) + counted(host, 2), 2));
    extensions += extension(10, counted(numbers({29, 23, 24}), 2));  // groups
    extensions += extension(11, counted(number(0, 1), 1));           // forms of points
    extensions += extension(
        13,
        counted(numbers({0x0403, 0x0804, 0x0401, 0x0503, 0x0805, 0x0501, 0x0603, 0x0806, 0x0601}),
                2));                                            // signatures
    extensions += extension(16, counted(counted("h2", 1), 2));  // protocols
    const std::string random(32, 'b');
    const std::string ciphers =
        numbers({0xc02b, 0xc02c, 0xc02f, 0xc030, 0xcca9, 0xcca8, 0x009c, 0x009d});
    return message(client_hello, numbers({0x0303}) + random + counted("", 1) + counted(ciphers, 2) +
                                     counted(number(0, 1), 1) + counted(extensions, 2));
}

// The bytes of a file of base64's characters, as PEM has it; others are left out.
inline std::string from_base64(std::string_view text) {
    constexpr std::string_view digits =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    std::string bytes;
    std::uint32_t bits = 0;
    int known = 0;
    for (const char c : text) {
        const std::size_t digit = digits.find(c);
        if (digit == std::string_view::npos) continue;
        bits = bits << 6 | static_cast<std::uint32_t>(digit);
        known += 6;
        if (known < 8) continue;
        known -= 8;
        bytes += static_cast<char>(bits >> known & 0xff);
    }
    return bytes;
}

// Who one is: the certificates in a PEM file, or none.
inline std::string own_certificates(std::string_view pem) {
    constexpr std::string_view begin = "-----BEGIN CERTIFICATE-----";
    std::string chain;
    for (std::size_t from = pem.find(begin); from != std::string_view::npos;
         from = pem.find(begin, from)) {
        from += begin.size();
        const std::size_t to = pem.find('-', from);
        if (to == std::string_view::npos) break;
        chain += counted(from_base64(pem.substr(from, to - from)), 3);
    }
    return message(certificate, counted(chain, 3));
}

// What a server says, as its bytes come.
class Answer {
public:
    void add(std::string_view bytes) {
        bytes_ += bytes;
        while (bytes_.size() >= header && is_tls()) {
            const std::size_t size = number_in(std::string_view(bytes_).substr(3, 2));
            if (bytes_.size() < header + size) return;
            const bool is_handshake = static_cast<std::uint8_t>(bytes_.front()) == handshake;
            if (is_handshake) messages_.append(bytes_, header, size);
            if (!is_handshake) alerts_ = true;
            bytes_.erase(0, header + size);
            speaks_ = true;
            read_messages();
        }
    }

    // Records of TLS have come, and nothing else.
    bool speaks() const { return speaks_; }
    // It has said all that it says before it hears more.
    bool waits() const { return done_; }
    // It has asked for a certificate.
    bool asks() const { return asks_; }
    // It goes no further, whatever else it says.
    bool ends() const { return alerts_ || (bytes_.size() >= header && !is_tls()); }

private:
    static constexpr std::size_t header = 5;  // kind, version and size of a record

    bool is_tls() const {
        const auto kind = static_cast<std::uint8_t>(bytes_.front());
        return (kind == handshake || kind == alert) && bytes_[1] == 3;
    }
    void read_messages() {
        while (messages_.size() >= 4) {
            const std::size_t size = 4 + number_in(std::string_view(messages_).substr(1, 3));
            if (messages_.size() < size) return;
            const auto kind = static_cast<std::uint8_t>(messages_.front());
            asks_ = asks_ || kind == certificate_request;
            done_ = done_ || kind == hello_done;
            messages_.erase(0, size);
        }
    }

    std::string bytes_;     // of the record that is not yet complete
    std::string messages_;  // of the message that is not yet complete
    bool speaks_ = false;
    bool alerts_ = false;
    bool asks_ = false;
    bool done_ = false;
};

}  // namespace batching::grpc::detail::tls
