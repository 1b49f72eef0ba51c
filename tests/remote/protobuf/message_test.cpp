// Messages as protoc generates them, through deploy() and connect().
#include "deployed.hpp"

#include "test_messages.pb.h"

using namespace test;
using batching::Codec;
using batching::errc;
namespace messages = batcher::test;

static_assert(batching::detail::ProtobufMessage<messages::Question>);

TEST_CASE("protobuf messages go to a deployment and come back") {
    batching::Batcher<messages::Question, messages::Answer> model(
        [](const std::vector<messages::Question>& questions) {
            std::vector<messages::Answer> answers(questions.size());
            for (std::size_t i = 0; i < questions.size(); ++i) {
                answers[i].set_id(questions[i].id());
                double sum = 0;
                for (const float number : questions[i].numbers()) sum += number;
                answers[i].set_sum(sum);
            }
            return answers;
        },
        at_once);
    const auto deployment = rpc::deploy({.listen = "127.0.0.1:0"}, "sum", model);
    auto handle = rpc::connect<messages::Question, messages::Answer>(deployment.address(), "sum");
    std::vector<messages::Question> questions(100);
    for (int i = 0; i < 100; ++i) {
        auto& question = questions[static_cast<std::size_t>(i)];
        question.set_id(i);
        for (int n = 0; n < i; ++n) question.add_numbers(0.5F);
    }
    const std::vector<messages::Answer> answers = handle.process_many(questions).get();
    REQUIRE(answers.size() == 100);
    for (int i = 0; i < 100; ++i) {
        CHECK(answers[static_cast<std::size_t>(i)].id() == i);
        CHECK(answers[static_cast<std::size_t>(i)].sum() == i * 0.5);
    }

    const auto incomplete = call(handle, messages::Question());
    CHECK(incomplete.error == errc::malformed);
    CHECK(contains(incomplete.sentence,
                   "a batcher.test.Question lacks a required field, or is too large"));

    auto other = rpc::connect<messages::Answer, messages::Answer>(deployment.address(), "sum");
    const auto mismatch = call(other, messages::Answer());
    CHECK(mismatch.error == errc::schema_mismatch);
    CHECK(contains(mismatch.sentence,
                   "batcher.test.Answer -> batcher.test.Answer, and the "
                   "deployment's are batcher.test.Question -> "));
}

TEST_CASE("bytes that are no protobuf message are refused") {
    CHECK(contains(sentence_of([] { Codec<messages::Question>::decode("\x12\xff"); }),
                   "2 bytes are no message of type batcher.test.Question"));
    CHECK(sentence_of([] { Codec<messages::Question>::decode(""); }) !=
          "");  // without what is required
}
