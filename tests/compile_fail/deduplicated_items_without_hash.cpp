// expect: deduplicate() compares the items: this Batcher's In needs ==, a std::hash and a copy constructor
#include <batcher.hpp>
#include <string>
#include <vector>

struct Question {
    std::string text;
    bool operator==(const Question&) const = default;
};

std::vector<int> answer(std::vector<Question> items);

#if defined(CORRECTED)
batching::Batcher batcher{answer, {}, batching::deduplicate_by(&Question::text)};
#else
batching::Batcher batcher{answer, {}, batching::deduplicate()};
#endif
