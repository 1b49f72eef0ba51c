# What examples/run, tests/run, benchmarks/run and .ci/run share. They source it from the project's top directory.

CMAKE_BUILD_PARALLEL_LEVEL=$(getconf _NPROCESSORS_ONLN)
# Most tests with more than one process wait more than they compute: two of them share a core. So one that keeps a core busy
# says PROCESSORS 2, and one that wants to be alone on two, PROCESSORS 4.
CTEST_PARALLEL_LEVEL=$((2 * CMAKE_BUILD_PARALLEL_LEVEL))
export CMAKE_BUILD_PARALLEL_LEVEL CTEST_PARALLEL_LEVEL

# What was compiled before, here or in a clone in another directory, is not compiled again, precompiled headers included.
use_ccache() {
    if [[ ${CMAKE_CXX_COMPILER_LAUNCHER+set} ]] || ! command -v ccache >/dev/null; then return; fi
    export CMAKE_CXX_COMPILER_LAUNCHER=ccache CCACHE_BASEDIR=$PWD CCACHE_NOHASHDIR=1
    export CCACHE_DEPEND=1  # what is new is not preprocessed first
    export CCACHE_SLOPPINESS=pch_defines,time_macros
}
use_ccache

# One run at a time in this folder: what comes second waits, until the first has ended or calls unlock. The lock is kept by
# file descriptor 9, which is closed for whatever may outlive the run, such as a test's server.
lock() {
    command -v flock >/dev/null || return 0
    mkdir -p build
    exec 9>>build/lock
    flock --nonblock 9 && return
    echo "Waiting for another run in this folder to end" >&2
    flock 9
}
unlock() { exec 9>&-; }

# need PACKAGE[=COMMAND]...: notes Debian packages, which install_missing then installs all at once. A package also counts
# as there when its command is, from wherever it came.
needed=()
need() { needed+=("$@"); }
need_grpc() { need libgrpc++-dev libprotobuf-dev protobuf-compiler-grpc libmsgpack-cxx-dev; }
need_python_handle() { need python3-grpcio python3-msgpack python3-protobuf; }
need_fastapi() { need_python_handle && need python3-fastapi python3-uvicorn; }
need_postgresql() { need postgresql libpq-dev python3; }

install_missing() {
    local entry missing=() as_root=() result=0 log=build/apt.log
    local no_database=/etc/postgresql-common/createcluster.d/batcher.conf
    if ! command -v apt-get >/dev/null; then
        without_apt
        return
    fi
    for entry in "${needed[@]}"; do
        command -v "${entry#*=}" >/dev/null 2>&1 && continue
        [[ $(dpkg-query -W -f '${db:Status-Status}' "${entry%=*}" 2>/dev/null) == installed ]] && continue
        missing+=("${entry%=*}")
    done
    ((${#missing[@]})) || return 0
    if ((EUID != 0)); then
        if ! command -v sudo >/dev/null; then
            printf 'Packages are missing. As root:\n    apt-get install %s\n' "${missing[*]}" >&2
            return 1
        fi
        as_root=(sudo)
    fi
    echo "Installing ${missing[*]}"
    mkdir -p build
    { "${as_root[@]}" apt-get update &&
        # Debian's package postgresql would make a database of its own, and start it.
        if [[ " ${missing[*]} " == *" postgresql "* ]]; then
            "${as_root[@]}" install -D -m 644 /dev/stdin "$no_database" <<<'create_main_cluster = false'
        fi &&
        "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "${missing[@]}"
    } </dev/null >"$log" 2>&1 9>&- || result=$?
    "${as_root[@]}" rm -f "$no_database"
    if ((result)); then
        grep -m 1 '^E: ' "$log" >&2 || tail -n 3 "$log" >&2
        echo "These packages could not be installed, see $log: ${missing[*]}" >&2
        return 1
    fi
}

# install_from_pypi NAME DIRECTORY REQUIREMENTS [OPTION...]: a Python of its own, with what a file asks for, by pip with these
# options. Fails where there is no PyPI. It needs the package python3-venv.
install_from_pypi() {
    local name=$1 directory=$2 requirements=$3
    shift 3
    cmp -s "$requirements" "$directory/installed" && return
    echo "Installing $name into $directory"
    rm -rf "$directory"
    mkdir -p build
    if ! { /usr/bin/python3 -m venv "$directory" &&
        "$directory/bin/pip" install --disable-pip-version-check "$@" --requirement "$requirements"
    } </dev/null >"$directory.log" 2>&1 9>&-; then
        tail -n 3 "$directory.log" >&2
        echo "$name could not be installed from PyPI, see $directory.log" >&2
        return 1
    fi
    cp "$requirements" "$directory/installed"
}
# The Python of a Ray cluster: half a gigabyte.
install_ray() { install_from_pypi Ray build/ray examples/ray_serve/requirements.txt; }
# OpenVINO for C++, 60 MB: what its Python part needs is left out.
install_openvino() { install_from_pypi OpenVINO build/openvino examples/neural_network/requirements.txt --no-deps; }

# unpack DIRECTORY PACKAGE...: from where `apt` takes them, without installing them.
apt=(apt-get)
unpack() {
    local directory=$1 package
    shift
    rm -rf "$directory"
    mkdir -p "$directory"
    (cd "$directory" && "${apt[@]}" download "$@" &&
        for package in *.deb; do dpkg-deb --extract "$package" . && rm "$package" || exit; done)
}

# Prometheus' own programs, in build/prometheus. Debian's package is unpacked and not installed: it would start a server.
# Fails where there is no such package.
install_prometheus() {
    local directory=build/prometheus
    if command -v prometheus >/dev/null || [[ -x $directory/usr/bin/prometheus ]]; then return; fi
    mkdir -p build
    if ! unpack "$directory" prometheus </dev/null >"$directory.log" 2>&1 9>&-; then
        echo "Debian's package prometheus could not be unpacked, see $directory.log" >&2
        return 1
    fi
}

# Where there is no apt-get only commands can be looked for; CMake says which library is missing.
without_apt() {
    local tool
    for tool in c++ cmake ninja; do
        if ! command -v "$tool" >/dev/null; then
            cat >&2 <<-END
				$tool is missing. Install a C++20 compiler (g++ 12, clang 14 or newer), CMake 3.25 or newer, Ninja, Asio, fmt,
				Catch2 (for the tests) and Eigen (for the example digits):
				  Fedora  dnf install gcc-c++ cmake ninja-build asio-devel fmt-devel catch-devel eigen3-devel
				  Arch    pacman -S gcc cmake ninja asio fmt catch2 eigen
				  macOS   brew install cmake ninja asio fmt catch2 eigen
			END
            return 1
        fi
    done
}

# configure PRESET [OPTION...]: silent unless it fails. What CMake said stays in `configured`.
configure() {
    configured=$(cmake --preset "$@" 2>&1) && return
    printf '%s\n' "$configured" >&2
    return 1
}

# build PRESET [TARGET...]: configures, then builds the targets, or everything. If that fails it may be for want of a
# library, so what was left out is said again.
build() {
    local preset=$1
    shift
    configure "$preset" || return
    if ! cmake --build --preset "$preset" ${1:+--target "$@"}; then
        grep "left out" <<<"$configured" >&2
        return 1
    fi
}

# run_tests PRESET [LABEL...]: all tests of a build, or those with one of the labels.
run_tests() {
    local preset=$1 labels
    shift
    labels=$(IFS='|' && echo "$*")
    ctest --preset "$preset" ${labels:+--label-regex "^($labels)\$"} 9>&-
}

# The version of the library, from where it stands.
version_of_batcher() { sed -n 's/#define BATCHER_VERSION_[MP][A-Z]* //p' include/batcher/version.hpp | paste -s -d . -; }

# usage FILE: prints the comment at its beginning.
usage() { sed -n '2,/^[^#]/s/^# \{0,1\}//p' "$1"; }
