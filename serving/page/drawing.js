// A board to draw on, and the small image that a model is asked with.

const SIDE = 280;
const INK = 0.1; // the width of a line, as a share of the board
const MARGIN = 4 / 28; // MNIST's: its digits fill 20 of 28 pixels
const SMALL = 16; // sides below this have no pixels to spare for a margin

/**
 * Lets a person draw on `canvas` with a pointer or the keyboard. `changed` is called when the drawing did, `say` with
 * what cannot be seen; `dot` shows where the pen is while the keyboard moves it.
 */
export function board({ canvas, dot, say, ratio, changed }) {
  canvas.width = Math.round(SIDE * Math.min(1, ratio));
  canvas.height = Math.round(SIDE * Math.min(1, 1 / ratio));
  const pen = penOn(canvas, dot, changed);
  followPointer(canvas, pen);
  followKeys(canvas, pen, say);
  return pen;
}

function penOn(canvas, dot, changed) {
  const { width, height } = canvas;
  const context = canvas.getContext("2d", { willReadFrequently: true });
  Object.assign(context, { lineWidth: INK * SIDE, lineCap: "round" });
  const at = { x: width / 2, y: height / 2 };
  let frame = 0;

  const pen = {
    at,
    down: false,
    moveTo(x, y) {
      const from = { ...at };
      at.x = Math.max(0, Math.min(width, x));
      at.y = Math.max(0, Math.min(height, y));
      dot.style.left = `${(100 * at.x) / width}%`;
      dot.style.top = `${(100 * at.y) / height}%`;
      if (pen.down) line(from);
    },
    put(down) {
      pen.down = down;
      dot.classList.toggle("down", down);
      if (down) line(at);
    },
    show(shown) {
      dot.hidden = !shown;
    },
    clear() {
      context.clearRect(0, 0, width, height);
      tell();
    },
    ink: () => inkOf(context.getImageData(0, 0, width, height)),
  };

  function line(from) {
    context.beginPath();
    context.moveTo(from.x, from.y);
    context.lineTo(at.x, at.y);
    context.stroke();
    tell();
  }

  /** Of all that was drawn between two frames, once. */
  function tell() {
    cancelAnimationFrame(frame);
    frame = requestAnimationFrame(changed);
  }

  pen.moveTo(at.x, at.y);
  return pen;
}

function followPointer(canvas, pen) {
  function follow(event) {
    const box = canvas.getBoundingClientRect();
    const scale = canvas.width / box.width;
    pen.moveTo((event.clientX - box.left) * scale, (event.clientY - box.top) * scale);
  }
  canvas.addEventListener("pointerdown", (event) => {
    if (event.button || !event.isPrimary) return;
    canvas.setPointerCapture(event.pointerId);
    pen.show(false);
    pen.put(false);
    follow(event);
    pen.put(true);
  });
  canvas.addEventListener("pointermove", (event) => {
    if (canvas.hasPointerCapture(event.pointerId)) (event.getCoalescedEvents?.() ?? [event]).forEach(follow);
  });
  for (const end of ["pointerup", "pointercancel"]) canvas.addEventListener(end, () => pen.put(false));
}

function followKeys(canvas, pen, say) {
  const step = SIDE / 28;
  const move = (x, y) => () => pen.moveTo(pen.at.x + x * step, pen.at.y + y * step);
  const keys = {
    ArrowLeft: move(-1, 0),
    ArrowRight: move(1, 0),
    ArrowUp: move(0, -1),
    ArrowDown: move(0, 1),
    " "() {
      pen.put(!pen.down);
      say(pen.down ? "Pen down" : "Pen up");
    },
    Delete() {
      pen.clear();
      say("Cleared");
    },
  };
  canvas.addEventListener("keydown", (event) => {
    if (!(event.key in keys) || event.ctrlKey || event.altKey || event.metaKey) return;
    event.preventDefault();
    pen.show(true);
    say("");
    keys[event.key]();
  });
  canvas.addEventListener("focus", () => pen.show(canvas.matches(":focus-visible")));
  canvas.addEventListener("blur", () => {
    pen.put(false);
    pen.show(false);
  });
}

/** The drawing as numbers from 0 to 1, the box that holds it and its center of mass; null if there is none. */
function inkOf({ data, width, height }) {
  const amount = new Float32Array(width * height);
  const box = { left: width, right: 0, top: height, bottom: 0 };
  const sum = { ink: 0, x: 0, y: 0 };
  for (let y = 0, at = 0; y < height; y++) {
    for (let x = 0; x < width; x++, at++) {
      const ink = (amount[at] = data[4 * at + 3] / 255);
      if (!ink) continue;
      box.left = Math.min(box.left, x);
      box.right = Math.max(box.right, x + 1);
      box.top = Math.min(box.top, y);
      box.bottom = y + 1;
      sum.ink += ink;
      sum.x += ink * (x + 0.5);
      sum.y += ink * (y + 0.5);
    }
  }
  return sum.ink ? { amount, width, height, box, mass: { x: sum.x / sum.ink, y: sum.y / sum.ink } } : null;
}

/**
 * How much ink falls on each pixel of a small image, row by row.
 * Centered, the ink fills all but a margin and its center of mass is in the middle: this is how MNIST was made of
 * its originals, and a model that learned from it knows nothing else.
 */
export function shrunk(ink, width, height, centered) {
  const whole = { x: ink.width / 2, y: ink.height / 2, scale: ink.width / width };
  const view = centered ? closeView(ink, width, height) : whole;
  const edges = (center, cells) =>
    Array.from({ length: cells + 1 }, (_, cell) => Math.round(center + (cell - cells / 2) * view.scale));
  const columns = edges(view.x, width);
  const rows = edges(view.y, height);
  return Array.from({ length: height }, (_, y) =>
    Array.from({ length: width }, (_, x) => average(ink, columns[x], columns[x + 1], rows[y], rows[y + 1])),
  );
}

function closeView({ box, mass }, width, height) {
  const roomy = Math.min(width, height) >= SMALL;
  const share = roomy ? 1 - 2 * MARGIN : 1;
  const scale = Math.max((box.right - box.left) / (share * width), (box.bottom - box.top) / (share * height));
  return roomy ? { ...mass, scale } : { x: (box.left + box.right) / 2, y: (box.top + box.bottom) / 2, scale };
}

function average({ amount, width, height }, left, right, top, bottom) {
  right = Math.max(right, left + 1); // of a drawing smaller than the image a cell is no whole pixel
  bottom = Math.max(bottom, top + 1);
  let sum = 0;
  for (let y = Math.max(top, 0); y < Math.min(bottom, height); y++) {
    for (let x = Math.max(left, 0); x < Math.min(right, width); x++) sum += amount[y * width + x];
  }
  return sum / ((right - left) * (bottom - top));
}

/** Shows such an image on a canvas, 0 as black and 1 as white. */
export function show(shares, canvas) {
  const context = canvas.getContext("2d");
  const image = context.createImageData(canvas.width, canvas.height);
  shares.flat().forEach((share, at) => image.data.set([255 * share, 255 * share, 255 * share, 255], 4 * at));
  context.putImageData(image, 0, 0);
}
