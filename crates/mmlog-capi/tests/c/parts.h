/* What a test program in parts begins and ends with: `program PART LOG` runs one of them. */
#ifndef PARTS_H
#define PARTS_H

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define CHECK(is) do { if (!(is)) { \
    fprintf(stderr, "%s:%d: %s: %s\n", __FILE__, __LINE__, #is, mmlog_strerror_cur()); _exit(1); } } while (0)

static const char *path;

struct part { const char *name; void (*what)(void); };

static int run(int argc, char **argv, const struct part *all, size_t count)
{
    if (argc != 3)
        return 2;
    path = argv[2];
    alarm(60);
    for (size_t i = 0; i < count; i++)
        if (strcmp(all[i].name, argv[1]) == 0) {
            all[i].what();
            return 0;
        }
    return 2;
}

#define RUN(argc, argv, all) run(argc, argv, all, sizeof all / sizeof *all)

#endif
