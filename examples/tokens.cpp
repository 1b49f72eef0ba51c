// Texts of different lengths: a model takes a batch as a rectangle, so each text is padded to the length of the longest.
//
// What a batch costs is its rectangle, not how many texts are in it. So only texts of similar length share a batch (their
// key), and a batch is full when it has so many tokens (their weight).
#include <fmt/format.h>

#include <algorithm>
#include <asio.hpp>
#include <batcher.hpp>
#include <bit>
#include <random>
#include <vector>

using Text = std::vector<int>;  // tokens

// How much of what the model has worked on was text.
struct Work {
    std::size_t batches = 0;
    std::size_t tokens = 0;
    std::size_t rectangles = 0;
    std::size_t largest = 0;
};

// In place of a model: it only counts.
auto model(Work& work) {
    return [&work](const std::vector<Text>& texts) {
        std::size_t longest = 0;
        for (const Text& text : texts) {
            work.tokens += text.size();
            longest = std::max(longest, text.size());
        }
        ++work.batches;
        work.rectangles += longest * texts.size();
        work.largest = std::max(work.largest, longest * texts.size());
        return std::vector<float>(texts.size(), 0.5F);
    };
}

// Most texts are short.
std::vector<Text> some_texts() {
    std::mt19937 random(1);
    std::lognormal_distribution<double> length(3.5, 0.9);
    std::vector<Text> texts;
    for (int i = 0; i < 4'000; ++i) {
        texts.emplace_back(
            std::clamp<std::size_t>(static_cast<std::size_t>(length(random)), 1, 512));
    }
    return texts;
}

asio::awaitable<void> embed(batching::Batcher<Text, float>& batcher, Text text) {
    co_await batcher.process(std::move(text));
}

void run(const char* name, batching::Batcher<Text, float>& batcher, const Work& work) {
    asio::io_context context;
    for (Text& text : some_texts()) {
        asio::co_spawn(context, embed(batcher, std::move(text)), asio::detached);
    }
    context.run();
    fmt::print(
        "{:34} {:7} {:15} {:8.0f} %\n", name, work.batches, work.largest,
        100 - 100.0 * static_cast<double>(work.tokens) / static_cast<double>(work.rectangles));
}

int main() {
    using namespace batching;
    const auto tokens = [](const Text& text) { return text.size(); };
    // 1, 2, 3 to 4, 5 to 8 and so on: no text is padded to more than twice its length.
    const auto length_class = [](const Text& text) { return std::bit_width(text.size() - 1); };

    fmt::print("{:34} {:>7} {:>15} {:>10}\n", "", "batches", "largest, tokens", "padding");

    Work plain;
    Batcher by_count{model(plain), {.max_batch_size = 64}};
    run("64 texts", by_count, plain);

    Work similar;
    Batcher by_length{model(similar), {.max_batch_size = 64}, key_by(length_class)};
    run("64 texts of similar length", by_length, similar);

    Work weighed;
    // --8<-- [start:batcher]
    Batcher by_tokens{model(weighed),
                      {.max_batch_size = 1'024, .max_batch_weight = 4'096},
                      weigh(tokens),
                      key_by(length_class)};
    // --8<-- [end:batcher]
    run("4,096 tokens of similar length", by_tokens, weighed);
}
