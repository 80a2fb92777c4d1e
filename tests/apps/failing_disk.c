/* A disk that fills up, for LD_PRELOAD: from its n-th write on, no write into a result file of this process
 * succeeds, and the n-th itself is cut short, as a file system does that has room for half of it.
 *   FAILING_DISK_WRITES=n   writes that succeed before
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

static atomic_long writes;

static int on_chosen_rank(void) {
  const char *chosen = getenv("FAILING_DISK_RANK");
  const char *rank = getenv("OMPI_COMM_WORLD_RANK");
  return chosen == NULL || (rank != NULL && strcmp(chosen, rank) == 0);
}

static int is_result_file(int descriptor) {
  char link[64], name[4096];
  snprintf(link, sizeof link, "/proc/self/fd/%d", descriptor);
  const ssize_t length = readlink(link, name, sizeof name - 1);
  return length > 3 && memcmp(name + length - 3, ".h5", 3) == 0;
}

/* Writes left after this one; below 0: it fails. */
static long left_for(int descriptor) {
  const char *most = getenv("FAILING_DISK_WRITES");
  if (most == NULL || !on_chosen_rank() || !is_result_file(descriptor)) return 1;
  return atol(most) - atomic_fetch_add(&writes, 1);
}

static ssize_t refuse(void) {
  errno = ENOSPC;
  return -1;
}

#define WRITE(name)                                                                   \
  ssize_t name(int descriptor, const void *bytes, size_t size, off_t offset) {       \
    ssize_t (*const real)(int, const void *, size_t, off_t) = dlsym(RTLD_NEXT, #name); \
    const long left = left_for(descriptor);                                          \
    if (left < 0) return refuse();                                                   \
    return real(descriptor, bytes, left == 0 ? size / 2 : size, offset);             \
  }

#define WRITE_SEVERAL(name)                                                                    \
  ssize_t name(int descriptor, const struct iovec *parts, int count, off_t offset) {          \
    ssize_t (*const real)(int, const struct iovec *, int, off_t) = dlsym(RTLD_NEXT, #name);    \
    const long left = left_for(descriptor);                                                   \
    if (left < 0) return refuse();                                                            \
    struct iovec half = {parts[0].iov_base, parts[0].iov_len / 2};                            \
    return left == 0 ? real(descriptor, &half, 1, offset) : real(descriptor, parts, count, offset); \
  }

WRITE(pwrite)
WRITE(pwrite64)
WRITE_SEVERAL(pwritev)
WRITE_SEVERAL(pwritev64)
