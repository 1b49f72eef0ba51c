file = ARG2
load ARG1."/common.gp"
set multiplot layout 1,3 title "Another process: 32 bytes there, 16 back, over a unix socket"
set style data boxerrorbars
set style fill solid 0.6
set logscale y
unset key
set xtics rotate by -60 noenhanced font ",8"
set bmargin 16
set offsets 0.7, 0.7, 0, 0
# Each plot reads the header and its own rows; they are shown in their order.
set title "p50 of a lone caller, us"
set yrange [10:*]
plot "< grep -e ^arrangement -e '^unix socket\t.*\tp50\t' remote_lone.tsv" \
    using 0:"median":"min":"max":(0.7):xticlabels(stringcolumn("contender"))
set title "1,000 in flight:\nthousand items a second"
set yrange [1:*]
plot "< grep -e ^in_flight -e '^1000\tunix.*\titems\t' remote.tsv" \
    using 0:"median":"min":"max":(0.7):xticlabels(stringcolumn("contender"))
set title "four programs, a function of 1 ms:\nthousand items a second"
plot "< grep -e ^arrangement -e '\titems\t' remote_programs.tsv" \
    using 0:"median":"min":"max":(0.7):xticlabels(stringcolumn("contender"))
unset multiplot
