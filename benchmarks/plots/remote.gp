file = ARG2
load ARG1."/common.gp"
set multiplot layout 1,3 title "Another process: 32 bytes there, 16 back, over a unix socket"
set style data boxerrorbars
set style fill solid 0.6
set boxwidth 0.7
set logscale y
unset key
set xtics rotate by -35 noenhanced font ",9"
set bmargin 12
# Rows in their order; those of the transport and the number in flight that is asked for.
one(metric, c) = (strcol("arrangement")[1:4] eq "unix" && strcol("metric") eq metric) ? column(c) : NaN
many(n, metric, c) = (column("in_flight") == n) ? one(metric, c) : NaN
set title "p50 of a lone caller, us"
set yrange [10:*]
plot "< grep -e ^arrangement -e 'unix socket\",.*,p50,' remote_lone.csv" \
    using 0:(one("p50", "median")):(one("p50", "min")):(one("p50", "max")):xticlabels(stringcolumn("contender"))
set title "thousand items a second, 1,000 in flight"
set yrange [1:*]
plot "< grep -e ^in_flight -e '^1000,\"unix.*,items,' remote.csv" \
    using 0:(many(1000, "items", "median")):(many(1000, "items", "min")):(many(1000, "items", "max")):xticlabels(stringcolumn("contender"))
set title "four programs, a function of 1 ms: thousand items a second"
plot "< grep -e ^arrangement -e ',items,' remote_programs.csv" \
    using 0:(one("items", "median")):(one("items", "min")):(one("items", "max")):xticlabels(stringcolumn("contender"))
unset multiplot
