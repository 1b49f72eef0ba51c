#include "support.hpp"

#include <grpcpp/health_check_service_interface.h>
#include <array>
#include <batcher/codec.hpp>
#include <batcher/grpc/detail/wire.hpp>
#include <bit>
#include <cstdint>
#include <limits>
#include <map>
#include <memory>
#include <optional>
#include <tuple>

namespace test {

struct Point {
    int x = 0;
    double y = 0;
    MSGPACK_DEFINE(x, y)
    friend bool operator==(const Point&, const Point&) = default;
};

struct Named {
    std::string name = {};
    std::vector<Point> points = {};
    std::optional<Point> origin = {};
    MSGPACK_DEFINE_MAP(name, points, origin)
    friend bool operator==(const Named&, const Named&) = default;
};

struct Tree {
    int value = 0;
    std::vector<Tree> children = {};
    MSGPACK_DEFINE(value, children)
};

struct Versioned {
    int a = 0;
    MSGPACK_DEFINE(a)
};

// In an encoding of its own.
struct Celsius {
    double degrees = 0;
};

// What a protobuf message can do, as far as the codec looks.
class FakeMessage {
public:
    std::string GetTypeName() const { return "test.FakeMessage"; }
    bool IsInitialized() const { return text != "incomplete"; }
    bool AppendPartialToString(std::string* out) const { return out->append(text), true; }
    bool ParseFromArray(const void* bytes, int size) {
        text.assign(static_cast<const char*>(bytes), static_cast<std::size_t>(size));
        return text != "bad";
    }
    std::string text;
};
// The same as newer versions of protobuf have it.
class NewerFakeMessage : public FakeMessage {
public:
    std::string_view GetTypeName() const { return "test.NewerFakeMessage"; }
};

// Keeps a part of itself as bytes, and reads those with the codec of that part.
struct Sealed {
    int before = 0;
    Named inside = {};
    int after = 0;
    std::vector<int> last = {};

    template <class Packer>
    void msgpack_pack(Packer& packer) const {
        std::string bytes;
        batching::Codec<Named>::encode(inside, bytes);
        packer.pack_array(4);
        packer.pack(before);
        packer.pack(bytes);
        packer.pack(after);
        packer.pack(last);
    }
    void msgpack_unpack(const msgpack::object& o) {
        const auto* fields = o.via.array.ptr;
        before = fields[0].as<int>();
        inside = batching::Codec<Named>::decode(fields[1].as<std::string>());
        after = fields[2].as<int>();
        last = fields[3].as<std::vector<int>>();
    }
};

struct Unknown {};

// Made from a value by an adaptor.
class Metres {
public:
    explicit Metres(int value) : value_(value) {}
    int value() const { return value_; }

private:
    int value_;
};

// Keeps a part of a fixed size in a field.
struct Labelled {
    char label[8] = {};
    std::array<std::array<double, 2>, 2> rows = {};
    MSGPACK_DEFINE_MAP(label, rows)
};

// Packs itself by other means than pack().
struct Handmade {
    int value = 0;

    template <class Packer>
    void msgpack_pack(Packer& packer) const {
        packer.pack_array(1);
        packer.pack_int(value);
    }
    void msgpack_unpack(const msgpack::object& o) { value = o.as<std::array<int, 1>>()[0]; }
};

// Packs itself, and only into a msgpack::packer.
struct ForPackersOnly {
    template <class Stream>
    void msgpack_pack(msgpack::packer<Stream>& packer) const {
        packer.pack_nil();
    }
};

}  // namespace test

namespace msgpack {
MSGPACK_API_VERSION_NAMESPACE(MSGPACK_DEFAULT_API_NS) {
    namespace adaptor {
    template <>
    struct as<test::Metres> {
        test::Metres operator()(const msgpack::object& o) const {
            return test::Metres(o.as<int>());
        }
    };
    template <>
    struct pack<test::Metres> {
        template <class Stream>
        packer<Stream>& operator()(packer<Stream>& o, const test::Metres& metres) const {
            return o.pack(metres.value());
        }
    };
    }  // namespace adaptor
}
}  // namespace msgpack

template <>
inline constexpr std::string_view batching::schema_name<test::Metres> = "test.Metres";
template <>
inline constexpr std::string_view batching::schema_name<test::Handmade> = "test.Handmade";

template <>
inline constexpr std::string_view batching::schema_name<test::Versioned> = "test.Versioned.v1";

template <>
struct batching::Codec<test::Celsius> {
    static std::string schema() { return "celsius"; }
    static void encode(const test::Celsius& value, std::string& out) {
        out += std::to_string(value.degrees);
    }
    static test::Celsius decode(std::string_view bytes) { return {std::stod(std::string(bytes))}; }
};

using namespace test;
using batching::Codec;
using batching::errc;

namespace {

template <class T>
T round_trip(const T& value) {
    std::string bytes = "before ";
    Codec<T>::encode(value, bytes);
    REQUIRE(bytes.substr(0, 7) == "before ");
    return Codec<T>::decode(std::string_view(bytes).substr(7));
}

template <class T>
std::string refusal(std::string_view bytes) {
    // Where no byte follows them, so that AddressSanitizer sees what is read past their end.
    const std::vector<char> alone(bytes.begin(), bytes.end());
    return sentence_of([&] { Codec<T>::decode({alone.data(), alone.size()}); });
}

static_assert(batching::Encodable<int>);
static_assert(batching::Encodable<std::map<std::string, std::vector<std::optional<Point>>>>);
static_assert(batching::Encodable<FakeMessage>);
static_assert(batching::detail::ProtobufMessage<NewerFakeMessage>);
static_assert(batching::Encodable<Celsius>);
static_assert(!batching::Encodable<Unknown>);
static_assert(!batching::Encodable<std::vector<Unknown>>);
static_assert(!batching::Encodable<int*>);
static_assert(!batching::Encodable<std::vector<std::string_view>>);
static_assert(!batching::Encodable<ForPackersOnly>);

// What msgpack-cxx would read past the end of.
static_assert(!batching::Encodable<std::array<char, 40>>);
static_assert(!batching::Encodable<std::array<unsigned char, 40>>);
static_assert(!batching::Encodable<std::map<int, std::optional<std::array<char, 40>>>>);
static_assert(!batching::Encodable<std::array<Metres, 3>>);
static_assert(!batching::Encodable<std::tuple<Metres, int>>);
static_assert(batching::Encodable<std::pair<Metres, std::vector<Metres>>>);
static_assert(batching::Encodable<std::array<float, 3>>);

}  // namespace

TEST_CASE("values come back as they were encoded") {
    CHECK(round_trip(-3) == -3);
    CHECK(round_trip(std::uint64_t{1} << 63U) == std::uint64_t{1} << 63U);
    CHECK(round_trip(0.1) == 0.1);
    CHECK(round_trip(true));
    CHECK(round_trip(std::string("text")) == "text");
    CHECK(round_trip(std::vector{1.5F, 2.5F}) == std::vector{1.5F, 2.5F});
    CHECK(round_trip(std::map<std::string, int>{{"a", 1}}) == std::map<std::string, int>{{"a", 1}});
    CHECK(round_trip(std::optional<int>()) == std::nullopt);
    CHECK(round_trip(std::tuple(1, std::string("x"))) == std::tuple(1, std::string("x")));
    const Named named{"n", {{1, 2.0}, {3, 4.0}}, Point{5, 6.0}};
    CHECK(round_trip(named) == named);
    const Sealed sealed = round_trip(Sealed{1, named, 2, std::vector<int>(5000, 3)});
    CHECK(sealed.inside == named);
    CHECK(sealed.after == 2);
    CHECK(sealed.last == std::vector<int>(5000, 3));
    CHECK(round_trip(Celsius{36.6}).degrees == 36.6);
    CHECK(round_trip(FakeMessage{.text = "proto"}).text == "proto");
}

TEST_CASE("each float comes back bit for bit, and as long as any other") {
    const auto bits = [](double x) { return std::bit_cast<std::uint64_t>(x); };
    constexpr double inf = std::numeric_limits<double>::infinity();
    for (const double x : {0.0, -0.0, 1.0, -3.0, 0x1p53, 0x1p64, -0x1p63, 1e300, 5e-324, inf, -inf,
                           std::numeric_limits<double>::quiet_NaN()}) {
        CHECK(bits(round_trip(x)) == bits(x));
        const auto single = static_cast<float>(x);
        CHECK(std::bit_cast<std::uint32_t>(round_trip(single)) ==
              std::bit_cast<std::uint32_t>(single));
        std::string bytes;
        Codec<std::tuple<double, float>>::encode({x, single}, bytes);
        CHECK(bytes.size() == 1 + 9 + 5);
    }
    // As MessagePack has them, so that any language reads them.
    std::string bytes;
    Codec<double>::encode(-2.0, bytes);
    CHECK(bytes == std::string_view("\xcb\xc0\0\0\0\0\0\0\0", 9));
    CHECK(Codec<double>::decode("\x07") == 7.0);  // other programs may send whole numbers
}

TEST_CASE("a type is named by its shape, in words that every language and compiler agrees on") {
    CHECK(Codec<std::int64_t>::schema() == "int");
    CHECK(Codec<unsigned char>::schema() == "int");
    CHECK(Codec<float>::schema() == "float");
    CHECK(Codec<std::vector<double>>::schema() == "[float]");
    CHECK(Codec<std::array<int, 3>>::schema() == "[int]");
    CHECK(Codec<std::vector<char>>::schema() == "bytes");
    CHECK(Codec<std::unordered_map<std::string, bool>>::schema() == "{str:bool}");
    CHECK(Codec<std::unique_ptr<int>>::schema() == "int?");
    CHECK(Codec<Point>::schema() == "(int,float)");
    CHECK(Codec<Named>::schema() == R"({"name":str,"points":[(int,float)],"origin":(int,float)?})");
    CHECK(Codec<Tree>::schema() == "(int,[...])");
    CHECK(Codec<std::vector<Versioned>>::schema() == "[test.Versioned.v1]");
    CHECK(Codec<FakeMessage>::schema() == "test.FakeMessage");
    CHECK(Codec<NewerFakeMessage>::schema() == "test.NewerFakeMessage");
    CHECK(Codec<Handmade>::schema() == "test.Handmade");
    CHECK(Codec<Labelled>::schema() == R"({"label":*,"rows":[[float]]})");
    CHECK(Codec<std::tuple<>>::schema() == "()");
    CHECK(Codec<std::pair<std::deque<char>, std::set<int>>>::schema() == "(bytes,[int])");
    CHECK(batching::detail::call_schema<Point, void>() == "(int,float) -> nothing");
}

TEST_CASE("bytes that are no value of the type are refused with the reason") {
    CHECK(refusal<int>("") ==
          "0 bytes are not one complete MessagePack value, at most 64 deep, of type int");
    CHECK(contains(refusal<int>("\x01\x02"), "2 bytes are not one complete MessagePack value"));
    CHECK(contains(refusal<int>("\xa1x"), "2 bytes are no MessagePack value of type int"));
    CHECK(refusal<std::int8_t>("\xcd\x01\x01") != "");  // 257
    CHECK(refusal<unsigned>("\xff") != "");             // -1
    CHECK(refusal<FakeMessage>("bad") == "3 bytes are no message of type test.FakeMessage");
    std::string out;
    CHECK(contains(
        sentence_of([&] { Codec<FakeMessage>::encode(FakeMessage{.text = "incomplete"}, out); }),
        "lacks a required field"));
}

TEST_CASE("lengths that are declared and not there are refused before anything is allocated") {
    using Lists = std::vector<std::vector<int>>;
    CHECK(refusal<Lists>(std::string_view("\xdd\xff\xff\xff\xff", 5)) != "");
    CHECK(refusal<std::string>(std::string_view("\xdb\xff\xff\xff\xff", 5)) != "");
    CHECK(refusal<std::vector<char>>(std::string_view("\xc6\xff\xff\xff\xff\x01", 6)) != "");
    CHECK(refusal<std::map<int, int>>(std::string_view("\xdf\xff\xff\xff\xff", 5)) != "");
    std::string amplified;  // each of them seems to have the rest of the bytes as its items
    for (int i = 0; i < 20'000; ++i) amplified += std::string("\xdd\x00\x01\x00\x00", 5);
    CHECK(refusal<Lists>(amplified) != "");
}

TEST_CASE("an array that is too short leaves the rest of a std::array 0") {
    using Triple = std::array<int, 3>;
    CHECK(Codec<Triple>::decode("\x91\x07") == Triple{7, 0, 0});
    CHECK(Codec<std::vector<Triple>>::decode("\x91\x91\x07") == std::vector<Triple>{{7, 0, 0}});
    CHECK(refusal<Triple>("\x94\x01\x02\x03\x04") != "");
}

TEST_CASE("nothing is read past the end of what is shorter than a type of a fixed size") {
    CHECK(Codec<std::tuple<int, int>>::decode("\x91\x05") == std::tuple(5, 0));
    CHECK(contains(refusal<std::pair<Metres, int>>("\x91\x01"), " MessagePack value of type "));
    CHECK(Codec<Labelled>::decode("\x81\xa5label\xa2xy").label == std::string("xy"));
    CHECK(refusal<Labelled>("\x81\xa5label\xa9xxxxxxxxx") != "");
    CHECK(Codec<Labelled>::decode("\x81\xa4rows\x91\x90").rows == Labelled().rows);
    CHECK(refusal<Labelled>("\x81\xa4rows\x93\x90\x90\x90") != "");
}

TEST_CASE("what is as long as a type of a fixed size comes back") {
    const Labelled labelled = round_trip(Labelled{"abcdefg", {{{1, 2}, {3, 4}}}});
    CHECK(labelled.label == std::string("abcdefg"));
    CHECK(labelled.rows[1][0] == 3);
    CHECK(round_trip(std::pair(Metres(5), 1)).first.value() == 5);
    CHECK(round_trip(std::vector{Metres(1), Metres(2)})[1].value() == 2);
    CHECK(round_trip(Metres(7)).value() == 7);
    CHECK(round_trip(Handmade{3}).value == 3);
}

TEST_CASE("values that lie too deep are refused") {
    CHECK(Codec<Tree>::decode(std::string("\x92\x01\x90", 3)).value == 1);
    CHECK(contains(refusal<int>(std::string(64, '\x91') + '\x01'), "no MessagePack value"));
    CHECK(contains(refusal<int>(std::string(65, '\x91') + '\x01'), "at most 64 deep"));
    CHECK(contains(refusal<Tree>(std::string(100'000, '\x91')), "at most 64 deep"));
}

TEST_CASE("a field of any length is written with its length and read back") {
    namespace wire = batching::grpc::detail::wire;
    for (const std::size_t size : {0U, 1U, 127U, 128U, 16'383U, 16'384U, 3'000'000U}) {
        std::string bytes;
        const std::string item(size, 'x');
        wire::write_header(bytes, "name", "types");
        wire::write_item(bytes, [&](std::string& out) { out += item; });
        wire::write_item(bytes, [&](std::string& out) { out += "second"; });
        const auto request = wire::read_request(bytes, 2);
        CHECK(request.deployment == "name");
        CHECK(request.schema == "types");
        REQUIRE(request.items.size() == 2);
        CHECK(request.items[0] == item);
        CHECK(request.items[1] == "second");
    }
}
