// What the examples with PostgreSQL share: a statement that runs without blocking the thread, on
// libpq's own socket, and what they measure against, threads that do block.
#pragma once

#include <libpq-fe.h>

#include <algorithm>
#include <array>
#include <asio.hpp>
#include <cstddef>
#include <exception>
#include <functional>
#include <memory>
#include <stdexcept>
#include <string>
#include <utility>

#include "../load.hpp"

namespace postgres {

struct Free {
    void operator()(PGresult* rows) const { PQclear(rows); }
    void operator()(PGconn* connection) const { PQfinish(connection); }
};
using Rows = std::unique_ptr<PGresult, Free>;

// What libpq says, in one line.
inline std::string one_line(std::string message) {
    while (!message.empty() && message.back() == '\n') message.pop_back();
    std::replace(message.begin(), message.end(), '\n', ' ');
    return message;
}

// Elements of an array: 1 and "a \"quoted\" word".
inline std::string element(int number) { return std::to_string(number); }
inline std::string element(const std::string& text) {
    if (text.find('\0') != std::string::npos)
        throw std::invalid_argument("a character 0 cannot be stored in PostgreSQL's text");
    std::string result = "\"";
    for (const char c : text) {
        if (c == '"' || c == '\\') result += '\\';
        result += c;
    }
    return result + '"';
}

// {a,b,c}: a whole column as one parameter.
template <class Items, class Member = std::identity>
std::string array(const Items& items, Member member = {}) {
    std::string result;
    for (const auto& item : items) {
        result += result.empty() ? '{' : ',';
        result += element(std::invoke(member, item));
    }
    return result.empty() ? "{}" : result + "}";
}

// What the server has said of a statement.
struct SqlError : std::runtime_error {
    explicit SqlError(const PGresult* rows)
        : std::runtime_error(one_line(PQresultErrorMessage(rows))) {
        if (const char* said = PQresultErrorField(rows, PG_DIAG_SQLSTATE)) state = said;
    }
    std::string state;

    // 22 is a value that cannot be stored, 23 a constraint. All else is not the fault of a row.
    bool of_a_row() const { return state.starts_with("22") || state.starts_with("23"); }
};

inline Rows checked(Rows rows) {
    const ExecStatusType status = PQresultStatus(rows.get());
    if (status != PGRES_COMMAND_OK && status != PGRES_TUPLES_OK) throw SqlError(rows.get());
    return rows;
}

// A connection that blocks.
class Connection {
public:
    explicit Connection(const std::string& where) : pg_(PQconnectdb(where.c_str())) {
        if (PQstatus(pg_.get()) != CONNECTION_OK)
            throw std::runtime_error(one_line(PQerrorMessage(pg_.get())));
    }
    Rows run(const std::string& sql) { return checked(Rows(PQexec(pg_.get(), sql.c_str()))); }
    void prepare(const std::string& sql) {
        checked(Rows(PQprepare(pg_.get(), "statement", sql.c_str(), 0, nullptr)));
    }
    template <class... Text>
    Rows execute(const Text&... parameters) {
        const std::array<const char*, sizeof...(Text)> values{parameters.c_str()...};
        return checked(Rows(PQexecPrepared(pg_.get(), "statement", int(values.size()),
                                           values.data(), nullptr, nullptr, 0)));
    }

private:
    std::unique_ptr<PGconn, Free> pg_;
};

// The rival of all batches: threads that block, each with a connection and its prepared statement. So
// many calls are at work, not more.
template <class Call>
load::Mode threads(const std::string& name, int count, const std::string& where,
                   const std::string& sql, Call call) {
    load::Mode mode{name};
    for (int i = 0; i < count; ++i) {
        auto connection = std::make_shared<Connection>(where);
        connection->prepare(sql);
        mode.threads.push_back([=](std::size_t number) { call(*connection, number); });
    }
    return mode;
}

// A prepared statement, and the connection that it has for itself: one call at a time. It connects
// when it is called, also after the connection was lost. The call that loses it gets the error: nobody
// knows what became of its statement.
class Statement {
public:
    Statement(asio::any_io_executor executor, std::string where, std::string sql)
        : where_(std::move(where)), sql_(std::move(sql)), socket_(executor) {}
    Statement(Statement&&) = default;
    Statement& operator=(Statement&&) = delete;
    ~Statement() { disconnect(); }

    // Parameters as text.
    template <class... Text>
    asio::awaitable<Rows> execute(Text... parameters) {
        try {
            if (!pg_) co_await connect();
            const std::array<const char*, sizeof...(Text)> values{parameters.c_str()...};
            require(PQsendQueryPrepared(pg_.get(), "statement", int(values.size()), values.data(),
                                        nullptr, nullptr, 0));
            co_return co_await result();
        } catch (const SqlError&) {
            if (PQstatus(pg_.get()) != CONNECTION_OK) disconnect();
            throw;
        } catch (...) {  // lost, or cancelled in the middle of a call, as nobody waits for it
            disconnect();
            throw;
        }
    }

private:
    // A name in `where` is looked up, and that blocks; a folder or an address is not.
    asio::awaitable<void> connect() {
        pg_.reset(PQconnectStart(where_.c_str()));
        for (auto next = PGRES_POLLING_WRITING; next != PGRES_POLLING_OK;) {
            require(next != PGRES_POLLING_FAILED && PQstatus(pg_.get()) != CONNECTION_BAD);
            socket_.assign(PQsocket(pg_.get()));  // another one for each address that is tried
            co_await ready(next == PGRES_POLLING_READING ? Wait::wait_read : Wait::wait_write);
            socket_.release();
            next = PQconnectPoll(pg_.get());
        }
        socket_.assign(PQsocket(pg_.get()));
        require(PQsetnonblocking(pg_.get(), 1) == 0);
        require(PQsendPrepare(pg_.get(), "statement", sql_.c_str(), 0, nullptr));
        co_await result();
    }

    asio::awaitable<Rows> result() {
        // The server answers only when it has read all, so that there is nothing to read meanwhile.
        while (PQflush(pg_.get()) == 1) co_await ready(Wait::wait_write);
        Rows first;
        while (true) {
            while (PQisBusy(pg_.get()) != 0) {
                co_await ready(Wait::wait_read);
                if (PQconsumeInput(pg_.get()) == 0 && !first) require(false);
            }
            Rows next(PQgetResult(pg_.get()));
            if (!next) co_return checked(std::move(first));
            if (!first) first = std::move(next);  // a second one says that the connection is lost
        }
    }

    using Wait = asio::posix::descriptor_base;
    asio::awaitable<void> ready(Wait::wait_type what) {
        co_await socket_.async_wait(what, asio::use_awaitable);
    }

    void require(bool fine) {
        if (!fine) throw std::runtime_error(one_line(PQerrorMessage(pg_.get())));
    }

    void disconnect() noexcept {
        if (socket_.is_open()) socket_.release();  // libpq closes it
        pg_.reset();
    }

    std::string where_, sql_;
    std::unique_ptr<PGconn, Free> pg_;
    asio::posix::stream_descriptor socket_;
};

}  // namespace postgres
