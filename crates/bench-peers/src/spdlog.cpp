// One writer of mmlogctl-bench-peers that logs by spdlog: MODE FILE PURPOSE SIZE MESSAGES WORKER CORE. What it says and
// when is as in writer.rs, its lines are those of line.rs.

#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <exception>
#include <string>
#include <vector>

#include <sched.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <spdlog/async.h>
#include <spdlog/sinks/basic_file_sink.h>
#include <spdlog/spdlog.h>
#include <spdlog/version.h>

static uint64_t now() {
    timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return uint64_t(time.tv_sec) * 1000000000 + uint64_t(time.tv_nsec);
}

static void count(std::string &line, size_t end) {
    for (size_t at = end; at-- > end - 10;) {
        if (line[at] != '9') {
            line[at]++;
            return;
        }
        line[at] = '0';
    }
}

static int log_all(char **argv) {
    const std::string mode = argv[1], file = argv[2], purpose = argv[3], core = argv[7];
    const size_t size = std::stoul(argv[4]);
    const uint64_t messages = std::stoull(argv[5]);
    prctl(PR_SET_PDEATHSIG, SIGKILL);

    auto logger = mode == "spdlog-async" ? spdlog::create_async<spdlog::sinks::basic_file_sink_mt>("bench", file)
                                         : spdlog::basic_logger_mt("bench", file);
    logger->set_pattern("%v");
    if (mode == "spdlog-flush") logger->flush_on(spdlog::level::info);
    // Not before the logger was opened: its thread goes where it likes.
    if (core != "-") {
        cpu_set_t set;
        CPU_ZERO(&set);
        CPU_SET(std::stoi(core), &set);
        sched_setaffinity(0, sizeof set, &set);
    }

    char tag[32];
    std::snprintf(tag, sizeof tag, "%03d 0000000000", std::atoi(argv[6]));
    std::string line = std::string(tag) + " " + std::string(size - 31, '.') + " " + tag;
    std::vector<uint64_t> samples;
    std::puts("ready");
    std::fflush(stdout);
    char ignored[16];
    while (read(0, ignored, sizeof ignored) > 0) {
    }

    const uint64_t begun = now();
    for (uint64_t n = 0; n < messages; n++) {
        if (purpose == "latency") {
            const uint64_t called = now();
            logger->info("{}", line);
            samples.push_back(now() - called);
        } else {
            logger->info("{}", line);
        }
        count(line, 14);
        count(line, line.size());
    }
    if (purpose == "kill") raise(SIGKILL);
    logger->flush();
    logger.reset();
    spdlog::shutdown();
    std::printf("{\"begun\":%llu,\"ended\":%llu,\"appended\":%llu,\"calls\":null,\"samples\":[",
                (unsigned long long)begun, (unsigned long long)now(), (unsigned long long)messages);
    for (size_t n = 0; n < samples.size(); n++) std::printf("%s%llu", n ? "," : "", (unsigned long long)samples[n]);
    std::puts("],\"seconds\":[],\"longest\":0}");
    return 0;
}

int main(int argc, char **argv) {
    if (argc == 2) {
        std::printf("%d.%d.%d\n", SPDLOG_VER_MAJOR, SPDLOG_VER_MINOR, SPDLOG_VER_PATCH);
        return 0;
    }
    try {
        return argc == 8 ? log_all(argv) : 2;
    } catch (const std::exception &e) {
        std::fprintf(stderr, "spdlog: %s\n", e.what());
        return 1;
    }
}
