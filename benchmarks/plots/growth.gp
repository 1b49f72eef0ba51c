file = ARG2
load ARG1."/common.gp"
set key inside left top
set multiplot layout 1,3
set logscale xy
set ylabel "ns an item"
set title "As callers grow"
set xlabel "callers"
array callers[7] = ["no library, one thread", "this library", "no library, asio::awaitable", \
    "this library, asio::awaitable", "no library, two threads", "this library, with a worker", \
    "by hand: Asio channel and timer"]
plot for [i = 1:7] "growth_callers.tsv" \
    using "callers":(row_of("contender", callers[i], "median")):(row_of("contender", callers[i], "min")):(row_of("contender", callers[i], "max")) \
    title callers[i]
set title "As waiting items grow, with their coroutines"
set xlabel "waiting at once"
array waiting[2] = ["this library", "this library, asio::awaitable"]
plot for [i = 1:2] "growth_waiting.tsv" \
    using "waiting":(row_of("contender", waiting[i], "median")):(row_of("contender", waiting[i], "min")):(row_of("contender", waiting[i], "max")) \
    title waiting[i]
set title "As producing threads grow"
set xlabel "threads"
array producers[3] = ["no library", "this library, with a worker", "this library, on the first thread"]
plot for [i = 1:3] "growth_producers.tsv" \
    using "threads":(row_of("contender", producers[i], "median")):(row_of("contender", producers[i], "min")):(row_of("contender", producers[i], "max")) \
    title producers[i]
unset multiplot
