// Traced: the context of a call that is traced (trace.hpp), for as long as the call is pending.
//
// It stands between the call and what that shares with others, so that a call has no room for it, and lets go of it as of
// that. Like what is shared it is given back under no lock of its own.
#pragma once

#include <batcher/detail/core/interned.hpp>
#include <batcher/detail/core/terms.hpp>
#include <batcher/trace_context.hpp>

namespace batching::detail {

class Traced final : public Interned {
public:
    // Throws std::bad_alloc; then nothing has changed. Precondition: the call is not traced, and is not handed in yet.
    static void attach(ItemCall& call, const TraceContext& context) {
        call.group = new Traced(context, call.group);  // NOLINT(cppcoreguidelines-owning-memory)
        call.traced = true;
    }

    const TraceContext context;
    Interned* const group;  // what the call shares; owned; null: nothing

private:
    Traced(const TraceContext& c, Interned* g) noexcept
        : Interned(&table()), context(c), group(g) {}
    ~Traced() = default;

    // No table, as each call has one of its own; its only reference, which nobody counts, is the call's.
    struct Table final : KeyTable {
        void release_last(std::span<Interned* const> entries) noexcept override {
            for (Interned* const entry : entries) {
                auto* const traced = static_cast<Traced*>(entry);
                if (traced->group != nullptr) traced->group->release();
                delete traced;  // NOLINT(cppcoreguidelines-owning-memory)
            }
        }
    };
    static Table& table() noexcept {
        static constinit Table one;
        return one;
    }
};

// What a call shares with others, or null.
inline Interned* group_of(const ItemCall& call) noexcept {
    return call.traced ? static_cast<const Traced*>(call.group)->group : call.group;
}
// The context of a call; not valid: it has none.
inline TraceContext trace_context_of(const Call& call) noexcept {
    if (call.plain || !call.traced) return {};
    return static_cast<const Traced*>(terms_of(call).group)->context;
}

}  // namespace batching::detail
