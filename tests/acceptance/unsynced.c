/* A disk that forgets: keeps, beside a directory, a copy of what a power cut right now would leave of it.
 *
 * Preloaded into a process (LD_PRELOAD), it lets every call through and mirrors into UNSYNCED_COPY only what was
 * made durable in UNSYNCED_DIR: written bytes when fsync or fdatasync returns, names at once. Kill the process, put
 * the copy in place of the directory, and it is as if the machine had lost its power: bytes that were written but
 * never synced are gone. SQLite's -shm files are left out, they are rebuilt. Mapped and buffered stdio writes are
 * not seen.
 *
 *   cc -shared -fPIC -O2 -o unsynced.so unsynced.c -ldl
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#define FDS 65536
#define FILES 4096

struct range { off_t from, to; };
struct file {
    char *copy;           /* path below UNSYNCED_COPY; NULL: the name was removed */
    struct range *dirty;  /* written, not yet synced */
    size_t n, room;
};

static struct file files[FILES];
static int known;                /* files in use */
static int file_of[FDS];         /* fd -> index + 1 into files; 0: not watched */
static int synced_always[FDS];   /* opened with O_SYNC or O_DSYNC */
static char watched[PATH_MAX], copies[PATH_MAX];
static size_t watched_len;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

#define REAL(type, name, ...) \
    static type (*real)(__VA_ARGS__); \
    if (!real) real = (type (*)(__VA_ARGS__))dlsym(RTLD_NEXT, name)

__attribute__((constructor)) static void begin(void) {
    const char *dir = getenv("UNSYNCED_DIR"), *copy = getenv("UNSYNCED_COPY");
    if (!dir || !copy || !realpath(dir, watched) || !realpath(copy, copies)) {
        fprintf(stderr, "unsynced: UNSYNCED_DIR and UNSYNCED_COPY must name existing directories\n");
        _exit(97);
    }
    watched_len = strlen(watched);
}

/* The path in the copy that belongs to `path`, or 0 when it is not watched. */
static int copy_path(const char *path, char *out) {
    char full[PATH_MAX], parent[PATH_MAX];
    if (strlen(path) >= PATH_MAX) return 0;
    strcpy(parent, path);
    char *slash = strrchr(parent, '/');
    const char *name = slash ? path + (slash - parent) + 1 : path;
    if (slash) slash[slash == parent] = 0; else strcpy(parent, ".");
    if (!realpath(parent, full)) return 0;
    if (strncmp(full, watched, watched_len) || (full[watched_len] && full[watched_len] != '/')) return 0;
    size_t n = strlen(name);
    if (!n || (n > 4 && !strcmp(name + n - 4, "-shm"))) return 0;
    return snprintf(out, PATH_MAX, "%s%s/%s", copies, full + watched_len, name) < PATH_MAX;
}

static int raw_open(const char *path, int flags, mode_t mode) {
    REAL(int, "open64", const char *, int, ...);
    return real(path, flags, mode);
}

static void copy_range(int from, int to, off_t at, off_t end) {
    static ssize_t (*put)(int, const void *, size_t, off_t);
    if (!put) put = (ssize_t (*)(int, const void *, size_t, off_t))dlsym(RTLD_NEXT, "pwrite64");
    char block[65536];
    while (at < end) {
        size_t want = end - at < (off_t)sizeof block ? (size_t)(end - at) : sizeof block;
        ssize_t got = pread(from, block, want, at);
        if (got <= 0) return;
        if (put(to, block, got, at) != got) { perror("unsynced: cannot write the copy"); _exit(98); }
        at += got;
    }
}

static struct file *file_at(int fd) {
    return fd >= 0 && fd < FDS && file_of[fd] ? &files[file_of[fd] - 1] : NULL;
}

static void touched(int fd, off_t at, ssize_t n);

static void watch(int fd, const char *path, int flags) {
    char copy[PATH_MAX];
    struct stat st;
    if (fd < 0 || fd >= FDS || (flags & O_ACCMODE) == O_RDONLY) return;
    if (!copy_path(path, copy) || fstat(fd, &st) || !S_ISREG(st.st_mode)) return;
    pthread_mutex_lock(&lock);
    int i = 0;
    while (i < known && !(files[i].copy && !strcmp(files[i].copy, copy))) i++;
    if (i == known) {
        if (known == FILES) { fprintf(stderr, "unsynced: too many files\n"); _exit(98); }
        files[known++].copy = strdup(copy);
    }
    file_of[fd] = i + 1;
    synced_always[fd] = (flags & (O_SYNC | O_DSYNC)) != 0;
    pthread_mutex_unlock(&lock);
}

static void touched(int fd, off_t at, ssize_t n) {
    struct file *f = file_at(fd);
    if (!f || n <= 0) return;
    pthread_mutex_lock(&lock);
    if (f->n && f->dirty[f->n - 1].to == at) {
        f->dirty[f->n - 1].to = at + n;
    } else {
        if (f->n == f->room) f->dirty = realloc(f->dirty, (f->room = f->room ? 2 * f->room : 64) * sizeof *f->dirty);
        f->dirty[f->n++] = (struct range){at, at + n};
    }
    pthread_mutex_unlock(&lock);
}

/* What was dirty before the sync is durable now: bring it, and the file's length, into the copy. */
static int sync_file(int fd, int (*real)(int)) {
    struct file *f = file_at(fd);
    if (!f) return real(fd);
    pthread_mutex_lock(&lock);
    struct range *dirty = f->dirty;
    size_t n = f->n;
    f->dirty = NULL;
    f->n = f->room = 0;
    pthread_mutex_unlock(&lock);
    int rc = real(fd), saved = errno;
    if (rc == 0) {
        pthread_mutex_lock(&lock);
        struct stat st;
        char self[64];
        snprintf(self, sizeof self, "/proc/self/fd/%d", fd);
        int from = raw_open(self, O_RDONLY | O_CLOEXEC, 0);
        int to = f->copy ? raw_open(f->copy, O_RDWR | O_CREAT | O_CLOEXEC, 0600) : -1;
        if (to >= 0 && from >= 0 && !fstat(fd, &st)) {
            static int (*cut)(int, off_t);
            if (!cut) cut = (int (*)(int, off_t))dlsym(RTLD_NEXT, "ftruncate64");
            if (cut(to, st.st_size)) perror("unsynced: cannot size the copy");
            fchmod(to, st.st_mode & 07777);
            for (size_t i = 0; i < n; i++) copy_range(from, to, dirty[i].from, dirty[i].to);
        }
        if (from >= 0) close(from);
        if (to >= 0) close(to);
        pthread_mutex_unlock(&lock);
    }
    free(dirty);
    errno = saved;
    return rc;
}

int fsync(int fd) { REAL(int, "fsync", int); return sync_file(fd, real); }
int fdatasync(int fd) { REAL(int, "fdatasync", int); return sync_file(fd, real); }

static void written(int fd, off_t at, ssize_t n) {
    touched(fd, at, n);
    if (n > 0 && file_at(fd) && synced_always[fd]) fdatasync(fd);
}

/* -- opening and closing -- */

#define OPENS(name, decl, args, path) \
    int name decl { \
        REAL(int, #name, const char *, int, ...); \
        mode_t mode = 0; \
        if (flags & (O_CREAT | __O_TMPFILE)) { va_list v; va_start(v, flags); mode = va_arg(v, mode_t); va_end(v); } \
        int fd = real args; \
        if (fd >= 0) watch(fd, path, flags); \
        return fd; \
    }
OPENS(open, (const char *path, int flags, ...), (path, flags, mode), path)
OPENS(open64, (const char *path, int flags, ...), (path, flags, mode), path)

#define OPENATS(name) \
    int name(int dir, const char *path, int flags, ...) { \
        REAL(int, #name, int, const char *, int, ...); \
        mode_t mode = 0; \
        if (flags & (O_CREAT | __O_TMPFILE)) { va_list v; va_start(v, flags); mode = va_arg(v, mode_t); va_end(v); } \
        int fd = real(dir, path, flags, mode); \
        if (fd >= 0 && (dir == AT_FDCWD || path[0] == '/')) watch(fd, path, flags); \
        return fd; \
    }
OPENATS(openat)
OPENATS(openat64)

int close(int fd) {
    REAL(int, "close", int);
    if (fd >= 0 && fd < FDS) file_of[fd] = synced_always[fd] = 0;
    return real(fd);
}

/* -- writing -- */

ssize_t write(int fd, const void *buf, size_t n) {
    REAL(ssize_t, "write", int, const void *, size_t);
    ssize_t done = real(fd, buf, n);
    if (done > 0 && file_at(fd)) written(fd, lseek(fd, 0, SEEK_CUR) - done, done);
    return done;
}

ssize_t writev(int fd, const struct iovec *iov, int count) {
    REAL(ssize_t, "writev", int, const struct iovec *, int);
    ssize_t done = real(fd, iov, count);
    if (done > 0 && file_at(fd)) written(fd, lseek(fd, 0, SEEK_CUR) - done, done);
    return done;
}

#define PWRITES(name) \
    ssize_t name(int fd, const void *buf, size_t n, off_t at) { \
        REAL(ssize_t, #name, int, const void *, size_t, off_t); \
        ssize_t done = real(fd, buf, n, at); \
        written(fd, at, done); \
        return done; \
    }
PWRITES(pwrite)
PWRITES(pwrite64)

#define PWRITEVS(name) \
    ssize_t name(int fd, const struct iovec *iov, int count, off_t at) { \
        REAL(ssize_t, #name, int, const struct iovec *, int, off_t); \
        ssize_t done = real(fd, iov, count, at); \
        written(fd, at, done); \
        return done; \
    }
PWRITEVS(pwritev)
PWRITEVS(pwritev64)

/* -- names: taken as durable at once -- */

int rename(const char *old, const char *new) {
    REAL(int, "rename", const char *, const char *);
    char from[PATH_MAX], to[PATH_MAX];
    int a = copy_path(old, from), b = copy_path(new, to);
    int rc = real(old, new);
    if (rc == 0 && a && b) {
        pthread_mutex_lock(&lock);
        if (real(from, to)) {  /* never synced under its old name: the new name holds nothing */
            int fd = raw_open(to, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
            if (fd >= 0) close(fd);
        }
        for (int i = 0; i < known; i++) {
            if (!files[i].copy) continue;
            if (!strcmp(files[i].copy, to)) files[i].copy = NULL;
            else if (!strcmp(files[i].copy, from)) files[i].copy = strdup(to);
        }
        pthread_mutex_unlock(&lock);
    }
    return rc;
}

static void linked(const char *old, const char *new) {
    REAL(int, "link", const char *, const char *);
    char from[PATH_MAX], to[PATH_MAX];
    if (copy_path(old, from) && copy_path(new, to) && real(from, to)) {
        int fd = raw_open(to, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);  /* nothing of it was ever synced */
        if (fd >= 0) close(fd);
    }
}

int link(const char *old, const char *new) {
    REAL(int, "link", const char *, const char *);
    int rc = real(old, new);
    if (rc == 0) linked(old, new);
    return rc;
}

int linkat(int olddir, const char *old, int newdir, const char *new, int flags) {
    REAL(int, "linkat", int, const char *, int, const char *, int);
    int rc = real(olddir, old, newdir, new, flags);
    if (rc == 0 && (olddir == AT_FDCWD || *old == '/') && (newdir == AT_FDCWD || *new == '/')) linked(old, new);
    return rc;
}

static void forget(const char *copy) {
    REAL(int, "unlink", const char *);
    pthread_mutex_lock(&lock);
    real(copy);
    for (int i = 0; i < known; i++)
        if (files[i].copy && !strcmp(files[i].copy, copy)) files[i].copy = NULL;
    pthread_mutex_unlock(&lock);
}

int unlink(const char *path) {
    REAL(int, "unlink", const char *);
    char copy[PATH_MAX];
    int known_path = copy_path(path, copy), rc = real(path);
    if (rc == 0 && known_path) forget(copy);
    return rc;
}

int unlinkat(int dir, const char *path, int flags) {
    REAL(int, "unlinkat", int, const char *, int);
    char copy[PATH_MAX];
    int known_path = (dir == AT_FDCWD || path[0] == '/') && copy_path(path, copy), rc = real(dir, path, flags);
    if (rc == 0 && known_path && !(flags & AT_REMOVEDIR)) forget(copy);
    return rc;
}

int mkdir(const char *path, mode_t mode) {
    REAL(int, "mkdir", const char *, mode_t);
    char copy[PATH_MAX];
    int rc = real(path, mode);
    if (rc == 0 && copy_path(path, copy)) real(copy, mode);
    return rc;
}
