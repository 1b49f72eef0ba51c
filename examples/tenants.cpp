// Tenants: one asks for ten times as much as another. With a key for each, every tenant gets its share.
#include <fmt/format.h>

#include <algorithm>
#include <asio.hpp>
#include <batcher.hpp>
#include <chrono>
#include <string>
#include <thread>
#include <vector>

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

struct Question {
    std::string tenant;
    int number = 0;
};

// 4 ms for up to 16 questions.
std::vector<int> answer(const std::vector<Question>& batch) {
    std::this_thread::sleep_for(2ms + 125us * batch.size());
    std::vector<int> answers;
    for (const Question& question : batch) answers.push_back(question.number);
    return answers;
}

using Model = batching::Batcher<Question, int>;

// Asks again and again, and notes how long the answers took, in ms.
asio::awaitable<void> ask(Model& model, std::string tenant, Clock::time_point end,
                          std::vector<double>& times) {
    for (int i = 0; Clock::now() < end; ++i) {
        const auto began = Clock::now();
        co_await model.process({tenant, i});
        times.push_back(std::chrono::duration<double, std::milli>(Clock::now() - began).count());
    }
}

double median(std::vector<double>& times) {
    const auto middle = times.begin() + static_cast<std::ptrdiff_t>(times.size() / 2);
    std::nth_element(times.begin(), middle, times.end());
    return *middle;
}

void run(const char* name, Model& model, int of_large) {
    std::vector<double> small;
    std::vector<double> large;
    asio::io_context context;
    const auto end = Clock::now() + 500ms;
    for (int i = 0; i < 16; ++i) {
        asio::co_spawn(context, ask(model, "small", end, small), asio::detached);
    }
    for (int i = 0; i < of_large; ++i) {
        asio::co_spawn(context, ask(model, "large", end, large), asio::detached);
    }
    context.run();
    fmt::print("{:38} {:6.1f} ms\n", name, median(small));
}

int main() {
    // --8<-- [start:batcher]
    const batching::Options options{.max_batch_size = 16};
    const auto tenant_of = [](const Question& question) { return question.tenant; };
    Model one_queue{answer, options};
    Model tenants{answer, options, batching::key_by(tenant_of)};
    // --8<-- [end:batcher]

    fmt::print("what the small tenant waits for an answer\n\n");
    run("alone", one_queue, 0);
    run("beside the large one, in one queue", one_queue, 160);
    run("beside the large one, a key for each", tenants, 160);
}
