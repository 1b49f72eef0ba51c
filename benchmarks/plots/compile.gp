file = ARG2
load ARG1."/common.gp"
unset key
set title "Processor time of g++: Asio alone, and a program with one Batcher"
set ylabel "seconds"
set yrange [0:*]
set style fill solid 0.6
set boxwidth 0.7
set xtics noenhanced
set offsets 0.7, 0.7, 0, 0
plot "compile.tsv" using 0:"median":"min":"max":(0.7):xticlabels(stringcolumn("arrangement")."\n".stringcolumn("contender")) with boxerrorbars
