/** In the place of node:timers/promises. */

function later<T>(ms?: number, value?: T): Promise<T | undefined> {
  return new Promise((resolve) => {
    setTimeout(() => resolve(value), ms);
  });
}

export { later as setTimeout };

export function setImmediate<T>(value?: T): Promise<T | undefined> {
  return later(0, value);
}
