#include "trace.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <stdexcept>
#include <string>
#include <string_view>

namespace tune {
namespace {

class Lines {
public:
    Lines(const std::filesystem::path& path, std::string_view text) : path_(path), rest_(text) {}

    bool next() {
        if (rest_.empty()) return false;
        const std::size_t end = std::min(rest_.find('\n'), rest_.size());
        line_ = rest_.substr(0, end);
        if (!line_.empty() && line_.back() == '\r') line_.remove_suffix(1);
        rest_.remove_prefix(std::min(end + 1, rest_.size()));
        ++number_;
        return true;
    }
    bool empty() const { return line_.empty(); }  // nothing is left of the line
    bool names_columns() const {
        return number_ == 1 && line_.find_first_of("0123456789") != 0 && line_.front() != '-';
    }

    // The next field, up to the comma.
    double number(const char* what) {
        const std::size_t end = std::min(line_.find(','), line_.size());
        const std::string_view field = line_.substr(0, end);
        char* stop = nullptr;
        const double value = std::strtod(field.data(), &stop);
        if (field.empty() || stop != field.data() + field.size() || !std::isfinite(value)) {
            fail(fmt::format("{} is not a number: \"{}\"", what, field));
        }
        line_.remove_prefix(std::min(end + 1, line_.size()));
        return value;
    }
    [[noreturn]] void fail(std::string_view why) const {
        throw std::runtime_error(fmt::format("{}, line {}: {}", path_.string(), number_, why));
    }

private:
    const std::filesystem::path& path_;
    std::string_view rest_;
    std::string_view line_;
    std::size_t number_ = 0;
};

Time seconds(double value) { return Time(static_cast<Time::rep>(std::llround(value * 1e9))); }

Arrival arrival_in(Lines& lines) {
    Arrival arrival{.at = seconds(lines.number("the time"))};
    if (!lines.empty()) {
        const double weight = lines.number("the weight");
        if (weight < 0 || weight > 1e12) lines.fail("a weight is from 0 to 1e12");
        arrival.weight = static_cast<std::size_t>(weight);
    }
    if (!lines.empty()) {
        const double timeout = lines.number("the timeout");
        if (timeout <= 0 || timeout > 1e6)
            lines.fail("a timeout is more than 0 seconds, and at most 1e6");
        arrival.timeout = seconds(timeout);
    }
    return arrival;
}

}  // namespace

std::vector<Arrival> read_trace(const std::filesystem::path& path) {
    std::ifstream file(path, std::ios::binary);
    if (!file) throw std::runtime_error(fmt::format("{} cannot be read", path.string()));
    const std::string text(std::istreambuf_iterator<char>(file), {});
    Lines lines(path, text);
    std::vector<Arrival> arrivals;
    while (lines.next()) {
        if (!lines.empty() && !lines.names_columns()) arrivals.push_back(arrival_in(lines));
    }
    if (arrivals.empty()) throw std::runtime_error(fmt::format("{} has no calls", path.string()));
    std::stable_sort(arrivals.begin(), arrivals.end(),
                     [](const Arrival& a, const Arrival& b) { return a.at < b.at; });
    const Time begin = arrivals.front().at;
    for (Arrival& arrival : arrivals) arrival.at -= begin;
    return arrivals;
}

}  // namespace tune
