// Health: grpc.health.v1.Health, on the same queue as the deployment's own calls. gRPC's own has threads,
// which read connections faster than calls are carried, and memory grows by what lies between.
//
// All names have one state: serving, until the deployment stops.
#pragma once

#include <fmt/core.h>

#include <algorithm>
#include <batcher/grpc/detail/byte_buffer.hpp>
#include <batcher/grpc/detail/incoming_call.hpp>
#include <batcher/grpc/detail/shortened.hpp>
#include <batcher/grpc/detail/wire.hpp>
#include <list>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace batching::grpc::detail {

inline constexpr const char* health_check_method = "/grpc.health.v1.Health/Check";
inline constexpr const char* health_watch_method = "/grpc.health.v1.Health/Watch";

class Health {
public:
    explicit Health(std::vector<std::string> names) : names_(std::move(names)) {}
    Health(const Health&) = delete;
    Health& operator=(const Health&) = delete;
    ~Health() = default;

    // From now on not serving: those who watch are told so, and their streams end.
    void stop() {
        const std::lock_guard lock(mutex_);
        serving_ = false;
        for (Watch* const watch : watches_) watch->end();
    }

    // Answers a call that was read. Throws errc::malformed.
    void check(IncomingCall& call) {
        if (!knows(name_in(call))) {
            return call.refuse({::grpc::StatusCode::NOT_FOUND, "there is no such service"});
        }
        const std::lock_guard lock(mutex_);
        call.reply(response(serving_ ? State::serving : State::not_serving));
    }
    void watch(IncomingCall& call) {
        const bool known = knows(name_in(call));
        call.answer_by(std::make_unique<Watch>(*this, call, known)).step();
    }

private:
    enum class State : unsigned char { serving = 1, not_serving = 2, unknown = 3 };

    class Watch final : public Answer {
    public:
        Watch(Health& health, IncomingCall& call, bool known)
            : health_(health), call_(call), known_(known) {
            const std::lock_guard lock(health_.mutex_);
            over_ = !health_.serving_;
            place_ = health_.watches_.insert(health_.watches_.end(), this);
        }
        ~Watch() override {
            const std::lock_guard lock(health_.mutex_);
            health_.watches_.erase(place_);
        }

        bool step() override {
            call_.write(response(known_ ? State::serving : State::unknown));
            return true;
        }
        void written() override {
            std::unique_lock lock(mutex_);
            writing_ = false;
            finish_if_over(lock);
        }
        void client_gone() override { end(); }

        // It may be gone when this returns, unless the health's lock is held.
        void end() {
            std::unique_lock lock(mutex_);
            over_ = true;
            finish_if_over(lock);
        }

    private:
        void finish_if_over(std::unique_lock<std::mutex>& lock) {
            if (!over_ || writing_ || std::exchange(finished_, true)) return;
            lock.unlock();
            if (call_.client_gone()) return call_.refuse(::grpc::Status::CANCELLED);
            call_.reply(response(known_ ? State::not_serving : State::unknown));
        }

        Health& health_;
        IncomingCall& call_;
        const bool known_;
        std::list<Watch*>::iterator place_;
        std::mutex mutex_;
        bool writing_ = true;
        bool over_ = false;
        bool finished_ = false;
    };

    static std::string name_in(const IncomingCall& call) {
        const Contiguous bytes(call.request());
        std::string_view name;
        wire::Reader reader("grpc.health.v1.HealthCheckRequest", bytes.view());
        for (wire::Field field; reader.next(field);) {
            if (field.number == 1 && field.delimited) name = field.bytes;
        }
        return std::string(name);
    }
    bool knows(const std::string& name) const {
        return std::find(names_.begin(), names_.end(), name) != names_.end();
    }
    static std::string response(State state) {
        std::string bytes;
        wire::write_number(bytes, 1, static_cast<unsigned>(state));
        return bytes;
    }

    const std::vector<std::string> names_;
    std::mutex mutex_;
    bool serving_ = true;
    std::list<Watch*> watches_;
};

}  // namespace batching::grpc::detail
