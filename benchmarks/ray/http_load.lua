-- For wrk: an item in each request, and the figures on one line as load.cpp prints them.
wrk.method = "POST"
wrk.body = string.rep("\0\0\128\63", 64) -- 1.0, as a float

function done(summary, latency, requests)
    local failed = summary.errors.connect + summary.errors.read + summary.errors.status
    if failed > 0 then
        print(failed .. " requests failed")
    end
    print("figures", summary.requests, summary.duration / 1e6, latency:percentile(50), latency:percentile(99))
end
