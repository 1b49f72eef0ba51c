file = ARG2
load ARG1."/common.gp"
set multiplot layout 2,3 title "A batch function of a + 0.5 us an item, on one worker"
set logscale xy
set key inside left top
set xlabel "items a second offered"
array contenders[3] = ["no batching", "batches of up to 256, no wait", "batches of up to 256, 1 ms"]
cell(a, i, metric, c) = (column("per_call_us") == a && strcol("contender") eq contenders[i] && strcol("metric") eq metric) ? column(c) : NaN
array metrics[2] = ["throughput", "p99"]
array labels[2] = ["thousand items a second", "p99, ms"]
do for [m = 1:2] {
    set ylabel labels[m]
    do for [a in "50 500 5000"] {
        set title "a = ".a." us"
        plot for [i = 1:3] "gain.tsv" \
            using "items_per_second":(cell(a + 0, i, metrics[m], "median")):(cell(a + 0, i, metrics[m], "min")):(cell(a + 0, i, metrics[m], "max")) \
            title contenders[i]
    }
}
unset multiplot
