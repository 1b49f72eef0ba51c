"""editor_test.py FLAGS [grpc]: what an editor shows, asked of clangd. A name that is hovered says what it is, and
helpers do not stand among the suggestions. FLAGS is a file with the compiler's arguments."""

import json
import pathlib
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import time

# Before each name that is hovered stands an @, and a $ where suggestions are asked for.
CORE = """
#include <batcher.hpp>
#include <batcher/prometheus.hpp>
std::vector<int> f(std::vector<int>);
void core(batching::@Batcher<int, int>& batcher, batching::asio::io_context& context, batching::@Error& error) {
    batching::Batcher other{f, batching::@Options{.@max_batch_size = 1, .@batch_timeout = batching::@no_timeout,
        .@max_concurrent_batches = 1, .@max_queue_size = batching::@no_limit, .@max_batch_weight = 1,
        .@max_queue_weight = 1, .@max_concurrent_batches_per_key = 1, .@priority_aging = batching::no_timeout, .@latency_target = batching::no_timeout},
        batching::@weigh([](int) { return 1u; }), batching::@key_by([](int i) { return i; }),
        batching::@deduplicate(batching::@DeduplicateOptions{.@join_running = true})};
    batching::@deduplicate_by([](int i) { return i; });
    batching::@CallOptions asks{.@timeout = batching::no_timeout, .@priority = batching::Priority::high};
    batcher.@process(1, asks), batcher.@process_many({1}, asks), batcher.@process_each({1}, asks);
    batcher.@async_process(1, asks, [](std::exception_ptr, int) {});
    error.@retry_after();
    batching::@Operation operation = batcher.@process(1);
    batcher.@process_many({1}).@get(), batcher.@process_each({1}).get();
    batcher.process(1).@resume_on(context.get_executor());
    batcher.@async_process(1, [](std::exception_ptr, int) {});
    batcher.@async_process_many({1}, [](std::exception_ptr, std::vector<int>) {});
    batcher.@async_process_each({1}, [](std::exception_ptr, std::vector<batching::Result<int>>) {});
    batcher.@async_drain([](std::exception_ptr) {});
    batcher.@flush(), batcher.@close(), batcher.@cancel(), batcher.@drain(), batcher.@get_executor(), batcher.@reconfigure({});
    batching::@Stats s = batcher.@stats();
    s.@submitted, s.@completed, s.@failed, s.@rejected, s.@cancelled, s.@expired, s.@deduplicated, s.@waiting, s.@running;
    s.@batches_full, s.@batches_timeout, s.@batches_flushed, s.@wait_time, s.@wait_time_high, s.@wait_time_low, s.@run_time;
    s.@batch_weight, s.@overloaded, s.@batches_cut_by_weight, s.@batches_cut_by_key, s.@batches_cut_by_deadline, s.@options, s.@since(s), batching::@diagnosis(s), s.@fixed_run_time, s.@run_time_per_item, s.@run_time_deviation, s.@target_batch_size, s.@least_batch_size, s.@remote;
    batching::@Distribution sizes = s.@batch_size;
    sizes.@quantile(1), sizes.@mean(), sizes.@sum(), sizes.@count(), sizes.@count_up_to(1), sizes.@since(sizes), sizes.@for_each_bucket([](std::size_t, std::uint64_t) {});
    batching::@to_prometheus(s, "name"), batching::to_prometheus({batching::@NamedStats{.@name = "name", .@stats = s}});
    batching::@prometheus_content_type.size();
    batching::@Result<int> result = 1;
    result.@value(), result.@error(), result.@has_value();
    batching::@errc::@overloaded, batching::errc::@closed, batching::errc::@deadlock, batching::errc::@too_heavy;
    batching::@replicas(2, [](std::size_t) { return f; }), batching::@outlives(1), batching::@Timeout();
    batching::@isolate_failures(batching::@pad_to({1}, f));
    const batching::@BatchInfo info;
    info.@number(), info.@reason(), info.@slot(), info.@weight(), info.@deadline(), info.@calls(), info.@stop_requested();
    info.@trace_context().@valid(), batching::@TraceContext::@from_traceparent("").@to_traceparent(), batching::TraceContext().@sampled(), batching::TraceContext::@from_headers("", "").@tracestate(), info.trace_context().@state;
    std::shared_ptr<batching::@Tracer> tracer;
    batching::@trace(tracer), tracer->@current();
    batching::@TracedBatch traced{.parent = {}, .links = {}};
    tracer->@start(traced)->@make_current();
    tracer->start(traced)->@end(batching::BatchReport()), tracer->start(traced)->@context();
    batching::@CallInfo call{.@waited = {}, .@priority = batching::@Priority::normal};
    batching::@DispatchReason::@full, batching::DispatchReason::@timeout, batching::DispatchReason::@flushed;
    batching::@observe([](const batching::@BatchReport& r) {
        r.@number, r.@reason, r.@slot, r.@size, r.@weight, r.@oldest_wait, r.@run_time, r.@failed, r.@error; });
    static_assert(@BATCHER_VERSION >= 200);
    batching::$;
    batcher.$;
    batcher.process(1).$;
}
"""
REMOTE = """
#include <batcher/grpc.hpp>
using namespace std::chrono;
void remote(batching::Batcher<int, int>& batcher) {
    batching::grpc::@ConnectOptions calls{.@timeout = 1s, .@idempotent = true, .@max_attempts = 1,
        .@calls_in_flight = 1, .@max_items_per_call = 1, .@max_message_size = 1, .@max_queue_size = 1, .@metadata = {}, .@token = {},
        .@tls = batching::grpc::@Tls{.@root_certificates = "", .@certificate = "", .@private_key = "",
            .@server_name = ""},
        .@keepalive = batching::grpc::@Keepalive{.@interval = 1s, .@timeout = 1s}};
    batching::grpc::@connect<int, int>("", "", calls);
    batching::grpc::@DeployOptions options{.@listen = batching::grpc::@Addresses(""), .@tls = {}, .@accepts_token = {},
        .@max_message_size = 1, .@max_items_per_call = 1, .@max_calls_per_connection = 1, .@max_memory = 1, .@drain_timeout = 1s,
        .@share_port = true, .@max_connection_age = 1s, .@keepalive = {}};
    batching::grpc::@Deployment deployment = batching::grpc::@deploy(options, "", batcher);
    batching::grpc::@ConnectionStats met = batching::grpc::@connection_stats(batcher);
    met.@calls, met.@repeats, met.@reconnects, met.@replicas, met.@errors(batching::errc::unavailable), met.@other_errors();
    batching::grpc::@to_prometheus(met, "name");
    deployment.@wait(), deployment.@stop(), deployment.@address(), deployment.@addresses();
    batching::grpc::@StatsReader reader{"", calls};
    batching::grpc::@DeploymentStats seen = reader.@read().front();
    seen.@deployment, seen.@diagnosis, seen.@stats;
    batching::grpc::$;
}
"""
BATCHING = """asio detail grpc BatchFunction BatchInfo BatchReport BatchSpan Batcher CallInfo CallOptions Codec DeduplicateOptions
DispatchReason Distribution Encodable Error NamedStats Operation Options Priority Result Stats Timeout TraceContext
TracedBatch Tracer deduplicate deduplicate_by diagnosis errc error_category isolate_failures key_by make_error_code
no_limit no_timeout observe outlives pad_to prometheus_content_type replicas schema_name to_prometheus trace weigh"""
BATCHER = """async_drain async_process async_process_each async_process_many cancel close drain flush get_executor process
process_each process_many reconfigure stats"""
GRPC = """detail Addresses ConnectOptions ConnectionStats DeployOptions Deployment DeploymentStats Keepalive StatsReader Tls
connect connection_stats deploy to_prometheus"""
SUGGESTED = [BATCHING, BATCHER, "get item items resume_on", GRPC]


class Clangd:
    def __init__(self, program, folder, path, text):
        self.clangd = subprocess.Popen(
            [program, "--log=error", "--background-index=false", "--limit-results=0", "-j=2"],
            cwd=folder, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
        )
        self.document = {"uri": path.as_uri()}
        plain = {"hover": {"contentFormat": ["plaintext"]}}
        self.ask("initialize", {"rootUri": None, "processId": None, "capabilities": {"textDocument": plain}})
        opened = {**self.document, "languageId": "cpp", "version": 1, "text": text}
        self.send(method="textDocument/didOpen", params={"textDocument": opened})

    def send(self, **message):
        body = json.dumps({"jsonrpc": "2.0", **message}).encode()
        self.clangd.stdin.write(b"Content-Length: %d\r\n\r\n%s" % (len(body), body))
        self.clangd.stdin.flush()

    def ask(self, method, params):
        self.send(id=method, method=method, params=params)
        answer = {}
        while answer.get("id") != method:
            headers = iter(self.clangd.stdout.readline, b"\r\n")
            length = next(int(h.split(b":")[1]) for h in list(headers) if h.startswith(b"Content-Length"))
            answer = json.loads(self.clangd.stdout.read(length))
        return answer["result"]

    def at(self, kind, line, character):
        where = {"line": line, "character": character}
        return self.ask(f"textDocument/{kind}", {"textDocument": self.document, "position": where})

    def comment(self, line, character):
        """What the hover says besides the declaration and its types."""
        text = self.at("hover", line, character)["contents"]["value"].split("\n// In ")[0]
        said = re.sub(r"(?m)^(provided by|Type:|Value =|Parameters:|- |→).*$", "", text.split("\n", 1)[1])
        return said.strip()

    def suggestions(self, line, character):
        items = self.at("completion", line, character)["items"]
        names = {item.get("filterText") or item["label"].strip() for item in items}
        return set(filter(str.isidentifier, names))


def marks(marked):
    """Of each mark: itself, the name behind it, and where that stands in the program without marks."""
    for number, line in enumerate(marked.splitlines()):
        for mark in re.finditer(r"([@$])(\w*)", line):
            yield mark[1], mark[2], (number, len(re.sub("[@$]", "", line[: mark.start()])))


def check(clangd, marked):
    hovered = [(name, place) for mark, name, place in marks(marked) if mark == "@"]
    until = time.monotonic() + 100
    while not clangd.comment(*hovered[0][1]) and time.monotonic() < until:
        time.sleep(0.2)  # comments come from clangd's index, and nothing tells when that is made
    silent = [name for name, place in hovered if not clangd.comment(*place)]
    assert not silent, f"these say nothing when they are hovered: {silent}"
    asked = [place for mark, _, place in marks(marked) if mark == "$"]
    for place, names in zip(asked, SUGGESTED):
        suggested = clangd.suggestions(*place)
        assert suggested, f"line {place[0]}: nothing is suggested"
        helpers = suggested - set(names.split())
        assert not helpers, f"line {place[0]}: helpers are suggested: {helpers}"


program = shutil.which("clangd-19")  # 14 suggests private members, too
if not program:
    print("Skipped: there is no clangd-19 (Debian: apt-get install clangd-19)")
    sys.exit(77)
flags = [flag for flag in shlex.split(pathlib.Path(sys.argv[1]).read_text()) if flag != "-D"]
marked = CORE + (REMOTE if "grpc" in sys.argv[2:] else "")
with tempfile.TemporaryDirectory() as folder:
    source = pathlib.Path(folder, "main.cpp")
    flags += ["-DASIO_HAS_CO_AWAIT", "-DBOOST_ASIO_HAS_CO_AWAIT"]  # as the CMake target has it for clang
    source.with_name("compile_flags.txt").write_text("\n".join(flags))
    clangd = Clangd(program, folder, source, re.sub("[@$]", "", marked))
    try:
        check(clangd, marked)
    finally:
        clangd.clangd.kill()
        clangd.clangd.wait()
