/* A program that loads the library by hand, and unloads it while a thread is there that has appended. */
#include <libmmlog.h>

#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define CHECK(is) do { if (!(is)) { fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #is); _exit(1); } } while (0)

static pthread_barrier_t appended, unloaded;
static bool (*insert)(log_handle_t *, const void *, size_t);

static void *a_thread(void *log)
{
    CHECK(insert((log_handle_t *)log, "thread\n", 7));
    pthread_barrier_wait(&appended);
    pthread_barrier_wait(&unloaded);
    return NULL;
}

int main(int argc, char **argv)
{
    if (argc != 3 || strcmp(argv[1], "unloads") != 0)
        return 2;
    alarm(60);
    for (int i = 0; i < 3; i++) {
        void *library = dlopen("libmmlog.so.0", RTLD_NOW);
        CHECK(library != NULL);
        log_handle_t *(*open)(const char *, size_t, uint32_t);
        *(void **)&open = dlsym(library, "mmlog_open");
        *(void **)&insert = dlsym(library, "mmlog_insert");
        log_handle_t *log = open(argv[2], 4096, 2);
        CHECK(log != NULL && insert(log, "main\n", 5));
        pthread_t thread;
        pthread_barrier_init(&appended, NULL, 2);
        pthread_barrier_init(&unloaded, NULL, 2);
        CHECK(pthread_create(&thread, NULL, a_thread, log) == 0);
        pthread_barrier_wait(&appended);
        CHECK(dlclose(library) == 0);
        pthread_barrier_wait(&unloaded);
        CHECK(pthread_join(thread, NULL) == 0);
    }
    return 0;
}
