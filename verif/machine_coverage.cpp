// SPDX-License-Identifier: Apache-2.0
// machine.cpp, compiled with --coverage-line: counts of executed lines are written to coverage.dat as it ends.
#include "verilated_cov.h"

#include "machine.cpp"

namespace {

int write_at_end() {
    // What is made first goes last: the counts must outlive the call.
    Verilated::defaultContextp()->coveragep();
    return std::atexit([] { Verilated::defaultContextp()->coveragep()->write("coverage.dat"); });
}

const int at_end = write_at_end();

}  // namespace
