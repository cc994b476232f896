/* SPDX-License-Identifier: Apache-2.0
 *
 * getaddrinfo blocks for as long as a name server pleases, and nothing interrupts it: its thread is
 * let go when nobody waits any more, and frees what they share.
 */
#include "base/mem.h"
#include "http/dial.h"

#include <errno.h>
#include <event2/event.h>
#include <netdb.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <unistd.h>

/* The thread's and the loop's; whoever lets go last frees. */
struct shared {
    atomic_uint refs;
    char *host;
    char *port;
    int done_fd;
    int failure;
    struct addrinfo *addresses;
};

struct lookup {
    struct shared *shared;
    struct event *event;
    lookup_fn *done;
    void *arg;
};

static void shared_unref(struct shared *shared)
{
    if (atomic_fetch_sub(&shared->refs, 1) > 1) {
        return;
    }
    if (shared->addresses) {
        freeaddrinfo(shared->addresses);
    }
    close(shared->done_fd);
    free(shared->host);
    free(shared->port);
    free(shared);
}

static void *run(void *arg)
{
    struct shared *shared = arg;
    struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
    uint64_t one = 1;
    prctl(PR_SET_NAME, "lookup");
    shared->failure = getaddrinfo(shared->host, shared->port, &hints, &shared->addresses);
    while (write(shared->done_fd, &one, sizeof(one)) < 0 && errno == EINTR) {
    }
    shared_unref(shared);
    return NULL;
}

static void on_done(evutil_socket_t fd, short what, void *arg)
{
    struct lookup *lookup = arg;
    uint64_t count;
    (void)what;
    if (read(fd, &count, sizeof(count)) == sizeof(count)) {
        lookup->done(lookup->arg, lookup->shared->failure, lookup->shared->addresses);
    }
}

static bool start_thread(struct shared *shared)
{
    pthread_attr_t attr;
    pthread_t thread;
    atomic_fetch_add(&shared->refs, 1);
    pthread_attr_init(&attr);
    pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
    int failure = pthread_create(&thread, &attr, run, shared);
    pthread_attr_destroy(&attr);
    if (failure) {
        shared_unref(shared);
    }
    return failure == 0;
}

struct lookup *lookup_start(
    struct event_base *base, const char *host, const char *port, lookup_fn *done, void *arg)
{
    struct lookup *lookup = mem_new(sizeof(*lookup));
    struct shared *shared = mem_new(sizeof(*shared));
    atomic_store(&shared->refs, 1);
    shared->host = mem_strdup(host);
    shared->port = mem_strdup(port);
    shared->done_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    lookup->shared = shared;
    lookup->done = done;
    lookup->arg = arg;
    if (shared->done_fd >= 0) {
        lookup->event = event_new(base, shared->done_fd, EV_READ, on_done, lookup);
    }
    if (!lookup->event || event_add(lookup->event, NULL) != 0 || !start_thread(shared)) {
        lookup_end(lookup);
        return NULL;
    }
    return lookup;
}

void lookup_end(struct lookup *lookup)
{
    if (!lookup) {
        return;
    }
    if (lookup->event) {
        event_free(lookup->event);
    }
    shared_unref(lookup->shared);
    free(lookup);
}
