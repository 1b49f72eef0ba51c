"""The table compile: processor time that the compiler takes, of a program with one Batcher and of Asio alone.

    run.py INCLUDE_DIRECTORY RESULTS_DIRECTORY [--quick]

The compiler is $CXX, by default g++. Interleaved as the other tables are: each round compiles every file once.
"""

import os
import pathlib
import resource
import shlex
import statistics
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).parent
BUDGETS = {"-O0": 1.6, "-O2": 2.5}
CONTENDERS = {"asio.cpp": "#include <asio.hpp> alone",
              "asio_coroutine.cpp": "a coroutine that waits for a timer, without a library",
              "batcher.cpp": "a program with one Batcher",
              "separate.cpp": "the same, compiled separately"}


def seconds_of_children():
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def seconds_to_compile(source, optimisation, include):
    """User and system time, those of the compiler's own children included."""
    before = seconds_of_children()
    with tempfile.TemporaryDirectory() as directory:
        command = [*shlex.split(os.environ.get("CXX", "g++")), "-std=c++20", optimisation, "-I", include,
                   "-c", HERE / source, "-o", pathlib.Path(directory, "object.o")]
        subprocess.run(command, check=True, env={**os.environ, "CCACHE_DISABLE": "1"})
    return seconds_of_children() - before


def main():
    include, results, *options = sys.argv[1:]
    rounds = 1 if options == ["--quick"] else 5
    results = pathlib.Path(results)
    runs = [(optimisation, source) for optimisation in BUDGETS for source in CONTENDERS]
    seconds = {run: [] for run in runs}
    for number in range(rounds):
        for i in range(len(runs)):
            run = runs[(i + number) % len(runs)]
            seconds[run].append(seconds_to_compile(run[1], run[0], include))

    median = {run: statistics.median(samples) for run, samples in seconds.items()}
    ratio = {run: median[run] / median[run[0], "asio.cpp"] for run in runs}
    print("\nProcessor time of the compiler")
    print(f"   ratio {'cost':>10} {'min':>10} {'max':>10} s")
    with open(results / "compile.csv", "w") as file:
        file.write("arrangement,contender,metric,unit,ratio,median,min,max\n")
        for optimisation in BUDGETS:
            print(f"  {optimisation}")
            for source, name in CONTENDERS.items():
                samples = seconds[optimisation, source]
                figures = [median[optimisation, source], min(samples), max(samples)]
                print(f"{ratio[optimisation, source]:8.2f}", *(f"{figure:10.2f}" for figure in figures), f"  {name}")
                file.write(f'"{optimisation}","{name}",cost,s,{ratio[optimisation, source]:.3f},'
                           + ",".join(f"{figure:.3f}" for figure in figures) + "\n")

    print("\nbudgets")
    with open(results / "compile_budgets.csv", "w") as file:
        file.write("budget,measured,limit,met\n")
        for source in ("batcher.cpp", "separate.cpp"):
            for optimisation, limit in BUDGETS.items():
                measured = ratio[optimisation, source]
                met = measured <= limit
                what = f"{CONTENDERS[source]}, times Asio alone, {optimisation}"
                print(f"{'met' if met else 'NOT MET':<8} {measured:8.2f}  (at most {limit:g})  {what}")
                file.write(f'"{what}",{measured:.3f},at most {limit:g},{"met" if met else "not met"}\n')


if __name__ == "__main__":
    main()
