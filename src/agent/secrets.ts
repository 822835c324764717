/** Names of values that no log may hold, at the depths at which log lines have objects. */
const NAMES = ["ticket", "session", "secret", "key", "password"];

/** For pino's `redact`: what stands under these names is replaced before a line is written. */
export const SECRETS: readonly string[] = NAMES.flatMap((name) => [name, `*.${name}`, `*.*.${name}`]);
