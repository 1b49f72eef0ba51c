// A call that is refused, as the queue is full or the Batcher closed, leaves its item with the caller:
//
//     auto operation = batcher.process(std::move(item));
//     try {
//         co_await std::move(operation);
//     } catch (const batching::Error&) {
//         item = std::move(operation).item();
//     }
//
// And so process_many() its items. An item that cannot be copied can be sent again, then, or elsewhere.
#include "catch.hpp"
#include "support.hpp"

#include <memory>
#include <type_traits>

namespace keep_item_test {

using namespace test;
using batching::errc;

using Item = std::unique_ptr<int>;
using ItemBatcher = batching::Batcher<Item, int, ManualClock>;
using Operation = ItemBatcher::process_type;
using ManyOperation = ItemBatcher::process_many_type;

static_assert(std::is_same_v<decltype(std::declval<Operation>().item()), Item>);
static_assert(std::is_same_v<decltype(std::declval<ManyOperation>().items()), std::vector<Item>>);

std::vector<int> values(const std::vector<Item>& items) {
    std::vector<int> result;
    for (const Item& item : items) result.push_back(item ? *item : -1);
    return result;
}

// Two items fill the queue; a batch of eight never fills.
struct Fixture {
    explicit Fixture(errc why) {
        if (why == errc::closed) {
            batcher.close();
        } else {
            for (auto& reply : waiting) {
                batcher.async_process(std::make_unique<int>(1), into(reply));
            }
        }
        settle(context);
    }
    // Room again, where that can be.
    void make_room() {
        batcher.flush();
        settle(context);
    }

    aio::io_context context;
    ItemBatcher batcher{
        context, values, {.max_batch_size = 8, .batch_timeout = 1h, .max_queue_size = 2}};
    Reply<int> waiting[2];
};

struct Kept {
    int times = 0;
    std::optional<errc> why;
    Item item;
    std::vector<Item> items;

    void note(const batching::Error& error) {
        ++times;
        for (const errc code : {errc::overloaded, errc::closed}) {
            if (error.code() == code) why = code;
        }
    }
};

Detached plain(ItemBatcher& batcher, Item item, Kept& kept) {
    auto operation = batcher.process(std::move(item));
    try {
        co_await std::move(operation);
    } catch (const batching::Error& error) {
        kept.note(error);
        kept.item = std::move(operation).item();
    }
}

Detached plain_elsewhere(ItemBatcher& batcher, Item item, aio::io_context& home, Kept& kept) {
    auto operation = batcher.process(std::move(item));
    try {
        co_await std::move(operation).resume_on(home.get_executor());
    } catch (const batching::Error& error) {
        kept.note(error);
        kept.item = std::move(operation).item();
    }
}

aio::awaitable<void> awaitable(ItemBatcher& batcher, Item item, Kept& kept) {
    auto operation = batcher.process(std::move(item));
    try {
        co_await std::move(operation);
    } catch (const batching::Error& error) {
        kept.note(error);
        kept.item = std::move(operation).item();
    }
}

std::vector<Item> some(int first, int count) {
    std::vector<Item> items;
    for (int i = 0; i < count; ++i) items.push_back(std::make_unique<int>(first + i));
    return items;
}

Detached plain_many(ItemBatcher& batcher, std::vector<Item> items, Kept& kept) {
    auto operation = batcher.process_many(std::move(items));
    try {
        co_await std::move(operation);
    } catch (const batching::Error& error) {
        kept.note(error);
        kept.items = std::move(operation).items();
    }
}

aio::awaitable<void> awaitable_many(ItemBatcher& batcher, std::vector<Item> items, Kept& kept) {
    auto operation = batcher.process_many(std::move(items));
    try {
        co_await std::move(operation);
    } catch (const batching::Error& error) {
        kept.note(error);
        kept.items = std::move(operation).items();
    }
}

TEST_CASE("a call that is refused leaves its item in the operation, unchanged") {
    const errc why = GENERATE(errc::overloaded, errc::closed);
    Fixture f(why);
    Kept kept;
    auto item = std::make_unique<int>(7);
    const int* const address = item.get();
    SECTION("in a plain coroutine") {
        plain(f.batcher, std::move(item), kept);
        settle(f.context);
    }
    SECTION("in one that resumes elsewhere") {
        aio::io_context home;
        plain_elsewhere(f.batcher, std::move(item), home, kept);
        settle(home);
    }
    SECTION("in an asio::awaitable") {
        aio::co_spawn(f.context, awaitable(f.batcher, std::move(item), kept), aio::detached);
        settle(f.context);
    }
    CHECK(kept.times == 1);
    CHECK(kept.why == why);
    REQUIRE(kept.item);
    CHECK(kept.item.get() == address);
    CHECK(*kept.item == 7);
    CHECK(f.batcher.stats().rejected == 1);
}

TEST_CASE("process_many that is refused leaves its items in the operation, in their order") {
    const errc why = GENERATE(errc::overloaded, errc::closed);
    Fixture f(why);
    Kept kept;
    std::vector<Item> items = some(1, 5);
    std::vector<const int*> addresses;
    for (const Item& item : items) addresses.push_back(item.get());
    SECTION("in a plain coroutine") { plain_many(f.batcher, std::move(items), kept); }
    SECTION("in an asio::awaitable") {
        aio::co_spawn(f.context, awaitable_many(f.batcher, std::move(items), kept), aio::detached);
    }
    settle(f.context);
    CHECK(kept.times == 1);
    CHECK(kept.why == why);
    CHECK(values(kept.items) == std::vector<int>{1, 2, 3, 4, 5});
    std::vector<const int*> kept_addresses;
    for (const Item& item : kept.items) kept_addresses.push_back(item.get());
    CHECK(kept_addresses == addresses);
    CHECK(f.batcher.stats().rejected == 5);
}

TEST_CASE("an item that was refused can be sent again") {
    Fixture f(errc::overloaded);
    int attempts = 0;
    Reply<int> reply;
    const auto insist = [&](Item item) -> Detached {
        for (;;) {
            ++attempts;
            auto operation = f.batcher.process(std::move(item));
            try {
                reply.set(co_await std::move(operation));
                co_return;
            } catch (const batching::Error&) {
                item = std::move(operation).item();
            }
            f.batcher.flush();
            co_await f.batcher.process_many(std::vector<Item>());  // lets the others go first
        }
    };
    insist(std::make_unique<int>(7));
    settle(f.context);
    f.make_room();
    CHECK(attempts >= 2);
    CHECK(reply.times == 1);
    CHECK(reply.value == 7);
    for (const auto& other : f.waiting) CHECK(other.value == 1);
}

TEST_CASE("the item of an operation that was never started can be had back, too") {
    Fixture f(errc::closed);
    auto operation = f.batcher.process(std::make_unique<int>(7));
    const Item item = std::move(operation).item();
    REQUIRE(item);
    CHECK(*item == 7);
    auto many = f.batcher.process_many(some(1, 3));
    CHECK(values(std::move(many).items()) == std::vector<int>{1, 2, 3});
    CHECK(f.batcher.stats().rejected == 0);
}

}  // namespace keep_item_test
