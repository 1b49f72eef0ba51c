// Estimate: what a batch of a size will take, judged by those that ran lately, and what follows from it for
// calls with deadlines: how many go into a batch, which of them are let go, and which do not come in.
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
#include <batcher/detail/core/call.hpp>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <optional>

namespace batching::detail {

// The run time of a batch: a fixed part and one per item, neither negative. Least squares in which a batch counts
// for less the more have run since. Times are in nanoseconds.
class RunTimeModel {
public:
    static constexpr int learning = 8;  // batches until it is worth something

    void completed(double size, double time) noexcept {
        // The first batches often take seconds, as they load a model. Calls must not be let go for that long
        // afterwards. (In the simulation it made no difference. With a half instead of a quarter, noise of 30 %
        // set it off: worst 0.83.)
        if (batches_ > 0 && time < at(size) / 4) weigh_down(0.5);
        // One stall says nothing of the next batch, so it counts as at most twice what was expected. (Not less
        // than a microsecond, or it would never leave 0.)
        if (known()) time = std::min(time, 2 * std::max(at(size), 1000.0));
        if (batches_ > 2) note_deviation(size, time);
        weigh_down(1 - 1.0 / memory);
        weight_ += 1;
        sizes_ += size;
        times_ += time;
        size_squares_ += size * size;
        products_ += size * time;
        ++batches_;
        fit();
    }

    bool known() const noexcept { return batches_ >= learning; }
    double at(double size) const noexcept { return fixed_ + per_item_ * size; }
    double fixed() const noexcept { return fixed_; }
    double per_item() const noexcept { return per_item_; }

    // Standard deviation of a run time, as a share of it. (That of a normal distribution is 1.25 times its mean
    // deviation, which a stall distorts less.)
    double deviation() const noexcept { return 1.25 * mean_deviation_; }

private:
    // Batches. 32 to 256 made no difference; this adapts within a second.
    static constexpr double memory = 64;

    void weigh_down(double by) noexcept {
        weight_ *= by;
        sizes_ *= by;
        times_ *= by;
        size_squares_ *= by;
        products_ *= by;
    }

    void note_deviation(double size, double time) noexcept {
        const double expected = at(size);
        const double off = expected > 0 ? std::abs(time / expected - 1) : time > 0 ? 1.0 : 0.0;
        const double gain = std::max(1 / memory, 1.0 / static_cast<double>(batches_ - 2));
        mean_deviation_ += (std::min(off, 1.0) - mean_deviation_) * gain;
    }

    // Where sizes hardly differ they do not say what an item takes. Then half of the time is taken to be fixed: a
    // belief worth a little more than no batch, so that it yields as soon as they do.
    void fit() noexcept {
        const double size = sizes_ / weight_;
        const double time = times_ / weight_;
        const double variance = size_squares_ / weight_ - size * size;
        const double covariance = products_ / weight_ - size * time;
        const double believed = 0.5 * time / size;
        const double worth = 0.16 * size * size / std::min(weight_, memory);
        per_item_ = (covariance + worth * believed) / (variance + worth);
        per_item_ = std::clamp(per_item_, 0.0, time / size);
        fixed_ = std::max(time - per_item_ * size, 0.0);
    }

    std::uint64_t batches_ = 0;
    double fixed_ = 0;
    double per_item_ = 0;
    double mean_deviation_ = 0;

    // Sums over batches.
    double weight_ = 0;
    double sizes_ = 0;
    double times_ = 0;
    double size_squares_ = 0;
    double products_ = 0;
};

// How many calls arrive, lately.
class ArrivalRate {
public:
    // The mean over about two objectives (1: worst 0.87, 4: 0.83, 16: 0.79), looked at as often as needed.
    void sample(Time now, std::uint64_t submitted_so_far, double objective) noexcept {
        if (!first_) {
            first_ = sampled_at_ = now;
            submitted_ = submitted_so_far;
            return;
        }
        const double window = 2 * objective;
        const auto passed = static_cast<double>((now - sampled_at_).count());
        if (passed <= 0 || passed < window / 20) return;
        const auto since_first = static_cast<double>((now - *first_).count());
        const auto arrived = static_cast<double>(submitted_so_far - submitted_);
        rate_ += (arrived / passed - rate_) * passed / std::min(since_first, passed + window);
        sampled_at_ = now;
        submitted_ = submitted_so_far;
    }
    double per_nanosecond() const noexcept { return rate_; }

private:
    std::optional<Time> first_;
    Time sampled_at_{};
    std::uint64_t submitted_ = 0;
    double rate_ = 0;
};

// Everything is O(1). No answer is negative, or so long that it could not be added to an instant. Sizes are 1 or
// more, and so is `most`, the most items of a batch.
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
                         std::max(nanoseconds(run_time), 0.0));
    }

    // A batch is formed: so many calls have come so far. `objective`: see floor().
    void arrived(Time now, std::uint64_t submitted_so_far, Time objective) noexcept {
        arrivals_.sample(now, submitted_so_far, nanoseconds(objective));
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

    // The most items that a batch is likely to finish within the time that is left; 0: not even one.
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
        const double target = std::max(largest(in_turn, most), 1.0);
        const double for_throughput = needed(0.95 * target, model_.at(target), 1);
        const double for_arrivals = needed(spare * arrivals_.per_nanosecond(), 1, slots_);
        return std::max<std::size_t>(count(std::min({target, for_throughput, for_arrivals}), most),
                                     1);
    }

    // By how much a call would miss its timeout that came now, with so many ahead of it; nothing: it may come in. Even
    // the smallest batch would not save it. One that a slot is free for always comes in: it delays nobody, and
    // were it refused after a slow time, nothing would ever show that this is over.
    std::optional<Time> hopeless_by(std::size_t ahead, std::size_t free_slots, Time timeout,
                                    std::size_t most) const noexcept {
        if (!known() || ahead < free_slots) return std::nullopt;
        const double left = nanoseconds(timeout);
        const double size = std::max(largest(left, most), 1.0);
        const double at_once = static_cast<double>(free_slots) * size;
        const double waiting = std::max(static_cast<double>(ahead) - at_once, 0.0);
        const double late_by = waiting * (model_.at(size) / (slots_ * size)) + model_.at(1) - left;
        if (late_by <= 0) return std::nullopt;
        return time(late_by);
    }

    // With this timeout a call that came now, with so many ahead of it, is not hopeless: it has time for a full batch
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
        constexpr Time longest = Time::max() / 2;
        if (nanoseconds >= static_cast<double>(longest.count())) return longest;
        return Time(static_cast<Time::rep>(std::ceil(std::max(nanoseconds, 0.0))));
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
