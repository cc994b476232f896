/* SPDX-License-Identifier: Apache-2.0 */
#include "base/address.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

void address_unmap(struct sockaddr_storage *address)
{
    const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)address;
    struct sockaddr_in v4 = {.sin_family = AF_INET};
    if (address->ss_family != AF_INET6 || !IN6_IS_ADDR_V4MAPPED(&v6->sin6_addr)) {
        return;
    }
    v4.sin_port = v6->sin6_port;
    memcpy(&v4.sin_addr, &v6->sin6_addr.s6_addr[12], sizeof(v4.sin_addr));
    memset(address, 0, sizeof(*address));
    memcpy(address, &v4, sizeof(v4));
}

void address_ip(const struct sockaddr_storage *address, char out[INET6_ADDRSTRLEN])
{
    struct sockaddr_storage plain = *address;
    address_unmap(&plain);
    out[0] = 0;
    if (plain.ss_family == AF_INET) {
        inet_ntop(AF_INET, &((struct sockaddr_in *)&plain)->sin_addr, out, INET6_ADDRSTRLEN);
    } else if (plain.ss_family == AF_INET6) {
        inet_ntop(AF_INET6, &((struct sockaddr_in6 *)&plain)->sin6_addr, out, INET6_ADDRSTRLEN);
    }
}

void address_text(const struct sockaddr_storage *address, char *out)
{
    char ip[INET6_ADDRSTRLEN];
    address_ip(address, ip);
    if (!ip[0]) {
        snprintf(out, ADDRESS_TEXT_MAX, "@");
        return;
    }
    /* the port stands in the same place for both families */
    unsigned port = ntohs(((const struct sockaddr_in *)address)->sin_port);
    snprintf(out, ADDRESS_TEXT_MAX, strchr(ip, ':') ? "[%s]:%u" : "%s:%u", ip, port);
}
