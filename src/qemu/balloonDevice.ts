/** QEMU's virtio balloon: where it is in a machine, and what its properties are called. */
import type { Monitor } from "./monitor.ts";
import type { BalloonFeatures } from "./spec.ts";

export const BALLOON_TYPE = "virtio-balloon-pci";
const PLACES = ["/machine/peripheral", "/machine/peripheral-anon"];

/** Feature of a spec -> property of the device. */
export const BALLOON_PROPERTIES = [
  ["hints", "free-page-hint"],
  ["reporting", "free-page-reporting"],
  ["deflateOnOom", "deflate-on-oom"],
] as const satisfies readonly (readonly [keyof BalloonFeatures, string])[];

/** The balloon's path in QEMU's object tree; null: the machine has none. Errors: those of QMP. */
export async function balloonPath(monitor: Monitor): Promise<string | null> {
  for (const place of PLACES) {
    const children = await monitor.execute("qom-list", { path: place });
    const found = children.find(({ type }) => type === `child<${BALLOON_TYPE}>`);
    if (found !== undefined) return `${place}/${found.name}`;
  }
  return null;
}

/** What a running machine's balloon can do; null: it has none. Errors: those of QMP. */
export async function readBalloonFeatures(monitor: Monitor): Promise<BalloonFeatures | null> {
  const path = await balloonPath(monitor);
  if (path === null) return null;
  const features = { hints: false, reporting: false, deflateOnOom: false };
  for (const [feature, property] of BALLOON_PROPERTIES)
    features[feature] = (await monitor.execute("qom-get", { path, property })) === true;
  return features;
}

/** The features that are on, for messages: "hints, reporting", or "none". */
export function featuresText(features: BalloonFeatures | null): string {
  if (features === null) return "no balloon";
  const on = BALLOON_PROPERTIES.filter(([feature]) => features[feature]).map(([feature]) => feature);
  return on.join(", ") || "none";
}
