// Inserts into PostgreSQL: everybody stores one order, and one INSERT stores those of all who wait.
//
//     postgres_insert WHERE [SECONDS]   how fast that is; so long for each line of each table
//     postgres_insert WHERE -           stores what it reads, a key and a price in cents a line
//
// WHERE is in libpq's words: "host=/run/postgresql dbname=test". It makes a table batcher_orders.
#include <batcher.hpp>
#include <sstream>
#include <unordered_map>

#include "../postgres/postgres.hpp"

namespace {

struct Order {
    std::string key;  // of the caller's own: who got no answer may repeat it, and it is stored once
    int cents;
};
using Id = int;
using Stored = batching::Result<Id>;

// Arrays are one parameter each. VALUES ($1, $2), ($3, $4), ... would be another statement for each
// number of rows, and 65,535 parameters are the most: 32,767 rows of two columns.
constexpr auto insert_all =
    "INSERT INTO batcher_orders(key, cents) SELECT * FROM unnest($1::text[], $2::int[]) "
    "ORDER BY 1 "  // two statements with the same keys do not wait for each other for ever
    "ON CONFLICT (key) DO NOTHING "  // DO UPDATE refuses a statement in which a key comes twice
    "RETURNING key, id";
constexpr auto insert_one = "INSERT INTO batcher_orders(key, cents) VALUES ($1, $2) RETURNING id";

// The batch function.
class Insert {
public:
    Insert(asio::any_io_executor executor, std::string where)
        : insert_(std::move(executor), std::move(where), insert_all) {}

    // A statement is all or nothing, so that what is wrong with a row is thrown: isolate_failures()
    // tries halves. All else is returned: nobody knows whether a statement whose connection was lost
    // has stored its rows, and nothing is tried a second time. (Many statements in a pipeline with
    // one sync would be one transaction, too: the first bad row undoes all.)
    asio::awaitable<std::vector<Stored>> operator()(const std::vector<Order>& orders) {
        const std::string keys = postgres::array(orders, &Order::key);
        const std::string cents = postgres::array(orders, &Order::cents);
        try {
            co_return ids(orders, co_await insert_.execute(keys, cents));
        } catch (const postgres::SqlError& error) {
            if (error.of_a_row()) throw;
            co_return std::vector<Stored>(orders.size(), std::current_exception());
        } catch (...) {
            co_return std::vector<Stored>(orders.size(), std::current_exception());
        }
    }

private:
    // RETURNING promises no order, and gives no row for what was there already.
    static std::vector<Stored> ids(const std::vector<Order>& orders, const postgres::Rows& rows) {
        std::unordered_map<std::string, Id> stored;
        for (int row = 0; row < PQntuples(rows.get()); ++row)
            stored.emplace(PQgetvalue(rows.get(), row, 0),
                           std::stoi(PQgetvalue(rows.get(), row, 1)));
        const Stored there = std::make_exception_ptr(std::invalid_argument("it is there already"));
        std::vector<Stored> ids;
        for (const Order& order : orders) {
            const auto row = stored.extract(order.key);  // a key that comes twice is stored once
            ids.push_back(row ? row.mapped() : there);
        }
        return ids;
    }

    postgres::Statement insert_;
};
using Orders = batching::Batcher<Order, Id>;

// Two connections, each of which runs one batch at a time.
Orders storing(asio::io_context& context, const std::string& where) {
    postgres::Connection(where).run(
        "CREATE TABLE IF NOT EXISTS batcher_orders(id int GENERATED ALWAYS AS IDENTITY "
        "PRIMARY KEY, key text NOT NULL UNIQUE, cents int CHECK (cents > 0))");
    const auto connection = [&](std::size_t) {
        return batching::isolate_failures(Insert(context.get_executor(), where));
    };
    return Orders{
        context, batching::replicas(2, connection), {.max_batch_size = 1'000, .batch_timeout = {}}};
}

// Every caller stores an order; one of `bad` orders breaks a constraint.
load::Mode mode(std::string name, Orders& orders, std::size_t bad = 0) {
    return {std::move(name), true, [&orders, bad](std::size_t number) -> asio::awaitable<void> {
                const int cents = bad != 0 && number % bad == 0 ? -1 : 100;
                co_await orders.process({fmt::format("order {}", number), cents});
            }};
}

void measure(const std::string& where, load::Seconds seconds) {
    asio::io_context context;
    load::Bench bench(context, seconds);
    Orders many = storing(context, where);
    const auto data = postgres::Connection(where).run("SHOW data_directory");
    fmt::print("An fsync takes {:.2f} ms here.\n",
               load::fsync_milliseconds(PQgetvalue(data.get(), 0, 0)));
    const auto block = [](postgres::Connection& connection, std::size_t number) {
        connection.execute(fmt::format("order {}", number), std::string("100"));
    };
    std::vector<load::Mode> modes{
        postgres::threads("64 threads, an INSERT for each row", 64, where, insert_one, block),
        mode("2 connections, for up to 1,000 rows", many)};
    bench.closed(1, modes);
    bench.open(1'000, modes);
    bench.closed(1'000, modes);
    modes.push_back(mode("the same, every thousandth row bad", many, 1'000));
    bench.closed(200, modes);
    fmt::print("\nfor up to 1,000 rows\n{}\n", many.stats());
}

void answer(const std::string& where) {
    asio::io_context context;
    Orders orders = storing(context, where);
    load::answer_lines(context, [&](std::string line) -> asio::awaitable<std::string> {
        Order order;
        std::istringstream(line) >> order.key >> order.cents;
        co_return fmt::format("{} is stored as {}", order.key, co_await orders.process(order));
    });
}

}  // namespace

int main(int argc, char** argv) {
    return load::run(argc, argv, "postgres_insert", "WHERE", measure, answer);
}
