/* SPDX-License-Identifier: Apache-2.0
 * Runs a fuzz target over every file of a corpus folder, as an ordinary test. Fails if the
 * folder holds no file. */
#include <dirent.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int replay_file(const char *path)
{
    struct stat st;
    FILE *file = fopen(path, "rb");
    if (!file || fstat(fileno(file), &st) != 0) {
        perror(path);
        exit(1);
    }
    size_t size = (size_t)st.st_size;
    uint8_t *data = malloc(size ? size : 1);
    if (!data || fread(data, 1, size, file) != size) {
        perror(path);
        exit(1);
    }
    fclose(file);
    LLVMFuzzerTestOneInput(data, size);
    free(data);
    return 1;
}

int main(int argc, char **argv)
{
    int files = 0;
    for (int i = 1; i < argc; i++) {
        DIR *dir = opendir(argv[i]);
        struct dirent *ent;
        while (dir && (ent = readdir(dir))) {
            char path[4096];
            if (ent->d_name[0] == '.') {
                continue;
            }
            snprintf(path, sizeof(path), "%s/%s", argv[i], ent->d_name);
            files += replay_file(path);
        }
        if (dir) {
            closedir(dir);
        }
    }
    printf("%d inputs replayed\n", files);
    return files > 0 ? 0 : 1;
}
