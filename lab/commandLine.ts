/** What the command lines of the lab and the benches have in common. */
import { type Command, InvalidArgumentError } from "commander";

/** For an option: a whole number from `min` to `max`. */
export function whole(min: number, max: number): (text: string) => number {
  return (text) => {
    const value = /^\d{1,10}$/.test(text) ? Number(text) : Number.NaN;
    if (value >= min && value <= max) return value;
    throw new InvalidArgumentError(`must be a whole number from ${min} to ${max}`);
  };
}

/** The flags of this process. After --help it ends with 0, after a usage error with 2; both are said. */
export function readFlags<Flags>(command: Command): Flags {
  return command
    .exitOverride((error) => process.exit(error.exitCode === 0 ? 0 : 2))
    .showHelpAfterError("(see --help)")
    .parse(process.argv)
    .opts<Flags & Record<string, unknown>>();
}
