// The kernels' exports; one kernel a file.
export { hashPages, hashRange, seed } from "./hash";
