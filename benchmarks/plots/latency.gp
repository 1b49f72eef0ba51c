file = ARG2
load ARG1."/common.gp"
set multiplot layout 1,2 title "Open loop, batches of up to 64, 1 ms: from due to done"
set logscale xy
set xlabel "items a second"
set xrange [700:150000]
set key bottom
array contenders[8] = ["no library, one thread", "no library, two threads", "this library, one thread", \
    "this library, asio::awaitable", "this library, with a worker", "this library, 64 blocking threads", \
    "by hand: Asio channel and timer", "by hand: promise and future"]
do for [q in "p50 p99"] {
    set ylabel q.", us"
    set key inside left top
    plot for [i = 1:8] "latency_open.tsv" \
        using "items_per_second":(rows_of("contender", contenders[i], "metric", q, "median")):(rows_of("contender", contenders[i], "metric", q, "min")):(rows_of("contender", contenders[i], "metric", q, "max")) \
        title contenders[i]
}
unset multiplot
