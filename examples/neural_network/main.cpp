// A neural network in OpenVINO: everybody asks for the digit of one image, and one inference answers
// all who ask at the same time.
//
//     neural_network MODEL [SECONDS]   how fast that is; so long for each line of each table
//     neural_network MODEL -           recognises what it reads, the number of an image a line
//
// MODEL is digits.onnx, which train.py has made.
#include <algorithm>
#include <batcher.hpp>
#include <memory>
#include <openvino/openvino.hpp>

#include "../load.hpp"
#include "answer.hpp"
#include "questions.hpp"
#include "requests.hpp"

namespace {

using namespace std::chrono_literals;

// OpenVINO prepares an inference for the size of its batch, when that size comes for the first time.
const std::vector<std::size_t> sizes{1, 8, 32, 128, 256};

// --8<-- [start:network]
// The batch function. The first dimension of the network's input is as long as the batch.
class Network {
public:
    explicit Network(ov::CompiledModel model) : request_(model.create_infer_request()) {
        for (const std::size_t size : sizes) (*this)(std::vector<Image>(size));  // no caller waits
    }

    std::vector<Answer> operator()(std::vector<Image> images) {
        request_.set_input_tensor(tensor(images.data(), images.size()));
        request_.infer();
        return answers(request_.get_output_tensor());
    }

private:
    ov::InferRequest request_;
};
// --8<-- [end:network]

// Each infer request runs one batch at a time.
using Recogniser = batching::Batcher<Image, Answer>;
Recogniser recogniser(const ov::CompiledModel& model, std::size_t requests) {
    const auto request = [&](std::size_t) { return batching::pad_to(sizes, Network(model)); };
    return Recogniser{batching::replicas(requests, request),
                      {.max_batch_size = sizes.back(), .latency_target = 1ms}};
}

// An inference runs on one core, as many at a time as there are cores. (With the hint LATENCY one runs
// on all of them, and waits for the last.) No core is its own: others use this machine, too.
ov::CompiledModel compile(ov::Core& core, const std::string& path) {
    return core.compile_model(path, "CPU",
                              ov::hint::performance_mode(ov::hint::PerformanceMode::THROUGHPUT),
                              ov::hint::enable_cpu_pinning(false));
}

Questions questions_for(const ov::CompiledModel& model) {
    Network network(model);
    return Questions([&](const Image& image) { return network({image}).front(); });
}

// Each with an infer request of its own.
load::Mode threads(const ov::CompiledModel& model, const Questions& questions, unsigned count) {
    load::Mode mode{fmt::format("{} threads, an image at a time", count)};
    for (unsigned i = 0; i < count; ++i) {
        const auto network = std::make_shared<Network>(model);
        mode.threads.push_back([=, &questions](std::size_t n) { (*network)({questions[n]}); });
    }
    return mode;
}

void measure(const std::string& path, load::Seconds seconds) {
    ov::Core core;
    const ov::CompiledModel model = compile(core, path);
    const Questions questions = questions_for(model);
    Requests requests(model);
    Requests gathered(compile_batches(core, path, 1)), at_once(compile_batches(core, path, 0));
    Recogniser one = recogniser(model, 1), two = recogniser(model, 2);
    const std::vector<load::Mode> modes{
        threads(model, questions, std::max(1U, std::thread::hardware_concurrency())),
        questions.mode("OpenVINO's asynchronous requests", requests, false),
        questions.mode("OpenVINO's BATCH:CPU(16), 1 ms", gathered, true),
        questions.mode("OpenVINO's BATCH:CPU(16), 0 ms", at_once, true),
        questions.mode("1 infer request, up to 256 images", one, true),
        questions.mode("2 infer requests, up to 256 images each", two, true)};
    asio::io_context context;
    load::Bench bench(context, seconds);
    bench.closed(1, modes);
    bench.open(1'000, modes);
    bench.closed(200, modes);
    fmt::print("\n2 infer requests\n{}\n", two.stats());
}

void answer(const std::string& path) {
    ov::Core core;
    const ov::CompiledModel model = compile(core, path);
    const Questions questions = questions_for(model);
    asio::io_context context;
    Recogniser network = recogniser(model, 2);
    load::answer_lines(context, [&](std::string line) -> asio::awaitable<std::string> {
        const Answer answer = co_await questions.ask(network, std::stoul(line));
        co_return fmt::format("{} is a {}, {:.3f}", line, answer.digit, answer.probability);
    });
}

}  // namespace

int main(int argc, char** argv) {
    return load::run(argc, argv, "neural_network", "MODEL", measure, answer);
}
