// This library: the same call, in this process or in another.
#pragma once

#include <asio.hpp>
#include <batcher/grpc.hpp>
#include <competitors/remote/questions.hpp>
#include <string>
#include <utility>

namespace bench {

// Callers on an io_context, the deployment in another process.
template <class AnyQuestion>
class Handle {
public:
    using question_type = AnyQuestion;
    using answer_type = typename AnswerTo<AnyQuestion>::type;

    Handle(asio::io_context& context, const std::string& address, std::string name)
        : batcher_(batching::grpc::connect<AnyQuestion, answer_type>(context, address,
                                                                     std::move(name))) {}

    auto process(const Question& question) { return batcher_.process(AnyQuestion{question}); }

private:
    batching::Batcher<AnyQuestion, answer_type> batcher_;
};

// Callers that block.
template <class AnyQuestion>
class BlockingHandle {
public:
    BlockingHandle(const std::string& address, std::string name)
        : batcher_(batching::grpc::connect<AnyQuestion, typename AnswerTo<AnyQuestion>::type>(
              address, std::move(name))) {}

    Answer process(const Question& question) {
        return batcher_.process(AnyQuestion{question}).get();
    }

private:
    batching::Batcher<AnyQuestion, typename AnswerTo<AnyQuestion>::type> batcher_;
};

// No other process: callers on an io_context, the function on a worker.
class InProcess {
public:
    explicit InProcess(asio::io_context& context)
        : callers_(context.get_executor()),
          batcher_(Function{},
                   {.max_batch_size = 1024, .batch_timeout = std::chrono::nanoseconds::zero()}) {}

    auto process(const Question& question) {
        return batcher_.process(question).resume_on(callers_);
    }

private:
    struct Function {
        std::vector<Answer> operator()(const std::vector<Question>& questions) const {
            return AnswerAll(std::chrono::nanoseconds::zero())(questions);
        }
    };

    asio::io_context::executor_type callers_;
    batching::Batcher<Question, Answer> batcher_;
};

}  // namespace bench
