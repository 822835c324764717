/*
 * How a load in the guest tells its work: about ten lines a second, each with the operations that ended since the one
 * before:
 *
 *   NAME GUEST_MS COUNT AGE/LATENCY,AGE/LATENCY,...
 *
 * GUEST_MS is the guest's monotonic clock at the line; AGE is how long before it the operation ended, LATENCY how long
 * the operation took, both in microseconds. A line goes out in one write, and so stays whole on a shared console.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { REPORT_OPS_MAX = 100 };
static const uint64_t REPORT_EVERY_NS = 100 * 1000000ull;

static struct {
    const char *name;
    uint64_t last_ns;
    int count;
    uint64_t ended_ns[REPORT_OPS_MAX], latency_ns[REPORT_OPS_MAX];
} report;

static uint64_t now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000ull + (uint64_t)t.tv_nsec;
}

static void report_line(const char *line, size_t length) {
    for (size_t at = 0; at < length;) {
        ssize_t wrote = write(1, line + at, length - at);
        if (wrote < 0) exit(1); /* nobody listens any more */
        at += (size_t)wrote;
    }
}

static void report_flush(void) {
    static char line[64 + REPORT_OPS_MAX * 32];
    uint64_t now = now_ns(), ms = now / 1000000;
    int at = sprintf(line, "%s %llu %d ", report.name, (unsigned long long)ms, report.count);
    for (int i = 0; i < report.count; i++)
        at += sprintf(line + at, "%s%llu/%llu", i ? "," : "",
                      (unsigned long long)(now - report.ended_ns[i]) / 1000,
                      (unsigned long long)report.latency_ns[i] / 1000);
    line[at++] = '\n';
    report_line(line, (size_t)at);
    report.count = 0;
    report.last_ns = now;
}

/* One operation that began at that time and ends now. */
static void report_operation(uint64_t began_ns) {
    uint64_t now = now_ns();
    report.ended_ns[report.count] = now;
    report.latency_ns[report.count++] = now - began_ns;
    if (report.count == REPORT_OPS_MAX || now - report.last_ns >= REPORT_EVERY_NS) report_flush();
}

/* The load is broken: says why, and is over. Its client fails with this text. */
static void report_failure(const char *reason) __attribute__((noreturn));
static void report_failure(const char *reason) {
    char line[256];
    int length = snprintf(line, sizeof line, "%s E %s\n", report.name, reason);
    report_line(line, (size_t)length < sizeof line ? (size_t)length : sizeof line - 1);
    exit(1);
}

/* Sleeps until the next operation may begin; a late one is not made up for. Returns its beginning. */
static uint64_t report_pace(uint64_t per_second) {
    static uint64_t next_ns;
    uint64_t now = now_ns();
    if (next_ns > now) {
        struct timespec until = {.tv_sec = (time_t)(next_ns / 1000000000), .tv_nsec = (long)(next_ns % 1000000000)};
        clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL);
        now = now_ns();
    } else {
        next_ns = now;
    }
    next_ns += 1000000000ull / per_second;
    return now;
}
