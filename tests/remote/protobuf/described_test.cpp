// batcher/v1/deployment.proto as protobuf reads it, against what is written by hand here.
#include "raw_client.hpp"

#if defined(BATCHER_GRPC_REFLECTION)
#include <google/protobuf/descriptor.pb.h>
#include <google/protobuf/dynamic_message.h>

#include <fstream>

namespace described_test {

using namespace test;
using google::protobuf::Message;

// The .proto that is installed, as protoc has compiled it.
class Proto {
public:
    Proto() {
        std::ifstream in(DESCRIPTORS, std::ios::binary);
        google::protobuf::FileDescriptorSet set;
        REQUIRE(set.ParseFromIstream(&in));
        auto& file = *set.mutable_file(0);
        for (auto& message : *file.mutable_message_type()) {  // what follows from the names
            for (auto& field : *message.mutable_field()) field.clear_json_name();
        }
        file_ = pool_.BuildFile(file);
        REQUIRE(file_ != nullptr);
    }

    const google::protobuf::FileDescriptor& file() const { return *file_; }

    // A message of it.
    std::unique_ptr<Message> read(const char* message, const std::string& bytes) {
        std::unique_ptr<Message> made(
            messages_.GetPrototype(file_->FindMessageTypeByName(message))->New());
        REQUIRE(made->ParseFromString(bytes));
        return made;
    }

private:
    google::protobuf::DescriptorPool pool_;
    const google::protobuf::FileDescriptor* file_ = nullptr;
    google::protobuf::DynamicMessageFactory messages_;
};

std::string text_of(const google::protobuf::FileDescriptor& file) {
    google::protobuf::FileDescriptorProto copy;
    file.CopyTo(&copy);
    return copy.DebugString();
}

// A field of a message, one level down.
const Message& in(const Message& of, const char* name) {
    const auto* field = of.GetDescriptor()->FindFieldByName(name);
    if (field->is_repeated()) return of.GetReflection()->GetRepeatedMessage(of, field, 0);
    return of.GetReflection()->GetMessage(of, field);
}
std::uint64_t number(const Message& of, const char* name) {
    return of.GetReflection()->GetUInt64(of, of.GetDescriptor()->FindFieldByName(name));
}

TEST_CASE("reflection says what the .proto says") {
    const Deployed deployed;
    const Proto proto;
    const auto* described =
        google::protobuf::DescriptorPool::generated_pool()->FindFileByName(proto.file().name());
    REQUIRE(described != nullptr);
    CHECK(text_of(*described) == text_of(proto.file()));
}

TEST_CASE("any language's protobuf reads the figures of a deployment, all that are sent") {
    Deployed deployed;
    for (int i = 0; i < 3; ++i) deployed.model.process(i).get();
    RawClient client(deployed.deployment.address());
    Proto proto;
    const auto read = [&] {
        return proto.read("StatsResponse", client.call(remote::stats_method, "").bytes);
    };
    REQUIRE(eventually(
        [&] { return number(in(in(*read(), "deployments"), "stats"), "completed") == 3; }));
    const auto response = read();
    const Message& deployment = in(*response, "deployments");
    const auto* name = deployment.GetDescriptor()->FindFieldByName("deployment");
    CHECK(deployment.GetReflection()->GetString(deployment, name) == "doubling");
    const Message& stats = in(deployment, "stats");
    CHECK(stats.GetReflection()->GetUnknownFields(stats).empty());
    CHECK(number(stats, "submitted") == 3);
    CHECK(number(in(stats, "options"), "max_batch_size") == 32);
    CHECK(number(in(stats, "options"), "batch_timeout_ns") == 0);
    const Message& options = in(stats, "options");
    CHECK(options.GetReflection()->GetUnknownFields(options).empty());
    const Message& sizes = in(stats, "batch_size");
    CHECK(number(sizes, "smallest") == 1);
    CHECK(number(sizes, "largest") == 1);
    CHECK(number(in(sizes, "buckets"), "at_most") == 1);
    CHECK(number(in(sizes, "buckets"), "count") == 3);
}

}  // namespace described_test
#endif
