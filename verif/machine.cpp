// SPDX-License-Identifier: Apache-2.0
// Runs programs on a machine with a memory behind its AXI4 bus, at the simulator's own speed: Python moves bytes and
// says start, no Python runs for a clock cycle. ports.h, generated beside it, gives the width of the bus and the units.
//
// Usage: machine MEMORY BANDWIDTH LATENCY PAUSE SEED TRACE WAVES
//   MEMORY     bytes of memory, from address 0
//   BANDWIDTH  bytes a cycle that both directions share
//   LATENCY    cycles from a read's address to its first data
//   PAUSE      chance in 256 that a channel rests for a cycle
//   TRACE      file for the units' activity: a word of cycle, unit and tag at every change; empty: none
//   WAVES      VCD of every signal, where compiled for it; empty: none
// Commands come as binary words on stdin, answers go to stdout; all words are 64 bits, little-endian:
//   1 address size bytes      write memory
//   2 address size            read memory: the bytes
//   3 address length limit    run a program: its status register, fault address, cycles, microseconds of CPU time
//                             that it took, then every counter register
//   4 address response        the next access to that beat gets this response
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <deque>
#include <map>
#include <vector>

#include "ports.h"
#ifdef WAVES
#include "verilated_vcd_c.h"
#endif

namespace {

constexpr unsigned CONTROL = 0x08, STATUS = 0x0C, FAULT = 0x10, PROGRAM = 0x18, LENGTH = 0x20, CYCLES = 0x24;
constexpr unsigned START = 1, CLEAR = 2, INTERRUPT = 4, OKAY = 0, DECERR = 3;

struct Burst {
    uint64_t address;
    unsigned beats;
    uint64_t ready;  // the first cycle in which data may go
};

class Bench {
  public:
    Bench(uint64_t size, double bandwidth, unsigned latency, unsigned pause, unsigned seed, const char* trace,
          const char* waves)
        : memory(size), bandwidth_(bandwidth), latency_(latency), pause_(pause), state_(seed * 2654435761u + 1),
          trace_(*trace ? std::fopen(trace, "wb") : nullptr) {
#ifdef WAVES
        Verilated::traceEverOn(true);
        top.trace(&waves_, 99);
        if (*waves) waves_.open(waves);
#else
        (void)waves;
#endif
        top.rst = 1;
        for (int n = 0; n < 4; n++) tick();
        top.rst = 0;
        tick();
    }

    ~Bench() {
        if (trace_) std::fclose(trace_);
#ifdef WAVES
        waves_.close();
#endif
    }

    uint32_t read_register(unsigned offset) {
        top.s_axil_araddr = offset;
        top.s_axil_arvalid = 1;
        wait([&] { return top.s_axil_arready; });
        top.s_axil_arvalid = 0;
        top.s_axil_rready = 1;
        uint32_t value = 0;
        wait([&] { value = top.s_axil_rdata; return top.s_axil_rvalid; });
        top.s_axil_rready = 0;
        return value;
    }

    void write_register(unsigned offset, uint32_t value) {
        bool address = false, data = false;
        top.s_axil_awaddr = offset;
        top.s_axil_wdata = value;
        top.s_axil_wstrb = 15;
        top.s_axil_bready = 1;
        while (!address || !data) {
            top.s_axil_awvalid = !address;
            top.s_axil_wvalid = !data;
            top.eval();
            const bool took_address = top.s_axil_awready && !address, took_data = top.s_axil_wready && !data;
            tick();
            address |= took_address;
            data |= took_data;
        }
        top.s_axil_awvalid = top.s_axil_wvalid = 0;
        wait([&] { return top.s_axil_bvalid; });
        top.s_axil_bready = 0;
    }

    // Run to the interrupt or for `limit` cycles; false where the limit came first.
    bool run(uint64_t address, uint32_t length, uint64_t limit) {
        write_register(PROGRAM, uint32_t(address));
        write_register(PROGRAM + 4, uint32_t(address >> 32));
        write_register(LENGTH, length);
        write_register(CONTROL, START | INTERRUPT);
        const uint64_t last = cycle_ + limit;
        const std::clock_t started = std::clock();
        do tick();
        while (!top.irq && cycle_ < last);
        microseconds_ = uint64_t(1e6 * (std::clock() - started) / CLOCKS_PER_SEC);
        return top.irq;
    }

    std::vector<uint64_t> report(bool ended) {
        std::vector<uint64_t> words{ended ? read_register(STATUS) : 1};
        words.push_back(read_register(FAULT) | uint64_t(read_register(FAULT + 4)) << 32);
        words.push_back(read_register(CYCLES) | uint64_t(read_register(CYCLES + 4)) << 32);
        words.push_back(microseconds_);
        for (unsigned n = 0; n < counters; n++) words.push_back(read_register(0x100 + 4 * n));
        write_register(CONTROL, CLEAR);
        for (int n = 0; n < 64; n++) tick();
        return words;
    }

    std::vector<uint8_t> memory;
    std::map<uint64_t, unsigned> bad;

  private:
    template <class Done> void wait(Done done) {
        for (int n = 0; n < 10000; n++) {
            top.eval();
            const bool ended = done();
            tick();
            if (ended) return;
        }
        std::fprintf(stderr, "a register access has no answer\n");
        std::exit(3);
    }

    bool rests() {
        state_ = state_ * 6364136223846793005ull + 1442695040888963407ull;
        return pause_ && (state_ >> 33 & 255) < pause_;
    }

    unsigned response(uint64_t address, unsigned size) {
        const auto found = bad.find(address);
        if (found != bad.end()) {
            const unsigned answer = found->second;
            bad.erase(found);
            return answer;
        }
        return address + size <= memory.size() ? OKAY : DECERR;
    }

    // What the memory offers in this cycle; it stays until it is taken.
    void offer() {
        if (credit_ < 2 * bus_bytes) credit_ += bandwidth_;
        top.m_axi_arready = reads_.size() < 32 && !rests();
        top.m_axi_awready = writes_.size() < 32 && !rests();
        if (!top.m_axi_rvalid && !reads_.empty() && reads_.front().ready <= cycle_ && credit_ >= bus_bytes && !rests()) {
            Burst& burst = reads_.front();
            const unsigned answer = response(burst.address, bus_bytes);
            uint8_t data[bus_bytes] = {};
            if (answer == OKAY) std::memcpy(data, &memory[burst.address], bus_bytes);
            set_read_data(top, data);
            top.m_axi_rresp = answer;
            top.m_axi_rlast = burst.beats == 1;
            top.m_axi_rvalid = 1;
            credit_ -= bus_bytes;
        }
        write_credit_ = write_credit_ || (credit_ >= bus_bytes && !writes_.empty());
        // Only with an address there: data may come before its address.
        if (write_credit_ && !writes_.empty() && !top.m_axi_wready && !rests()) {
            top.m_axi_wready = 1;
            credit_ -= bus_bytes;
            write_credit_ = false;
        }
        if (!top.m_axi_bvalid && !answers_.empty() && !rests()) {
            top.m_axi_bresp = answers_.front();
            answers_.pop_front();
            top.m_axi_bvalid = 1;
        }
    }

    void take_write() {
        uint8_t data[bus_bytes];
        get_write_data(top, data);
        Burst& burst = writes_.front();
        const unsigned answer = response(burst.address, bus_bytes);
        if (answer == OKAY) {
            for (unsigned n = 0; n < bus_bytes; n++)
                if (uint64_t(top.m_axi_wstrb) >> n & 1) memory[burst.address + n] = data[n];
        } else {
            worst_ = answer;
        }
        burst.address += bus_bytes;
        if (--burst.beats == 0) {
            answers_.push_back(worst_);
            worst_ = OKAY;
            writes_.pop_front();
        }
    }

    void tick() {
        offer();
        top.eval();
        const bool ar = top.m_axi_arvalid && top.m_axi_arready, aw = top.m_axi_awvalid && top.m_axi_awready;
        const bool r = top.m_axi_rvalid && top.m_axi_rready, b = top.m_axi_bvalid && top.m_axi_bready;
        const bool w = top.m_axi_wvalid && top.m_axi_wready;
        const Burst read{top.m_axi_araddr, top.m_axi_arlen + 1u, cycle_ + latency_};
        const Burst write{top.m_axi_awaddr, top.m_axi_awlen + 1u, 0};
        if (w) take_write();
        if (trace_) record();
        dump(2 * cycle_);
        top.clk = 1;
        top.eval();
        dump(2 * cycle_ + 1);
        top.clk = 0;
        if (ar) reads_.push_back(read);
        if (aw) writes_.push_back(write);
        if (r) {
            top.m_axi_rvalid = 0;
            reads_.front().address += bus_bytes;
            if (--reads_.front().beats == 0) reads_.pop_front();
        }
        if (w) top.m_axi_wready = 0;
        if (b) top.m_axi_bvalid = 0;
        cycle_++;
    }

    void dump(uint64_t time) {
#ifdef WAVES
        if (waves_.isOpen()) waves_.dump(time);
#else
        (void)time;
#endif
    }

    void record() {
        uint32_t now[units];
        read_activity(top, now);
        for (unsigned n = 0; n < units; n++)
            if (now[n] != shown_[n]) {
                const uint64_t words[] = {cycle_, n, now[n]};
                std::fwrite(words, 8, 3, trace_);
                shown_[n] = now[n];
            }
    }

    Vtop top;
    std::deque<Burst> reads_, writes_;
    std::deque<unsigned> answers_;
    uint64_t cycle_ = 0, microseconds_ = 0;
    double bandwidth_, credit_ = 0;
    unsigned latency_, pause_, worst_ = OKAY;
    uint64_t state_;
    bool write_credit_ = false;
    uint32_t shown_[units] = {};
    std::FILE* trace_;
#ifdef WAVES
    VerilatedVcdC waves_;
#endif
};

uint64_t word() {
    uint64_t value;
    if (std::fread(&value, 8, 1, stdin) != 1) std::exit(0);
    return value;
}

}  // namespace

int main(int argc, char** argv) {
    if (argc != 8) return 2;
    Bench bench(std::strtoull(argv[1], nullptr, 10), std::atof(argv[2]), std::atoi(argv[3]), std::atoi(argv[4]),
                std::atoi(argv[5]), argv[6], argv[7]);
    for (;;) {
        const uint64_t command = word(), address = word(), size = word();
        if (command == 1 && std::fread(&bench.memory[address], 1, size, stdin) != size) return 2;
        if (command == 2) std::fwrite(&bench.memory[address], 1, size, stdout);
        if (command == 3) {
            const uint64_t limit = word();
            const auto words = bench.report(bench.run(address, uint32_t(size), limit));
            std::fwrite(words.data(), 8, words.size(), stdout);
        }
        if (command == 4) bench.bad[address] = unsigned(size);
        std::fflush(stdout);
    }
}
