// oneTBB: a serial node gathers items into batches, a second node runs them and resumes the callers. It
// has no timeout: a batch that does not fill leaves when somebody calls flush().
#pragma once

#include <tbb/flow_graph.h>
#include <tbb/global_control.h>
#include <tbb/task_arena.h>

#include <competitors/rules.hpp>
#include <coroutine>
#include <cstddef>
#include <load.hpp>
#include <memory>
#include <tuple>
#include <utility>
#include <vector>

namespace bench {

class TbbFlowGraph {
    struct Node {
        int input;
        int result = 0;
        std::coroutine_handle<> caller{};
    };
    using Batch = std::vector<Node*>;
    using Gather = tbb::flow::multifunction_node<Node*, std::tuple<Batch*>>;

public:
    class Call : Node {
    public:
        Call(TbbFlowGraph& batcher, int x) : Node{x}, batcher_(batcher) {}
        bool await_ready() const noexcept { return false; }
        void await_suspend(std::coroutine_handle<> handle) {
            this->caller = handle;
            batcher_.gather_.try_put(this);
        }
        int await_resume() const noexcept { return this->result; }

    private:
        TbbFlowGraph& batcher_;
    };

    explicit TbbFlowGraph(const Rules& rules)
        : rules_(rules),
          gather_(graph_, tbb::flow::serial,
                  [this](Node* node, Gather::output_ports_type& ports) { gather(node, ports); }),
          run_(graph_, tbb::flow::unlimited,
               [](Batch* batch) { run(std::unique_ptr<Batch>(batch)); }) {
        waiting_.reserve(rules.max_batch_size);
        tbb::flow::make_edge(tbb::flow::output_port<0>(gather_), run_);
    }

    Call process(int x) { return {*this, x}; }
    void flush() { gather_.try_put(nullptr); }
    void wait() { graph_.wait_for_all(); }

private:
    void gather(Node* node, Gather::output_ports_type& ports) {
        if (node != nullptr) waiting_.push_back(node);
        const bool flush = node == nullptr && !waiting_.empty();
        if (waiting_.size() < rules_.max_batch_size && !flush) return;
        auto batch = std::make_unique<Batch>();
        batch->reserve(rules_.max_batch_size);
        batch->swap(waiting_);
        std::get<0>(ports).try_put(batch.release());
    }

    static void run(std::unique_ptr<Batch> batch) {
        std::vector<int> inputs;
        inputs.reserve(batch->size());
        for (const Node* node : *batch) inputs.push_back(node->input);
        const std::vector<int> results = twice(inputs);
        for (std::size_t i = 0; i < results.size(); ++i) {
            (*batch)[i]->result = results[i];
            (*batch)[i]->caller.resume();
        }
    }

    const Rules rules_;
    Batch waiting_;
    tbb::flow::graph graph_;
    Gather gather_;
    tbb::flow::function_node<Batch*> run_;
};

// Callers and batch function on `threads` threads of TBB's, this one among them. TBB's own run where the one that starts
// them may run.
inline double callers_on_tbb(std::size_t callers, std::size_t items, const Rules& rules,
                             std::size_t threads) {
    if (threads > 1) unpin_this_thread();
    const tbb::global_control limit(tbb::global_control::max_allowed_parallelism, threads);
    tbb::task_arena arena(static_cast<int>(threads));
    ClosedLoop loop(1);
    loop.expect(callers);
    SharedLap lap(loop, callers, items);
    arena.execute([&] {
        TbbFlowGraph batcher(rules);
        for (std::size_t i = 0; i < callers; ++i) {
            call_again_and_again(batcher, lap, static_cast<int>(i));
        }
        batcher.wait();
        while (loop.callers_left() > 0) {
            batcher.flush();
            batcher.wait();
        }
    });
    return nanoseconds_between(lap.clock().began(), lap.clock().ended()) /
           static_cast<double>(items);
}

}  // namespace bench
