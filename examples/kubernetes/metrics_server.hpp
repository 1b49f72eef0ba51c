// MetricsServer: answers GET /metrics over HTTP, on a thread of its own.
//
//     MetricsServer metrics("127.0.0.1:9464", [&] { return batching::to_prometheus(batcher.stats(), "digits"); });
//
// `page` is called for each request, on that thread. It has to outlive the server, and so has what it refers to.
#pragma once

#include <fmt/format.h>

#include <batcher/prometheus.hpp>
#include <charconv>
#include <chrono>
#include <cstdint>
#include <exception>
#include <functional>
#include <restinio/all.hpp>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>

class MetricsServer {
public:
    using Page = std::function<std::string()>;

    // `address` is HOST:PORT, an IPv6 address in brackets; port 0: any free one. Throws std::runtime_error.
    MetricsServer(const std::string& address, Page page) try
        : server_(restinio::run_async<Traits>(restinio::own_io_context(),
                                              settings(address, std::move(page)), 1)) {
    } catch (const std::exception& error) {  // which does not say where
        throw std::runtime_error(
            fmt::format("the metrics cannot be served on {}: {}", address, error.what()));
    }

    std::uint16_t port() const { return port_; }

private:
    using Traits = restinio::default_single_thread_traits_t;
    using Settings = restinio::server_settings_t<Traits>;

    Settings settings(std::string_view address, Page page) {
        const std::size_t colon = address.rfind(':');
        std::string_view host = address.substr(0, colon);
        if (host.starts_with('[')) host = host.substr(1, host.size() - 2);
        std::uint16_t port = 0;
        std::from_chars(address.data() + colon + 1, address.data() + address.size(), port);

        Settings result;
        result.address(std::string(host)).port(port);
        result.request_handler([page = std::move(page)](const restinio::request_handle_t& request) {
            return answer(*request, page);
        });
        result.acceptor_post_bind_hook([this](asio::ip::tcp::acceptor& acceptor) {
            port_ = acceptor.local_endpoint().port();
        });
        return result;
    }

    static restinio::request_handling_status_t answer(restinio::request_t& request,
                                                      const Page& page) {
        if (request.header().method() != restinio::http_method_get() ||
            request.header().path() != "/metrics") {
            return request.create_response(restinio::status_not_found())
                .set_body("there is GET /metrics\n")
                .done();
        }
        return request.create_response()
            .append_header(restinio::http_field::content_type,
                           std::string(batching::prometheus_content_type))
            .set_body(page())
            .done();
    }

    std::uint16_t port_ = 0;
    restinio::running_server_handle_t<Traits> server_;
};
