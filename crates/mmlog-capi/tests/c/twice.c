/* Two copies of the static library in one program: each has its own logs. */
#include <mmlog.h>
#include <string.h>

log_handle_t *second_mmlog_open(const char *, size_t, uint32_t);
bool second_mmlog_insert(log_handle_t *, const void *, size_t);
void second_mmlog_trim(log_handle_t *);

int main(int argc, char **argv)
{
    if (argc != 3 || strcmp(argv[1], "twice") != 0)
        return 2;
    log_handle_t *one = mmlog_open(argv[2], 4096, 2), *other = second_mmlog_open(argv[2], 4096, 2);
    bool is_done = one != NULL && other != NULL && mmlog_insert(one, "one\n", 4) && second_mmlog_insert(other, "other\n", 6);
    second_mmlog_trim(other);
    return is_done ? 0 : 1;
}
