/**
 * How a relay's process is started, so that its memory stays bounded; bin/godwit does the same for bare relays.
 *
 * One heap of malloc for all threads: with one for each, glibc keeps some 20 MB more for zstd's threads and gains nothing. A
 * young generation of V8 of 12 MiB instead of 48: 10 MB less resident under a writer of text, and no more CPU time, since
 * what lives longer than a turn lies in memory of our own.
 */
export const RELAY_FLAGS: readonly string[] = ["--max-semi-space-size=4"];
export const RELAY_ENVIRONMENT: Readonly<Record<string, string>> = { MALLOC_ARENA_MAX: "1" };
