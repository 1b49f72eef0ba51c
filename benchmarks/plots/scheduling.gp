file = ARG2
load ARG1."/common.gp"
set multiplot layout 1,3 title "Timeouts, priorities, weights, keys, equal items"
set key inside left top
set bmargin 18
set title "As waiting items grow that fail"
set ylabel "ns an item"
set xlabel "waiting at once"
set logscale xy
array waiting[3] = ["no timeout, all cancelled", "a timeout, all expire", "a timeout, each another, all expire"]
plot for [i = 1:3] for [metric in "submit fail"] "scheduling_timeouts.tsv" \
    using "waiting":(rows_of("contender", waiting[i], "metric", metric, "median")):(rows_of("contender", waiting[i], "metric", metric, "min")):(rows_of("contender", waiting[i], "metric", metric, "max")) \
    title metric.": ".waiting[i]
unset logscale
unset xlabel
unset key
set style data boxerrorbars
set style fill solid 0.6
set xtics rotate by -60 noenhanced font ",8"
set offsets 0.7, 0.7, 0, 0
set yrange [0:*]
set title "Cost of an item"
plot "< grep -e ^callers -e '^256\t' -e '\ta key' scheduling_cost.tsv" \
    using 0:"median":"min":"max":(0.7):xticlabels(stringcolumn("contender"))
set title "A key of 6,000 items a second: p99 wait"
set ylabel "ms"
plot "< grep -e ^small_per_second -e '^6000\t.*\tp99\t' scheduling_fairness.tsv" \
    using 0:"median":"min":"max":(0.7):xticlabels(stringcolumn("contender"))
unset multiplot
