export { FaultClock, OPEN_REQUESTS_MAX } from "./faultClock.ts";
export { makePushOrder } from "./makePushOrder.ts";
export { PageSet } from "./pageSet.ts";
export {
  type FaultTimes,
  type PagingFigures,
  PUSH_ORDERS,
  type PushOrder,
  type PushOrderName,
  type Waiting,
} from "./types.ts";
