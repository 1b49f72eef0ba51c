// Clients that mean no good: raw calls through gRPC, and HTTP/2 by hand.
#pragma once

#include "deployed.hpp"

#include <arpa/inet.h>
#include <grpcpp/create_channel.h>
#include <grpcpp/generic/generic_stub.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>
#include <batcher/grpc/detail/byte_buffer.hpp>
#include <batcher/grpc/detail/wire.hpp>

#include <cstdint>
#include <future>
#include <list>
#include <map>

namespace test {

namespace wire = batching::grpc::detail::wire;
namespace remote = batching::grpc::detail;

struct RawReply {
    ::grpc::Status status;
    std::string bytes;
};

class RawClient {
public:
    explicit RawClient(const std::string& address, const ::grpc::ChannelArguments& arguments = {})
        : stub_(::grpc::CreateCustomChannel(address, ::grpc::InsecureChannelCredentials(),
                                            unlimited(arguments))) {}

    using Metadata = std::vector<std::pair<std::string, std::string>>;

    RawReply call(const std::string& method, const std::string& bytes,
                  const std::string& authorization = "") {
        if (authorization.empty()) return call_with({}, method, bytes);
        return call_with({{"authorization", authorization}}, method, bytes);
    }
    RawReply call_with(const Metadata& metadata, const std::string& method,
                       const std::string& bytes) {
        ::grpc::ClientContext context;
        context.set_deadline(std::chrono::system_clock::now() + 30s);
        for (const auto& [key, value] : metadata) context.AddMetadata(key, value);
        const auto request = remote::to_buffer(bytes);
        ::grpc::ByteBuffer reply;
        std::promise<::grpc::Status> status;
        stub_.UnaryCall(&context, method, {}, &request, &reply,
                        [&](::grpc::Status s) { status.set_value(std::move(s)); });
        RawReply result{status.get_future().get(), {}};
        result.bytes = remote::Contiguous(reply).view();
        return result;
    }
    RawReply process(const std::string& bytes) { return call(remote::process_method, bytes); }

    // Does not wait. The future has to be waited for before the client goes.
    std::future<::grpc::Status> start(const std::string& bytes) {
        Call& call = calls_.emplace_back();
        call.context.set_deadline(std::chrono::system_clock::now() + 60s);
        call.request = remote::to_buffer(bytes);
        auto future = call.status.get_future();
        stub_.UnaryCall(&call.context, remote::process_method, {}, &call.request, &call.reply,
                        [&call](::grpc::Status s) { call.status.set_value(std::move(s)); });
        return future;
    }

private:
    static ::grpc::ChannelArguments unlimited(::grpc::ChannelArguments arguments) {
        arguments.SetMaxReceiveMessageSize(-1);
        arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
        return arguments;
    }

    // Not owned by what is called back: a context keeps its channel, and the last to let go of that must not be a
    // thread of gRPC's.
    struct Call {
        ::grpc::ClientContext context;
        ::grpc::ByteBuffer request;
        ::grpc::ByteBuffer reply;
        std::promise<::grpc::Status> status;
    };

    ::grpc::GenericStub stub_;
    std::list<Call> calls_;
};

// The bytes of a ProcessRequest.
inline std::string request_of(const std::string& deployment, const std::vector<std::string>& items,
                              const std::string& schema = "") {
    std::string bytes;
    wire::write_header(bytes, deployment, schema);
    for (const auto& item : items) {
        wire::write_item(bytes, [&](std::string& out) { out += item; });
    }
    return bytes;
}

inline std::vector<wire::Result> results_in(const RawReply& reply, std::size_t count) {
    std::vector<wire::Result> results;
    wire::read_response(reply.bytes, count,
                        [&](const wire::Result& result) { results.push_back(result); });
    return results;
}

// A connection on which streams are opened, fed and reset at will. It sends what the server's windows allow.
class Http2Client {
public:
    // Takes no more than `window` bytes of a reply.
    explicit Http2Client(const std::string& address, std::uint16_t window = 65535)
        : socket_(socket(AF_INET, SOCK_STREAM, 0)) {
        sockaddr_in there{};
        there.sin_family = AF_INET;
        there.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        const auto port = std::stoi(address.substr(address.rfind(':') + 1));
        there.sin_port = htons(static_cast<std::uint16_t>(port));
        open_ = connect(socket_, reinterpret_cast<const sockaddr*>(&there), sizeof there) == 0;
        send_all("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
        const char initial_window[] = {
            0, 4, 0, 0, static_cast<char>(window >> 8U), static_cast<char>(window)};
        frame(settings, 0, 0, std::string(initial_window, sizeof initial_window));
    }
    Http2Client(const Http2Client&) = delete;
    Http2Client& operator=(const Http2Client&) = delete;
    ~Http2Client() { close(socket_); }

    bool open() const { return open_; }

    // The headers of a call; returns its stream.
    std::uint32_t begin_call(const std::string& method = remote::process_method) {
        std::string headers;
        const auto header = [&](const std::string& name, const std::string& value) {
            headers += '\0';  // a literal, not to be remembered
            headers += static_cast<char>(name.size());
            headers += name;
            headers += static_cast<char>(value.size());
            headers += value;
        };
        header(":method", "POST");
        header(":scheme", "http");
        header(":path", method);
        header(":authority", "localhost");
        header("te", "trailers");
        header("content-type", "application/grpc");
        const std::uint32_t stream = std::exchange(next_stream_, next_stream_ + 2);
        frame(0x1, 0x4, stream, headers);
        return stream;
    }
    void reset(std::uint32_t stream) { frame(0x3, 0, stream, std::string("\0\0\0\x8", 4)); }

    // The first bytes of a message of `size`; false if the server takes no more for a while, or hangs up.
    bool send_message(std::uint32_t stream, std::size_t size, const std::string& bytes) {
        std::string prefix(5, '\0');
        for (int i = 0; i < 4; ++i) {
            prefix[static_cast<std::size_t>(1 + i)] =
                static_cast<char>(size >> (24U - 8U * static_cast<unsigned>(i)));
        }
        const std::string data = prefix + bytes;
        std::size_t sent = 0;
        const auto end = std::chrono::steady_clock::now() + 2s;
        while (sent < data.size() && open_) {
            take_frames(0ms);
            const std::int64_t window =
                std::min(connection_window_, initial_window_ + windows_[stream]);
            if (window <= 0) {
                take_frames(100ms);
                if (std::chrono::steady_clock::now() > end) return false;
                continue;
            }
            const auto part = std::min<std::size_t>(
                {data.size() - sent, 16384, static_cast<std::size_t>(window)});
            frame(0x0, 0, stream, data.substr(sent, part));
            connection_window_ -= static_cast<std::int64_t>(part);
            windows_[stream] -= static_cast<std::int64_t>(part);
            sent += part;
        }
        return open_;
    }

    // Waits until the server has read all that was sent, for 5 s at most: gRPC 1.83 may leave it unread, for want of memory.
    void wait_until_read() {
        answered_ = false;
        frame(ping, 0, 0, "12345678");
        const auto end = std::chrono::steady_clock::now() + 5s;
        while (open_ && !answered_ && std::chrono::steady_clock::now() < end) take_frames(10ms);
    }

    // Takes what the server has to say; false if it is nothing for so long.
    bool take_frames(std::chrono::milliseconds wait) {
        pollfd ready{socket_, POLLIN, 0};
        bool any = false;
        while (open_ && poll(&ready, 1, any ? 0 : static_cast<int>(wait.count())) == 1) {
            char bytes[65536];
            const auto count = recv(socket_, bytes, sizeof bytes, 0);
            if (count <= 0) {
                open_ = false;
                break;
            }
            received_.append(bytes, static_cast<std::size_t>(count));
            any = true;
            parse();
        }
        return any;
    }

private:
    static constexpr std::uint8_t settings = 0x4;
    static constexpr std::uint8_t ping = 0x6;

    static std::uint32_t number(const std::string& bytes, std::size_t at, std::size_t size) {
        std::uint32_t value = 0;
        for (std::size_t i = 0; i < size; ++i) {
            value = value << 8U | static_cast<std::uint8_t>(bytes[at + i]);
        }
        return value;
    }

    void parse() {
        while (received_.size() >= 9) {
            const std::size_t size = number(received_, 0, 3);
            if (received_.size() < 9 + size) return;
            const std::uint32_t kind = number(received_, 3, 1);
            const std::uint32_t flags = number(received_, 4, 1);
            const std::uint32_t stream = number(received_, 5, 4);
            const std::string payload = received_.substr(9, size);
            received_.erase(0, 9 + size);
            if (kind == settings && (flags & 1U) == 0) {
                for (std::size_t at = 0; at + 6 <= size; at += 6) {
                    if (number(payload, at, 2) == 4) initial_window_ = number(payload, at + 2, 4);
                }
                frame(settings, 1, 0, "");
            } else if (kind == 0x8) {
                (stream == 0 ? connection_window_ : windows_[stream]) += number(payload, 0, 4);
            } else if (kind == ping && (flags & 1U) == 0) {
                frame(ping, 1, 0, payload);
            } else if (kind == ping) {
                answered_ = true;
            }
        }
    }

    void frame(std::uint8_t kind, std::uint8_t flags, std::uint32_t stream,
               const std::string& payload) {
        std::string bytes;
        for (const unsigned shift : {16U, 8U, 0U}) {
            bytes += static_cast<char>(payload.size() >> shift);
        }
        bytes += static_cast<char>(kind);
        bytes += static_cast<char>(flags);
        for (const unsigned shift : {24U, 16U, 8U, 0U}) bytes += static_cast<char>(stream >> shift);
        send_all(bytes + payload);
    }
    void send_all(const std::string& bytes) {
        for (std::size_t sent = 0; open_ && sent < bytes.size();) {
            const auto count =
                ::send(socket_, bytes.data() + sent, bytes.size() - sent, MSG_NOSIGNAL);
            if (count <= 0) {
                open_ = false;
                return;
            }
            sent += static_cast<std::size_t>(count);
        }
    }

    int socket_;
    bool open_ = false;
    bool answered_ = false;
    std::string received_;
    std::uint32_t next_stream_ = 1;
    std::int64_t connection_window_ = 65535;
    std::int64_t initial_window_ = 65535;
    std::map<std::uint32_t, std::int64_t> windows_;  // of streams, more than the initial one
};

}  // namespace test
