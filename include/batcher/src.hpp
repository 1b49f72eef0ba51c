// What does not depend on the types of a Batcher, compiled once.
//
// A program of many files may define BATCHER_SEPARATE_COMPILATION for all of them, and has one that is
//
//     #include <batcher/src.hpp>
//
// The other files are then compiled in 0.8 of the time (-O0) to 0.6 (-O2; g++ 12, the table compile of the benchmarks), and a
// call takes 1 to 6 % more instructions. Nothing else changes.
#pragma once

#ifndef BATCHER_SEPARATE_COMPILATION
#error "batcher/src.hpp: all files of the program define BATCHER_SEPARATE_COMPILATION"
#endif

#include <batcher/batcher.hpp>
#include <batcher/detail/core/machine_impl.hpp>
#include <batcher/detail/options_impl.hpp>
#include <batcher/detail/runtime/contexts.hpp>
#include <batcher/detail/runtime/engine_batches.hpp>
#include <batcher/detail/runtime/engine_events.hpp>
#include <batcher/detail/runtime/engine_life.hpp>
#include <batcher/detail/runtime/engine_submit.hpp>
