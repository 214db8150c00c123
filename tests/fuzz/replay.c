/* SPDX-License-Identifier: BSD-3-Clause */
/* Runs a fuzzer's function on each file of the folders (or files) named. */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static int
replay_file(const char *path)
{
	static uint8_t buf[1 << 20];
	uint8_t *data;
	FILE *file;
	size_t len;

	file = fopen(path, "rb");
	if (file == NULL) {
		perror(path);
		return -1;
	}
	len = fread(buf, 1, sizeof(buf), file);
	fclose(file);

	/* A copy of exactly this length, so that ASan sees one byte more. */
	data = malloc(len > 0 ? len : 1);
	if (data == NULL)
		return -1;
	for (size_t i = 0; i < len; i++)
		data[i] = buf[i];
	LLVMFuzzerTestOneInput(data, len);
	free(data);
	return 0;
}

/* The number of inputs run, or -1. */
static int
replay(const char *path)
{
	struct dirent *entry;
	char name[4096];
	int count = 0;
	DIR *dir;

	dir = opendir(path);
	if (dir == NULL)
		return replay_file(path) < 0 ? -1 : 1;
	while ((entry = readdir(dir)) != NULL) {
		if (entry->d_name[0] == '.')
			continue;
		snprintf(name, sizeof(name), "%s/%s", path, entry->d_name);
		if (replay_file(name) < 0) {
			closedir(dir);
			return -1;
		}
		count++;
	}
	closedir(dir);
	return count;
}

int
main(int argc, char **argv)
{
	int total = 0;

	for (int i = 1; i < argc; i++) {
		int n = replay(argv[i]);

		if (n < 0)
			return 1;
		total += n;
	}
	printf("%d inputs\n", total);
	return 0;
}
