/*
 * Carries what a load prints to the console, which it shares with the oracle: whole lines, each with "L " before it
 * and in one write. Lines beyond LINES_PER_SECOND are counted, not shown, so that chatter cannot flood the console.
 */
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { LINES_PER_SECOND = 40, LINE_MAX_BYTES = 4096 };

static void put(const char *text, size_t length) {
    for (size_t at = 0; at < length;) {
        ssize_t wrote = write(1, text + at, length - at);
        if (wrote < 0) return;
        at += (size_t)wrote;
    }
}

static int allowed(void) {
    static time_t second;
    static int shown, hidden;
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    if (now.tv_sec != second) {
        char note[64];
        if (hidden) put(note, (size_t)snprintf(note, sizeof note, "L hidden lines=%d\n", hidden));
        second = now.tv_sec;
        shown = hidden = 0;
    }
    if (shown < LINES_PER_SECOND) return ++shown;
    hidden++;
    return 0;
}

int main(void) {
    static char line[LINE_MAX_BYTES + 3] = "L ", input[LINE_MAX_BYTES];
    size_t length = 2;
    ssize_t got;
    while ((got = read(0, input, sizeof input)) > 0) {
        for (ssize_t i = 0; i < got; i++) {
            if (input[i] != '\n' && length < LINE_MAX_BYTES + 2) line[length++] = input[i];
            if (input[i] != '\n') continue;
            line[length++] = '\n';
            if (length > 3 && allowed()) put(line, length);
            length = 2;
        }
    }
    return 0;
}
