/* Appends numbered lines until the file named second is there; then says how many. For `check`: the library is replaced meanwhile. */
#include <libmmlog.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

int main(int argc, char **argv) {
  if (argc != 3) return 2;
  log_handle_t *log = mmlog_open(argv[1], 1 << 20, 16);
  if (!log) return fprintf(stderr, "%s\n", mmlog_strerror_cur()), 1;
  unsigned long count = 0;
  const struct timespec pause = {.tv_nsec = 1000000};
  while (access(argv[2], F_OK) != 0) {
    char line[32];
    int length = snprintf(line, sizeof line, "c %lu\n", ++count);
    if (!mmlog_insert(log, line, (size_t)length)) return fprintf(stderr, "%s\n", mmlog_strerror_cur()), 1;
    nanosleep(&pause, NULL);
  }
  printf("c %lu\n", count);
  free(log);
  return 0;
}
