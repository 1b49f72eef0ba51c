// The N+1 problem in PostgreSQL: everybody asks for one user, and one SELECT ... = ANY() answers all
// who ask at the same time. No thread is blocked: all of it runs on one event loop.
//
//     postgres_lookup WHERE [SECONDS]   how fast that is; so long for each line of each table
//     postgres_lookup WHERE -           looks up what it reads, an id a line
//
// WHERE is in libpq's words: "host=/run/postgresql dbname=test". It makes a table batcher_users.
#include <batcher.hpp>
#include <memory>
#include <unordered_map>

#include "../postgres/postgres.hpp"

namespace {

using Id = int;
using Name = std::string;
using Found = batching::Result<Name>;
constexpr std::size_t users = 100'000;

Found missing(Id id) {
    return std::make_exception_ptr(std::out_of_range(fmt::format("there is no user {}", id)));
}

// The batch function.
class Lookup {
public:
    Lookup(asio::any_io_executor executor, std::string where)
        : select_(std::move(executor), std::move(where),
                  "SELECT id, name FROM batcher_users WHERE id = ANY($1::int[])") {}

    // --8<-- [start:function]
    asio::awaitable<std::vector<Found>> operator()(std::vector<Id> ids) {
        // {1,2,3} is one parameter. IN ($1, $2, ...) would be another statement for each number of
        // ids, and of 65,535 at most.
        const postgres::Rows rows = co_await select_.execute(postgres::array(ids));
        // They come in any order, and of an id that is not there comes none.
        std::unordered_map<Id, Name> found;
        for (int row = 0; row < PQntuples(rows.get()); ++row)
            found.emplace(std::stoi(PQgetvalue(rows.get(), row, 0)),
                          PQgetvalue(rows.get(), row, 1));
        std::vector<Found> names;
        for (const Id id : ids) {
            const auto place = found.find(id);
            names.push_back(place == found.end() ? missing(id) : Found(place->second));
        }
        co_return names;
    }
    // --8<-- [end:function]

private:
    postgres::Statement select_;
};
using Users = batching::Batcher<Id, Name>;

// --8<-- [start:batcher]
// Each connection runs one batch at a time.
Users lookup(asio::io_context& context, const std::string& where, std::size_t connections,
             std::size_t most) {
    const auto connection = [&](std::size_t) { return Lookup(context.get_executor(), where); };
    return Users{context,
                 batching::replicas(connections, connection),
                 {.max_batch_size = most, .batch_timeout = {}},
                 batching::deduplicate()};
}
// --8<-- [end:batcher]

Id id_of(std::size_t number, std::size_t of) { return Id(1 + number * 7'919 % of); }

load::Mode mode(std::string name, Users& asked, bool batched, std::size_t of = users) {
    return {std::move(name), batched, [&asked, of](std::size_t number) -> asio::awaitable<void> {
                const Id id = id_of(number, of);
                if (co_await asked.process(id) != fmt::format("user {}", id)) std::abort();
            }};
}

void make_table(const std::string& where) {
    postgres::Connection connection(where);
    connection.run("CREATE TABLE IF NOT EXISTS batcher_users(id int PRIMARY KEY, name text)");
    connection.run(
        fmt::format("INSERT INTO batcher_users SELECT id, 'user ' || id FROM "
                    "generate_series(1, {}) id ON CONFLICT DO NOTHING",
                    users));
    connection.run("ANALYZE batcher_users");
}

void measure(const std::string& where, load::Seconds seconds) {
    make_table(where);
    asio::io_context context;
    load::Bench bench(context, seconds);
    Users one = lookup(context, where, 8, 1), many = lookup(context, where, 1, 1'000);
    const auto block = [](postgres::Connection& connection, std::size_t number) {
        connection.execute(std::to_string(id_of(number, users)));
    };
    std::vector<load::Mode> modes{
        postgres::threads("8 threads, a SELECT for each id", 8, where,
                          "SELECT name FROM batcher_users WHERE id = $1", block),
        mode("8 connections, a SELECT for each id", one, false),
        mode("1 connection, for up to 1,000 ids", many, true)};
    bench.closed(1, modes);
    bench.open(1'000, modes);
    modes.push_back(mode("the same, one of 101 is missing", many, true, users + users / 100));
    bench.closed(200, modes);
    fmt::print("\nfor up to 1,000 ids\n{}\n", many.stats());
}

void answer(const std::string& where) {
    make_table(where);
    asio::io_context context;
    Users asked = lookup(context, where, 2, 1'000);
    load::answer_lines(context, [&](std::string line) -> asio::awaitable<std::string> {
        co_return fmt::format("{} is {}", line, co_await asked.process(std::stoi(line)));
    });
}

}  // namespace

int main(int argc, char** argv) {
    return load::run(argc, argv, "postgres_lookup", "WHERE", measure, answer);
}
