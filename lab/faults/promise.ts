import type { FaultPromise, FaultSeen } from "./types.ts";

/**
 * What of a promise was broken. Pure.
 * @returns one short sentence for each rule that does not hold; empty: the promise was kept
 */
export function broken(promise: FaultPromise, seen: FaultSeen): string[] {
  const { runs, everBoth, oracle, equal, status, truthful, again } = seen;
  const lost = runs === "none" && again === "no guest";
  const rules: [holds: boolean, otherwise: string][] = [
    [!everBoth && runs !== "both", "two ran"],
    [oracle !== "corrupt", "the guest's memory is wrong"],
    [equal !== false, "the digests differ"],
    [truthful, "what was said is not what was seen"],
  ];
  if (promise === "mayBeLost" && lost) return complaints(rules);
  rules.push(
    [runs !== "none", "no side runs"],
    [oracle !== "none", "the oracle did not finish a pass"],
    [again === "worked", "the next migration did not work"],
  );
  if (promise === "completes")
    rules.push(
      [status === "completed" && runs === "target", "the move did not complete"],
      [equal === true, "the digests were not compared"],
    );
  if (promise === "source") rules.push([runs === "source", "the source does not go on"]);
  return complaints(rules);
}

function complaints(rules: readonly (readonly [holds: boolean, otherwise: string])[]): string[] {
  return rules.filter(([holds]) => !holds).map(([, otherwise]) => otherwise);
}
