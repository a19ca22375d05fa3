/* The functions of the original's header. mmlog(3) is their manual. */
#ifndef LIBMMLOG_H
#define LIBMMLOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* An open log: give it to free(), or keep it until the process ends. Any thread may use it, also of a forked child. */
typedef struct log_handle_t log_handle_t;
/* Names of the original's; nothing is of these types. */
typedef struct log_metadata_t log_metadata_t;
typedef struct chunk_info_t chunk_info_t;
typedef struct log_range_t log_range_t;

/* Opens the log at filename for appending, and makes it if it is missing; a plain file there becomes the log's first bytes. A
   log that this process has open already is not opened twice. chunk_size is a multiple of 4096, what the file grows by: at
   least 1 MiB is taken. max_chunks, at least 2, is how many chunks stay mapped. NULL on failure, with errno set. */
log_handle_t *mmlog_open(const char *filename, size_t chunk_size, uint32_t max_chunks);

/* Appends len bytes as one message: all of them, or, when it returns false, none. */
bool mmlog_insert(log_handle_t *handle, const void *data, size_t len);

/* Cuts the data file to exactly the bytes that were appended. Whether it worked, mmlog_strerror_cur() says. */
void mmlog_trim(log_handle_t *handle);

/* What an error code means, in a constant text; 0 is success. */
const char *mmlog_strerror(int code);

/* What was wrong with this thread's last call, and what to do. Valid until the thread's next call. */
const char *mmlog_strerror_cur(void);

#ifdef __cplusplus
}
#endif

#endif
