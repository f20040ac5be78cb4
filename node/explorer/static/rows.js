// Rows of opened parts: their bytes from the node, and what a row looks like.

const HEADER = 8;
const UCI_SIDE = 8;

/** The rows and labels of a part whose bytes the chain names: [{values, label, part}].
 *
 * The bytes are rows N and inputs d (4 bytes each, little-endian), N·d features, N labels of two bytes.
 */
export function parsePart(raw, part) {
  const view = new DataView(raw);
  const [rows, inputs] = [view.getUint32(0, true), view.getUint32(4, true)];
  if (raw.byteLength !== HEADER + rows * inputs + rows * 2)
    throw new Error("the bytes of the part are incomplete");
  const features = new Uint8Array(raw, HEADER, rows * inputs);
  return Array.from({ length: rows }, (_, index) => ({
    values: Array.from(features.subarray(index * inputs, (index + 1) * inputs)),
    label: view.getUint16(HEADER + rows * inputs + index * 2, true),
    part,
  }));
}

/** The rows of an opened part, by its commitment. The node serves the bytes that the chain names. */
export async function rowsOf(chain, commitment) {
  const part = await chain.call("part_get", { id: commitment });
  const answer = await fetch(`/blob/${part.blob}`);
  if (!answer.ok) throw new Error("the node does not hold the bytes of this part; ask another node");
  return parsePart(await answer.arrayBuffer(), commitment);
}

/** Every part that is open in the rounds of a model, the latest round first: [{commitment, round}]. */
export async function openedParts(chain, model) {
  const rounds = await chain.call("round_list", { model });
  return rounds.reverse().flatMap((round) =>
    [...round.unseen, ...round.validation_opened].map((part) => ({
      commitment: part.commitment,
      round: round.id,
    })),
  );
}

/** The side of the square picture that so many inputs can be, or null if they can be none. */
export function sideOf(inputs) {
  const side = Math.round(Math.sqrt(inputs));
  return side * side === inputs && side >= UCI_SIDE ? side : null;
}

/** Draws values as a square picture in shades from paper to ink, read from the page's colours. */
export function drawRow(canvas, values, side, full) {
  canvas.width = side;
  canvas.height = side;
  const context = canvas.getContext("2d");
  const picture = context.createImageData(side, side);
  const style = getComputedStyle(canvas);
  const [paper, ink] = [rgb(style.backgroundColor), rgb(style.color)];
  values.forEach((value, index) => {
    const share = Math.min(1, value / (full || 1));
    for (let part = 0; part < 3; part += 1) {
      picture.data[index * 4 + part] = Math.round(paper[part] + (ink[part] - paper[part]) * share);
    }
    picture.data[index * 4 + 3] = 255;
  });
  context.putImageData(picture, 0, 0);
}

function rgb(text) {
  const found = text.match(/[\d.]+/g)?.map(Number) ?? [];
  return found.length >= 3 ? found.slice(0, 3) : [0, 0, 0];
}
