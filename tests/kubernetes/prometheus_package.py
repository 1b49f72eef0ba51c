"""Programs of Debian's package prometheus: those on the PATH, or those that install_prometheus of cmake/setup.sh has unpacked."""

import pathlib
import shutil
import sys

SKIPPED = 77


def program(name, directory):
    unpacked = pathlib.Path(directory, "usr", "bin", name)
    found = shutil.which(name) or (unpacked.exists() and str(unpacked))
    if not found:
        print(f"Skipped: {name} is missing; tests/run kubernetes unpacks it from Debian's package prometheus.")
        sys.exit(SKIPPED)
    return found
