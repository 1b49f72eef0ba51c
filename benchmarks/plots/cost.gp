file = ARG2
load ARG1."/common.gp"
set title "Cost of an item: trivial batch function, batches of up to 64"
set logscale xy
set xlabel "callers"
set ylabel "ns an item"
set xrange [50:13000]
cell(arrangement, contender, c) = (column("max_batch_size") == 64 && strcol("arrangement") eq arrangement && strcol("contender") eq contender) ? column(c) : NaN
one = "one thread, plain coroutines"
awaitables = "one thread, asio::awaitable"
two = "callers on one thread, function on another"
producers = "callers on two threads"
blocking = "callers are threads that block"
array arrangements[13] = [one, one, one, awaitables, awaitables, awaitables, two, two, two, producers, producers, blocking, blocking]
array contenders[13] = ["no library", "this library", "oneTBB flow graph", \
    "no library", "this library", "by hand: Asio channel and timer", \
    "no library", "this library", "no library, one post per item", \
    "no library", "this library, with a worker", \
    "this library", "by hand: promise and future"]
array colours[13] = [1, 1, 1, 2, 2, 2, 3, 3, 3, 4, 4, 5, 5]
array dashes[13] = [2, 1, 3, 2, 1, 3, 2, 1, 3, 2, 1, 1, 3]
plot for [i = 1:13] "cost.tsv" \
    using "callers":(cell(arrangements[i], contenders[i], "median")):(cell(arrangements[i], contenders[i], "min")):(cell(arrangements[i], contenders[i], "max")) \
    linetype colours[i] dashtype dashes[i] title arrangements[i].": ".contenders[i]
