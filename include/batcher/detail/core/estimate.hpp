// Estimate: what a batch of a size (in items, or in weight: sizes.hpp) will take, judged by those that ran lately, and what
// follows from it for calls with deadlines: how many go into a batch, which of them are let go, and which do not come in.
//
//     shrink    a batch takes as many as its first call's deadline admits: largest_meeting()
//               but no fewer than the throughput needs, or an overload would end in tiny batches: floor()
//     drop      a call is let go when it would be late anyway: run_time_with_margin()
//     refuse    a call does not come in when those ahead of it would make it late: hopeless_by()
//
// The rules and constants were simulated: one queue, 1, 2 and 8 slots, three functions, run times that vary by
// 0, 10 and 30 % or stall, Poisson, bursty and alternating arrivals. The rate of which 99 % were in time was
// 0.996 of what the best of 7 other policies and of 45 fixed settings had: the mean of 144 cases, without those
// that were beyond all of them; in the worst 0.89. "worst" below is that figure with another constant.
//
// What it cannot know: a run time that is not about linear in the size; and that a slow time is over, if nothing
// runs. So a call is not let go that is the only one, while no batch runs.
#pragma once

#include <algorithm>
#include <batcher/detail/core/arrival_rate.hpp>
#include <batcher/detail/core/call.hpp>
#include <batcher/detail/core/run_time_model.hpp>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <optional>

namespace batching::detail {

// Everything is O(1). No answer is negative, or so long that it could not be added to an instant. Sizes are 1 or
// more (less counts as 1), and so is `most`, the largest size of a batch.
class Estimate {
public:
    explicit Estimate(std::size_t slots) noexcept { run_on(slots); }

    // From now on there are so many slots.
    void run_on(std::size_t slots) noexcept {
        slots_ = static_cast<double>(std::max<std::size_t>(slots, 1));
    }

    // ---- what happens -----------------------------------------------------------------------------------

    // A batch has run, from when it was formed.
    void completed(std::size_t size, Time run_time) noexcept {
        model_.completed(static_cast<double>(std::max<std::size_t>(size, 1)),
                         (std::max)(nanoseconds(run_time), 0.0));
    }

    // A batch is formed: so much has come so far. `objective`: see floor().
    void arrived(Time now, std::uint64_t came_so_far, Time objective) noexcept {
        arrivals_.sample(now, came_so_far, nanoseconds(objective));
    }

    // ---- what follows -----------------------------------------------------------------------------------

    // Whether enough batches have run; until then what is below is worth nothing, and batches take what waits.
    bool known() const noexcept { return model_.known(); }

    // What is known of run times, in nanoseconds: RunTimeModel.
    const RunTimeModel& run_times() const noexcept { return model_; }

    Time run_time(std::size_t size) const noexcept {
        return time(model_.at(static_cast<double>(size)));
    }

    // By this a call is let go: it would be late even if its batch took no longer than most do. One deviation: to
    // let go is a sure loss. (None loses 5 % of an overload, at worst 20 %; two lose where run times vary.)
    Time run_time_with_margin(std::size_t size) const noexcept {
        return time(model_.at(static_cast<double>(size)) * (1 + model_.deviation()));
    }

    // The largest batch that is likely to finish within the time that is left; 0: not even one of 1.
    std::size_t largest_within(Time left, std::size_t most) const noexcept {
        return count(largest(nanoseconds(left), most), most);
    }

    // The same, and almost certainly. The more slots, the surer: with one a smaller batch delays all that are behind
    // it, with eight it costs little. 0.5, 1.75 and 2.7 deviations for 1, 2 and 8 slots. (1 for all: worst 0.35, 2
    // for all: 0.78.)
    std::size_t largest_meeting(Time left, std::size_t most) const noexcept {
        return count(largest(nanoseconds(left) / surely(), most), most);
    }
    // With so much time left a batch of `size` is no larger than that.
    Time met_by(std::size_t size) const noexcept {
        return time(model_.at(static_cast<double>(size)) * surely());
    }

    // No batch is made smaller than this. `objective`: the time in which the call that is served next has to be done,
    // from its arrival. With 95 % of the throughput of batches that all can wait for, when slots take turns, and run
    // within it (85 %: 5 % less of an overload, 100 %: worst 0.85); but no more than what arrives now needs, or
    // small batches would not save a short burst (worst 0.15). `spare`: with so many times what arrives.
    std::size_t floor(Time objective, std::size_t most, double spare = 1) const noexcept {
        const double in_turn = nanoseconds(objective) * (slots_ / (slots_ + 1));
        const double target = (std::max)(largest(in_turn, most), 1.0);
        const double for_throughput = needed(0.95 * target, model_.at(target), 1);
        const double for_arrivals = needed(spare * arrivals_.per_nanosecond(), 1, slots_);
        return std::max<std::size_t>(
            count((std::min)({target, for_throughput, for_arrivals}), most), 1);
    }

    // By how much a call of a size would miss its timeout that came now, with so much ahead of it; nothing: it may come
    // in. Even the smallest batch would not save it. One that a slot is free for always comes in: it delays nobody, and
    // were it refused after a slow time, nothing would ever show that this is over.
    std::optional<Time> hopeless_by(std::size_t ahead, std::size_t free_slots, Time timeout,
                                    std::size_t most, std::size_t own = 1) const noexcept {
        if (!known() || ahead < free_slots) return std::nullopt;
        const double left = nanoseconds(timeout);
        const double size = (std::max)(largest(left, most), 1.0);
        const double at_once = static_cast<double>(free_slots) * size;
        const double waiting = (std::max)(static_cast<double>(ahead) - at_once, 0.0);
        const double late_by = waiting * (model_.at(size) / (slots_ * size)) +
                               model_.at(static_cast<double>(std::max<std::size_t>(own, 1))) - left;
        if (late_by <= 0) return std::nullopt;
        return time(late_by);
    }

    // With this timeout a call that came now, with so much ahead of it, is not hopeless: it has time for a full batch
    // after theirs.
    Time ample(std::size_t ahead, std::size_t most) const noexcept {
        const double full = model_.at(static_cast<double>(most));
        const double batches = static_cast<double>(ahead) / static_cast<double>(most);
        return time(batches * full / slots_ + full + model_.at(1));
    }

    // How long it takes on average until a batch of `most` makes room in a queue that is full; nothing: not known.
    std::optional<Time> until_next(std::size_t most) const noexcept {
        if (!known()) return std::nullopt;
        return time(model_.at(static_cast<double>(most)) / slots_);
    }

private:
    static double nanoseconds(Time time) noexcept { return static_cast<double>(time.count()); }

    // Rounded up, so that a batch fits into its own run time.
    static Time time(double nanoseconds) noexcept {
        constexpr Time longest = (Time::max)() / 2;
        if (nanoseconds >= static_cast<double>(longest.count())) return longest;
        return Time(static_cast<Time::rep>(std::ceil((std::max)(nanoseconds, 0.0))));
    }

    static std::size_t count(double items, std::size_t most) noexcept {
        return items >= static_cast<double>(most) ? most : static_cast<std::size_t>(items);
    }

    // The largest size that takes no longer; 0: there is none.
    double largest(double left, std::size_t most) const noexcept {
        if (left < model_.at(1)) return 0;
        const double limit = static_cast<double>(most);
        if (model_.per_item() <= 0) return limit;
        const double items = (left - model_.fixed()) / model_.per_item();
        return std::clamp(std::floor(items + rounding), 1.0, limit);
    }

    // The smallest size with which some slots finish so many items within a time; infinite: there is none.
    double needed(double items, double within, double slots) const noexcept {
        const double spare = slots * within - items * model_.per_item();
        if (spare <= 0) return std::numeric_limits<double>::infinity();
        return std::ceil(items * model_.fixed() / spare - rounding);
    }

    // How many times as long as expected almost no run takes.
    double surely() const noexcept { return 1 + (3 - 2.5 / slots_) * model_.deviation(); }

    static constexpr double rounding = 1e-9;  // of an item

    double slots_{};
    RunTimeModel model_;
    ArrivalRate arrivals_;
};

}  // namespace batching::detail
