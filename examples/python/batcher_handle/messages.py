"""batcher/v1/deployment.proto, so that there is nothing to generate: its messages, methods and marks."""

from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

SERVICE = "batcher.v1.Deployment"
PROCESS = f"/{SERVICE}/Process"
DESCRIBE = f"/{SERVICE}/Describe"

# In trailing metadata: what a deployment of batcher answers; and that it refused a call as a whole.
DEPLOYMENT_MARK = "batcher-deployment"
NOT_ACCEPTED_MARK = "batcher-not-accepted"

PRIORITIES = {"normal": 0, "low": 1, "high": 2}


def _described() -> descriptor_pb2.FileDescriptorProto:
    field = descriptor_pb2.FieldDescriptorProto
    value = descriptor_pb2.EnumValueDescriptorProto
    file = descriptor_pb2.FileDescriptorProto(
        name="batcher/v1/deployment.proto", package="batcher.v1", syntax="proto3"
    )

    def message(name: str, *fields: Any) -> Any:
        return file.message_type.add(name=name, field=fields)

    def one(name: str, number: int, kind: Any, **more: Any) -> Any:
        return field(name=name, number=number, type=kind, label=field.LABEL_OPTIONAL, **more)

    def many(name: str, number: int, kind: Any, **more: Any) -> Any:
        return field(name=name, number=number, type=kind, label=field.LABEL_REPEATED, **more)

    def of(name: str) -> Any:
        return {"kind": field.TYPE_MESSAGE, "type_name": f".batcher.v1.{name}"}

    message(
        "ProcessRequest",
        one("deployment", 1, field.TYPE_STRING),
        one("schema", 2, field.TYPE_STRING),
        many("items", 3, field.TYPE_BYTES),
        many("timeouts_ns", 4, field.TYPE_UINT64),
        many("priorities", 5, field.TYPE_ENUM, type_name=".batcher.v1.Priority"),
        many("trace_contexts", 6, field.TYPE_BYTES),
    )
    file.enum_type.add(
        name="Priority",
        value=[
            value(name=f"PRIORITY_{name.upper()}", number=number)
            for name, number in PRIORITIES.items()
        ],
    )
    message("ProcessResponse", many("results", 1, **of("Result")))
    message(
        "Result",
        one("value", 1, field.TYPE_BYTES, oneof_index=0),
        one("failure", 2, oneof_index=0, **of("Failure")),
    ).oneof_decl.add(name="outcome")
    message(
        "Failure",
        one("code", 1, field.TYPE_INT32),
        one("message", 2, field.TYPE_STRING),
        one("retry_after_ns", 3, field.TYPE_UINT64),
    )
    message("DescribeResponse", many("deployments", 1, **of("Description")))
    message(
        "Description",
        one("deployment", 1, field.TYPE_STRING),
        one("schema", 2, field.TYPE_STRING),
        one("max_items", 3, field.TYPE_UINT64),
    )
    return file


def _make_classes() -> Any:
    # In a pool of its own: a program may have generated code of the same messages, too.
    pool = descriptor_pool.DescriptorPool()
    pool.AddSerializedFile(_described().SerializeToString())
    if hasattr(message_factory, "GetMessageClass"):
        make = message_factory.GetMessageClass
    else:  # before protobuf 4.22
        factory: Any = message_factory.MessageFactory(pool)
        make = factory.GetPrototype
    return lambda name: make(pool.FindMessageTypeByName(f"batcher.v1.{name}"))


_class_of = _make_classes()
ProcessRequest: Any = _class_of("ProcessRequest")
ProcessResponse: Any = _class_of("ProcessResponse")
Result: Any = _class_of("Result")
Failure: Any = _class_of("Failure")
DescribeResponse: Any = _class_of("DescribeResponse")
Description: Any = _class_of("Description")
