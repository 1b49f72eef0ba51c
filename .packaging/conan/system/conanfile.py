"""The packages of the system as packages of Conan, for where there is no ConanCenter:
`conan create .packaging/conan/system --name=fmt --version=9.1.0`. It asks pkg-config what a program is linked with."""

import subprocess

from conan import ConanFile

LIBRARIES = {"asio": {}, "msgpack-cxx": {}, "fmt": {"fmt": "fmt"},
             "grpc": {"grpc++": "grpc++ protobuf", "grpc++_reflection": None}}


class System(ConanFile):
    package_type = "unknown"

    def package_info(self):
        self.cpp_info.includedirs = self.cpp_info.libdirs = self.cpp_info.bindirs = []
        for name, packages in LIBRARIES[self.name].items():
            component = self.cpp_info.components[name] if len(LIBRARIES[self.name]) > 1 else self.cpp_info
            component.includedirs = component.libdirs = component.bindirs = []
            if packages:
                said = subprocess.check_output(["pkg-config", "--libs-only-l", *packages.split()], text=True)
                component.system_libs = list(dict.fromkeys(flag[2:] for flag in said.split() if flag[:2] == "-l"))
            else:
                component.system_libs = [name]
