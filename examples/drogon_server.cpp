// The web application of http_server.cpp in Drogon, each of whose handlers is a Drogon coroutine.
//
//     drogon_server [PORT]    on loopback; 8080 if not given, 0: any free one
//
//     curl http://127.0.0.1:8080/square_root/9
//     curl http://127.0.0.1:8080/shout/hello
//
// Requests that come at the same time meet in a batch. Ctrl-C or SIGTERM: the stats are printed.
#include <drogon/drogon.h>
#include <fmt/format.h>

#include <batcher.hpp>
#include <cstdint>
#include <cstdio>
#include <exception>
#include <string>
#include <utility>

#include "web.hpp"

namespace {

using drogon::app, drogon::HttpRequestPtr, drogon::HttpResponsePtr;

HttpResponsePtr response(drogon::HttpStatusCode status, const std::string& body) {
    const HttpResponsePtr made = drogon::HttpResponse::newHttpResponse();
    made->setStatusCode(status);
    made->setBody(body + "\n");
    return made;
}

// GET path with one parameter, which the model answers. After co_await the coroutine goes on on the
// Batcher's thread, and Drogon lets any thread respond. Elsewhere: .resume_on(executor).
template <class In, class Out>
void add_route(const std::string& path, batching::Batcher<In, Out>& model) {
    auto answer = [&model](HttpRequestPtr, In item) -> drogon::Task<HttpResponsePtr> {
        try {
            const Out result = co_await model.process(std::move(item));
            co_return response(drogon::k200OK, fmt::format("{}", result));
        } catch (const batching::Error& error) {  // too busy, or closing
            co_return response(drogon::k503ServiceUnavailable, error.what());
        } catch (const std::exception& error) {
            co_return response(drogon::k500InternalServerError, error.what());
        }
    };
    // Moved, as Drogon would keep no more than a reference to `answer` itself.
    app().registerHandlerViaRegex(path, std::move(answer), {drogon::Get});
}

void serve(std::uint16_t port) {
    batching::Batcher roots{web::square_roots};
    batching::Batcher shouts{batching::replicas(3, [](std::size_t i) { return web::Shouter(i); }),
                             {.max_batch_size = 8, .max_queue_size = 1000}};

    add_route(R"(/square_root/(\d{1,9}))", roots);
    add_route("/shout/([A-Za-z]+)", shouts);
    app().registerBeginningAdvice([] {
        fmt::print("listening on http://{}\n", app().getListeners().front().toIpPort());
        std::fflush(stdout);
    });
    app().setLogLevel(trantor::Logger::kWarn).setThreadNum(1).addListener("127.0.0.1", port).run();
    fmt::print("\nsquare_root\n{}\n\nshout\n{}\n", roots.stats(), shouts.stats());
}

}  // namespace

int main(int argc, char** argv) { return web::run(argc, argv, "drogon_server", serve); }
