file = ARG2
load ARG1."/common.gp"
set multiplot layout 1,3 title "8 slots, timeouts, Poisson, 10 % noise: calls done in time, of the staggered bound"
set datafile missing NaN
set key inside left top
set style data linespoints
set xlabel "calls that come, of the bound"
set xrange [0:1.65]
set yrange [0:1.5]
set ytics 0.2
array contenders[9] = ["latency_target", "call timeouts", "best setting", "natural", "Clipper-like", "BentoML-like", \
    "Nexus-like", "Clockwork-like", "Symphony-like"]
array colours[9] = ["#f0a0a0", "#b00000", "#404040", "#909090", "#e0b000", "#0070b0", "#00a060", "#40b0e0", "#9000c0"]
array profiles[3] = ["A", "B", "C"]
array titles[3] = ["A: 5.1 + 1.05 b ms, 25 ms", "B: 2 + 0.05 b ms, 10 ms", "C: 0.2 + b ms, 25 ms"]
do for [p = 1:3] {
    set title titles[p]
    plot x < 1.0 ? x : 1.0 with lines dashtype 2 linecolor "gray" title "all, up to the bound", \
        for [i = 1:9] "< grep -e ^profile -e '^.\t8\t' goodput_over_load.tsv" \
        using "load":(rows_of("contender", contenders[i], "profile", profiles[p], "value")) \
        linecolor rgb colours[i] linewidth (i == 1 ? 5 : 1) title contenders[i]
    unset key
}
unset multiplot
