/* Logs that many processes write through shared memory. mmlog(3) is the manual.

   A handle may be used by all threads, and in forked children. Functions that return an int return 0, or a code below, with
   errno set and a sentence in mmlog_strerror_cur(). Structs begin with their own size, the rest is 0 where nothing is said:
     mmlog_options_t options = {0};
     options.size = sizeof options; */
#ifndef MMLOG_H
#define MMLOG_H

#include <libmmlog.h>
#include <sys/uio.h>

#define MMLOG_VERSION "0.1.0"

/* Error codes: 1xx try again, 2xx somebody is in the way, 3xx the log is damaged, 4xx refused, 5xx a bug of libmmlog. They are
   never renumbered. mmlog_strerror() has a text for each. */
#define MMLOG_NO_SPACE 101
#define MMLOG_BUSY 201
#define MMLOG_WRITERS_FULL 202
#define MMLOG_TIMED_OUT 203
#define MMLOG_DAMAGED 301
#define MMLOG_PANICKED 302
#define MMLOG_NOT_DURABLE 303
#define MMLOG_INVALID 401
#define MMLOG_NO_LOG 402
#define MMLOG_DENIED 403
#define MMLOG_TOO_LARGE 404
#define MMLOG_NO_POSITION 405
#define MMLOG_REFUSED 406
#define MMLOG_IO 407
#define MMLOG_NO_ROOM 408
#define MMLOG_INTERNAL 501

/* Of mmlog_options_t.flags: no log is made; a plain file at the path becomes the first bytes of the log; appends of this process
   leave the log's policy to others. */
#define MMLOG_MUST_EXIST 1
#define MMLOG_ADOPT 2
#define MMLOG_NO_POLICY 4
/* Of mmlog_options_t.wait_ms. */
#define MMLOG_FOREVER UINT64_MAX

/* Of mmlog_policy_t.keep and .keep_bytes: no final segment, where 0 is no rule. */
#define MMLOG_KEEP_NONE UINT64_MAX
/* Of mmlog_policy_t.compress: what tools do with final segments. */
#define MMLOG_COMPRESS_NONE 0
#define MMLOG_COMPRESS_ZSTD 1
#define MMLOG_COMPRESS_GZIP 2

/* Where a follower begins, if not at a position: at the first byte that is kept; at what comes. */
#define MMLOG_OLDEST (UINT64_MAX - 1)
#define MMLOG_NEWEST UINT64_MAX

/* Of mmlog_event_t.kind: nothing more is there now; bytes; positions without bytes, since a writer died or they were lost;
   positions that a prune gave up; what follows lies in another segment. */
#define MMLOG_CAUGHT_UP 0
#define MMLOG_BYTES 1
#define MMLOG_HOLE 2
#define MMLOG_PRUNED 3
#define MMLOG_ROTATED 4

#ifdef __cplusplus
extern "C" {
#endif

/* How a log bounds itself. A field that is 0 is no rule. */
typedef struct mmlog_policy_t {
  size_t size;                /* sizeof(mmlog_policy_t) */
  uint64_t rotate_size;       /* no segment is longer: 64 KiB and more */
  uint64_t rotate_age_ms;     /* the first append after that age begins a new one: 1000 and more */
  uint64_t keep;              /* so many final segments are kept */
  uint64_t keep_bytes;        /* as many as fit these bytes of disk */
  uint64_t keep_age_ms;       /* those that became final less than that ago */
  uint64_t keep_free_bytes;   /* while the file system has less, the oldest go */
  uint64_t hold_max;          /* a hold that lags by more bytes keeps nothing */
  uint32_t keep_free_percent; /* as keep_free_bytes, 1 to 99: one of them is 0 */
  uint32_t compress;          /* MMLOG_COMPRESS_... */
} mmlog_policy_t;

/* How a log is opened. A field that is 0 is the default. What is fixed when a log is made is taken from one that exists. */
typedef struct mmlog_options_t {
  size_t size;                  /* sizeof(mmlog_options_t) */
  uint64_t chunk_size;          /* bytes that the file grows by: 16 MiB */
  uint64_t wait_ms;             /* how long a call waits for somebody who holds the log up: 10000; MMLOG_FOREVER */
  uint64_t drop_behind;         /* what lies so far behind leaves the page cache: as the kernel likes */
  const mmlog_policy_t *policy; /* of a log that is made */
  const char *old_directory;    /* where old segments are, if the metadata names it and it is elsewhere */
  uint32_t ring_chunks;         /* chunks that stay mapped, at most 1024: 4 */
  uint32_t max_writers;         /* of all processes together: 1024 */
  uint32_t mode;                /* permission bits of a log that is made: 0666 less the umask */
  uint32_t gate_ms;             /* how long a trim or rotation may hold writers up: 50 */
  uint32_t flags;               /* MMLOG_MUST_EXIST, ... */
  uint32_t reserved;            /* 0 */
} mmlog_options_t;

/* What comes next in a log. */
typedef struct mmlog_event_t {
  size_t size;    /* sizeof(mmlog_event_t) */
  uint32_t kind;  /* MMLOG_BYTES, ... */
  uint32_t pid;   /* of a hole: who left it, 0 if that is not known */
  uint64_t start; /* first position */
  uint64_t end;   /* first position behind it */
} mmlog_event_t;

/* Reads a log; one thread uses it at a time. */
typedef struct mmlog_follower_t mmlog_follower_t;

/* Opens the log at filename for appending, and makes it if it is missing. options may be NULL. A log that this process has open
   already stays open as it is. *handle is for mmlog_close(), for free(), or for nobody; NULL on failure. */
int mmlog_open_with(const char *filename, const mmlog_options_t *options, log_handle_t **handle);

/* Ends a handle and frees it. With the last of the process, the log is given up, and the file cut to its bytes if nobody else
   writes. Whatever it returns, the handle is gone. NULL is fine. */
int mmlog_close(log_handle_t *handle);

/* Appends len bytes as one message: all of them or none. *position, unless position is NULL, is that of the first. */
int mmlog_append(log_handle_t *handle, const void *data, size_t len, uint64_t *position);

/* Appends count parts as one message. */
int mmlog_appendv(log_handle_t *handle, const struct iovec *parts, int count, uint64_t *position);

/* Appends, and returns when the message is durable. MMLOG_NOT_DURABLE: it is there, and may be lost with the power. */
int mmlog_append_durable(log_handle_t *handle, const void *data, size_t len, uint64_t *position);

/* Makes everything durable that anybody appended before. *position, unless NULL, is where that ends. */
int mmlog_sync(log_handle_t *handle, uint64_t *position);

/* Makes the data file a final segment and goes on in a new one; does nothing where it has no byte. *begin, unless NULL, is where
   the current one begins then. */
int mmlog_rotate(log_handle_t *handle, uint64_t *begin);

/* Removes final segments that no rule of keep keeps, oldest first; of several rules the one that keeps least holds, and without
   any nothing goes. keep NULL: the rules of the log's own policy. *first_kept, unless NULL, is where the log begins then. */
int mmlog_prune(log_handle_t *handle, const mmlog_policy_t *keep, uint64_t *first_kept);

/* The log's policy; all 0 without one. policy->size is set by the caller. */
int mmlog_policy_get(log_handle_t *handle, mmlog_policy_t *policy);

/* Changes it for every process, durably. NULL, or all 0, ends it. */
int mmlog_policy_set(log_handle_t *handle, const mmlog_policy_t *policy);

/* Does all that the policy asks for now; appends do it a little at a time. */
int mmlog_housekeep(log_handle_t *handle);

/* What there is to know of the log, as one JSON object with a NUL behind it: the keys that mmlog(3) lists. *len, unless NULL, is its
   length without the NUL, also with MMLOG_NO_ROOM, when size is not larger; buffer may be NULL then. */
int mmlog_status_json(log_handle_t *handle, char *buffer, size_t size, size_t *len);

/* Opens the log at filename for reading, from a position, MMLOG_OLDEST or MMLOG_NEWEST on. *follower is for
   mmlog_follow_close(); NULL on failure. */
int mmlog_follow_open(const char *filename, uint64_t from, mmlog_follower_t **follower);

/* What comes next: at most size bytes in buffer, and what they are in event, whose size is set by the caller. Bytes are given as
   they were appended, not by messages. Never waits. */
int mmlog_follow_next(mmlog_follower_t *follower, void *buffer, size_t size, mmlog_event_t *event);

/* Sleeps until something may be there; MMLOG_TIMED_OUT when nothing came for timeout_ms. */
int mmlog_follow_wait(mmlog_follower_t *follower, uint64_t timeout_ms);

/* Goes to a position, forwards or backwards. */
int mmlog_follow_seek(mmlog_follower_t *follower, uint64_t position);

/* The position that comes next: for a later mmlog_follow_open(). */
uint64_t mmlog_follow_position(const mmlog_follower_t *follower);

/* Ends a follower and frees it. NULL is fine. */
void mmlog_follow_close(mmlog_follower_t *follower);

/* From now on, an append to a file that somebody cut, or that the disk has no block for, fails, where SIGBUS would end the
   program. Once for the process; the handler passes on what is not libmmlog's. */
int mmlog_guard_against_sigbus(void);

/* The code of this thread's last call; 0 is success. Its sentence is mmlog_strerror_cur(). */
int mmlog_last_error(void);

/* The version of the library that runs. */
const char *mmlog_version(void);

#ifdef __cplusplus
}
#endif

#endif
