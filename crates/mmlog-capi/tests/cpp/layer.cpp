/* Every member of mmlog.hpp. */
#include <mmlog.hpp>

#include <cstdio>
#include <cstring>
#include <sys/stat.h>
#include <type_traits>
#include <unistd.h>

#define CHECK(is) do { if (!(is)) { \
    std::fprintf(stderr, "%s:%d: %s: %s\n", __FILE__, __LINE__, #is, mmlog_strerror_cur()); _exit(1); } } while (0)

static_assert(!std::is_copy_constructible_v<mmlog::Log> && !std::is_copy_assignable_v<mmlog::Log>);
static_assert(!std::is_copy_constructible_v<mmlog::Follower> && !std::is_copy_assignable_v<mmlog::Follower>);
static_assert(std::is_nothrow_move_constructible_v<mmlog::Log> && std::is_nothrow_move_assignable_v<mmlog::Log>);
static_assert(std::is_nothrow_move_constructible_v<mmlog::Follower>);

using namespace std::chrono_literals;

static void layer(const std::string &path)
{
    mmlog::Options options;
    options.flags = MMLOG_MUST_EXIST;
    auto none = mmlog::Log::open(path, options);
    CHECK(!none && none.error().code() == MMLOG_NO_LOG && none.error().text().find(path) != std::string::npos);

    CHECK(mmlog::Log::open(path + '\0' + "more").error().code() == MMLOG_INVALID);
    CHECK(mmlog::Follower::open(path + '\0' + "more").error().code() == MMLOG_INVALID);

    auto opened = mmlog::Log::open(path);
    CHECK(opened);
    mmlog::Log log = std::move(*opened);
    auto first = log.append("one ");
    CHECK(first && *first == 0);
    auto second = log.append({"two", "", " three\n"});
    CHECK(second && *second == 4);
    CHECK(*log.append_durable("four\n") == 14 && *log.sync() == 19);
    CHECK(log.append("").error().code() == MMLOG_INVALID);
    CHECK(*log.rotate() == 19 && *log.append("five\n") == 19 && *log.rotate() == 24 && *log.append("six\n") == 24);

    mmlog::Policy policy;
    policy.keep = 1;
    CHECK(*log.prune() == 0 && *log.prune(policy) == 19);
    policy.keep = 5;
    CHECK(log.set_policy(policy) && log.policy()->keep == 5 && log.housekeep() && log.trim());
    struct stat found;
    CHECK(stat(path.c_str(), &found) == 0 && found.st_size == 4);
    auto status = log.status_json();
    CHECK(status && status->front() == '{' && status->back() == '}' && std::strlen(status->c_str()) == status->size());

    auto following = mmlog::Follower::open(path, MMLOG_OLDEST, 3);
    CHECK(following);
    mmlog::Follower follower = std::move(*following);
    std::string read;
    for (;;) {
        auto event = follower.next();
        CHECK(event);
        if (event->kind == MMLOG_CAUGHT_UP) break;
        CHECK(event->bytes.size() <= 3);
        read += event->bytes;
    }
    CHECK(read == "five\nsix\n" && follower.position() == 28);
    CHECK(!*follower.wait(1ms) && log.append("seven\n") && *follower.wait(60s));
    CHECK(follower.seek(24) && follower.next()->bytes == "six" && !follower.seek(99));

    auto other = mmlog::Log::open(path);
    CHECK(other && other->get() != log.get());
    log = std::move(*other);
    CHECK(log.append("eight\n") && log.close());
    CHECK(log.append("closed").error().code() == MMLOG_INVALID);
}

int main(int argc, char **argv)
{
    if (argc != 3 || std::strcmp(argv[1], "layer") != 0)
        return 2;
    alarm(60);
    layer(argv[2]);
}
