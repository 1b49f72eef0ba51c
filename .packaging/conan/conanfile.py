"""batcher's recipe for Conan 2: `conan create .packaging/conan`. Nothing is compiled: it packs the headers."""

import os
import re

from conan import ConanFile
from conan.tools.build import check_min_cppstd
from conan.tools.files import copy, load
from conan.tools.layout import basic_layout

required_conan_version = ">=2.0"


class Batcher(ConanFile):
    name = "batcher"
    description = "Typed single-item calls over a batch function"
    license = "Apache-2.0"
    topics = ("batching", "coroutines", "asio", "inference", "header-only")
    package_type = "header-library"
    settings = "os", "arch", "compiler", "build_type"
    options = {"asio": ["standalone", "boost"], "with_grpc": [True, False]}
    default_options = {"asio": "standalone", "with_grpc": False, "msgpack-cxx/*:use_boost": False}
    no_copy_source = True

    def project(self):
        return os.path.join(self.recipe_folder, "..", "..")

    def set_version(self):
        header = load(self, os.path.join(self.project(), "include", "batcher", "version.hpp"))
        self.version = ".".join(re.findall(r"define BATCHER_VERSION_(?:MAJOR|MINOR|PATCH) (\d+)", header))

    def export_sources(self):
        for pattern in "LICENSE", "include/*":
            copy(self, pattern, self.project(), self.export_sources_folder)

    def layout(self):
        basic_layout(self)

    def requirements(self):
        if self.options.asio == "boost":
            self.requires("boost/[>=1.81 <2]", transitive_headers=True)
        else:
            self.requires("asio/[>=1.22.1 <2]", transitive_headers=True)
        self.requires("fmt/[>=9 <13]", transitive_headers=True, transitive_libs=True)
        if self.options.with_grpc:
            self.requires("grpc/[>=1.51 <2]", transitive_headers=True, transitive_libs=True)
            self.requires("msgpack-cxx/[>=4 <8]", transitive_headers=True)

    def validate(self):
        check_min_cppstd(self, 20)

    def package_id(self):
        self.info.clear()  # the same headers for all

    def package(self):
        copy(self, "LICENSE", self.source_folder, os.path.join(self.package_folder, "licenses"))
        copy(self, "include/*", self.source_folder, self.package_folder)

    def package_info(self):
        self.cpp_info.bindirs = self.cpp_info.libdirs = []
        core = self.component("core", "batcher::batcher", "batcher")
        if self.options.asio == "boost":
            core.requires = ["boost::headers", "fmt::fmt"]
            core.defines = ["BATCHER_USE_BOOST_ASIO"]
        else:
            core.requires = ["asio::asio", "fmt::fmt"]
            core.defines = ["ASIO_STANDALONE"]
        if "clang" in str(self.settings.compiler):
            core.defines += ["ASIO_HAS_CO_AWAIT"]  # which Asio before 1.26 does not see
        if self.settings.os in ("Linux", "FreeBSD"):
            core.system_libs = ["pthread"]
        elif self.settings.os == "Windows":
            core.system_libs = ["ws2_32", "mswsock"]
        if self.options.with_grpc:
            remote = self.component("grpc", "batcher::grpc", "batcher-grpc")
            remote.requires = ["core", "grpc::grpc++", "grpc::grpc++_reflection", "msgpack-cxx::msgpack-cxx"]
            remote.defines = ["MSGPACK_NO_BOOST", "BATCHER_GRPC_REFLECTION"]

    def component(self, name, target, pkg_config):
        component = self.cpp_info.components[name]
        component.bindirs = component.libdirs = []
        component.set_property("cmake_target_name", target)
        component.set_property("pkg_config_name", pkg_config)
        return component
