file = ARG2
load ARG1."/common.gp"
unset key
set title "Instructions of an item (callgrind), batches of up to 64"
set ylabel "instructions"
set logscale y
set yrange [50:*]
set style fill solid 0.6
set boxwidth 0.7
set xtics rotate by -35 noenhanced
plot "counts.tsv" using 0:"instructions":xticlabels(stringcolumn("arrangement")) with boxes
