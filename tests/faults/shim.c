/* What stands between the program and the disk in the tests of faults: loaded with LD_PRELOAD, it does two things below the folder
 * that SHIM_ROOT names, and nothing anywhere else.
 *
 * 1. A disk that is cut off (SHIM_SHADOW names a folder on the same file system). What is synced goes to the shadow when it is:
 *
 *      <shadow>/<inode>        the bytes of a file as of its last fsync or fdatasync
 *      <shadow>/<inode>.dir    the entries of a folder as of its last fsync: "<inode> <name>\n" for each
 *      <shadow>/pin-<inode>    a hard link to each file that either of them names, so that its number is not given to another file,
 *                              and what was unlinked can still be read
 *
 *    Each is written beside and renamed, so a SIGKILL never tears it, and it counts from the moment the call returns. The real fsync
 *    is left out: nothing here cuts the power of the machine, and tests would wait for it.
 *    What it does not model: that a file system may make more durable than it was asked for (ext4 and the entry of a new file, say).
 *    The harness is free to take what is live for any entry and page, which is the same from the other side. Not followed, since the
 *    program has none of them below that folder: mmap, O_DIRECT, io_uring, links, and syncs of a whole file system. sync_file_range
 *    is no sync of anything, so it is let through.
 *    SHIM_IGNORE is "files" or "folders": those are then not synced, and nobody is told. A sync takes SHIM_MICROS, as on a disk: else the
 *    time in which something is written and not yet synced would hardly ever be met.
 *
 * 2. Calls that fail. A fault is "<kind> <from> <count> <errno> <where>": of the calls of the kind on paths that contain <where> ("/" is
 *    all), those from the from-th on fail, so many of them. Kinds are write, sync, open (for writing), rename, mkdir, unlink, truncate.
 *    SHIM_FAULT holds it from the start; SHIM_CONTROL names a file that holds one while it is there, without regard to from and count.
 *    Each call that failed adds a line to the file SHIM_FIRED.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

struct fault {
    char kind[16], where[256];
    long from, count;
    int error;
};

static const char *root, *shadow, *control, *fired, *ignored;
static struct fault planned;
static atomic_long seen;
static useconds_t micros;
static pthread_mutex_t syncing = PTHREAD_MUTEX_INITIALIZER;

static int read_fault(const char *text, struct fault *fault) {
    return sscanf(text, "%15s %ld %ld %d %255s", fault->kind, &fault->from, &fault->count, &fault->error, fault->where) == 5;
}

__attribute__((constructor)) static void begin(void) {
    const char *plan = getenv("SHIM_FAULT");
    shadow = getenv("SHIM_SHADOW");
    control = getenv("SHIM_CONTROL");
    fired = getenv("SHIM_FIRED");
    ignored = getenv("SHIM_IGNORE");
    if (plan != NULL && !read_fault(plan, &planned)) abort();
    const char *length = getenv("SHIM_MICROS");
    if (length != NULL) micros = (useconds_t)atoi(length);
    root = getenv("SHIM_ROOT");
}

#define REAL(name) \
    static __typeof__(&name) real; \
    if (real == NULL) real = (__typeof__(&name))dlsym(RTLD_NEXT, #name)

static int is_below(const char *path) {
    if (root == NULL || path == NULL) return 0;
    size_t length = strlen(root);
    return strncmp(path, root, length) == 0 && (path[length] == 0 || path[length] == '/');
}

/* The path of an open file or folder, if it is the root or below it. */
static int path_of(int fd, char path[PATH_MAX]) {
    char link[64];
    if (root == NULL) return 0;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, PATH_MAX - 1);
    if (length <= 0) return 0;
    path[length] = 0;
    return is_below(path);
}

static void put_line(const char *path, const char *kind, const char *where) {
    char line[PATH_MAX + 32];
    int length = snprintf(line, sizeof line, "%s %s\n", kind, where);
    int fd = (int)syscall(SYS_openat, AT_FDCWD, path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
    if (fd < 0) return;
    (void)!syscall(SYS_write, fd, line, (size_t)length);
    syscall(SYS_close, fd);
}

/* The error that this call is to fail with, or 0. */
static int fails(const char *kind, const char *path, const char *other) {
    struct fault now = {.from = 0};
    int error = 0;
    if (planned.kind[0] != 0 && strcmp(planned.kind, kind) == 0
        && (strstr(path, planned.where) != NULL || (other != NULL && strstr(other, planned.where) != NULL))) {
        long number = atomic_fetch_add(&seen, 1) + 1;
        if (number >= planned.from && number < planned.from + planned.count) error = planned.error;
    }
    if (error == 0 && control != NULL) {
        char text[512];
        int fd = (int)syscall(SYS_openat, AT_FDCWD, control, O_RDONLY | O_CLOEXEC, 0);
        if (fd >= 0) {
            ssize_t length = syscall(SYS_read, fd, text, sizeof text - 1);
            syscall(SYS_close, fd);
            text[length > 0 ? length : 0] = 0;
            if (read_fault(text, &now) && strcmp(now.kind, kind) == 0
                && (strstr(path, now.where) != NULL || (other != NULL && strstr(other, now.where) != NULL)))
                error = now.error;
        }
    }
    if (error != 0 && fired != NULL) put_line(fired, kind, path);
    return error;
}

#define FAIL_ON(fd, kind, result) \
    do { \
        char path[PATH_MAX]; \
        int saved = errno, error = path_of(fd, path) ? fails(kind, path, NULL) : 0; \
        errno = saved; \
        if (error != 0) { errno = error; return result; } \
    } while (0)

#define FAIL_AT(first, second, kind) \
    do { \
        int saved = errno, error = is_below(first) ? fails(kind, first, second) : 0; \
        errno = saved; \
        if (error != 0) { errno = error; return -1; } \
    } while (0)

/* Writes all of it. */
static int put(int fd, const char *bytes, size_t length) {
    while (length > 0) {
        ssize_t put = syscall(SYS_write, fd, bytes, length);
        if (put <= 0) return -1;
        bytes += put;
        length -= (size_t)put;
    }
    return 0;
}

/* Keeps the file at `path` from being forgotten. It may have gone, or be pinned, or be a folder: those need no pin. */
static void pin(const char *path, unsigned long inode) {
    char to[PATH_MAX];
    snprintf(to, sizeof to, "%s/pin-%lu", shadow, inode);
    syscall(SYS_linkat, AT_FDCWD, path, AT_FDCWD, to, 0);
}

static int copy_file(const char *path, int out) {
    static char buffer[1 << 20];
    int in = (int)syscall(SYS_openat, AT_FDCWD, path, O_RDONLY | O_CLOEXEC, 0), result = 0;
    ssize_t length;
    if (in < 0) return -1;
    while (result == 0 && (length = syscall(SYS_read, in, buffer, sizeof buffer)) > 0) result = put(out, buffer, (size_t)length);
    syscall(SYS_close, in);
    return result;
}

static int copy_folder(const char *path, int out) {
    char name[PATH_MAX * 2];
    DIR *folder = opendir(path);
    struct dirent *entry;
    if (folder == NULL) return -1;
    while ((entry = readdir(folder)) != NULL) {
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0) continue;
        snprintf(name, sizeof name, "%s/%s", path, entry->d_name);
        pin(name, (unsigned long)entry->d_ino);
        int length = snprintf(name, sizeof name, "%lu %s\n", (unsigned long)entry->d_ino, entry->d_name);
        if (put(out, name, (size_t)length) != 0) break;
    }
    closedir(folder);
    return 0;
}

/* The sync of an open file or folder below the root, into the shadow. */
static int sync_to_shadow(int fd, const char *path) {
    char beside[PATH_MAX], to[PATH_MAX], self[64];
    struct stat about;
    if (syscall(SYS_fstat, fd, &about) != 0) return -1;
    int is_folder = S_ISDIR(about.st_mode);
    if (ignored != NULL && strcmp(ignored, is_folder ? "folders" : "files") == 0) return 0;
    if (micros > 0) usleep(micros);
    pthread_mutex_lock(&syncing);
    snprintf(beside, sizeof beside, "%s/new", shadow);
    snprintf(to, sizeof to, "%s/%lu%s", shadow, (unsigned long)about.st_ino, is_folder ? ".dir" : "");
    snprintf(self, sizeof self, "/proc/self/fd/%d", fd);
    int out = (int)syscall(SYS_openat, AT_FDCWD, beside, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    int result = out < 0 ? -1 : is_folder ? copy_folder(path, out) : copy_file(self, out);
    if (out >= 0) syscall(SYS_close, out);
    if (result == 0 && !is_folder) pin(path, (unsigned long)about.st_ino);
    if (result == 0) result = (int)syscall(SYS_renameat2, AT_FDCWD, beside, AT_FDCWD, to, 0);
    pthread_mutex_unlock(&syncing);
    if (result != 0) abort();
    return 0;
}

#define SYNC(name) \
    int name(int fd) { \
        char path[PATH_MAX]; \
        REAL(name); \
        if (!path_of(fd, path)) return real(fd); \
        int error = fails("sync", path, NULL); \
        if (error != 0) { errno = error; return -1; } \
        return shadow != NULL ? sync_to_shadow(fd, path) : real(fd); \
    }
SYNC(fsync)
SYNC(fdatasync)

ssize_t write(int fd, const void *bytes, size_t length) {
    REAL(write);
    FAIL_ON(fd, "write", -1);
    return real(fd, bytes, length);
}

ssize_t writev(int fd, const struct iovec *pieces, int count) {
    REAL(writev);
    FAIL_ON(fd, "write", -1);
    return real(fd, pieces, count);
}

#define PWRITE(name, offset_type) \
    ssize_t name(int fd, const void *bytes, size_t length, offset_type offset) { \
        REAL(name); \
        FAIL_ON(fd, "write", -1); \
        return real(fd, bytes, length, offset); \
    }
PWRITE(pwrite, off_t)
PWRITE(pwrite64, off64_t)

#define TRUNCATE(name, offset_type) \
    int name(int fd, offset_type length) { \
        REAL(name); \
        FAIL_ON(fd, "truncate", -1); \
        return real(fd, length); \
    }
TRUNCATE(ftruncate, off_t)
TRUNCATE(ftruncate64, off64_t)

#define MODE_OF(flags) \
    mode_t mode = 0; \
    if ((flags) & O_CREAT) { \
        va_list more; \
        va_start(more, flags); \
        mode = va_arg(more, mode_t); \
        va_end(more); \
    } \
    int for_writing = ((flags) & O_ACCMODE) != O_RDONLY

#define OPEN(name) \
    int name(const char *path, int flags, ...) { \
        REAL(name); \
        MODE_OF(flags); \
        if (for_writing) FAIL_AT(path, NULL, "open"); \
        return real(path, flags, mode); \
    }
OPEN(open)
OPEN(open64)

#define OPENAT(name) \
    int name(int at, const char *path, int flags, ...) { \
        REAL(name); \
        MODE_OF(flags); \
        if (for_writing) FAIL_AT(path, NULL, "open"); \
        return real(at, path, flags, mode); \
    }
OPENAT(openat)
OPENAT(openat64)

int rename(const char *from, const char *to) {
    REAL(rename);
    FAIL_AT(from, to, "rename");
    return real(from, to);
}

int mkdir(const char *path, mode_t mode) {
    REAL(mkdir);
    FAIL_AT(path, NULL, "mkdir");
    return real(path, mode);
}

int unlink(const char *path) {
    REAL(unlink);
    FAIL_AT(path, NULL, "unlink");
    return real(path);
}

int unlinkat(int at, const char *path, int flags) {
    REAL(unlinkat);
    FAIL_ON(at, "unlink", -1);
    return real(at, path, flags);
}
