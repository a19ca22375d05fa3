/* The life cycles of programs that were written for the original: what each leaves is looked at by the test. */
#include <libmmlog.h>

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "parts.h"

static log_handle_t *opened(void)
{
    log_handle_t *log = mmlog_open(path, 16384, 16);
    CHECK(log != NULL);
    return log;
}

static void lines(log_handle_t *log, int who, int count)
{
    char line[64];
    for (int i = 0; i < count; i++) {
        int len = snprintf(line, sizeof line, "writer %d line %d\n", who, i);
        CHECK(mmlog_insert(log, line, (size_t)len));
    }
}

static void children_end(int count)
{
    for (int i = 0, status; i < count; i++) {
        CHECK(wait(&status) > 0);
        CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    }
}

/* Children open, append, free and exit; the parent then opens, trims, and reads by stdio. */
static void forks(void)
{
    for (int i = 0; i < 4; i++) {
        if (fork() == 0) {
            log_handle_t *log = opened();
            lines(log, i, 500);
            free(log);
            exit(0);
        }
    }
    children_end(4);
    log_handle_t *log = opened();
    mmlog_trim(log);
    FILE *file = fopen(path, "r");
    char line[64];
    int count = 0;
    while (fgets(line, sizeof line, file) != NULL)
        count++;
    fclose(file);
    CHECK(count == 2000);
    free(log);
}

static void *opens_itself(void *number)
{
    log_handle_t *log = opened();
    lines(log, (int)(size_t)number, 200);
    free(log);
    return NULL;
}

static void *in_threads(void *(*what)(void *), int count)
{
    pthread_t threads[200];
    for (int i = 0; i < count; i++)
        CHECK(pthread_create(&threads[i], NULL, what, (void *)(size_t)i) == 0);
    for (int i = 0; i < count; i++)
        pthread_join(threads[i], NULL);
    return NULL;
}

/* Sixteen threads open the one path; nothing is trimmed or closed. */
static void opens(void) { in_threads(opens_itself, 16); }

static log_handle_t *shared;
static void *by_the_shared(void *number)
{
    lines(shared, (int)(size_t)number, 50);
    return NULL;
}

/* More threads than have writers of their own, all there at once, on one handle. */
static pthread_barrier_t all_there;
static void *with_all_there(void *number)
{
    CHECK(mmlog_insert(shared, "first\n", 6));
    pthread_barrier_wait(&all_there);
    by_the_shared(number);
    return NULL;
}

static void threads(void)
{
    shared = opened();
    pthread_barrier_init(&all_there, NULL, 100);
    in_threads(with_all_there, 100);
}

/* A handle from before the fork, used on both sides, with threads on each. */
static void both_sides(void)
{
    shared = opened();
    lines(shared, 100, 10);
    for (int i = 0; i < 3; i++) {
        if (fork() == 0) {
            in_threads(by_the_shared, 3);
            exit(0);
        }
    }
    in_threads(by_the_shared, 3);
    children_end(3);
}

/* Have writers of their own, and keep them: of 70 threads, the last six share. */
static pthread_barrier_t over;
static void *until_over(void *number)
{
    (void)number;
    CHECK(mmlog_insert(shared, "busy\n", 5));
    pthread_barrier_wait(&all_there);
    pthread_barrier_wait(&over);
    return NULL;
}

static bool goes_on = true;
static void *until_told(void *number)
{
    (void)number;
    pthread_barrier_wait(&all_there);
    while (__atomic_load_n(&goes_on, __ATOMIC_RELAXED))
        CHECK(mmlog_insert(shared, "busy\n", 5));
    pthread_barrier_wait(&over);
    return NULL;
}

/* Forks while other threads append, some by shared writers that they hold in that moment: the child has its own. */
static void forks_beside(void)
{
    pthread_t threads[70];
    shared = opened();
    pthread_barrier_init(&all_there, NULL, 71);
    pthread_barrier_init(&over, NULL, 71);
    for (int i = 0; i < 70; i++)
        CHECK(pthread_create(&threads[i], NULL, i < 62 ? until_over : until_told, NULL) == 0);
    pthread_barrier_wait(&all_there);
    for (int i = 0; i < 200; i++) {
        if (fork() == 0) {
            alarm(30);
            CHECK(mmlog_insert(shared, "child\n", 6));
            exit(0);
        }
        children_end(1);
    }
    __atomic_store_n(&goes_on, false, __ATOMIC_RELAXED);
    pthread_barrier_wait(&over);
    for (int i = 0; i < 70; i++)
        pthread_join(threads[i], NULL);
}

/* Bytes that this process has locked: one for each writer. */
static long locked(void)
{
    long sum = 0, from, to;
    char name[64], line[256];
    for (int fd = 0; fd < 64; fd++) {
        snprintf(name, sizeof name, "/proc/self/fdinfo/%d", fd);
        FILE *facts = fopen(name, "r");
        while (facts != NULL && fgets(line, sizeof line, facts) != NULL)
            if (sscanf(line, "lock: %*s %*s %*s %*s %*s %*s %ld %ld", &from, &to) == 2)
                sum += to - from + 1;
        if (facts != NULL)
            fclose(facts);
    }
    return sum;
}

/* One thread after the other: each gives its writer back when it ends. */
static void *one_line(void *number)
{
    CHECK(mmlog_insert(shared, number, 5));
    return NULL;
}
static void short_lived(void)
{
    shared = opened();
    for (int i = 0; i < 1100; i++) {
        pthread_t thread;
        CHECK(pthread_create(&thread, NULL, one_line, "line\n") == 0);
        pthread_join(thread, NULL);
    }
    CHECK(locked() == 0);
    CHECK(mmlog_insert(shared, "line\n", 5));
    CHECK(locked() == 1);
}

/* Threads that append for the first time while they end. */
static pthread_key_t at_end;
static void last_words(void *line) { CHECK(mmlog_insert(shared, line, 5)); }
static void *ends(void *line)
{
    CHECK(pthread_setspecific(at_end, line) == 0);
    return NULL;
}
static void last(void)
{
    shared = opened();
    CHECK(pthread_key_create(&at_end, last_words) == 0);
    for (int i = 0; i < 100; i++) {
        pthread_t thread;
        CHECK(pthread_create(&thread, NULL, ends, "last\n") == 0);
        pthread_join(thread, NULL);
    }
    CHECK(locked() == 0);
}

/* Messages of 4095 bytes, the result looked at, no trim, no free. */
static void messages(void)
{
    static char message[4095];
    memset(message, 'x', sizeof message);
    for (int i = 0; i < 4; i++) {
        if (fork() == 0) {
            log_handle_t *log = mmlog_open(path, 32768, 4);
            CHECK(log != NULL);
            for (int j = 0; j < 10000; j++)
                CHECK(mmlog_insert(log, message, sizeof message));
            exit(0);
        }
    }
    children_end(4);
}

/* Any content, more than a chunk, and what a trim does to what comes after. */
static void contents(void)
{
    log_handle_t *log = opened();
    char all[256];
    for (int i = 0; i < 256; i++)
        all[i] = (char)i;
    CHECK(mmlog_insert(log, all, sizeof all));
    size_t len = 3 * 1024 * 1024 / 2;
    char *large = malloc(len);
    memset(large, 'l', len);
    CHECK(mmlog_insert(log, large, len));
    free(large);
    mmlog_trim(log);
    CHECK(strcmp(mmlog_strerror_cur(), mmlog_strerror(0)) == 0);
    struct stat found;
    CHECK(stat(path, &found) == 0 && (size_t)found.st_size == len + 256);
    CHECK(mmlog_insert(log, "end\n", 4));
    free(log);
}

/* What is refused, with errno and a text. */
static void refused(void)
{
    errno = 0;
    CHECK(mmlog_open(NULL, 4096, 2) == NULL && errno == EINVAL);
    CHECK(mmlog_open("", 4096, 2) == NULL && errno == EINVAL);
    CHECK(mmlog_open(path, 0, 2) == NULL && errno == EINVAL);
    CHECK(mmlog_open(path, 4097, 2) == NULL && errno == EINVAL);
    CHECK(mmlog_open(path, 4096, 1) == NULL && errno == EINVAL);
    CHECK(mmlog_open("/no/such/directory/log", 4096, 2) == NULL && errno == ENOENT);
    log_handle_t *log = opened();
    CHECK(!mmlog_insert(NULL, "a", 1) && !mmlog_insert(log, NULL, 1) && !mmlog_insert(log, "a", 0));
    CHECK(strcmp(mmlog_strerror_cur(), mmlog_strerror(0)) != 0);
    CHECK(mmlog_insert(log, "a", 1));
    CHECK(strcmp(mmlog_strerror_cur(), mmlog_strerror(0)) == 0);
    CHECK(strcmp(mmlog_strerror(-1), mmlog_strerror(9999)) == 0);
    free(log);
}

int main(int argc, char **argv)
{
    static const struct part all[] = {
        {"forks", forks}, {"opens", opens}, {"threads", threads}, {"both_sides", both_sides},
        {"forks_beside", forks_beside}, {"short_lived", short_lived}, {"last", last},
        {"messages", messages}, {"contents", contents}, {"refused", refused},
    };
    return RUN(argc, argv, all);
}
