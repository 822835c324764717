/** A guest's balloon: what it does not need is taken from it, for a move or all the time. */
export { DepartingBalloon } from "./departing.ts";
export { balloonDevice, giveBack } from "./device.ts";
export { BalloonKeeper } from "./keeper.ts";
export { type BalloonMode, balloonMode, setBalloonMode } from "./mode.ts";
export { balloonRoutes } from "./routes.ts";
