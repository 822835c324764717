/** In the place of src/relay/urgent.ts: a world has no processors to share. */
export function beUrgent(): () => void {
  return () => undefined;
}
