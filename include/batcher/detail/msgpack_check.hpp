// check_msgpack: whether bytes are one complete MessagePack value, before anything is allocated for it.
//
// A decoder trusts the lengths that a value declares: eight hostile bytes make it reserve half a gigabyte.
// Here each length is compared with the bytes that are there, and the depth with a limit.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace batching::detail {

class MsgpackChecker {
public:
    static constexpr int max_depth = 64;

    explicit MsgpackChecker(std::string_view bytes) noexcept : rest_(bytes) {}

    // One value, and nothing after it.
    bool is_one_value() noexcept { return value(0) && rest_.empty(); }

private:
    bool value(int depth) noexcept {
        if (rest_.empty() || depth > max_depth) return false;
        const auto first = static_cast<std::uint8_t>(rest_.front());
        rest_.remove_prefix(1);
        if (first <= 0x7f || first >= 0xe0) return true;  // a small integer
        if (first <= 0x8f) return values(2 * (first & 0x0fU), depth);
        if (first <= 0x9f) return values(first & 0x0fU, depth);
        if (first <= 0xbf) return skip(first & 0x1fU);
        return marked(first, depth);
    }

    bool marked(std::uint8_t mark, int depth) noexcept {
        switch (mark) {
            case 0xc0:  // nil, false, true
            case 0xc2:
            case 0xc3:
                return true;
            case 0xc4:  // bin and str: a length, and as many bytes
            case 0xd9:
                return skip_counted(1, 0);
            case 0xc5:
            case 0xda:
                return skip_counted(2, 0);
            case 0xc6:
            case 0xdb:
                return skip_counted(4, 0);
            case 0xc7:  // ext: a type besides
                return skip_counted(1, 1);
            case 0xc8:
                return skip_counted(2, 1);
            case 0xc9:
                return skip_counted(4, 1);
            case 0xcc:  // numbers of 1, 2, 4 and 8 bytes
            case 0xd0:
                return skip(1);
            case 0xcd:
            case 0xd1:
                return skip(2);
            case 0xca:
            case 0xce:
            case 0xd2:
                return skip(4);
            case 0xcb:
            case 0xcf:
            case 0xd3:
                return skip(8);
            case 0xd4:  // fixext: a type, and 1 to 16 bytes
            case 0xd5:
            case 0xd6:
            case 0xd7:
            case 0xd8:
                return skip(1 + (std::uint64_t{1} << (mark - 0xd4U)));
            case 0xdc:
                return counted_values(2, 1, depth);
            case 0xdd:
                return counted_values(4, 1, depth);
            case 0xde:
                return counted_values(2, 2, depth);
            case 0xdf:
                return counted_values(4, 2, depth);
            default:
                return false;
        }
    }

    bool values(std::uint64_t count, int depth) noexcept {
        if (count > rest_.size()) return false;  // each takes at least a byte
        for (; count != 0; --count) {
            if (!value(depth + 1)) return false;
        }
        return true;
    }

    bool counted_values(std::size_t width, unsigned per_entry, int depth) noexcept {
        std::uint64_t count = 0;
        return number(width, count) && values(per_entry * count, depth);
    }

    bool skip_counted(std::size_t width, std::uint64_t besides) noexcept {
        std::uint64_t count = 0;
        return number(width, count) && skip(count + besides);
    }

    bool number(std::size_t width, std::uint64_t& value) noexcept {
        if (width > rest_.size()) return false;
        for (std::size_t i = 0; i < width; ++i) {
            value = value << 8U | static_cast<std::uint8_t>(rest_[i]);
        }
        rest_.remove_prefix(width);
        return true;
    }

    bool skip(std::uint64_t count) noexcept {
        if (count > rest_.size()) return false;
        rest_.remove_prefix(static_cast<std::size_t>(count));
        return true;
    }

    std::string_view rest_;
};

inline bool check_msgpack(std::string_view bytes) noexcept {
    return MsgpackChecker(bytes).is_one_value();
}

}  // namespace batching::detail
