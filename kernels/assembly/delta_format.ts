// Delta: runs of changed bytes. docs/encodings.md, "Delta".
//
//   near head  0gggllll           gap 0..7, length l + 1 = 1..15; l = 15: length 16 + number of 7-bit groups behind it
//   far head   1ggggggg gggggnnn  gap 0..4095, length n + 1 = 1..8
//
// The gap counts unchanged bytes since the end of the run before.

export const NEAR_GAP_MAX: u32 = 7;
/** From this length on a near head has the length behind it. */
export const LONG: u32 = 16;
export const FAR_LENGTH_MAX: u32 = 8;
