/* SPDX-License-Identifier: Apache-2.0
 *
 * One run: machines with a disk, a clock and a life of a member each; the plan that its seed drew;
 * and how it ends when something is wrong.
 */
#ifndef SIM_SIM_H
#define SIM_SIM_H

#include "boot/answers.h"
#include "boot/storage.h"
#include "disk.h"
#include "fiber.h"

enum { MACHINES_MAX = 48, FIRST_MEMBERS_MAX = 7 };

enum machine_state {
    MACHINE_UNUSED,
    MACHINE_DOWN,
    MACHINE_UP,   /* perhaps not serving yet */
    MACHINE_GONE, /* removed from the cluster */
};

/* One life of a member, from start to crash; what a crash leaves of it is never freed. */
struct process {
    struct machine *machine;
    struct storage storage;
    struct server *server;
    struct api *api;
    struct answers answers;
    struct list inbox; /* struct parcel */
    struct list inbox_waiters;
    struct list calls; /* struct call, struct stream: who has to hear of a crash */
    size_t calls_count;
    size_t busy; /* fibers of the network that are in the server */
    bool is_serving;
    bool is_stopping;
    bool is_deaf;   /* the network is stopped */
    bool is_doomed; /* it said that it cannot go on, or has to go */
};

struct machine {
    struct host host;
    int number;
    enum machine_state state;
    struct sim_disk disk;
    struct config config;
    char path[32];
    char peer_url[48];
    const char *client_url;
    struct process *process; /* NULL: down */
    uint64_t id;             /* 0: was never up */
    bool is_join;
    bool is_member;   /* as far as the simulator knows; its removal may be under way */
    int64_t since_ns; /* up */
    int lives;
};

/* Elections take from one to two times so many ticks. */
enum { ELECTION_TICKS = 10 };

/* What the seed decides before anything begins. */
struct plan {
    uint64_t seed;
    int members;
    int clients;
    int watchers;
    int keys;
    int64_t load_ns; /* how long clients and faults go on */
    int64_t think_ns;
    int64_t keep_ns; /* a lease is renewed that often, twice */
    int64_t tick_ms;
    int64_t sync_tick_ms; /* 0: as always */
    int64_t idle_ns;      /* a watcher that was shown nothing for so long asks how far it is */
    uint64_t snapshot_count;
    uint64_t catch_up_entries;
    uint64_t value_cache_bytes;
    uint64_t segment_bytes;
    uint64_t message_bytes; /* entries of one append; 0: one entry each */
    unsigned flush_one_in;  /* writes to the store */
    size_t compaction_rows;
    int64_t latency_ns;
    unsigned reorder_one_in;
    unsigned duplicate_one_in;
    unsigned loss_one_in;
    int64_t fault_every_ns; /* 0: no faults */
    int64_t harm_ns;        /* at most so long a cut, a pause, a machine that is off */
    int64_t patience_ns;    /* what the end may take */
    bool has_crashes;
    bool has_power_cuts;
    bool has_partitions;
    bool has_pauses;
    bool has_clock_jumps;
    bool has_drift;
    bool has_disk_faults;
    bool has_slow_disks;
    bool has_changes; /* of the membership */
    bool has_transfers;
    bool has_users;           /* access control is on, roles and what they may do change */
    bool has_auth_switch;     /* and it is turned off and on */
    bool has_install_crashes; /* while a snapshot becomes the store */
};

/* Counted for the figures. */
struct tally {
    uint64_t crashes;
    uint64_t power_cuts;
    uint64_t partitions;
    uint64_t one_way;
    uint64_t slow_links;
    uint64_t pauses;
    uint64_t clock_jumps;
    uint64_t drifts;
    uint64_t disk_faults;
    uint64_t slow_disks;
    uint64_t changes;
    uint64_t transfers;
    uint64_t auth_changes;
    uint64_t denied;
    uint64_t stops;
    uint64_t calls;
    uint64_t calls_ok;
    uint64_t calls_unknown;
    uint64_t events;
    uint64_t messages;
    uint64_t messages_lost;
    uint64_t snapshots;
    uint64_t elections;
    uint64_t entries;
};

struct run {
    struct plan plan;
    struct tally tally;
    struct host outside; /* of clients and of whoever does harm */
    struct machine machines[MACHINES_MAX];
    int machines_count;
    bool is_verbose;
    bool is_healing; /* no harm is done any more */
};

extern struct run run;

/* The end of the process: what is wrong, and the seed that shows it. */
_Noreturn void run_fail(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* A line of the story, when it is asked for. */
void run_note(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* machine.c */
struct machine *machine_new(bool is_join);
/* One of those that are not gone. */
struct machine *machine_any(void);
/* The machine whose fiber runs; NULL: outside. */
struct machine *machine_here(void);
struct machine *machine_of_id(uint64_t id);
bool machine_is_serving(const struct machine *machine);
/* Begins a life, on a fiber of its own. */
void machine_start(struct machine *machine);
/* kill -9, or power loss. */
void machine_crash(struct machine *machine, bool is_power_cut);
/* As SIGTERM; it takes its time. */
void machine_stop(struct machine *machine);

#endif
