/* How processes end: killed, or by exit while others of their threads append. What was stored by then is printed. */
#include <mmlog.h>

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "parts.h"

#define WRITERS 4

/* Messages of each writer that are stored, also when its process is gone. */
static _Atomic unsigned long *stored;

static log_handle_t *opened(void)
{
    log_handle_t *log = mmlog_open(path, 16384, 16);
    CHECK(log != NULL);
    return log;
}

static void count(void)
{
    stored = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    CHECK(stored != MAP_FAILED);
}

static void append_for_ever(log_handle_t *log, int who)
{
    static const char rest[] = "................................................................................................"
                               "................................................................................................";
    char line[300];
    for (unsigned long i = 0;; i++) {
        int len = snprintf(line, sizeof line, "%s writer %d line %lu\n", rest, who, i);
        CHECK(mmlog_insert(log, line, (size_t)len));
        atomic_store(&stored[who], i + 1);
    }
}

static void all_have(unsigned long count)
{
    for (int i = 0; i < WRITERS; i++)
        while (atomic_load(&stored[i]) < count)
            sched_yield();
}

static void *a_thread(void *number)
{
    append_for_ever(opened(), (int)(size_t)number);
    return NULL;
}

/* What another process finds afterwards: nobody is in the way, and the file is exact. */
static void look(void)
{
    log_handle_t *log = opened();
    CHECK(mmlog_insert(log, "after\n", 6));
    mmlog_trim(log);
    CHECK(strcmp(mmlog_strerror_cur(), mmlog_strerror(0)) == 0);
    for (int i = 0; i < WRITERS; i++)
        printf("%lu\n", atomic_load(&stored[i]));
    free(log);
}

/* All killed in the middle. */
static void killed(void)
{
    pid_t children[WRITERS];
    count();
    for (int i = 0; i < WRITERS; i++)
        if ((children[i] = fork()) == 0)
            append_for_ever(opened(), i);
    all_have(500);
    for (int i = 0; i < WRITERS; i++)
        kill(children[i], SIGKILL);
    for (int i = 0; i < WRITERS; i++)
        CHECK(waitpid(children[i], NULL, 0) == children[i]);
    look();
}

/* The main thread ends the process while others append. */
static void exits(void)
{
    count();
    pid_t child = fork();
    if (child == 0) {
        for (int i = 0; i < WRITERS; i++) {
            pthread_t thread;
            CHECK(pthread_create(&thread, NULL, a_thread, (void *)(size_t)i) == 0);
        }
        all_have(500);
        alarm(30);
        exit(0);
    }
    int status;
    CHECK(waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 0);
    look();
}

/* Threads that append once, and then do nothing until the process is over. */
static log_handle_t *shared;
static pthread_barrier_t appended;
static void *idle(void *line)
{
    CHECK(mmlog_insert(shared, line, 5));
    pthread_barrier_wait(&appended);
    for (;;)
        pause();
}

static void appends_and_stays(void)
{
    pthread_t thread;
    pthread_barrier_init(&appended, NULL, 2);
    CHECK(pthread_create(&thread, NULL, idle, "idle\n") == 0);
    pthread_barrier_wait(&appended);
}

static off_t length(void)
{
    struct stat found;
    CHECK(stat(path, &found) == 0);
    return found.st_size;
}

/* A log is closed and opened again, while threads are there that appended to it. */
static void reopened(void)
{
    for (int i = 1; i < 4; i++) {
        shared = opened();
        appends_and_stays();
        CHECK(length() > i * 5);
        CHECK(mmlog_close(shared) == 0 && length() == i * 5);
    }
    shared = opened();
    appends_and_stays();
}

/* Two processes close, each while the other has such a thread; both end later. */
static void closed_together(void)
{
    int to[2], from[2];
    char word;
    CHECK(pipe(to) == 0 && pipe(from) == 0);
    shared = opened();
    pid_t child = fork();
    if (child == 0) {
        appends_and_stays();
        CHECK(write(from[1], "a", 1) == 1 && read(to[0], &word, 1) == 1);
        CHECK(mmlog_close(shared) == 0);
        CHECK(write(from[1], "c", 1) == 1 && read(to[0], &word, 1) == 1);
        exit(0);
    }
    appends_and_stays();
    CHECK(read(from[0], &word, 1) == 1 && write(to[1], "c", 1) == 1 && read(from[0], &word, 1) == 1);
    CHECK(mmlog_close(shared) == 0 && length() > 10);
    CHECK(write(to[1], "e", 1) == 1);
    int status;
    CHECK(waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

/* Of the files of a log, the data file alone is removed. */
static void data_gone(void)
{
    log_handle_t *log = opened();
    CHECK(mmlog_insert(log, "gone\n", 5));
    free(log);
    if (fork() == 0) {
        CHECK(unlink(path) == 0);
        errno = 0;
        execl("/proc/self/exe", "program", "opens_none", path, (char *)NULL);
        _exit(1);
    }
    int status;
    CHECK(wait(&status) > 0 && WIFEXITED(status) && WEXITSTATUS(status) == 0);
    FILE *file = fopen(path, "w");
    fputs("its end", file);
    fclose(file);
    _exit(0);
}

static void opens_none(void)
{
    CHECK(mmlog_open(path, 4096, 2) == NULL && errno == ENOENT);
    CHECK(strstr(mmlog_strerror_cur(), path) != NULL);
}

/* A log that the original made: its 32 bytes of metadata, and a message. */
static void original_format(void)
{
    struct {
        unsigned char version[4], is_ready, is_locked, is_panicked, unused;
        uint64_t file_size, cursor;
        uint32_t page_size, chunk_size;
    } head = {{1, 0, 0, 0}, 1, 0, 0, 0, 65536, 4, 4096, 65536};
    char metadata[4096];
    snprintf(metadata, sizeof metadata, "%s.mmlog", path);
    FILE *file = fopen(metadata, "w");
    CHECK(sizeof head == 32 && fwrite(&head, sizeof head, 1, file) == 1 && fclose(file) == 0);
    file = fopen(path, "w");
    CHECK(fputs("old\n", file) > 0 && fclose(file) == 0 && truncate(path, 65536) == 0);
    CHECK(mmlog_open(path, 4096, 2) == NULL);
    puts(mmlog_strerror_cur());
}

/* A plain file is the log's beginning. */
static void adopts(void)
{
    FILE *file = fopen(path, "w");
    fputs("it was here before\n", file);
    fclose(file);
    log_handle_t *log = opened();
    CHECK(mmlog_insert(log, "it came later\n", 14));
    free(log);
}

/* Started without standard streams: what is printed goes nowhere, above all not into the log. */
static void streamless(void)
{
    for (int stream = 0; stream < 3; stream++)
        close(stream);
    log_handle_t *log = opened();
    CHECK(mmlog_insert(log, "one\n", 4));
    for (int stream = 0; stream < 3; stream++)
        CHECK(write(stream, "said by somebody", 16) < 0);
    CHECK(mmlog_insert(log, "two\n", 4));
    free(log);
}

int main(int argc, char **argv)
{
    static const struct part all[] = {
        {"killed", killed}, {"exits", exits}, {"data_gone", data_gone}, {"opens_none", opens_none}, {"adopts", adopts},
        {"original_format", original_format}, {"reopened", reopened}, {"closed_together", closed_together},
        {"streamless", streamless},
    };
    return RUN(argc, argv, all);
}
