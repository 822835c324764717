export { openStage } from "./stage.ts";
