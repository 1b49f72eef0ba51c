// The N+1 problem: a list of posts, and then one query for the author of each. Here every caller asks for one author, as
// it likes best, and the lookups of all of them go out together, each author once.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <asio.hpp>
#include <batcher.hpp>
#include <stdexcept>
#include <string>
#include <vector>

using Id = int;

// In place of a database: SELECT id, name FROM authors WHERE id IN (...). An id may be unknown.
class Authors {
public:
    std::vector<batching::Result<std::string>> operator()(const std::vector<Id>& ids) {
        fmt::print("SELECT id, name FROM authors WHERE id IN ({})\n", fmt::join(ids, ", "));
        std::vector<batching::Result<std::string>> names;
        for (const Id id : ids) {
            if (id > 5) {
                names.push_back(std::make_exception_ptr(
                    std::out_of_range(fmt::format("there is no author {}", id))));
            } else {
                names.push_back(fmt::format("Author {}", id));
            }
        }
        return names;
    }
};

using Lookup = batching::Batcher<Id, std::string>;

struct Post {
    std::string title;
    Id author;
};

// --8<-- [start:caller]
// It knows nothing of the other posts, nor of other requests.
asio::awaitable<void> show(Lookup& authors, Post post) {
    std::string author;
    try {
        author = co_await authors.process(post.author);
    } catch (const std::out_of_range& error) {
        author = error.what();
    }
    fmt::print("  {}, by {}\n", post.title, author);
}
// --8<-- [end:caller]

int main() {
    // --8<-- [start:batcher]
    Lookup authors{Authors(), {.max_batch_size = 100}, batching::deduplicate()};
    // --8<-- [end:batcher]
    asio::io_context context;
    for (int i = 0; i < 20; ++i) {
        const Post post{fmt::format("Post {}", i), i == 19 ? 99 : 1 + i % 4};
        asio::co_spawn(context, show(authors, post), asio::detached);
    }
    context.run();

    const batching::Stats stats = authors.stats();
    fmt::print("{} lookups, {} of an author that was being looked up already, {} query\n",
               stats.submitted, stats.deduplicated, stats.batch_size.count());
}
