// What OpenVINO itself has for many callers: asynchronous infer requests of one image each, as many as
// there are callers, and a device that gathers them into batches.
#pragma once

#include <asio.hpp>
#include <exception>
#include <memory>
#include <openvino/openvino.hpp>
#include <string>
#include <utility>
#include <vector>

#include "answer.hpp"

// For one thread.
class Requests {
public:
    explicit Requests(ov::CompiledModel model) : model_(std::move(model)) {}

    asio::awaitable<Answer> process(Image image) {
        if (free_.empty()) free_.push_back(model_.create_infer_request());
        ov::InferRequest request = std::move(free_.back());
        free_.pop_back();
        request.set_input_tensor(tensor(&image, 1));
        co_await finished(request);
        const Answer answer = answers(request.get_output_tensor()).front();
        free_.push_back(std::move(request));
        co_return answer;
    }

private:
    static asio::awaitable<void> finished(ov::InferRequest& request) {
        return asio::async_initiate<const asio::use_awaitable_t<>, void(std::exception_ptr)>(
            [&request](auto handler) {
                // OpenVINO copies its callback, and calls it on a thread of its own.
                const auto shared = std::make_shared<decltype(handler)>(std::move(handler));
                request.set_callback([shared](std::exception_ptr error) {
                    asio::post(shared->get_executor(),
                               [shared, error] { std::move (*shared)(error); });
                });
                request.start_async();
            },
            asio::use_awaitable);
    }

    ov::CompiledModel model_;
    std::vector<ov::InferRequest> free_;
};

// Batches of 16, or of what there is after so many milliseconds. The network has to be one of one image.
inline ov::CompiledModel compile_batches(ov::Core& core, const std::string& path,
                                         unsigned milliseconds) {
    const std::shared_ptr<ov::Model> one = core.read_model(path);
    one->reshape(ov::PartialShape{1, digits::image_pixels});
    one->get_parameters().front()->set_layout("NC");
    return core.compile_model(one, "BATCH:CPU(16)", ov::auto_batch_timeout(milliseconds),
                              ov::hint::enable_cpu_pinning(false));
}
