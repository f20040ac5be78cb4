// Turns strokes of a pen into the picture that a model takes, as the data sets of digits were made. Pure.
//
// UCI's 8x8 digits: a bitmap of 32x32 is filled by the digit, and each value is the number of black pixels
// in a block of 4x4, 0 to 16. MNIST's 28x28 digits: the digit fits into a box of 20x20, in shades, and its
// centre of mass lies in the middle. A stroke is a list of points [x, y], from 0 to 1 on the paper.

const UCI_SIDE = 8;
const UCI = { bitmap: 32, box: [27, 32], pen: 2.2 };
const MNIST_BOX = 20 / 28;
const MNIST_PEN = 1.15 / 28;
const SHADES = 4;
const LEAST = 0.12;

/** The values that a picture of `side` x `side` has, from 0 to `full`; all 0 without a stroke. */
export function pixels(strokes, side, full) {
  const drawn = strokes.filter((stroke) => stroke.length > 0);
  if (!drawn.length) return new Array(side * side).fill(0);
  return side === UCI_SIDE ? counted(drawn, full) : centred(drawn, side, full);
}

function counted(strokes, full) {
  const { bitmap, box, pen } = UCI;
  const placed = fitted(strokes, box[0] - 2 * pen, box[1] - 2 * pen, bitmap / 2, bitmap / 2);
  const black = bitmapOf(placed, bitmap, pen);
  return blocks(black, bitmap, UCI_SIDE).map((share) => Math.round(share * full));
}

function centred(strokes, side, full) {
  const [box, pen] = [side * MNIST_BOX, side * MNIST_PEN];
  const fine = side * SHADES;
  const first = fitted(strokes, (box - 2 * pen) * SHADES, (box - 2 * pen) * SHADES, fine / 2, fine / 2);
  const [x, y] = centreOfMass(bitmapOf(first, fine, pen * SHADES), fine);
  const moved = first.map((stroke) =>
    stroke.map((point) => [point[0] + fine / 2 - x, point[1] + fine / 2 - y]),
  );
  return blocks(bitmapOf(moved, fine, pen * SHADES), fine, side).map((share) => Math.round(share * full));
}

/** The strokes, scaled alike in both directions to fill a box, whose middle lies at (x, y). */
function fitted(strokes, wide, tall, x, y) {
  const points = strokes.flat();
  const xs = points.map((point) => point[0]);
  const ys = points.map((point) => point[1]);
  const [left, right, top, bottom] = [Math.min(...xs), Math.max(...xs), Math.min(...ys), Math.max(...ys)];
  const scale = Math.min(wide / Math.max(right - left, LEAST), tall / Math.max(bottom - top, LEAST));
  const middle = [(left + right) / 2, (top + bottom) / 2];
  return strokes.map((stroke) =>
    stroke.map((point) => [x + (point[0] - middle[0]) * scale, y + (point[1] - middle[1]) * scale]),
  );
}

/** Which pixels of a bitmap lie under a pen of this radius. */
function bitmapOf(strokes, size, radius) {
  const black = new Uint8Array(size * size);
  for (const stroke of strokes) {
    stroke.forEach((point, index) => mark(black, size, stroke[Math.max(index - 1, 0)], point, radius));
  }
  return black;
}

function mark(black, size, from, to, radius) {
  const [dx, dy] = [to[0] - from[0], to[1] - from[1]];
  const squared = dx * dx + dy * dy;
  const low = (place) => Math.max(0, Math.floor(Math.min(from[place], to[place]) - radius));
  const high = (place) => Math.min(size - 1, Math.ceil(Math.max(from[place], to[place]) + radius));
  for (let y = low(1); y <= high(1); y += 1) {
    for (let x = low(0); x <= high(0); x += 1) {
      const [px, py] = [x + 0.5 - from[0], y + 0.5 - from[1]];
      const along = squared ? Math.min(1, Math.max(0, (px * dx + py * dy) / squared)) : 0;
      const [away, off] = [px - along * dx, py - along * dy];
      if (away * away + off * off <= radius * radius) black[y * size + x] = 1;
    }
  }
}

/** The share of black pixels in each of `side` x `side` blocks of a bitmap. */
function blocks(black, size, side) {
  const block = size / side;
  const shares = new Array(side * side).fill(0);
  black.forEach((value, index) => {
    const place = Math.floor(Math.floor(index / size) / block) * side + Math.floor((index % size) / block);
    shares[place] += value / (block * block);
  });
  return shares;
}

function centreOfMass(black, size) {
  let [sum, x, y] = [0, 0, 0];
  black.forEach((value, index) => {
    sum += value;
    x += value * ((index % size) + 0.5);
    y += value * (Math.floor(index / size) + 0.5);
  });
  return sum ? [x / sum, y / sum] : [size / 2, size / 2];
}
