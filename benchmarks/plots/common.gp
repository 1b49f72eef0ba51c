# What the plots share. Each is called with the directory of this file and the name of the file to write.
set terminal svg size 1100,700 dynamic background rgb "white" font "sans-serif,12"
set output file
set datafile separator tab
set key outside right top Left reverse noenhanced font ",10"
set grid
set style data yerrorlines
set pointsize 0.6

# Of the rows where the columns `a` and `b` hold these values: the value of column `c`.
rows_of(a, x, b, y, c) = (strcol(a) eq x && strcol(b) eq y) ? column(c) : NaN
row_of(a, x, c) = (strcol(a) eq x) ? column(c) : NaN
