// A sheet to draw on with a pointer, a finger or the keyboard. It gives strokes, and knows nothing of models.

import { h } from "./dom.js";

const SIZE = 320;
const STEP = 1 / 32;
const LEAP = 1 / 8;
const PEN = 22;
const MOST_POINTS = 4_000;
const MOVES = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
const HELP =
  "Draw here with a pointer or a finger. By keyboard: arrow keys move the pen, with Shift in leaps, " +
  "Space puts it down or lifts it, Backspace takes back a stroke, Delete clears.";

/** A sheet: the `canvas` and its `help`. `changed` is told the strokes at each change. */
export function paper(changed) {
  const canvas = h("canvas", {
    class: "paper",
    width: SIZE,
    height: SIZE,
    tabindex: "0",
    role: "application",
    "aria-label": "Paper",
    "aria-describedby": "paper-help",
  });
  const told = h("p", { class: "muted", role: "status" });
  const help = h("div", {}, told, h("p", { class: "muted small", id: "paper-help" }, HELP));
  let strokes = [];
  let shown = null;
  const pen = { at: [0.5, 0.25], down: false, keys: false };

  function paint() {
    const context = canvas.getContext("2d");
    const style = getComputedStyle(canvas);
    context.fillStyle = style.backgroundColor;
    context.fillRect(0, 0, SIZE, SIZE);
    if (shown) picture(context, style, shown);
    lines(context, style, strokes);
    if (pen.keys && document.activeElement === canvas) cross(context, style, pen);
  }

  function begin(point) {
    if (shown) shown = null;
    strokes.push([point]);
    pen.down = true;
  }

  function extend(point) {
    if (strokes.reduce((sum, stroke) => sum + stroke.length, 0) < MOST_POINTS) strokes.at(-1).push(point);
  }

  function redraw() {
    paint();
    changed(strokes);
  }

  const place = (event) => {
    const box = canvas.getBoundingClientRect();
    return [(event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height].map(within);
  };
  canvas.addEventListener("pointerdown", (event) => {
    if (event.button !== 0) return;
    canvas.setPointerCapture(event.pointerId);
    pen.keys = false;
    begin(place(event));
    redraw();
  });
  canvas.addEventListener("pointermove", (event) => {
    if (!pen.down || pen.keys) return;
    const moves = event.getCoalescedEvents?.() ?? [];
    (moves.length ? moves : [event]).forEach((each) => extend(place(each)));
    redraw();
  });
  ["pointerup", "pointercancel"].forEach((name) =>
    canvas.addEventListener(name, () => {
      if (!pen.keys) pen.down = false;
    }),
  );
  canvas.addEventListener("focus", paint);
  canvas.addEventListener("blur", () => {
    if (pen.keys) pen.down = false;
    paint();
  });
  canvas.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || !typed(event)) return;
    event.preventDefault();
    told.textContent = `The pen is ${pen.down ? "down" : "up"}.`;
  });

  function typed(event) {
    if (event.key in MOVES) return moved(MOVES[event.key], event.shiftKey ? LEAP : STEP);
    if (event.key === " ") return toggled();
    if (event.key === "Backspace") return taken();
    return event.key === "Delete" && cleared();
  }

  function moved([dx, dy], step) {
    pen.keys = true;
    pen.at = [within(pen.at[0] + dx * step), within(pen.at[1] + dy * step)];
    if (pen.down) {
      extend(pen.at);
      redraw();
    } else paint();
    return true;
  }

  function toggled() {
    pen.keys = true;
    if (pen.down) {
      pen.down = false;
      paint();
    } else {
      begin(pen.at);
      redraw();
    }
    return true;
  }

  function taken() {
    strokes.pop();
    pen.down = false;
    redraw();
    return true;
  }

  function cleared() {
    strokes = [];
    shown = null;
    pen.down = false;
    redraw();
    return true;
  }

  return {
    canvas,
    help,
    clear: cleared,
    /** Shows a row in place of strokes; the next stroke begins a new drawing. */
    show(values, side, full) {
      strokes = [];
      pen.down = false;
      shown = { values, side, full };
      paint();
    },
    paint,
  };
}

const within = (value) => Math.min(1, Math.max(0, value));

function picture(context, style, { values, side, full }) {
  const cell = SIZE / side;
  context.fillStyle = style.color;
  values.forEach((value, index) => {
    context.globalAlpha = Math.min(1, value / full);
    context.fillRect((index % side) * cell, Math.floor(index / side) * cell, cell, cell);
  });
  context.globalAlpha = 1;
}

function lines(context, style, strokes) {
  context.strokeStyle = style.color;
  context.lineWidth = PEN;
  context.lineCap = "round";
  context.lineJoin = "round";
  for (const stroke of strokes) {
    context.beginPath();
    context.moveTo(stroke[0][0] * SIZE, stroke[0][1] * SIZE);
    stroke.forEach(([x, y]) => context.lineTo(x * SIZE, y * SIZE));
    if (stroke.length === 1) context.lineTo(stroke[0][0] * SIZE + 0.1, stroke[0][1] * SIZE);
    context.stroke();
  }
}

function cross(context, style, { at, down }) {
  const [x, y] = [at[0] * SIZE, at[1] * SIZE];
  context.strokeStyle = style.outlineColor;
  context.lineWidth = 2;
  context.beginPath();
  context.arc(x, y, down ? 6 : PEN / 2 + 2, 0, 2 * Math.PI);
  context.moveTo(x - 18, y);
  context.lineTo(x + 18, y);
  context.moveTo(x, y - 18);
  context.lineTo(x, y + 18);
  context.stroke();
}
