/* Every function of mmlog.h; compiled by gcc and, as it stands, by g++. */
#include <mmlog.h>

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <stdbool.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "parts.h"

static log_handle_t *opened(void)
{
    log_handle_t *log = NULL;
    CHECK(mmlog_open_with(path, NULL, &log) == 0 && log != NULL);
    return log;
}

static off_t length(void)
{
    struct stat found;
    CHECK(stat(path, &found) == 0);
    return found.st_size;
}

/* Open with options, append, close: the file is exact, and may be opened again. */
static void cycle(void)
{
    mmlog_policy_t policy;
    memset(&policy, 0, sizeof policy);
    policy.size = sizeof policy;
    policy.keep = 7;
    mmlog_options_t options;
    memset(&options, 0, sizeof options);
    options.size = sizeof options;
    options.flags = MMLOG_MUST_EXIST;
    log_handle_t *log = NULL;
    CHECK(mmlog_open_with(path, &options, &log) == MMLOG_NO_LOG && log == NULL && errno == ENOENT);
    options.flags = 0;
    options.chunk_size = 1 << 20;
    options.max_writers = 20;
    options.mode = 0600;
    options.wait_ms = MMLOG_FOREVER;
    options.policy = &policy;
    for (int i = 0; i < 3; i++) {
        uint64_t at = 99;
        CHECK(mmlog_open_with(path, &options, &log) == 0);
        CHECK(mmlog_append(log, "line\n", 5, &at) == 0 && at == (uint64_t)i * 5);
        mmlog_policy_t found;
        found.size = sizeof found;
        CHECK(mmlog_policy_get(log, &found) == 0 && found.keep == 7 && found.rotate_size == 0);
        log_handle_t *second = opened();
        CHECK(mmlog_close(second) == 0);
        CHECK(length() > (i + 1) * 5);
        CHECK(mmlog_close(log) == 0);
        CHECK(length() == (i + 1) * 5);
    }
    struct stat found;
    CHECK(stat(path, &found) == 0 && (found.st_mode & 0777) == 0600);
    CHECK(mmlog_close(NULL) == 0);
}

static void parts(void)
{
    log_handle_t *log = opened();
    char hello[] = "hello ", world[] = "world\n";
    struct iovec all[] = {{hello, 6}, {NULL, 0}, {world, 6}};
    uint64_t at = 1, synced = 0;
    CHECK(mmlog_appendv(log, all, 3, &at) == 0 && at == 0);
    CHECK(mmlog_appendv(log, all, 0, NULL) == MMLOG_INVALID && mmlog_appendv(log, NULL, 1, NULL) == MMLOG_INVALID);
    all[1].iov_len = 1;
    CHECK(mmlog_appendv(log, all, 3, NULL) == MMLOG_INVALID);
    CHECK(mmlog_append_durable(log, "safe\n", 5, &at) == 0 && at == 12);
    CHECK(mmlog_sync(log, &synced) == 0 && synced == 17);
    CHECK(mmlog_append(log, "end\n", 4, NULL) == 0);
    CHECK(mmlog_close(log) == 0);
}

/* Rotates, changes the policy, prunes, and reads what is left. */
static void bounded(void)
{
    log_handle_t *log = opened();
    uint64_t begin = 9, kept = 9;
    CHECK(mmlog_rotate(log, &begin) == 0 && begin == 0);
    for (uint64_t i = 1; i <= 4; i++) {
        CHECK(mmlog_append(log, "12345678\n", 9, NULL) == 0);
        CHECK(mmlog_rotate(log, &begin) == 0 && begin == i * 9);
    }
    CHECK(mmlog_prune(log, NULL, &kept) == 0 && kept == 0);
    mmlog_policy_t policy;
    memset(&policy, 0, sizeof policy);
    policy.size = sizeof policy;
    policy.keep = 3;
    CHECK(mmlog_prune(log, &policy, &kept) == 0 && kept == 9);
    policy.keep = 2;
    policy.rotate_size = 1 << 20;
    policy.rotate_age_ms = 86400000;
    policy.keep_free_percent = 1;
    policy.compress = MMLOG_COMPRESS_ZSTD;
    CHECK(mmlog_policy_set(log, &policy) == 0);
    mmlog_policy_t found;
    found.size = sizeof found;
    CHECK(mmlog_policy_get(log, &found) == 0 && memcmp(&found, &policy, sizeof found) == 0);
    CHECK(mmlog_housekeep(log) == 0);
    CHECK(mmlog_prune(log, NULL, &kept) == 0 && kept == 18);
    policy.keep = MMLOG_KEEP_NONE;
    CHECK(mmlog_policy_set(log, &policy) == 0 && mmlog_policy_get(log, &found) == 0 && found.keep == MMLOG_KEEP_NONE);
    CHECK(mmlog_policy_set(log, NULL) == 0 && mmlog_policy_get(log, &found) == 0 && found.keep == 0);
    policy.keep_free_bytes = 1;
    CHECK(mmlog_policy_set(log, &policy) == MMLOG_INVALID);
    policy.keep_free_bytes = 0;
    policy.keep_free_percent = 257;
    CHECK(mmlog_policy_set(log, &policy) == MMLOG_INVALID && strstr(mmlog_strerror_cur(), "257") != NULL);
    policy.keep_free_percent = 1;
    policy.rotate_size = 1;
    CHECK(mmlog_policy_set(log, &policy) == MMLOG_INVALID);
    CHECK(mmlog_append(log, "last\n", 5, NULL) == 0);

    mmlog_follower_t *follower = NULL;
    char bytes[64];
    mmlog_event_t event;
    event.size = sizeof event;
    CHECK(mmlog_follow_open(path, MMLOG_OLDEST, &follower) == 0);
    CHECK(mmlog_follow_position(follower) == 18 && mmlog_follow_seek(follower, 0) == 0);
    CHECK(mmlog_follow_next(follower, bytes, sizeof bytes, &event) == 0);
    CHECK(event.kind == MMLOG_PRUNED && event.start == 0 && event.end == 18);
    uint64_t read = 18;
    while (read < 41) {
        CHECK(mmlog_follow_next(follower, bytes, sizeof bytes, &event) == 0 && event.kind != MMLOG_CAUGHT_UP);
        CHECK(event.kind == MMLOG_ROTATED || (event.kind == MMLOG_BYTES && event.start == read));
        read = event.end;
    }
    CHECK(read == 41 && memcmp(bytes, "last\n", 5) == 0);
    mmlog_follow_close(follower);
    CHECK(mmlog_close(log) == 0);
}

/* A follower that waits, and whose position is kept. */
static void follows(void)
{
    mmlog_follower_t *follower = NULL;
    char bytes[64];
    mmlog_event_t event;
    event.size = sizeof event;
    CHECK(mmlog_follow_open(path, MMLOG_NEWEST, &follower) == MMLOG_NO_LOG && follower == NULL);
    log_handle_t *log = opened();
    CHECK(mmlog_append(log, "before\n", 7, NULL) == 0);
    CHECK(mmlog_follow_open(path, MMLOG_NEWEST, &follower) == 0 && mmlog_follow_position(follower) == 7);
    CHECK(mmlog_follow_next(follower, bytes, sizeof bytes, &event) == 0 && event.kind == MMLOG_CAUGHT_UP);
    CHECK(mmlog_follow_wait(follower, 1) == MMLOG_TIMED_OUT && errno == ETIMEDOUT);
    CHECK(mmlog_append(log, "now\n", 4, NULL) == 0);
    CHECK(mmlog_follow_wait(follower, 60000) == 0);
    CHECK(mmlog_follow_next(follower, bytes, 2, &event) == 0 && event.kind == MMLOG_BYTES && event.end == 9);
    CHECK(memcmp(bytes, "no", 2) == 0);
    CHECK(mmlog_follow_next(follower, bytes, 0, &event) == MMLOG_INVALID);
    CHECK(mmlog_follow_next(NULL, bytes, 1, &event) == MMLOG_INVALID);
    CHECK(mmlog_follow_seek(follower, 1000) == MMLOG_NO_POSITION && errno == ERANGE);
    mmlog_follow_close(follower);
    CHECK(mmlog_follow_open(path, 9, &follower) == 0);
    CHECK(mmlog_follow_next(follower, bytes, sizeof bytes, &event) == 0 && event.start == 9 && event.end == 11);
    mmlog_follow_close(follower);
    mmlog_follow_close(NULL);
    CHECK(mmlog_follow_open(path, 12, &follower) == MMLOG_NO_POSITION);
    CHECK(mmlog_close(log) == 0);
}

/* Threads that open and close the log for each line, so that now and then it is nobody's. */
static void *opens_for_each(void *number)
{
    for (int i = 0; i < 200; i++) {
        char line[64];
        int len = snprintf(line, sizeof line, "writer %d line %d\n", (int)(size_t)number, i);
        log_handle_t *log = opened();
        CHECK(mmlog_append(log, line, (size_t)len, NULL) == 0);
        CHECK(mmlog_close(log) == 0);
    }
    return NULL;
}

static void crowd(void)
{
    pthread_t threads[4];
    for (size_t i = 0; i < 4; i++)
        CHECK(pthread_create(&threads[i], NULL, opens_for_each, (void *)i) == 0);
    for (size_t i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
}

static bool goes_on = true;
static void *opens_until_told(void *unused)
{
    (void)unused;
    while (__atomic_load_n(&goes_on, __ATOMIC_RELAXED)) {
        log_handle_t *log = opened();
        CHECK(mmlog_append(log, "busy\n", 5, NULL) == 0);
        CHECK(mmlog_close(log) == 0);
    }
    return NULL;
}

/* Forks while others open and close: a child has what they had in hand in that moment. */
static void forks(void)
{
    pthread_t threads[3];
    log_handle_t *kept = opened();
    for (size_t i = 0; i < 3; i++)
        CHECK(pthread_create(&threads[i], NULL, opens_until_told, NULL) == 0);
    for (int i = 0; i < 100; i++) {
        if (i == 50)
            CHECK(mmlog_close(kept) == 0);
        if (fork() == 0) {
            alarm(30);
            log_handle_t *log = opened();
            CHECK(mmlog_append(log, "child\n", 6, NULL) == 0);
            CHECK(mmlog_close(log) == 0);
            exit(0);
        }
        int status;
        CHECK(wait(&status) > 0 && WIFEXITED(status) && WEXITSTATUS(status) == 0);
    }
    __atomic_store_n(&goes_on, false, __ATOMIC_RELAXED);
    for (size_t i = 0; i < 3; i++)
        pthread_join(threads[i], NULL);
}

/* Prints the status for the test to read. */
static void status(void)
{
    log_handle_t *log = opened();
    size_t len = 0;
    CHECK(mmlog_append(log, "a line\n", 7, NULL) == 0);
    CHECK(mmlog_status_json(log, NULL, 0, &len) == MMLOG_NO_ROOM && len > 100 && errno == ENOBUFS);
    char *text = (char *)malloc(len + 100);
    CHECK(mmlog_status_json(log, text, len, &len) == MMLOG_NO_ROOM);
    CHECK(mmlog_status_json(log, text, len + 100, &len) == 0 && strlen(text) == len);
    puts(text);
    free(text);
    CHECK(mmlog_close(log) == 0);
}

/* Structs of older and newer programs, and what else cannot be. */
static void sizes(void)
{
    struct { mmlog_options_t known; char later[16]; } newer;
    log_handle_t *log = NULL;
    memset(&newer, 0, sizeof newer);
    CHECK(mmlog_open_with(path, &newer.known, &log) == MMLOG_INVALID);
    newer.known.size = sizeof newer;
    newer.later[3] = 1;
    CHECK(mmlog_open_with(path, &newer.known, &log) == MMLOG_INVALID && strstr(mmlog_strerror_cur(), "newer") != NULL);
    newer.later[3] = 0;
    CHECK(mmlog_open_with(path, &newer.known, &log) == 0 && mmlog_close(log) == 0);
    newer.known.size = 2 * sizeof(size_t);
    newer.known.chunk_size = 1 << 20;
    newer.known.flags = 0x8000;
    CHECK(mmlog_open_with(path, &newer.known, &log) == 0 && mmlog_close(log) == 0);
    newer.known.size = sizeof newer.known;
    CHECK(mmlog_open_with(path, &newer.known, &log) == MMLOG_INVALID);
    memset(&newer, 0, sizeof newer);
    newer.known.size = sizeof newer.known;
    newer.known.mode = 010000;
    CHECK(mmlog_open_with(path, &newer.known, &log) == MMLOG_INVALID);
    newer.known.mode = 0;
    newer.known.ring_chunks = UINT32_MAX;
    CHECK(mmlog_open_with(path, &newer.known, &log) == 0 && mmlog_close(log) == 0);
    CHECK(mmlog_open_with(path, NULL, NULL) == MMLOG_INVALID && mmlog_last_error() == MMLOG_INVALID);
    CHECK(mmlog_append(NULL, "a", 1, NULL) == MMLOG_INVALID && errno == EINVAL);
    newer.known.ring_chunks = 0;
    newer.known.reserved = 1;
    CHECK(mmlog_open_with(path, &newer.known, &log) == MMLOG_INVALID && strstr(mmlog_strerror_cur(), "reserved") != NULL);
    log = opened();
    CHECK(mmlog_last_error() == 0 && strcmp(mmlog_strerror_cur(), mmlog_strerror(0)) == 0);
    CHECK(mmlog_policy_get(log, NULL) == MMLOG_INVALID);
    CHECK(mmlog_guard_against_sigbus() == 0);
    CHECK(strcmp(mmlog_version(), MMLOG_VERSION) == 0);
    CHECK(mmlog_close(log) == 0);
}

int main(int argc, char **argv)
{
    static const struct part all[] = {
        {"cycle", cycle}, {"parts", parts}, {"bounded", bounded}, {"follows", follows}, {"crowd", crowd}, {"forks", forks},
        {"status", status}, {"sizes", sizes},
    };
    return RUN(argc, argv, all);
}
