export {
  type FaultTimes,
  type PagingFigures,
  PUSH_ORDERS,
  type PushOrder,
  type PushOrderName,
  type Waiting,
} from "./types.ts";
