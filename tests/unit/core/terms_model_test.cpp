// The Machine and calls with terms, all that there are at once (timeouts, classes, weights, keys, equal items that share
// a place, limits, destroyed and cancelled callers), against a model of vectors and linear searches, over random
// schedules.
//
// What batches take is judged in another test: here they all fail, so nothing is known of their run times.
#include <algorithm>
#include <array>
#include <batcher/detail/core/machine.hpp>
#include <batcher/detail/runtime/intern_table.hpp>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "../catch.hpp"
#include "../random_schedules.hpp"
#include "driven_machine.hpp"

namespace terms_model_test {

using namespace core_test;
using batching::Priority;
using batching::detail::InternTable;
using batching::detail::ItemCall;
using batching::detail::Line;
using batching::detail::Place;

constexpr Time never = Rules::never;

struct Caller final : ItemCall {
    void resume() { ++ended; }
    void abandon() noexcept { ++ended; }

    int id = 0;
    int key = 0;
    int value = 0;
    std::size_t load = 0;  // its weight
    batching::detail::Deadline by{};
    bool alive = true;  // its owner has not destroyed it
    int ended = 0;
};
constexpr auto& ops = batching::detail::call_ops<Caller, false>;

int caller_id(const Call& call) { return static_cast<const Caller&>(call).id; }
Ids caller_ids(CallList& calls) {
    Ids ids;
    calls.for_each([&](Call& call) { ids.push_back(caller_id(call)); });
    return ids;
}

struct ValueKey {
    int value;
    const Line* line;
    bool operator==(const ValueKey&) const = default;
};

// ---- the contract ------------------------------------------------------------------------------------

struct Model {
    struct Shared {  // a place in a batch; the first leads
        std::vector<Caller*> callers;
        bool flushed = false;
    };
    using Lane = std::vector<Shared>;
    struct Key {
        std::array<Lane, 3> lanes;
        std::size_t running = 0;  // batches
        bool flushed = false;     // something that was flushed may wait

        bool has_flushed() const {
            return std::any_of(lanes.begin(), lanes.end(), [](const Lane& lane) {
                return std::any_of(lane.begin(), lane.end(),
                                   [](const Shared& shared) { return shared.flushed; });
            });
        }
        std::size_t size() const { return lanes[0].size() + lanes[1].size() + lanes[2].size(); }
        std::size_t weight() const {
            std::size_t weight = 0;
            for (const Lane& lane : lanes) {
                for (const Shared& shared : lane) weight += shared.callers.front()->load;
            }
            return weight;
        }
        Time oldest() const {
            Time oldest = never;
            for (const Lane& lane : lanes) {
                if (!lane.empty())
                    oldest = std::min(oldest, lane.front().callers.front()->queued_at);
            }
            return oldest;
        }
    };

    static std::size_t class_of(const Shared& shared) {
        Priority highest = Priority::low;
        for (const Caller* caller : shared.callers) {
            highest = std::max<Priority>(highest, caller->priority);
        }
        return static_cast<std::size_t>(highest);
    }
    static void insert(Key& key, Shared shared) {
        Lane& lane = key.lanes[class_of(shared)];
        const Time at = shared.callers.front()->queued_at;
        auto place = lane.end();
        while (place != lane.begin() && std::prev(place)->callers.front()->queued_at > at) --place;
        lane.insert(place, std::move(shared));
    }
    Shared* find(const Caller& like) {
        for (Lane& lane : keys[like.key].lanes) {
            for (Shared& shared : lane) {
                if (shared.callers.front()->value == like.value) return &shared;
            }
        }
        return nullptr;
    }
    // Puts places into the lanes that they belong to now.
    void settle(Key& key) {
        for (std::size_t i = 0; i < 3; ++i) {
            for (std::size_t j = 0; j < key.lanes[i].size();) {
                if (class_of(key.lanes[i][j]) == i) {
                    ++j;
                    continue;
                }
                Shared moved = std::move(key.lanes[i][j]);
                key.lanes[i].erase(key.lanes[i].begin() + static_cast<std::ptrdiff_t>(j));
                insert(key, std::move(moved));
                i = j = 0;
            }
        }
    }
    bool take_out(Caller& caller) {
        Key& key = keys[caller.key];
        for (Lane& lane : key.lanes) {
            for (auto shared = lane.begin(); shared != lane.end(); ++shared) {
                const auto found =
                    std::find(shared->callers.begin(), shared->callers.end(), &caller);
                if (found == shared->callers.end()) continue;
                const Time since = shared->callers.front()->queued_at;
                shared->callers.erase(found);
                if (shared->callers.empty()) {
                    lane.erase(shared);
                } else {
                    shared->callers.front()->queued_at = since;  // who leads now has its place
                }
                settle(key);
                return true;
            }
        }
        return false;
    }
    std::size_t size() const {
        std::size_t size = 0;
        for (const auto& [id, key] : keys) size += key.size();
        return size;
    }
    std::size_t weight() const {
        std::size_t weight = 0;
        for (const auto& [id, key] : keys) weight += key.weight();
        return weight;
    }

    bool full(const Key& key) const {
        return key.size() >= rules.max_batch_size || key.weight() >= rules.max_batch_weight;
    }
    Time due(const Key& key) const { return Rules::after(key.oldest(), rules.batch_timeout); }
    bool may_leave(const Key& key, Time now) const {
        if (key.size() == 0 || key.running >= rules.max_concurrent_batches_per_key) return false;
        return full(key) || closed || key.flushed || due(key) <= now;
    }
    // The same, exactly: more may leave after a flush if a place is moved to another lane.
    bool must_leave(const Key& key, Time now) const {
        if (key.size() == 0 || key.running >= rules.max_concurrent_batches_per_key) return false;
        return full(key) || closed || key.has_flushed() || due(key) <= now;
    }

    // The place that is served next, and its lane.
    std::pair<Lane*, Shared*> next(Key& key, Time now) const {
        const Time aged = rules.aged(now);
        std::pair<Lane*, Shared*> best{};
        for (std::size_t i = 3; i-- > 0;) {
            Lane& lane = key.lanes[i];
            if (lane.empty()) continue;
            const Time at = lane.front().callers.front()->queued_at;
            const bool high = i == 2 || at <= aged;
            if (best.first == nullptr || (high && at < best.second->callers.front()->queued_at)) {
                best = {&lane, &lane.front()};
            }
        }
        return best;
    }

    Rules rules;
    std::map<int, Key> keys;  // one of them if there are no keys
    bool closed = false;
};

// ---- the Machine, driven ------------------------------------------------------------------------------

class Driver {
public:
    Driver(const Rules& rules, Random& random)
        : random_(random), rules_(rules), machine_(rules, batches_) {
        model_.rules = rules;
    }

    void step() {
        switch (random_.below(20)) {
            case 0:
            case 1:
            case 2:
            case 3:
            case 4:
            case 5:
                arrive();
                break;
            case 6:
                for (std::size_t n = random_.between(2, 6); n > 0; --n) arrive();
                break;
            case 7:
            case 8:
                now_ += random_.between(1, 8) * 1ns;
                trace("now {}", now_.count());
                break;
            case 9:
            case 10:
                leave(true);
                break;
            case 11:
                leave(false);
                break;
            case 12:
                if (random_.one_in(3)) flush();
                break;
            case 13:
                if (random_.one_in(40)) close();
                break;
            case 14:
                if (random_.one_in(20)) cancel();
                break;
            case 15:
            case 16:
                finish_one();
                break;
            default:
                form_one();
                break;
        }
        settle();
        check();
    }

    void finish() {
        close();
        settle();
        for (int i = 0; i < 1000 && (!started_.empty() || !running_.empty()); ++i) {
            if (!started_.empty()) form_one();
            settle();
            if (!running_.empty()) finish_one();
            settle();
            check();
        }
        MUST(model_.size() == 0);
        MUST(machine_.idle());
        MUST(!machine_.has_deadlines());
        MUST(lines_.size() == 0);
        MUST(places_.size() == 0);
        for (const auto& caller : callers_) MUST(caller->ended == (caller->alive ? 1 : 0));
    }

private:
    // ---- callers ----

    Caller& make() {
        Caller& caller = *callers_.emplace_back(std::make_unique<Caller>());
        caller.id = static_cast<int>(callers_.size());
        caller.ops = &ops;
        caller.plain = false;
        now_ += 1ns;  // all at times of their own: among equals the order of keys is nobody's
        caller.queued_at = now_;
        caller.priority = caller.lane = static_cast<Priority>(random_.below(3));
        caller.key = rules_.keyed ? static_cast<int>(random_.below(4)) : 0;
        caller.value = static_cast<int>(random_.below(4));
        caller.load = rules_.weighs
                          ? random_.between(0, std::min<std::size_t>(6, rules_.max_batch_weight))
                          : 0;
        caller.weight = caller.load;
        caller.group = nullptr;
        caller.in_place = false;
        caller.deadline = nullptr;
        if (random_.one_in(2)) {
            // Some ask for so much time that it is not over before the clock's is.
            caller.by.at = never;
            if (!random_.one_in(8)) caller.by.at = now_ + random_.between(0, 30) * 1ns;
            caller.by.call = &caller;
            caller.deadline = &caller.by;
        }
        Line* line = nullptr;
        if (rules_.keyed) {
            line = &lines_.intern(caller.key, std::hash<int>{}(caller.key % 2));  // with collisions
            caller.group = line;
        }
        if (rules_.shared) {
            caller.group = &places_.intern(ValueKey{caller.value, line}, 7, line);
            caller.in_place = true;
            if (line != nullptr) line->release();
        }
        caller.state(CallState::queued);
        return caller;
    }

    void arrive() {
        Caller& caller = make();
        trace("{}: {} arrives, class {}, key {}, value {}, weight {}, deadline {}", now_.count(),
              caller.id, static_cast<int>(static_cast<Priority>(caller.priority)), caller.key,
              caller.value, caller.load, caller.deadline != nullptr ? caller.by.at.count() : -1);
        const auto error = machine_.admit(caller, 1, caller.weight, now_);
        const bool joins_waiting = rules_.shared && model_.find(caller) != nullptr;
        if (error) {
            MUST(model_.closed || !(fits(caller) || joins_waiting));
            machine_.refused(caller, error);
            return;
        }
        machine_.arrived_with_terms(caller);
        const bool joins = joins_waiting || caller.state() == CallState::running;
        MUST(!model_.closed && (joins || fits(caller)));
        if (!joins) displace_for(caller);
        live_.push_back(&caller);
        if (rules_.shared) {
            if (Model::Shared* const shared = model_.find(caller)) {
                shared->callers.push_back(&caller);
                model_.settle(model_.keys[caller.key]);
                return;
            }
            if (caller.state() == CallState::running) {
                MUST(rules_.join_running);
                MUST(std::any_of(running_.begin(), running_.end(),
                                 [&](Batch* batch) { return batch == caller.batch; }));
                MUST(!caller.batch->stop_requested);
                return;
            }
        }
        MUST(caller.state() == CallState::queued);
        Model::insert(model_.keys[caller.key], {{&caller}});
    }

    bool fits(const Caller& caller) const {
        std::size_t size = 0;
        std::size_t weight = 0;
        for (const auto& [id, key] : model_.keys) {
            for (std::size_t i = static_cast<std::size_t>(caller.priority); i < 3; ++i) {
                for (const auto& shared : key.lanes[i]) {
                    ++size;
                    weight += shared.callers.front()->load;
                }
            }
        }
        return size + 1 <= rules_.max_queue_size && weight + caller.load <= rules_.max_queue_weight;
    }
    void displace_for(const Caller& caller) {
        while (model_.size() + 1 > rules_.max_queue_size ||
               (rules_.max_queue_weight != Rules::no_limit &&
                model_.weight() + caller.load > rules_.max_queue_weight)) {
            Model::Lane* from = nullptr;
            for (std::size_t i = 0; i < 3 && from == nullptr; ++i) {
                for (auto& [id, key] : model_.keys) {
                    Model::Lane& lane = key.lanes[i];
                    if (lane.empty()) continue;
                    if (from == nullptr || lane.back().callers.front()->queued_at >
                                               from->back().callers.front()->queued_at) {
                        from = &lane;
                    }
                }
            }
            MUST(from != nullptr);
            for (Caller* displaced : from->back().callers) {
                trace("{} is displaced", displaced->id);
                gone(*displaced);
            }
            from->pop_back();
        }
    }

    // Its end is decided.
    void gone(Caller& caller) { std::erase(live_, &caller); }

    void leave(bool cancelled) {
        if (live_.empty()) return;
        Caller& caller = *random_.pick(live_);
        trace("{} {}", caller.id, cancelled ? "is cancelled" : "is destroyed");
        if (caller.state() == CallState::queued) MUST(model_.take_out(caller));
        gone(caller);
        if (cancelled) {
            MUST(machine_.cancelled(caller, an_error()));
        } else {
            caller.alive = false;
            machine_.left(caller);
        }
    }

    void flush() {
        trace("flush");
        for (auto& [id, key] : model_.keys) {
            key.flushed = key.size() != 0;
            for (auto& lane : key.lanes) {
                for (auto& shared : lane) shared.flushed = true;
            }
        }
        machine_.flush();
    }
    void close() {
        trace("close");
        model_.closed = true;
        machine_.close();
    }
    void cancel() {
        trace("cancel");
        for (auto& [id, key] : model_.keys) {
            for (auto& lane : key.lanes) {
                for (auto& shared : lane) {
                    for (Caller* caller : shared.callers) gone(*caller);
                }
                lane.clear();
            }
        }
        machine_.cancel(an_error());
    }

    // ---- batches ----

    void form_one() {
        if (started_.empty()) return;
        Batch& batch = *started_.front();
        started_.erase(started_.begin());
        if (!machine_.ready(batch, now_)) {
            // Of keys that might leave none was left, as what waited was taken or has gone.
            for (const auto& [id, key] : model_.keys) {
                MUST(!model_.must_leave(key, now_));
            }
            machine_.recycled(batch);
            return;
        }
        MUST(!batch.calls.empty());
        const int id = static_cast<Caller&>(batch.calls.front()).key;
        Model::Key& key = model_.keys[id];
        MUST(model_.may_leave(key, now_));
        MUST((batch.reason == DispatchReason::full) == model_.full(key));
        Ids leaders;
        Ids sharers;
        std::size_t weight = 0;
        Time deadline = never;
        while (leaders.size() < rules_.max_batch_size) {
            const auto [lane, next] = model_.next(key, now_);
            if (lane == nullptr) break;
            const std::size_t more = next->callers.front()->load;
            if (!leaders.empty() && more > rules_.max_batch_weight - weight) break;
            weight += more;
            for (const Caller* caller : next->callers) {
                (caller == next->callers.front() ? leaders : sharers).push_back(caller->id);
                if (caller->deadline != nullptr) deadline = std::min(deadline, caller->by.at);
            }
            lane->erase(lane->begin());
        }
        trace("{}: batch {} of key {}: {}", now_.count(), batch.number, id,
              fmt::join(leaders, " "));
        MUST(caller_ids(batch.calls) == leaders);
        MUST(caller_ids(batch.sharers) == sharers);
        MUST(batch.size == leaders.size() + sharers.size());
        MUST(batch.items == leaders.size());
        MUST(batch.weight == (rules_.weighs ? weight : leaders.size()));
        MUST(batch.deadline == deadline);
        std::map<int, std::uint32_t> index_of_value;
        batch.calls.for_each([&](Call& call) {
            index_of_value[static_cast<Caller&>(call).value] = call.index;
            MUST(call.state() == CallState::running && call.batch == &batch);
        });
        batch.sharers.for_each([&](Call& call) {
            MUST(call.index == index_of_value.at(static_cast<Caller&>(call).value));
        });
        ++key.running;
        if (key.size() == 0) key.flushed = false;
        key_of_[&batch] = id;
        running_.push_back(&batch);
        if (random_.one_in(10)) lose_one(batch);
        batch.phase = BatchPhase::running;
    }

    // An item cannot be moved into the batch: all that share its place fail.
    void lose_one(Batch& batch) {
        Caller& caller = static_cast<Caller&>(batch.calls.front());
        trace("{} cannot be moved", caller.id);
        std::uint32_t index = 0;
        batch.calls.for_each([&](Call& call) {
            if (&call != &caller) call.index = index++;  // as the runner does
        });
        std::vector<Caller*> lost{&caller};
        batch.sharers.for_each([&](Call& call) {
            if (call.index == 0) lost.push_back(&static_cast<Caller&>(call));
        });
        for (Caller* one : lost) gone(*one);
        machine_.not_loaded(batch,
                            std::vector{std::pair<Call*, std::exception_ptr>(&caller, an_error())});
        std::map<int, std::uint32_t> index_of_value;
        batch.calls.for_each(
            [&](Call& call) { index_of_value[static_cast<Caller&>(call).value] = call.index; });
        batch.sharers.for_each([&](Call& call) {
            MUST(call.index == index_of_value.at(static_cast<Caller&>(call).value));
        });
    }

    void finish_one() {
        if (running_.empty()) return;
        Batch& batch = *random_.pick(running_);
        trace("{}: batch {} has run", now_.count(), batch.number);
        std::erase(running_, &batch);
        --model_.keys[key_of_[&batch]].running;
        machine_.returned(batch);
        MUST(batch.sharers.empty());
        batch.calls.for_each([&](Call& call) { gone(static_cast<Caller&>(call)); });
        batch.error = an_error();  // so that its run time says nothing
        machine_.completed(batch, batch.size, now_);
        hand_back(batch);
    }

    void hand_back(Batch& batch) {
        while (Call* const call = batch.calls.pop_front()) call->hand_back();
        batch.error = nullptr;
        machine_.recycled(batch);
    }

    // ---- what follows ----

    void settle() {
        if (machine_.any_late(now_)) machine_.expire(now_, nullptr);
        for (auto caller = live_.begin(); caller != live_.end();) {
            Caller& late = **caller;
            if (late.deadline == nullptr || late.by.at > now_) {
                ++caller;
                continue;
            }
            trace("{} is late", late.id);
            model_.take_out(late);
            caller = live_.erase(caller);
            MUST(late.state() == CallState::completed);
        }
        outlook_ = machine_.decide(now_, true);
        auto actions = machine_.take_actions();
        while (Batch* const batch = actions.start.pop()) started_.push_back(batch);
        while (Batch* const batch = actions.completed.pop()) hand_back(*batch);
        for (Batch* batch = actions.stop; batch != nullptr; batch = batch->next_to_stop) {
            MUST(batch->stop_requested);
        }
    }

    void check() {
        for (auto& [id, key] : model_.keys) {
            if (key.size() == 0) key.flushed = false;
        }
        check_slots();
        check_callers();
        check_alarm();
        const batching::Stats stats = stats_of(machine_);
        MUST(stats.submitted == stats.completed + stats.failed + stats.cancelled + stats.expired +
                                    stats.waiting + stats.running);
        MUST(stats.waiting + stats.running == live_.size());
    }

    // No batch that could run waits for a slot that is free.
    void check_slots() const {
        MUST(started_.size() + running_.size() <= rules_.max_concurrent_batches);
        if (started_.size() + running_.size() == rules_.max_concurrent_batches) return;
        std::size_t batches = 0;
        for (const auto& [id, key] : model_.keys) {
            if (model_.must_leave(key, now_)) ++batches;
        }
        MUST(batches <= started_.size() || !started_.empty());
        if (rules_.keyed) MUST(batches <= started_.size());
    }

    void check_callers() const {
        for (const auto& [id, key] : model_.keys) {
            for (const auto& lane : key.lanes) {
                for (const auto& shared : lane) {
                    for (const Caller* caller : shared.callers) {
                        MUST(caller->state() == CallState::queued);
                        MUST(caller->ended == 0);
                    }
                }
            }
        }
        for (const Caller* caller : live_) MUST(caller->ended == 0);
    }

    // The alarm goes off before anything has to happen.
    void check_alarm() const {
        const Time alarm = outlook_.wake_at.value_or(never);
        for (const Caller* caller : live_) {
            if (caller->deadline != nullptr) MUST(alarm <= caller->by.at);
        }
        if (!started_.empty() || running_.size() == rules_.max_concurrent_batches) return;
        for (const auto& [id, key] : model_.keys) {
            if (key.size() == 0 || key.running >= rules_.max_concurrent_batches_per_key) continue;
            MUST(alarm <= model_.due(key));
        }
    }

    Random& random_;
    const Rules rules_;
    PlainBatches batches_;
    InternTable<int, Line> lines_;
    InternTable<ValueKey, Place> places_;
    Machine machine_;
    Model model_;
    Time now_{1000ns};
    Outlook outlook_;
    std::vector<std::unique_ptr<Caller>> callers_;
    std::vector<Caller*> live_;  // that wait or run
    std::vector<Batch*> started_;
    std::vector<Batch*> running_;
    std::map<Batch*, int> key_of_;
};

void run(std::uint64_t seed) {
    Random random(seed);
    Rules rules{.max_batch_size = random.between(1, 5),
                .batch_timeout = never,
                .max_concurrent_batches = random.between(1, 3)};
    if (!random.one_in(4)) rules.batch_timeout = random.between(0, 15) * 1ns;
    if (random.one_in(3)) rules.max_queue_size = random.between(1, 8);
    if (random.one_in(2)) rules.priority_aging = random.between(0, 20) * 1ns;
    if (random.one_in(2)) {
        rules.weighs = true;
        if (random.one_in(2)) rules.max_batch_weight = random.between(1, 12);
        if (random.one_in(3)) rules.max_queue_weight = random.between(6, 20);
    }
    rules.keyed = random.one_in(2);
    if (rules.keyed && random.one_in(2)) rules.max_concurrent_batches_per_key = 1;
    rules.shared = random.one_in(2);
    rules.join_running = rules.shared && random.one_in(2);
    trace(
        "max_batch_size {}, batch_timeout {}, slots {}, max_queue_size {}, aging {}, weighs {}, "
        "max_batch_weight {}, "
        "max_queue_weight {}, keyed {}, per key {}, shared {}, join_running {}",
        rules.max_batch_size, rules.batch_timeout.count(), rules.max_concurrent_batches,
        rules.max_queue_size, rules.priority_aging.count(), rules.weighs, rules.max_batch_weight,
        rules.max_queue_weight, rules.keyed, rules.max_concurrent_batches_per_key, rules.shared,
        rules.join_running);
    Driver driver(rules, random);
    for (std::size_t steps = random.between(1, 150); steps > 0; --steps) driver.step();
    driver.finish();
}

TEST_CASE("the machine follows the contract whatever calls ask for and items are",
          "[machine][model]") {
    for_random_schedules(3000, run);
}

}  // namespace terms_model_test
