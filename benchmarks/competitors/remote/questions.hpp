// What all contenders of the table `remote` carry: 32 bytes there, 16 back, of a function that costs nothing.
#pragma once

#include <fmt/format.h>
#include <time.h>

#include <batcher/codec.hpp>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

namespace bench {

struct Question {
    std::uint64_t id = 0;
    double a = 0;
    double b = 0;
    double c = 0;
    MSGPACK_DEFINE(id, a, b, c)
};
struct Answer {
    std::uint64_t id = 0;
    double y = 0;
    MSGPACK_DEFINE(id, y)
};
static_assert(sizeof(Question) == 32 && sizeof(Answer) == 16);

// The same as they lie in memory, by a codec that does nothing but copy.
struct RawQuestion : Question {};
struct RawAnswer : Answer {};

template <class T>
T from_memory(std::string_view bytes) {
    if (bytes.size() != sizeof(T)) throw std::runtime_error("a value has another size");
    T value;
    std::memcpy(static_cast<void*>(&value), bytes.data(), sizeof(T));
    return value;
}
template <class T>
std::string_view memory_of(const T& value) {
    return {reinterpret_cast<const char*>(&value), sizeof(T)};
}

template <class AnyQuestion>
struct AnswerTo {
    using type = Answer;
};
template <>
struct AnswerTo<RawQuestion> {
    using type = RawAnswer;
};

template <class AnyQuestion>
auto answer(const AnyQuestion& question) {
    typename AnswerTo<AnyQuestion>::type result;
    result.id = question.id;
    result.y = question.a + 2 * question.b + question.c;
    return result;
}

// The batch function. It takes `per_call` as a model on another device does: this processor is free then.
class AnswerAll {
public:
    explicit AnswerAll(std::chrono::nanoseconds per_call) : per_call_(per_call) {}

    template <class AnyQuestion>
    auto operator()(const std::vector<AnyQuestion>& questions) const {
        if (per_call_.count() != 0) {
            const timespec time{0, per_call_.count()};
            nanosleep(&time, nullptr);
        }
        std::vector<typename AnswerTo<AnyQuestion>::type> answers;
        answers.reserve(questions.size());
        for (const auto& question : questions) answers.push_back(answer(question));
        return answers;
    }

private:
    std::chrono::nanoseconds per_call_;
};

inline void check_answer(const Question& question, const Answer& got) {
    const Answer right = answer(question);
    if (got.id == right.id && got.y == right.y) return;
    fmt::print(stderr, "wrong answer to question {}\n", question.id);
    std::abort();
}

}  // namespace bench

template <>
struct batching::Codec<bench::RawQuestion> {
    static std::string schema() { return "RawQuestion"; }
    static void encode(const bench::RawQuestion& q, std::string& out) {
        out += bench::memory_of(q);
    }
    static bench::RawQuestion decode(std::string_view bytes) {
        return bench::from_memory<bench::RawQuestion>(bytes);
    }
};
template <>
struct batching::Codec<bench::RawAnswer> {
    static std::string schema() { return "RawAnswer"; }
    static void encode(const bench::RawAnswer& a, std::string& out) { out += bench::memory_of(a); }
    static bench::RawAnswer decode(std::string_view bytes) {
        return bench::from_memory<bench::RawAnswer>(bytes);
    }
};
