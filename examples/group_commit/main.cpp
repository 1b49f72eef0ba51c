// Group commit in SQLite: whoever stores a row waits until it is on the disk, and one transaction,
// with one fsync, stores the rows of all who wait.
//
//     group_commit FILE [SECONDS]   how fast that is; so long for each line of each table
//     group_commit FILE -           stores what it reads, a key and a price in cents a line
#include <sqlite3.h>

#include <batcher.hpp>
#include <memory>
#include <sstream>

#include "../load.hpp"

namespace {

struct Order {
    std::string key;
    int cents;
};
using Id = sqlite3_int64;

class Database {
public:
    explicit Database(const std::string& path) {
        sqlite3* opened = nullptr;
        const int result = sqlite3_open(path.c_str(), &opened);
        database_.reset(opened);  // also one that could not be opened
        check(result);
        run("PRAGMA journal_mode = WAL");
        run("PRAGMA synchronous = FULL");  // with NORMAL a commit is not on the disk yet
        run("CREATE TABLE IF NOT EXISTS orders("
            "id INTEGER PRIMARY KEY, key TEXT NOT NULL UNIQUE, cents INTEGER CHECK (cents > 0))");
        sqlite3_stmt* prepared = nullptr;
        check(sqlite3_prepare_v2(opened, "INSERT INTO orders(key, cents) VALUES (?, ?)", -1,
                                 &prepared, nullptr));
        insert_.reset(prepared);
    }

    // --8<-- [start:function]
    // The batch function: for each order the id of its row, or why it alone was not stored.
    std::vector<batching::Result<Id>> operator()(const std::vector<Order>& orders) {
        std::vector<batching::Result<Id>> ids;
        run("BEGIN IMMEDIATE");
        try {
            for (const Order& order : orders) ids.push_back(insert(order));
            run("COMMIT");  // it returns when all of them are on the disk: only then is anybody told
        } catch (...) {     // a full disk, say: nothing was stored, and every caller gets this
            if (!sqlite3_get_autocommit(database_.get()))  // unless the error has ended it already
                sqlite3_exec(database_.get(), "ROLLBACK", {}, {}, {});
            throw;
        }
        return ids;
    }
    // --8<-- [end:function]

private:
    // A row that breaks a constraint is undone, and SQLite's transaction goes on; not PostgreSQL's.
    batching::Result<Id> insert(const Order& order) {
        sqlite3_stmt* statement = insert_.get();
        const int size = static_cast<int>(order.key.size());
        check(sqlite3_bind_text(statement, 1, order.key.data(), size, SQLITE_STATIC));
        check(sqlite3_bind_int(statement, 2, order.cents));
        const int result = sqlite3_step(statement);
        const std::string error = sqlite3_errmsg(database_.get());
        sqlite3_reset(statement);
        if (result == SQLITE_DONE) return sqlite3_last_insert_rowid(database_.get());
        if (result != SQLITE_CONSTRAINT) throw std::runtime_error(error);
        return std::make_exception_ptr(std::invalid_argument(error));
    }

    void run(const char* sql) { check(sqlite3_exec(database_.get(), sql, {}, {}, {})); }
    void check(int result) {
        if (result != SQLITE_OK) throw std::runtime_error(sqlite3_errmsg(database_.get()));
    }
    struct Close {
        void operator()(sqlite3* database) const { sqlite3_close(database); }
        void operator()(sqlite3_stmt* statement) const { sqlite3_finalize(statement); }
    };
    std::unique_ptr<sqlite3, Close> database_;
    std::unique_ptr<sqlite3_stmt, Close> insert_;
};

// --8<-- [start:batcher]
// It needs no batch_timeout: while a transaction is written, the rows of the next one gather.
using Writer = batching::Batcher<Order, Id>;
Writer writer(const std::string& path, std::size_t most) {
    return Writer{Database(path), {.max_batch_size = most, .batch_timeout = {}}};
}
// --8<-- [end:batcher]

// Every caller stores an order; one of `bad` orders breaks a constraint.
load::Mode mode(std::string name, Writer& writer, bool batched, std::size_t bad = 0) {
    return {std::move(name), batched, [&writer, bad](std::size_t number) -> asio::awaitable<void> {
                const int cents = bad != 0 && number % bad == 0 ? -1 : 100;
                co_await writer.process({fmt::format("order {}", number), cents});
            }};
}

void measure(const std::string& path, load::Seconds seconds) {
    asio::io_context context;
    load::Bench bench(context, seconds);
    Writer one = writer(path, 1);
    Writer many = writer(path, 1'000);
    std::vector<load::Mode> modes{mode("a transaction for each row", one, false),
                                  mode("for up to 1,000 rows", many, true)};
    fmt::print("An fsync takes {:.2f} ms here.\n", load::fsync_milliseconds(path));
    bench.closed(1, modes);
    bench.open(1'000, modes);
    modes.push_back(mode("for up to 1,000 rows, every tenth bad", many, true, 10));
    bench.closed(200, modes);
    fmt::print("\nfor up to 1,000 rows\n{}\n", many.stats());
}

void store_lines(const std::string& path) {
    asio::io_context context;
    Writer orders = writer(path, 1'000);
    load::answer_lines(context, [&](std::string line) -> asio::awaitable<std::string> {
        Order order;
        std::istringstream(line) >> order.key >> order.cents;
        const Id id = co_await orders.process(order);
        co_return fmt::format("{} is stored as {}", order.key, id);
    });
}

}  // namespace

int main(int argc, char** argv) {
    return load::run(argc, argv, "group_commit", "FILE", measure, store_lines);
}
