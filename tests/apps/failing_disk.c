/* A disk that fails, for LD_PRELOAD: of one kind of call, all from the n-th on fail for one kind of file. The n-th
 * write itself is cut short, as a file system does that has room for half of it. A file that fails to close is closed.
 *   FAILING_DISK_CALL=name  write, fdatasync, fsync, close or rename; without it nothing fails
 *   FAILING_DISK_CALLS=n    calls that succeed before; 0 without it
 *   FAILING_DISK_FILE=end   how the file's name ends, of rename the old name; .h5 without it
 *   FAILING_DISK_RANK=r     only on this rank; all ranks without it */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

static atomic_long calls;

static int on_chosen_rank(void) {
  const char *chosen = getenv("FAILING_DISK_RANK");
  const char *rank = getenv("OMPI_COMM_WORLD_RANK");
  return chosen == NULL || (rank != NULL && strcmp(chosen, rank) == 0);
}

static int is_chosen_file(const char *name) {
  const char *chosen = getenv("FAILING_DISK_FILE");
  const char *end = chosen == NULL ? ".h5" : chosen;
  const size_t length = strlen(name), tail = strlen(end);
  return length >= tail && strcmp(name + length - tail, end) == 0;
}

static int is_chosen_call(const char *call) {
  const char *chosen = getenv("FAILING_DISK_CALL");
  return chosen != NULL && strcmp(chosen, call) == 0;
}

/* Calls left after this one; below 0: it fails. */
static long left_for(const char *call, const char *name) {
  if (!is_chosen_call(call) || !on_chosen_rank() || !is_chosen_file(name)) return 1;
  const char *most = getenv("FAILING_DISK_CALLS");
  return (most == NULL ? 0 : atol(most)) - atomic_fetch_add(&calls, 1);
}

static long left_for_open(const char *call, int descriptor) {
  if (!is_chosen_call(call)) return 1;  /* a launcher closes a million descriptors */
  char link[64], name[4096];
  snprintf(link, sizeof link, "/proc/self/fd/%d", descriptor);
  const ssize_t length = readlink(link, name, sizeof name - 1);
  if (length < 0) return 1;
  name[length] = '\0';
  return left_for(call, name);
}

static int refuse(int reason) {
  errno = reason;
  return -1;
}

#define WRITE(name)                                                                   \
  ssize_t name(int descriptor, const void *bytes, size_t size, off_t offset) {       \
    ssize_t (*const real)(int, const void *, size_t, off_t) = dlsym(RTLD_NEXT, #name); \
    const long left = left_for_open("write", descriptor);                            \
    if (left < 0) return refuse(ENOSPC);                                             \
    return real(descriptor, bytes, left == 0 ? size / 2 : size, offset);             \
  }

#define WRITE_SEVERAL(name)                                                                    \
  ssize_t name(int descriptor, const struct iovec *parts, int count, off_t offset) {          \
    ssize_t (*const real)(int, const struct iovec *, int, off_t) = dlsym(RTLD_NEXT, #name);    \
    const long left = left_for_open("write", descriptor);                                     \
    if (left < 0) return refuse(ENOSPC);                                                      \
    struct iovec half = {parts[0].iov_base, parts[0].iov_len / 2};                            \
    return left == 0 ? real(descriptor, &half, 1, offset) : real(descriptor, parts, count, offset); \
  }

#define SYNC(name)                                                       \
  int name(int descriptor) {                                             \
    int (*const real)(int) = dlsym(RTLD_NEXT, #name);                    \
    return left_for_open(#name, descriptor) <= 0 ? refuse(EIO) : real(descriptor); \
  }

WRITE(pwrite)
WRITE(pwrite64)
WRITE_SEVERAL(pwritev)
WRITE_SEVERAL(pwritev64)
SYNC(fdatasync)
SYNC(fsync)

int close(int descriptor) {
  int (*const real)(int) = dlsym(RTLD_NEXT, "close");
  const long left = left_for_open("close", descriptor);
  const int closed = real(descriptor);
  return left <= 0 ? refuse(EIO) : closed;
}

int rename(const char *from, const char *to) {
  int (*const real)(const char *, const char *) = dlsym(RTLD_NEXT, "rename");
  return left_for("rename", from) <= 0 ? refuse(EIO) : real(from, to);
}
