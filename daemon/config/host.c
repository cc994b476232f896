/* SPDX-License-Identifier: Apache-2.0
 *
 * The address that etcd advertises in place of localhost when it listens on 0.0.0.0: the source
 * address of the default route, or else the first address of that route's interface. IPv4 before
 * IPv6; read from /proc and the interfaces. */
#include "config/draft.h"

#include <arpa/inet.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netdb.h>

/* /proc/net/route: interface, destination, gateway, flags, …, mask at the eighth place, in hex. */
static bool route4(char name[IF_NAMESIZE])
{
    char line[256];
    bool found = false;
    FILE *file = fopen("/proc/net/route", "re");
    while (file && !found && fgets(line, sizeof(line), file)) {
        unsigned long destination = 1;
        unsigned long mask = 1;
        if (sscanf(line, "%15s %lx %*s %*s %*s %*s %*s %lx", name, &destination, &mask) == 3) {
            found = destination == 0 && mask == 0;
        }
    }
    if (file) {
        fclose(file);
    }
    return found;
}

/* /proc/net/ipv6_route: destination, its prefix length, …, flags, interface. */
static bool route6(char name[IF_NAMESIZE])
{
    char line[256];
    bool found = false;
    FILE *file = fopen("/proc/net/ipv6_route", "re");
    while (file && !found && fgets(line, sizeof(line), file)) {
        char destination[40];
        unsigned prefix = 1;
        int fields =
            sscanf(line, "%39s %x %*s %*s %*s %*s %*s %*s %*s %15s", destination, &prefix, name);
        found =
            fields == 3 && prefix == 0 && strspn(destination, "0") == 32 && strcmp(name, "lo") != 0;
    }
    if (file) {
        fclose(file);
    }
    return found;
}

static const char *address_of(struct arena *arena, const char *name, int family)
{
    struct ifaddrs *all = NULL;
    char text[INET6_ADDRSTRLEN] = "";
    if (getifaddrs(&all) != 0) {
        return "";
    }
    for (struct ifaddrs *at = all; at && !*text; at = at->ifa_next) {
        if (at->ifa_addr && at->ifa_addr->sa_family == family && strcmp(at->ifa_name, name) == 0) {
            const void *address =
                family == AF_INET
                    ? (const void *)&((struct sockaddr_in *)(void *)at->ifa_addr)->sin_addr
                    : (const void *)&((struct sockaddr_in6 *)(void *)at->ifa_addr)->sin6_addr;
            inet_ntop(family, address, text, sizeof(text));
        }
    }
    freeifaddrs(all);
    return arena_strdup(arena, text);
}

const char *host_default(struct arena *arena)
{
    char name[IF_NAMESIZE] = "";
    if (route4(name)) {
        return address_of(arena, name, AF_INET);
    }
    return route6(name) ? address_of(arena, name, AF_INET6) : "";
}
