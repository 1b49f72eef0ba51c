// UnixSocket: a socket file that a new deployment takes over from the one before, in one step.
//
// gRPC removes a socket file when it binds and again when it shuts down: of two deployments on one path,
// the old one, draining, would remove the new one's. So each binds a file of its own and renames it to the
// path: clients find the old one or the new one, never none.
#pragma once

#include <fmt/core.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <cstdio>
#include <random>
#include <stdexcept>
#include <string>
#include <system_error>
#include <utility>

namespace batching::grpc::detail {

class UnixSocket {
public:
    explicit UnixSocket(std::string path) : path_(std::move(path)), own_path_(path_ + suffix()) {
        constexpr std::size_t most = sizeof(sockaddr_un::sun_path) - 1;
        if (own_path_.size() <= most) return;
        throw std::system_error(
            std::make_error_code(std::errc::filename_too_long),
            fmt::format(
                "the deployment cannot listen on unix:{}: its path has {} bytes, and {} are "
                "the most",
                path_, path_.size(), most - (own_path_.size() - path_.size())));
    }
    UnixSocket(const UnixSocket&) = delete;
    UnixSocket& operator=(const UnixSocket&) = delete;
    // Removes the path, unless another has taken it over.
    ~UnixSocket() {
        struct stat now{};
        if (published_ && stat(path_.c_str(), &now) == 0 && now.st_ino == file_.st_ino &&
            now.st_dev == file_.st_dev) {
            unlink(path_.c_str());
        }
    }

    // The path in "unix:path" or "unix:///path"; "" in any other address.
    static std::string path_of(const std::string& address) {
        if (!address.starts_with("unix:")) return {};
        return address.substr(address.starts_with("unix://") ? 7 : 5);
    }

    // What gRPC is to bind.
    std::string address() const { return "unix:" + own_path_; }

    // Once it listens.
    void publish() {
        struct stat before{};
        if (stat(path_.c_str(), &before) == 0 && !S_ISSOCK(before.st_mode)) {
            unlink(own_path_.c_str());
            throw std::system_error(
                std::make_error_code(std::errc::file_exists),
                fmt::format("the deployment cannot listen on unix:{}: there is a file", path_));
        }
        if (stat(own_path_.c_str(), &file_) != 0 ||
            std::rename(own_path_.c_str(), path_.c_str()) != 0) {
            throw std::system_error(errno, std::generic_category(),
                                    fmt::format("the deployment cannot listen on unix:{}", path_));
        }
        published_ = true;
    }

private:
    // Of one length always, so that the path's limit is one, too; random, as processes that share a directory
    // may have one process id.
    static std::string suffix() {
        std::random_device random;
        return fmt::format(".{:08x}", random() & 0xffffffffU);
    }

    std::string path_;
    std::string own_path_;
    struct stat file_{};
    bool published_ = false;
};

// Of a deployment, or of a handle.
inline void check_address(const std::string& address) {
    if (address.empty()) {
        throw std::invalid_argument(
            "an address is empty: write \"host:port\", or \"unix:/path\" on one machine");
    }
    constexpr std::size_t longest = sizeof(sockaddr_un::sun_path) - 1;
    const std::size_t size = UnixSocket::path_of(address).size();
    if (size > longest) {
        throw std::invalid_argument(
            fmt::format("the path of a unix socket has at most {} bytes, and that of {} has {}",
                        longest, address, size));
    }
}

}  // namespace batching::grpc::detail
