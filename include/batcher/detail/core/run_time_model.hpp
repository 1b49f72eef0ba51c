// RunTimeModel: the run time of a batch, a fixed part and one per item (or unit of weight), neither negative. Least squares
// in which a batch counts for less the more have run since. Times are in nanoseconds. "worst": see estimate.hpp.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>

namespace batching::detail {

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
        if (known()) time = (std::min)(time, 2 * (std::max)(at(size), 1000.0));
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
        const double gain = (std::max)(1 / memory, 1.0 / static_cast<double>(batches_ - 2));
        mean_deviation_ += ((std::min)(off, 1.0) - mean_deviation_) * gain;
    }

    // Where sizes hardly differ they do not say what an item takes. Then half of the time is taken to be fixed: a
    // belief worth a little more than no batch, so that it yields as soon as they do.
    void fit() noexcept {
        const double size = sizes_ / weight_;
        const double time = times_ / weight_;
        const double variance = size_squares_ / weight_ - size * size;
        const double covariance = products_ / weight_ - size * time;
        const double believed = 0.5 * time / size;
        const double worth = 0.16 * size * size / (std::min)(weight_, memory);
        per_item_ = (covariance + worth * believed) / (variance + worth);
        per_item_ = std::clamp(per_item_, 0.0, time / size);
        fixed_ = (std::max)(time - per_item_ * size, 0.0);
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

}  // namespace batching::detail
