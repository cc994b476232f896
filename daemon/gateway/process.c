/* SPDX-License-Identifier: Apache-2.0
 *
 * What Prometheus' Go client says about its process, read from /proc when asked.
 */
#include "gateway/room.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>

enum { PROC_BYTES_MAX = 16384 };

/* Fields of /proc/self/stat, counted from the one behind the command's name, which is 0. */
enum { STAT_UTIME = 11, STAT_STIME = 12, STAT_START = 19, STAT_VSIZE = 20, STAT_RSS = 21 };

static bool read_file(const char *path, char *out, size_t size)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    size_t len = 0;
    ssize_t got = -1;
    while (fd >= 0 && len + 1 < size && (got = read(fd, out + len, size - len - 1)) > 0) {
        len += (size_t)got;
    }
    if (fd >= 0) {
        close(fd);
    }
    out[len] = 0;
    return len > 0;
}

static double stat_field(int field)
{
    char text[PROC_BYTES_MAX];
    char *at = read_file("/proc/self/stat", text, sizeof(text)) ? strrchr(text, ')') : NULL;
    if (!at) {
        return 0;
    }
    at += 2;
    for (; field > 0 && at; field--) {
        at = strchr(at, ' ');
        at = at ? at + 1 : NULL;
    }
    return at ? strtod(at, NULL) : 0;
}

static double read_cpu(void *arg)
{
    (void)arg;
    return (stat_field(STAT_UTIME) + stat_field(STAT_STIME)) / (double)sysconf(_SC_CLK_TCK);
}

static double read_resident(void *arg)
{
    (void)arg;
    return stat_field(STAT_RSS) * (double)sysconf(_SC_PAGESIZE);
}

static double read_virtual(void *arg)
{
    (void)arg;
    return stat_field(STAT_VSIZE);
}

static double read_limit(void *arg)
{
    struct rlimit limit;
    getrlimit(*(const __rlimit_resource_t *)arg, &limit);
    return (double)limit.rlim_cur;
}

static double read_open_fds(void *arg)
{
    double count = -3; /* ".", ".." and the folder itself */
    DIR *dir = opendir("/proc/self/fd");
    (void)arg;
    if (!dir) {
        return 0;
    }
    while (readdir(dir)) {
        count++;
    }
    closedir(dir);
    return count;
}

/* Boot time comes in whole seconds, the start in ticks behind it. */
static double read_start(void *arg)
{
    char text[4 * PROC_BYTES_MAX];
    const char *boot = read_file("/proc/stat", text, sizeof(text)) ? strstr(text, "btime ") : NULL;
    (void)arg;
    return (boot ? strtod(boot + 6, NULL) : 0) +
           stat_field(STAT_START) / (double)sysconf(_SC_CLK_TCK);
}

/* "IpExt: name name …" above "IpExt: number number …". arg: the name. */
static double read_network(void *arg)
{
    char text[PROC_BYTES_MAX];
    char *names =
        read_file("/proc/self/net/netstat", text, sizeof(text)) ? strstr(text, "IpExt: ") : NULL;
    char *numbers = names ? strstr(names + 1, "IpExt: ") : NULL;
    char *save_name;
    char *save_number;
    if (!numbers) {
        return 0;
    }
    numbers[-1] = 0;
    char *name = strtok_r(names, " \n", &save_name);
    char *number = strtok_r(numbers, " \n", &save_number);
    while (name && number && strcmp(name, arg) != 0) {
        name = strtok_r(NULL, " \n", &save_name);
        number = strtok_r(NULL, " \n", &save_number);
    }
    return name && number ? strtod(number, NULL) : 0;
}

void process_metrics(void)
{
    static __rlimit_resource_t files = RLIMIT_NOFILE;
    static __rlimit_resource_t space = RLIMIT_AS;
    static char in[] = "InOctets";
    static char out[] = "OutOctets";
    metric_counter_fn("process_cpu_seconds_total",
        "Total user and system CPU time spent in seconds.", read_cpu, NULL);
    metric_gauge_fn(
        "process_max_fds", "Maximum number of open file descriptors.", read_limit, &files);
    metric_counter_fn("process_network_receive_bytes_total",
        "Number of bytes received by the process over the network.", read_network, in);
    metric_counter_fn("process_network_transmit_bytes_total",
        "Number of bytes sent by the process over the network.", read_network, out);
    metric_gauge_fn("os_fd_limit", "The file descriptor limit.", read_limit, &files);
    metric_gauge_fn("os_fd_used", "The number of used file descriptors.", read_open_fds, NULL);
    metric_gauge_fn("process_open_fds", "Number of open file descriptors.", read_open_fds, NULL);
    metric_gauge_fn(
        "process_resident_memory_bytes", "Resident memory size in bytes.", read_resident, NULL);
    metric_gauge_fn("process_start_time_seconds",
        "Start time of the process since unix epoch in seconds.", read_start, NULL);
    metric_gauge_fn(
        "process_virtual_memory_bytes", "Virtual memory size in bytes.", read_virtual, NULL);
    metric_gauge_fn("process_virtual_memory_max_bytes",
        "Maximum amount of virtual memory available in bytes.", read_limit, &space);
}
