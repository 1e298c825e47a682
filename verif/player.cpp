// SPDX-License-Identifier: Apache-2.0
// Plays stimulus files into every input stream of a group and records its output streams, at the simulator's own
// speed. ports.h, generated beside it, gives Vtop, the streams and the counters as plain functions.
//
// Usage: player FOLDER FIRST_RIGHT ROWS_ACC ROWS_INT8 STALL SEED TRACE QUIET
//   FIRST_RIGHT  left waits until that many right rows were accepted: the first tile's operands are resident
//   ROWS_*       rows to expect at each output; the run ends with the last
//   STALL        chance in 256 that a stream rests for a cycle, drawn anew for every cycle without a pending beat
//   TRACE        cycles, from the first operand on, for which all counters are recorded
//   QUIET        cycles without any transfer after which the run is given up
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <string>
#include <vector>

#include "ports.h"

namespace {

using Words = std::vector<uint32_t>;

Words load(const std::string& path) {
    std::ifstream file(path, std::ios::binary | std::ios::ate);
    if (!file) { std::fprintf(stderr, "player error: cannot read %s\n", path.c_str()); std::exit(2); }
    Words words(static_cast<size_t>(file.tellg()) / 4);
    file.seekg(0);
    file.read(reinterpret_cast<char*>(words.data()), static_cast<std::streamsize>(words.size() * 4));
    return words;
}

void store(const std::string& path, const Words& words) {
    std::ofstream file(path, std::ios::binary);
    file.write(reinterpret_cast<const char*>(words.data()), static_cast<std::streamsize>(words.size() * 4));
    if (!file.flush()) { std::fprintf(stderr, "player error: cannot write %s\n", path.c_str()); std::exit(2); }
}

struct Random {   // xorshift64: the same stalls everywhere
    uint64_t state;
    bool chance(unsigned in256) {
        if (in256 == 0) return false;
        state ^= state << 13; state ^= state >> 7; state ^= state << 17;
        return (state >> 32 & 255) < in256;
    }
};

struct Source {
    const InputStream* port;
    Words beats;
    size_t next = 0, total = 0;
    bool pending = false;
};

struct Sink {
    const OutputStream* port;
    Words beats;
    size_t taken = 0, expected = 0;
    bool ready = false;
};

}  // namespace

int main(int argc, char** argv) {
    if (argc != 9) { std::fprintf(stderr, "player error: %d arguments, 8 expected\n", argc - 1); return 2; }
    const std::string folder = std::string(argv[1]) + "/";
    const uint64_t first_right = std::strtoull(argv[2], nullptr, 10);
    const unsigned stall = static_cast<unsigned>(std::atoi(argv[5]));
    Random random{0x9E3779B97F4A7C15ull * (2 * std::strtoull(argv[6], nullptr, 10) + 1)};
    const uint64_t trace_cycles = std::strtoull(argv[7], nullptr, 10), quiet_limit = std::strtoull(argv[8], nullptr, 10);

    std::vector<Source> sources;
    size_t left = 0, right = 0;
    for (const InputStream& port : inputs) {
        Source source{&port, load(folder + port.name + ".bin")};
        source.total = source.beats.size() / port.words;
        if (port.name == std::string("left")) left = sources.size();
        if (port.name == std::string("right")) right = sources.size();
        sources.push_back(source);
    }
    std::vector<Sink> sinks;
    for (const OutputStream& port : outputs) {
        Sink sink{&port};
        sink.expected = std::strtoull(argv[3 + sinks.size()], nullptr, 10);
        sink.beats.reserve(sink.expected * port.words);
        sinks.push_back(sink);
    }

    VerilatedContext context;
    Vtop top{&context};
    top.rst = 1; top.clear = 1;
    for (int i = 0; i < 4; i++) { top.clk = i & 1; top.eval(); }
    top.rst = 0;

    uint64_t cycle = 0, first = 0, last = 0, quiet = 0;
    bool started = false, done = false;
    Words trace;
    while (!done && quiet < quiet_limit) {
        for (size_t s = 0; s < sources.size(); s++) {
            Source& source = sources[s];
            if (source.pending) continue;
            const bool held = s == left && sources[right].next < first_right;
            source.pending = source.next < source.total && !held && !random.chance(stall);
            if (source.pending) source.port->drive(top, &source.beats[source.next * source.port->words]);
            source.port->set_valid(top, source.pending);
        }
        for (Sink& sink : sinks) { sink.ready = !random.chance(stall); sink.port->set_ready(top, sink.ready); }
        top.clk = 0; top.eval();

        bool moved = false;
        for (size_t s = 0; s < sources.size(); s++) {
            Source& source = sources[s];
            if (!source.pending || !source.port->ready(top)) continue;
            source.pending = false; source.next++; moved = true;
            if (s == left && !started) { started = true; first = cycle; }
        }
        done = true;
        for (Sink& sink : sinks) {
            if (sink.ready && sink.port->valid(top)) {
                sink.beats.resize(sink.beats.size() + sink.port->words);
                sink.port->collect(top, &sink.beats[sink.taken * sink.port->words]);
                sink.taken++; moved = true; last = cycle;
            }
            done = done && sink.taken >= sink.expected;
        }
        quiet = moved ? 0 : quiet + 1;
        // The counters run from the cycle of the first operand on.
        top.clear = !started;
        top.clk = 1; top.eval();
        cycle++;
        if (started && cycle - first <= trace_cycles) {
            trace.resize(trace.size() + counter_words);
            read_counters(top, &trace[trace.size() - counter_words]);
        }
    }

    for (const Sink& sink : sinks) store(folder + sink.port->name + ".bin", sink.beats);
    store(folder + "trace.bin", trace);
    Words counters(counter_words);
    read_counters(top, counters.data());
    counters.insert(counters.begin(), {static_cast<uint32_t>(first), static_cast<uint32_t>(last),
                                       static_cast<uint32_t>(cycle)});
    store(folder + "counters.bin", counters);
    if (done) return 0;
    std::fprintf(stderr, "player error: nothing moved for %llu cycles, stopped in cycle %llu:",
                 static_cast<unsigned long long>(quiet), static_cast<unsigned long long>(cycle));
    for (const Source& s : sources) std::fprintf(stderr, " %s %zu of %zu,", s.port->name, s.next, s.total);
    for (const Sink& s : sinks) std::fprintf(stderr, " %s %zu of %zu,", s.port->name, s.taken, s.expected);
    std::fprintf(stderr, "\n");
    return 3;
}
