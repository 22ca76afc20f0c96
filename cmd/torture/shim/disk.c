// A disk between SQLite and the file system, for LD_PRELOAD: it forgets what was not synced, and fails when it is told to.
//
// TORTURE_MIRROR names a folder that holds what a power cut leaves of the database file and its log: writes and truncations wait in memory
// until the file is synced, and then go there in their order. About one in four goes there early and torn: some of its 512-byte sectors, as
// a disk may write what was never synced. TORTURE_FAIL names a file; while it is there, writes and syncs fail with the errno written in it.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

struct op { // a write, or a truncation where data is NULL
	struct op *next;
	char *data;
	size_t size;
	off_t at;
};

struct mirrored { // a file of which only what is synced is kept
	struct mirrored *next;
	char name[64];
	int fd;
	struct op *first, **last;
};

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static struct mirrored *all;

static ssize_t (*real_pwrite)(int, const void *, size_t, off_t);
static ssize_t (*real_write)(int, const void *, size_t);
static int (*real_ftruncate)(int, off_t);
static int (*real_fsync)(int);
static int (*real_fdatasync)(int);
static int (*real_unlink)(const char *);

__attribute__((constructor)) static void find(void) {
	real_pwrite = dlsym(RTLD_NEXT, "pwrite64");
	real_write = dlsym(RTLD_NEXT, "write");
	real_ftruncate = dlsym(RTLD_NEXT, "ftruncate64");
	real_fsync = dlsym(RTLD_NEXT, "fsync");
	real_fdatasync = dlsym(RTLD_NEXT, "fdatasync");
	real_unlink = dlsym(RTLD_NEXT, "unlink");
}

static void die(const char *what) {
	perror(what);
	abort();
}

// ours gives the part of a path that names a database or its log, or NULL.
static const char *ours(const char *path) {
	const char *name = strrchr(path, '/');
	name = name ? name + 1 : path;
	size_t n = strlen(name);
	if (n >= sizeof(((struct mirrored *)0)->name)) return NULL;
	if (n > 3 && !strcmp(name + n - 3, ".db")) return name;
	if (n > 7 && !strcmp(name + n - 7, ".db-wal")) return name;
	return NULL;
}

static int path_of(int fd, char *path, size_t size) {
	char link[64];
	snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
	ssize_t n = readlink(link, path, size - 1);
	if (n < 0) return -1;
	path[n] = 0;
	return 0;
}

static struct mirrored *mirror_named(const char *name) {
	const char *folder = getenv("TORTURE_MIRROR");
	if (!folder) return NULL;
	for (struct mirrored *m = all; m; m = m->next)
		if (!strcmp(m->name, name)) return m;
	char path[4096];
	snprintf(path, sizeof path, "%s/%s", folder, name);
	struct mirrored *m = calloc(1, sizeof *m);
	if (!m) die("calloc");
	strcpy(m->name, name);
	m->last = &m->first;
	m->fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (m->fd < 0) die(path);
	m->next = all;
	all = m;
	return m;
}

static struct mirrored *mirror_of(int fd) {
	char path[4096];
	if (path_of(fd, path, sizeof path)) return NULL;
	const char *name = ours(path);
	return name ? mirror_named(name) : NULL;
}

static void put(struct mirrored *m, const char *data, size_t size, off_t at) {
	while (size > 0) {
		ssize_t n = real_pwrite(m->fd, data, size, at);
		if (n < 0) die("mirror");
		data += n, size -= n, at += n;
	}
}

static void later(struct mirrored *m, const void *data, size_t size, off_t at) {
	struct op *o = calloc(1, sizeof *o);
	if (!o) die("calloc");
	o->size = size, o->at = at;
	if (data) {
		o->data = malloc(size);
		if (!o->data) die("malloc");
		memcpy(o->data, data, size);
		if (random() % 4 == 0) // early, and torn
			for (size_t from = 0; from < size; from += 512)
				if (random() % 2) put(m, o->data + from, size - from < 512 ? size - from : 512, at + from);
	}
	*m->last = o;
	m->last = &o->next;
}

static void synced(int fd) {
	pthread_mutex_lock(&mutex);
	struct mirrored *m = mirror_of(fd);
	while (m && m->first) {
		struct op *o = m->first;
		if (o->data) put(m, o->data, o->size, o->at);
		else if (real_ftruncate(m->fd, o->at)) die("mirror");
		m->first = o->next;
		free(o->data);
		free(o);
	}
	if (m) m->last = &m->first;
	pthread_mutex_unlock(&mutex);
}

static void note(int fd, const void *data, size_t size, off_t at) {
	pthread_mutex_lock(&mutex);
	struct mirrored *m = mirror_of(fd);
	if (m) later(m, data, size, at);
	pthread_mutex_unlock(&mutex);
}

// failing sets errno and says so while the disk is to fail.
static int failing(int fd) {
	const char *file = getenv("TORTURE_FAIL");
	char path[4096];
	if (!file || access(file, F_OK) || path_of(fd, path, sizeof path) || !ours(path)) return 0;
	FILE *f = fopen(file, "r");
	int code = EIO;
	if (f) {
		if (fscanf(f, "%d", &code) != 1) code = EIO;
		fclose(f);
	}
	errno = code;
	return 1;
}

ssize_t pwrite64(int fd, const void *data, size_t size, off_t at) {
	if (failing(fd)) return -1;
	ssize_t n = real_pwrite(fd, data, size, at);
	if (n > 0) note(fd, data, n, at);
	return n;
}
ssize_t pwrite(int fd, const void *data, size_t size, off_t at) { return pwrite64(fd, data, size, at); }

ssize_t write(int fd, const void *data, size_t size) {
	if (failing(fd)) return -1;
	off_t at = lseek(fd, 0, SEEK_CUR);
	ssize_t n = real_write(fd, data, size);
	if (n > 0 && at >= 0) note(fd, data, n, at);
	return n;
}

int ftruncate64(int fd, off_t size) {
	if (failing(fd)) return -1;
	int result = real_ftruncate(fd, size);
	if (!result) note(fd, NULL, 0, size);
	return result;
}
int ftruncate(int fd, off_t size) { return ftruncate64(fd, size); }

int fsync(int fd) {
	if (failing(fd)) return -1;
	int result = real_fsync(fd);
	if (!result) synced(fd);
	return result;
}

int fdatasync(int fd) {
	if (failing(fd)) return -1;
	int result = real_fdatasync(fd);
	if (!result) synced(fd);
	return result;
}

int unlink(const char *path) {
	int result = real_unlink(path);
	const char *name = ours(path);
	if (!result && name) { // taken as lasting: losing it only brings back a log that was taken in already
		pthread_mutex_lock(&mutex);
		struct mirrored *m = mirror_named(name);
		if (m) {
			while (m->first) {
				struct op *o = m->first;
				m->first = o->next;
				free(o->data);
				free(o);
			}
			m->last = &m->first;
			if (real_ftruncate(m->fd, 0)) die("mirror");
		}
		pthread_mutex_unlock(&mutex);
	}
	return result;
}
