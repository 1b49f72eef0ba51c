// An existing web application, in RESTinio on one event loop, whose handlers call models item by item.
//
//     http_server [PORT]    on loopback; 8080 if not given, 0: any free one
//
//     curl http://127.0.0.1:8080/square_root/9
//     curl http://127.0.0.1:8080/shout/hello
//
// Requests that come at the same time meet in a batch. Each route has its own model, with as many
// replicas as it needs. Ctrl-C or SIGTERM: what was asked is answered, and the stats are printed.
// drogon_server.cpp is the same in another framework.
#include <fmt/format.h>

#include <asio.hpp>
#include <batcher.hpp>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <exception>
#include <memory>
#include <restinio/all.hpp>
#include <string>
#include <system_error>
#include <utility>

#include "web.hpp"

namespace {

using namespace std::chrono_literals;

using Router = restinio::router::express_router_t<>;
struct Traits : restinio::default_single_thread_traits_t {
    using request_handler_t = Router;
};
using Server = restinio::http_server_t<Traits>;

void respond(const restinio::request_handle_t& request, restinio::http_status_line_t status,
             const std::string& body) {
    request->create_response(std::move(status)).set_body(body + "\n").done();
}

// --8<-- [start:answer]
template <class In, class Out>
asio::awaitable<void> answer(restinio::request_handle_t request, batching::Batcher<In, Out>& model,
                             In item) {
    try {
        const Out result = co_await model.process(std::move(item));
        respond(request, restinio::status_ok(), fmt::format("{}", result));
    } catch (const batching::Error& error) {  // too busy, or closing
        respond(request, restinio::status_service_unavailable(), error.what());
    } catch (const std::exception& error) {
        respond(request, restinio::status_internal_server_error(), error.what());
    }
}
// --8<-- [end:answer]

// GET path with one parameter, "item", answered by the model.
template <class In, class Out>
void add_route(Router& router, asio::io_context& event_loop, const char* path,
               batching::Batcher<In, Out>& model) {
    router.http_get(path, [&](const auto& request, const auto& parameters) {
        In item = restinio::cast_to<In>(parameters["item"]);
        asio::co_spawn(event_loop, answer(request, model, std::move(item)), asio::detached);
        return restinio::request_accepted();
    });
}

void serve(std::uint16_t port) {
    // --8<-- [start:models]
    // Either of them may be a handle, the routes do not see it:
    //   auto roots = batching::grpc::connect<double, double>("dns:///roots:9000", "square_root");
    batching::Batcher roots{web::square_roots};
    batching::Batcher shouts{batching::replicas(3, [](std::size_t i) { return web::Shouter(i); }),
                             {.max_batch_size = 8, .max_queue_size = 1000}};
    // --8<-- [end:models]

    asio::io_context event_loop;
    auto router = std::make_unique<Router>();
    add_route(*router, event_loop, R"(/square_root/:item(\d{1,9}))", roots);
    add_route(*router, event_loop, R"(/shout/:item([A-Za-z]+))", shouts);
    router->non_matched_request_handler([](const auto& request) {
        respond(request, restinio::status_not_found(), "there are /square_root/9 and /shout/hello");
        return restinio::request_accepted();
    });

    Server server(
        restinio::external_io_context(event_loop), [&](restinio::server_settings_t<Traits>& s) {
            s.address("127.0.0.1").port(port).request_handler(std::move(router));
            s.read_next_http_message_timelimit(1s);  // how long an idle connection delays the end
            s.acceptor_post_bind_hook([](asio::ip::tcp::acceptor& acceptor) {
                fmt::print("listening on http://127.0.0.1:{}\n", acceptor.local_endpoint().port());
                std::fflush(stdout);
            });
        });
    server.open_sync();

    asio::signal_set signals(event_loop, SIGINT, SIGTERM);
    signals.async_wait([&](const std::error_code&, int) { server.close_sync(); });
    event_loop.run();  // until all connections have ended, too
    fmt::print("\nsquare_root\n{}\n\nshout\n{}\n", roots.stats(), shouts.stats());
}

}  // namespace

int main(int argc, char** argv) { return web::run(argc, argv, "http_server", serve); }
