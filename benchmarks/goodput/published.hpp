// Policies that others have published, as we have read their papers. They are not those systems: what a system does
// beside choosing batches (placement, admission in front of several machines, priorities) is not here.
//
//     Clipper-like     Crankshaw et al., NSDI '17: the batch size grows by one, and shrinks by a tenth
//     BentoML-like     has no paper; from the description in its source: a regression, the newest calls first
//     Nexus-like       Shen et al., SOSP '19: early drop before a window of the planned size
//     Clockwork-like   Gujarati et al., OSDI '20: the largest batch that the oldest deadline admits
//     Symphony-like    Chen et al., 2023: a batch leaves at the last moment that meets its deadline
//
// The last three know the true mean run times, as those systems profile them beforehand. Where calls have no timeouts
// none is dropped.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <deque>
#include <goodput/policy_server.hpp>
#include <queue>

namespace goodput {

// ---- Clipper --------------------------------------------------------------------------------------------

class ClipperLike final : public Policy {
public:
    explicit ClipperLike(const Scenario& scenario) : objective_(scenario.profile.objective) {}

    Plan plan(const View& view, bool) override {
        return {.start = std::min(view.size(), largest())};
    }
    void completed(Time, std::size_t size, Time run_time) override {
        if (run_time > objective_) {
            largest_ = std::max(0.9 * largest_, 1.0);
        } else if (size >= largest()) {  // a smaller one says nothing of larger ones
            largest_ = std::min(largest_ + 1, static_cast<double>(max_batch_size));
        }
    }

private:
    std::size_t largest() const { return static_cast<std::size_t>(largest_); }

    Time objective_;
    double largest_ = 1;
};

// ---- BentoML --------------------------------------------------------------------------------------------

// A line through the last batches: what one takes of so many calls. Times in ms.
class BentoRegression {
public:
    explicit BentoRegression(double objective)
        : per_item_(std::min(2.0, objective * 2 / 30)), fixed_(std::min(1.0, objective / 30)) {}

    bool trained() const { return batches_ > trained_after; }
    double per_item() const { return per_item_; }
    double fixed() const { return fixed_; }
    double wait() const { return wait_; }

    void completed(Time now, double size, double run_time, double waited) {
        if (++batches_ <= skipped) return;  // they load the model
        samples_.push_back({size, run_time, waited});
        if (samples_.size() > 50) samples_.pop_front();
        if (batches_ != trained_after && now < fitted_ + 5s) return;
        fitted_ = now;
        fit();
    }

private:
    static constexpr int skipped = 2;
    static constexpr int trained_after = 6;

    struct Sample {
        double size;
        double run_time;
        double waited;
    };

    void fit() {
        Sample mean{0, 0, 0};
        const auto count = static_cast<double>(samples_.size());
        for (const Sample& sample : samples_) {
            mean.size += sample.size / count;
            mean.run_time += sample.run_time / count;
            mean.waited += sample.waited / count;
        }
        double variance = 0;
        double covariance = 0;
        for (const Sample& sample : samples_) {
            variance += (sample.size - mean.size) * (sample.size - mean.size);
            covariance += (sample.size - mean.size) * (sample.run_time - mean.run_time);
        }
        // The shortest solution, where the sizes were all the same.
        per_item_ = variance > 1e-9 ? covariance / variance
                                    : mean.run_time * mean.size / (mean.size * mean.size + 1);
        per_item_ = std::max(per_item_, 1e-3);
        fixed_ = std::max(mean.run_time - per_item_ * mean.size, 0.0);
        wait_ = mean.waited;
    }

    int batches_ = 0;
    double per_item_;
    double fixed_;
    double wait_ = 10;  // of the newest call of a batch, until it started
    Time fitted_{};
    std::deque<Sample> samples_;
};

class BentoLike final : public Policy {
public:
    explicit BentoLike(const Scenario& scenario)
        : objective_(ms(scenario.profile.objective)), regression_(objective_) {}

    Plan plan(const View& view, bool may_drop) override {
        if (!regression_.trained()) return start(view, 1);
        const auto size = static_cast<double>(view.size());
        const double newest_waited = ms(view.now - view.waiting.back());
        const double oldest_waited = ms(view.now - view.waiting.front());
        const double run_time = regression_.per_item() * size + regression_.fixed();
        if (may_drop && view.size() > 1 && oldest_waited + run_time >= objective_)
            return {.drop = 1};
        // Another tick of a millisecond is worth it as long as what all calls lose by it is less than the usual wait.
        const double cost = size * (newest_waited + 1 + regression_.per_item());
        if (view.size() < max_batch_size && cost <= 0.95 * regression_.wait()) {
            return {.look_again = view.now + 1ms};
        }
        return start(view, std::min(view.size(), max_batch_size));
    }

    void completed(Time now, std::size_t size, Time run_time) override {
        const double waited = waited_.front();
        waited_.pop();
        regression_.completed(now, static_cast<double>(size), ms(run_time), waited);
    }

private:
    static double ms(Time time) { return nanoseconds(time) / 1e6; }

    Plan start(const View& view, std::size_t size) {
        waited_.push(ms(view.now - view.waiting[view.size() - size]));
        return {.start = size, .newest_first = true};
    }

    double objective_;
    BentoRegression regression_;
    std::queue<double> waited_;  // the oldest calls of the batches that run
};

// ---- those that know the run times ------------------------------------------------------------------------

// Of the oldest calls those that would be late in a batch of up to `size`.
inline std::size_t late_with(const View& view, const Profile& profile, std::size_t size) {
    std::size_t late = 0;
    while (late < view.size()) {
        const std::size_t batch = std::min(view.size() - late, size);
        if (view.due(late) >= view.now + profile.run_time(batch)) break;
        ++late;
    }
    return late;
}

class NexusLike final : public Policy {
public:
    // Planned so that a call that just missed a batch can wait for it, and run in the next.
    explicit NexusLike(const Scenario& scenario)
        : profile_(scenario.profile),
          size_(std::max<std::size_t>(profile_.largest_within(profile_.objective / 2), 1)) {}

    Plan plan(const View& view, bool may_drop) override {
        const std::size_t late = may_drop ? late_with(view, profile_, size_) : 0;
        return {.drop = late, .start = std::min(view.size() - late, size_)};
    }

private:
    Profile profile_;
    std::size_t size_;
};

class ClockworkLike final : public Policy {
public:
    explicit ClockworkLike(const Scenario& scenario) : profile_(scenario.profile) {}

    Plan plan(const View& view, bool may_drop) override {
        const std::size_t late = may_drop ? late_with(view, profile_, 1) : 0;
        if (late == view.size()) return {.drop = late};
        const std::size_t admitted = profile_.largest_within(view.due(late) - view.now);
        // One that is late anyway does not limit the batch.
        const std::size_t size = admitted == 0 ? max_batch_size : admitted;
        return {.drop = late, .start = std::min(view.size() - late, size)};
    }

private:
    Profile profile_;
};

class SymphonyLike final : public Policy {
public:
    explicit SymphonyLike(const Scenario& scenario)
        : profile_(scenario.profile), target_(scenario.staggered_size()) {}

    Plan plan(const View& view, bool may_drop) override {
        const std::size_t late = may_drop ? late_with(view, profile_, target_) : 0;
        if (late == view.size()) return {.drop = late};
        const std::size_t size = view.size() - late;
        const std::size_t admitted = profile_.largest_within(view.due(late) - view.now);
        if (admitted == 0) return {.drop = late, .start = size};
        if (admitted <= size || size >= max_batch_size) {
            return {.drop = late, .start = std::min(size, admitted)};
        }
        // With one call more it would have to leave then.
        const Time last_moment = view.due(late) - profile_.run_time(size + 1);
        if (last_moment <= view.now) return {.drop = late, .start = size};
        return {.drop = late, .look_again = last_moment};
    }

private:
    Profile profile_;
    std::size_t target_;  // no head is waited for that would keep batches below this
};

}  // namespace goodput
