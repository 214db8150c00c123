/* SPDX-License-Identifier: BSD-3-Clause */
/* A file that fails on command: see nbd.h. */
#include "support/nbd.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define PATIENCE_S 20
#define TEXT(number) TEXT_(number)
#define TEXT_(number) #number

static const char *const switches[NBD_FAILURES] = {
	"read", "write", "flush", "late-read", "late-write", "late-write-once",
};

/*
 * The scripts are what the eval plugin runs for a request: $3 is its length, $4
 * its offset. All names are relative to the working directory, nbd->dir.
 */
static const char *const command[] = {
	"nbdfuse", "mnt/disk", "--command",
	"nbdkit", "-s", "--exit-with-parent", "--filter=error", "eval",
	"thread_model=echo parallel",
	"get_size=echo " TEXT(NBD_CAPACITY),
	"can_write=exit 0",
	"can_flush=exit 0",
	"pread=if [ -e late-read ] && [ $4 -ge " TEXT(NBD_LATE) " ]; then"
	" echo EIO late >&2; exit 1; fi;"
	" exec dd if=disk iflag=skip_bytes,count_bytes skip=$4 count=$3 2>dd",
	"pwrite=if [ $4 -ge " TEXT(NBD_LATE) " ]; then"
	" if [ -e late-write ] || rm late-write-once 2>dd; then"
	" echo ENOSPC late >&2; exit 1; fi; fi;"
	" exec dd of=disk oflag=seek_bytes seek=$4 conv=notrunc 2>dd",
	"flush=if [ -e flush ]; then echo EIO flush >&2; exit 1; fi",
	"error-pread=EIO", "error-pread-rate=100%", "error-pread-file=read",
	"error-pwrite=ENOSPC", "error-pwrite-rate=100%",
	"error-pwrite-file=write",
	NULL
};

/* The child: nbdfuse, which runs nbdkit and ends with us. */
static void
serve(void)
{
	int log = open("log", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

	dup2(log, STDOUT_FILENO);
	dup2(log, STDERR_FILENO);
	prctl(PR_SET_PDEATHSIG, SIGTERM);
	execvp(command[0], (char *const *)(uintptr_t)command);
	_exit(127);
}

/* Mounted: the file is there, with its size. */
static int
wait_for_file(struct nbd *nbd)
{
	const struct timespec pause = { .tv_nsec = 20000000 };
	time_t end = time(NULL) + PATIENCE_S;
	struct stat st;

	while (time(NULL) < end) {
		if (stat(nbd->file, &st) == 0 && st.st_size == NBD_CAPACITY)
			return 0;
		if (waitpid(nbd->pid, NULL, WNOHANG) == nbd->pid) {
			nbd->pid = -1;
			return -1;
		}
		nanosleep(&pause, NULL);
	}
	return -1;
}

static int
have(const char *program)
{
	char line[80];

	snprintf(line, sizeof(line), "command -v %s >/dev/null 2>&1", program);
	return system(line) == 0;
}

int
nbd_start(struct nbd *nbd)
{
	char mnt[64];
	int fd;

	*nbd = (struct nbd){ .pid = -1 };
	if (!have("nbdkit") || !have("nbdfuse") || !have("fusermount3") ||
	    access("/dev/fuse", R_OK | W_OK) < 0) {
		printf("skipped: needs /dev/fuse, nbdkit, nbdfuse, fusermount3"
		       " (packages nbdkit, libnbd-bin, fuse3)\n");
		return -1;
	}
	snprintf(nbd->dir, sizeof(nbd->dir), "/tmp/vcore-nbd-XXXXXX");
	if (mkdtemp(nbd->dir) == NULL)
		abort();
	snprintf(mnt, sizeof(mnt), "%s/mnt", nbd->dir);
	snprintf(nbd->file, sizeof(nbd->file), "%s/mnt/disk", nbd->dir);
	snprintf(nbd->disk, sizeof(nbd->disk), "%s/disk", nbd->dir);
	fd = open(nbd->disk, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (fd < 0 || ftruncate(fd, NBD_CAPACITY) < 0 || mkdir(mnt, 0700) < 0)
		abort();
	close(fd);
	nbd->pid = fork();
	if (nbd->pid == 0 && chdir(nbd->dir) == 0)
		serve();
	if (nbd->pid > 0 && wait_for_file(nbd) == 0)
		return 0;
	printf("skipped: nbdfuse did not mount:\n");
	fflush(stdout);
	if (chdir(nbd->dir) < 0 || system("cat log") < 0)
		abort();
	nbd_stop(nbd);
	return -1;
}

void
nbd_stop(struct nbd *nbd)
{
	char line[160];

	/* nbdfuse ends when its mount does; -z: also with open files. */
	snprintf(line, sizeof(line), "fusermount3 -uz %s/mnt 2>/dev/null",
		 nbd->dir);
	if (system(line) != 0 && nbd->pid > 0)
		kill(nbd->pid, SIGTERM);
	if (nbd->pid > 0)
		waitpid(nbd->pid, NULL, 0);
	snprintf(line, sizeof(line), "rm -rf %s", nbd->dir);
	if (system(line) != 0)
		printf("left: %s\n", nbd->dir);
}

void
nbd_switch(const struct nbd *nbd, enum nbd_failure what, int on)
{
	char path[64];
	int fd;

	snprintf(path, sizeof(path), "%s/%s", nbd->dir, switches[what]);
	if (!on) {
		unlink(path);
		return;
	}
	fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	if (fd < 0)
		abort();
	close(fd);
}
