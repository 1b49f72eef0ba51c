file = ARG2
load ARG1."/common.gp"
set multiplot layout 1,3 title "The same model on Ray Serve: per item, and through this library"
set style data boxerrorbars
set style fill solid 0.6
set logscale y
unset key
set xtics rotate by -60 noenhanced font ",8"
set bmargin 18
set offsets 0.7, 0.7, 0, 0
most = system("tail -n 1 ray.tsv | cut -f 1")
rows(metric) = sprintf("< grep -e ^in_flight -e '^%s\t.*\t%s\t' ray.tsv", most, metric)
set title most." in flight:\nitems a second"
plot rows("items") using 0:"median":"min":"max":(0.7):xticlabels(stringcolumn("contender"))
set title "processor time an item, us"
plot rows("cpu") using 0:"median":"min":"max":(0.7):xticlabels(stringcolumn("contender"))
set title "p50, us"
plot rows("p50") using 0:"median":"min":"max":(0.7):xticlabels(stringcolumn("contender"))
unset multiplot
