// The kernels' exports; one kernel a file.
export { comparePages } from "./compare";
export { deltaDecode } from "./delta_decode";
export { deltaEncode } from "./delta_encode";
export { hashPages, hashRange, seed } from "./hash";
export { sparseDecode } from "./sparse_decode";
export { sparseEncode } from "./sparse_encode";
export { wkdmDecode } from "./wkdm_decode";
export { wkdmEncode } from "./wkdm_encode";
export { countZeroBytes, zeroPages } from "./zero";
