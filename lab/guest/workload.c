/*
 * The lab guest's only program: it runs as init, writes a working set, and is its own oracle.
 *
 * The content of each page is a pure function of (seed, page, epoch, version, mode). The versions are kept in a
 * table elsewhere in memory, so a page that arrives old, damaged or not at all differs from what the table says.
 * One thread works in slices of 10 ms: heartbeat, commands, writes (at most 60 % of the slice), verification
 * (at most 25 %), sleep. Line formats and commands: README.md.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

enum { PAGE = 4096, WORDS = PAGE / 8, GROUPS = 128, CONTENTS = 16, CORRUPT_LINES_MAX = 32, CHECK_PAGES = 8 };
static const uint64_t SLICE_NS = 10 * 1000000ull, MIB = 1 << 20;

enum mode { M_WORDS, M_RANDOM, M_TEXT, M_ZERO, M_DUP, M_READ, M_SCAN, M_IDLE, M_COUNT };
static const char *const MODES[M_COUNT] = {"words", "random", "text", "zero", "dup", "read", "scan", "idle"};

/* What the oracle knows of a page. An epoch is one stay in one mode: a page changes over at its first write in it. */
struct page_state {
    uint32_t version;
    uint16_t epoch;
    uint16_t mode;
};

static uint64_t seed = 1, rate = 1000, hot_percent, heartbeat_ms = 10, break_after_s;
static enum mode mode = M_WORDS;
static uint16_t epoch;
static int writing = 1, console = 1, screen = 1; /* the screen is the console opened for writing */

static uint8_t *set;
static struct page_state *table;
static uint64_t pages, table_sum, writes_total;
static uint64_t cursor, passes, pass_started_ns, pass_corrupt, corrupt_lines;
static uint8_t *filled;
static uint64_t filled_bytes, fill_bytes;
static int disk = -1; /* open while its pages shall stay in the page cache: they go with whoever closes it last */
static uint64_t cached_bytes, cache_bytes;

static void say(const char *format, ...) __attribute__((format(printf, 1, 2)));
static void say(const char *format, ...) {
    char line[256];
    va_list args;
    va_start(args, format);
    int length = vsnprintf(line, sizeof line, format, args);
    va_end(args);
    for (int at = 0; at < length;) {
        ssize_t wrote = write(screen, line + at, (size_t)(length - at));
        if (wrote < 0 && errno != EINTR && errno != EAGAIN) return; /* nobody can be told */
        if (wrote > 0) at += (int)wrote;
    }
}

static uint64_t now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000ull + (uint64_t)t.tv_nsec;
}

static uint64_t mix(uint64_t x) {
    x = (x ^ (x >> 32)) * 0xd6e8feb86659fd93ull;
    x = (x ^ (x >> 29)) * 0x9e3779b97f4a7c15ull;
    return x ^ (x >> 32);
}

static uint64_t next_random(void) {
    static uint64_t state;
    return mix(state += (0x9e3779b97f4a7c15ull ^ seed) | 1);
}

/* ---- the content of a page ---- */

static uint64_t key_of(uint64_t page, uint16_t of_epoch, uint32_t version) {
    return mix(mix(seed ^ ((uint64_t)of_epoch << 48) ^ page) ^ version);
}

static uint64_t word_of(uint64_t key, uint64_t i) {
    uint64_t x = key + i * 0x9e3779b97f4a7c15ull;
    return (x ^ (x >> 31)) * 0xbf58476d1ce4e5b9ull;
}

static void render_random(uint64_t *to, uint64_t key) {
    for (uint64_t i = 0; i < WORDS; i++) to[i] = word_of(key, i);
}

/* Like a heap: half of the bits of a word are the same everywhere. */
static void render_heap(uint64_t *to, uint64_t key) {
    for (uint64_t i = 0; i < WORDS; i++) to[i] = 0x00007f4200000000ull | (word_of(key, i) >> 32);
}

static void render_text(uint64_t *to, uint64_t key) {
    static const char words[] = /* 64 tokens of 8 bytes */
        "the     and     source  target  memory  page    stream  relay   guest   host    link    bytes   "
        "pass    switch  return  path    time    pause   device  state   block   offset  length  value   "
        "write   read    version number  of      to      in      is      that    with    from    into    "
        "before  after   while   until   never   always  again   first   last    next    every   other   "
        "small   large   early   late    open    close   start   finish  north   south   winter  summer  "
        "\n       , and   . The   : ";
    uint64_t token[64];
    memset(token, ' ', sizeof token);
    memcpy(token, words, sizeof words - 1 < sizeof token ? sizeof words - 1 : sizeof token);
    for (uint64_t i = 0; i < WORDS; i++) to[i] = token[word_of(key, i) >> 58];
}

/* Version v writes the four words g, g+128, g+256, g+384 of group g = (page + v) mod 128. */
static void write_group(uint64_t *to, uint64_t page, uint16_t of_epoch, uint32_t version) {
    uint64_t key = key_of(page, of_epoch, version), group = (page + version) % GROUPS;
    for (uint64_t k = 0; k < 4; k++) to[group + k * GROUPS] = word_of(key, k);
}

/* The whole content of a page, from its state alone. */
static void render(uint64_t *to, uint64_t page, struct page_state s) {
    uint64_t key = key_of(page, s.epoch, s.version);
    switch (s.mode) {
    case M_RANDOM: render_random(to, key); return;
    case M_TEXT: render_text(to, key); return;
    case M_DUP: render_random(to, mix(seed + key % CONTENTS)); return;
    case M_ZERO:
        if (s.version % 2) memset(to, 0, PAGE);
        else render_random(to, key);
        return;
    default: /* words, read, scan, idle: version 0 is a heap, and the newest versions stand in their groups */
        render_heap(to, key_of(page, s.epoch, 0));
        for (uint32_t back = 0; back < GROUPS && back < s.version; back++)
            write_group(to, page, s.epoch, s.version - back);
    }
}

static uint64_t weight(struct page_state s) { return s.version + ((uint64_t)s.epoch << 32) + s.mode; }

static void write_page(uint64_t page) {
    struct page_state *s = &table[page];
    uint64_t *at = (uint64_t *)(set + page * PAGE);
    table_sum -= weight(*s);
    if (s->epoch != epoch) {
        *s = (struct page_state){.version = 0, .epoch = epoch, .mode = (uint16_t)mode};
        render(at, page, *s);
    } else {
        s->version++;
        if (mode == M_WORDS) write_group(at, page, epoch, s->version);
        else render(at, page, *s);
    }
    table_sum += weight(*s);
    writes_total++;
}

/* ---- the oracle ---- */

static void corrupt(uint64_t page, uint32_t version, uint64_t offset, const char *what) {
    pass_corrupt++;
    if (corrupt_lines++ < CORRUPT_LINES_MAX)
        say("CORRUPT page=%llu version=%u offset=%llu what=%s\n", (unsigned long long)page, version,
            (unsigned long long)offset, what);
}

static void verify_page(uint64_t page) {
    static uint64_t expected[WORDS];
    const uint8_t *at = set + page * PAGE;
    render(expected, page, table[page]);
    if (memcmp(at, expected, PAGE) == 0) return;
    uint64_t offset = 0;
    while (at[offset] == ((uint8_t *)expected)[offset]) offset++;
    corrupt(page, table[page].version, offset, "content");
}

/* The table alone could be old together with its pages: its sum is kept apart from both. */
static void end_pass(uint64_t now) {
    uint64_t sum = 0;
    for (uint64_t i = 0; i < pages; i++) sum += weight(table[i]);
    if (sum != table_sum) corrupt(0, 0, 0, "table");
    say("V %llu %s pages=%llu writes=%llu ms=%llu corrupt=%llu\n", (unsigned long long)++passes,
        pass_corrupt ? "BAD" : "OK", (unsigned long long)pages, (unsigned long long)writes_total,
        (unsigned long long)((now - pass_started_ns) / 1000000), (unsigned long long)pass_corrupt);
    cursor = pass_corrupt = corrupt_lines = 0;
    pass_started_ns = now;
}

/* The next pages of the pass, up to `count`; 0 at its end. */
static int verify_some(int count) {
    for (int i = 0; i < count && cursor < pages; i++) verify_page(cursor++);
    if (cursor < pages) return 1;
    end_pass(now_ns());
    return 0; /* at most one pass per slice: a tiny set shall not flood the console */
}

/* At least CHECK_PAGES pages, so that a starved guest still proves something. */
static void verify_until(uint64_t deadline_ns) {
    while (verify_some(CHECK_PAGES) && now_ns() < deadline_ns) {}
}

/*
 * A guest that reads is to read in its own order only, also where each page has to be waited for: verification, which
 * goes through the set in order, takes what it takes when idle from a random reader, one page at least. A sequential
 * reader's reading is the pass itself.
 */
static void verify_beside_work(uint64_t now) {
    if (writing && rate > 0 && mode == M_SCAN) return;
    if (writing && mode == M_READ) {
        uint64_t deadline = now + SLICE_NS * 5 / 100;
        while (verify_some(1) && now_ns() < deadline) {}
        return;
    }
    verify_until(now + SLICE_NS * (mode == M_IDLE ? 5 : 25) / 100);
}

/* The test of the oracle itself: one byte of the page that is verified next changes behind its back. */
static void break_a_page(void) {
    uint64_t page = cursor % pages, offset = next_random() % PAGE;
    set[page * PAGE + offset] ^= 0x40;
    say("B broke page=%llu offset=%llu\n", (unsigned long long)page, (unsigned long long)offset);
}

/* ---- work ---- */

static uint64_t pick_page(void) {
    uint64_t hot = pages * hot_percent / 100, r = next_random();
    if (hot > 0 && hot < pages) return r % 10 ? (r >> 8) % hot : hot + (r >> 8) % (pages - hot);
    return (r >> 8) % pages;
}

static void work_until(uint64_t deadline_ns, double *due) {
    while (*due >= 1) {
        for (int i = 0; i < CHECK_PAGES && *due >= 1; i++, *due -= 1) {
            if (mode == M_SCAN) {
                if (!verify_some(1)) return;
            } else if (mode == M_READ) verify_page(pick_page());
            else write_page(pick_page());
        }
        if (now_ns() >= deadline_ns) return;
    }
}

/* Touches what `fill` asked for in pieces, so that the heartbeat goes on meanwhile. */
static void fill_some(uint64_t deadline_ns) {
    if (filled_bytes == fill_bytes) return;
    while (filled_bytes < fill_bytes && now_ns() < deadline_ns) {
        render_random((uint64_t *)(filled + filled_bytes), next_random());
        filled_bytes += PAGE;
    }
    if (filled_bytes == fill_bytes) say("F filled bytes=%llu\n", (unsigned long long)fill_bytes);
}

static void set_fill(uint64_t bytes) {
    if (filled) munmap(filled, fill_bytes);
    filled = NULL;
    filled_bytes = fill_bytes = 0;
    if (bytes == 0) {
        say("F free\n");
        return;
    }
    void *at = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (at == MAP_FAILED) {
        say("E fill: no memory for %llu bytes\n", (unsigned long long)bytes);
        return;
    }
    filled = at;
    fill_bytes = bytes;
}

/* Reads what `cache` asked for in pieces; what is read stays in the page cache until memory is wanted elsewhere. */
static void cache_some(uint64_t deadline_ns) {
    static uint8_t piece[128 << 10];
    if (cached_bytes == cache_bytes) return;
    while (cached_bytes < cache_bytes && now_ns() < deadline_ns) {
        uint64_t left = cache_bytes - cached_bytes;
        ssize_t got = pread(disk, piece, left < sizeof piece ? left : sizeof piece, (off_t)cached_bytes);
        if (got <= 0) {
            say("E cache: the disk ends after %llu bytes\n", (unsigned long long)cached_bytes);
            cache_bytes = cached_bytes;
            return;
        }
        cached_bytes += (uint64_t)got;
    }
    if (cached_bytes == cache_bytes) say("F cached bytes=%llu\n", (unsigned long long)cache_bytes);
}

static void set_cache(uint64_t bytes) {
    cached_bytes = cache_bytes = 0;
    if (disk < 0) disk = open("/dev/vda", O_RDONLY | O_CLOEXEC);
    if (disk < 0) {
        say("E cache: no disk: %s\n", strerror(errno));
        return;
    }
    if (bytes == 0) {
        posix_fadvise(disk, 0, 0, POSIX_FADV_DONTNEED);
        say("F uncached\n");
        return;
    }
    cache_bytes = bytes;
}

/* ---- commands and parameters ---- */

static int parse_mode(const char *name) {
    for (int m = 0; m < M_COUNT; m++)
        if (strcmp(name, MODES[m]) == 0) return m;
    return -1;
}

static void set_mode(const char *name) {
    int m = parse_mode(name);
    if (m < 0) {
        say("E mode: unknown %.32s\n", name);
        return;
    }
    mode = (enum mode)m;
    epoch++;
}

static void command(char *line) {
    char *argument = strchr(line, ' ');
    if (argument) *argument++ = 0;
    uint64_t number = argument ? strtoull(argument, NULL, 10) : 0;
    if (strcmp(line, "rate") == 0 && argument) rate = number;
    else if (strcmp(line, "mode") == 0 && argument) set_mode(argument);
    else if (strcmp(line, "hot") == 0 && argument) hot_percent = number;
    else if (strcmp(line, "stop") == 0) writing = 0;
    else if (strcmp(line, "go") == 0) writing = 1;
    else if (strcmp(line, "fill") == 0 && argument) set_fill(number * MIB);
    else if (strcmp(line, "free") == 0) set_fill(0);
    else if (strcmp(line, "cache") == 0 && argument) set_cache(number * MIB);
    else if (strcmp(line, "uncache") == 0) set_cache(0);
    else if (strcmp(line, "break") == 0) break_a_page();
    else {
        say("E command: unknown %.32s\n", line);
        return;
    }
    say("C %s rate=%llu mode=%s writing=%d\n", line, (unsigned long long)rate, MODES[mode], writing);
}

static void read_commands(void) {
    static char line[128];
    static size_t length;
    char bytes[256];
    ssize_t got = read(console, bytes, sizeof bytes);
    for (ssize_t i = 0; i < got; i++) {
        if (bytes[i] == '\n' || bytes[i] == '\r') {
            line[length] = 0;
            if (length > 0) command(line);
            length = 0;
        } else if (length < sizeof line - 1) {
            line[length++] = bytes[i];
        }
    }
}

static uint64_t parameter(const char *text, const char *name, uint64_t otherwise) {
    const char *at = strstr(text, name);
    return at ? strtoull(at + strlen(name), NULL, 10) : otherwise;
}

/* Reads gw.* of the kernel command line; returns the working set in bytes. */
static uint64_t read_parameters(void) {
    char text[4096] = {0};
    int file = open("/proc/cmdline", O_RDONLY);
    if (file >= 0) {
        if (read(file, text, sizeof text - 1) < 0) say("E cannot read /proc/cmdline\n");
        close(file);
    }
    seed = parameter(text, "gw.seed=", seed);
    rate = parameter(text, "gw.rate=", rate);
    hot_percent = parameter(text, "gw.hot=", 0);
    heartbeat_ms = parameter(text, "gw.hb=", heartbeat_ms);
    break_after_s = parameter(text, "gw.break=", 0);
    const char *at = strstr(text, "gw.mode=");
    if (at) {
        char name[16] = {0};
        sscanf(at + strlen("gw.mode="), "%15[a-z]", name);
        int m = parse_mode(name);
        if (m >= 0) mode = (enum mode)m;
        else say("E gw.mode: unknown %s, words is taken\n", name);
    }
    return parameter(text, "gw.ws=", 64) * MIB;
}

static void open_console(void) {
    int file = open("/dev/ttyS0", O_RDWR | O_NOCTTY | O_NONBLOCK);
    if (file < 0) return; /* run by hand on a host: standard output serves */
    struct termios t;
    if (tcgetattr(file, &t) == 0) {
        cfmakeraw(&t);
        tcsetattr(file, TCSANOW, &t);
    }
    console = file;
    /* blocking, so that a line goes out whole: a load may share the console */
    int out = open("/dev/ttyS0", O_WRONLY | O_NOCTTY);
    screen = out < 0 ? file : out;
}

static int prepare(uint64_t bytes) {
    pages = bytes / PAGE;
    set = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    table = calloc(pages ? pages : 1, sizeof *table);
    if (pages == 0 || set == MAP_FAILED || !table) return 0;
    for (uint64_t page = 0; page < pages; page++) {
        table[page].mode = (uint16_t)mode;
        render((uint64_t *)(set + page * PAGE), page, table[page]);
        table_sum += weight(table[page]);
    }
    return 1;
}

int main(void) {
    open_console();
    if (nice(-10) == -1) say("E nice: %s\n", strerror(errno)); /* the heartbeat shall not queue behind a load */
    uint64_t bytes = read_parameters();
    if (!prepare(bytes)) {
        say("E no memory for a working set of %llu bytes\n", (unsigned long long)bytes);
        for (;;) pause(); /* init must not end; the line above says why */
    }
    uint64_t start = now_ns(), last = start, next_beat = start, beats = 0;
    int broken = break_after_s == 0;
    double due = 0;
    say("R ready ws=%llu mode=%s rate=%llu seed=%llu ms=%llu\n", (unsigned long long)bytes, MODES[mode],
        (unsigned long long)rate, (unsigned long long)seed, (unsigned long long)(start / 1000000));
    pass_started_ns = start;
    for (;;) {
        uint64_t slice = now_ns();
        if (heartbeat_ms && slice >= next_beat) {
            say("H %llu %llu\n", (unsigned long long)++beats, (unsigned long long)(slice / 1000000));
            /* missed beats are skipped, not made up for: a gap in time is what they are there to show */
            next_beat = slice - slice % (heartbeat_ms * 1000000) + heartbeat_ms * 1000000;
        }
        read_commands();
        if (writing && mode != M_IDLE) {
            due += (double)rate * (double)(slice - last) / 1e9;
            if (due > (double)rate / 10 + 1) due = (double)rate / 10 + 1; /* a starved guest does not catch up */
            work_until(slice + SLICE_NS * 6 / 10, &due);
        }
        last = slice;
        fill_some(slice + SLICE_NS * 6 / 10);
        cache_some(slice + SLICE_NS * 6 / 10);
        if (!broken && slice - start >= break_after_s * 1000000000ull) {
            broken = 1;
            break_a_page();
        }
        verify_beside_work(now_ns());
        uint64_t wake = slice - slice % SLICE_NS + SLICE_NS;
        struct timespec until = {.tv_sec = (time_t)(wake / 1000000000), .tv_nsec = (long)(wake % 1000000000)};
        clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL);
    }
}
