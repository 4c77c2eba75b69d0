// A drawing board, and the small image that the model receives.

const SIDE = 280;
const INK = 0.1; // the width of a line, as a share of the board
const MARGIN = 4 / 28; // as in MNIST, whose digits fill 20 of 28 pixels
const SMALL = 16; // an image with a side below this gets no margin

/**
 * Makes `canvas` a board for drawing with a pointer or the keyboard. Calls `changed` after each change of the drawing
 * and `announce` with the state of the pen; `dot` shows the position of the pen while the keyboard moves it.
 */
export function createBoard({ canvas, dot, announce, ratio, changed }) {
  canvas.width = Math.round(SIDE * Math.min(1, ratio));
  canvas.height = Math.round(SIDE * Math.min(1, 1 / ratio));
  const pen = createPen(canvas, dot, changed);
  followPointer(canvas, pen);
  followKeys(canvas, pen, announce);
  return pen;
}

function createPen(canvas, dot, changed) {
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
    press(down) {
      pen.down = down;
      dot.classList.toggle("down", down);
      if (down) line(at);
    },
    show(shown) {
      dot.hidden = !shown;
    },
    clear() {
      context.clearRect(0, 0, width, height);
      scheduleChange();
    },
    ink: () => measureInk(context.getImageData(0, 0, width, height)),
  };

  function line(from) {
    context.beginPath();
    context.moveTo(from.x, from.y);
    context.lineTo(at.x, at.y);
    context.stroke();
    scheduleChange();
  }

  /** Calls `changed` once per frame. */
  function scheduleChange() {
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
    pen.press(false);
    follow(event);
    pen.press(true);
  });
  canvas.addEventListener("pointermove", (event) => {
    if (canvas.hasPointerCapture(event.pointerId)) (event.getCoalescedEvents?.() ?? [event]).forEach(follow);
  });
  for (const end of ["pointerup", "pointercancel"]) canvas.addEventListener(end, () => pen.press(false));
}

function followKeys(canvas, pen, announce) {
  const step = SIDE / 28;
  const move = (x, y) => () => pen.moveTo(pen.at.x + x * step, pen.at.y + y * step);
  const keys = {
    ArrowLeft: move(-1, 0),
    ArrowRight: move(1, 0),
    ArrowUp: move(0, -1),
    ArrowDown: move(0, 1),
    " "() {
      pen.press(!pen.down);
      announce(pen.down ? "Pen down" : "Pen up");
    },
    Delete() {
      pen.clear();
      announce("Cleared");
    },
  };
  canvas.addEventListener("keydown", (event) => {
    if (!(event.key in keys) || event.ctrlKey || event.altKey || event.metaKey) return;
    event.preventDefault();
    pen.show(true);
    announce("");
    keys[event.key]();
  });
  canvas.addEventListener("focus", () => pen.show(canvas.matches(":focus-visible")));
  canvas.addEventListener("blur", () => {
    pen.press(false);
    pen.show(false);
  });
}

/** The drawing as numbers from 0 to 1, with its bounding box and center of mass; null if the board is empty. */
function measureInk({ data, width, height }) {
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
 * Scales the drawing down: returns the amount of ink on each pixel of a small image, row by row.
 * With `centered`, the ink fills the image except for a margin, and its center of mass is in the middle. MNIST was
 * made in this way, so models trained on it expect such images.
 */
export function shrink(ink, width, height, centered) {
  const whole = { x: ink.width / 2, y: ink.height / 2, scale: ink.width / width };
  const view = centered ? centeredView(ink, width, height) : whole;
  const edges = (center, cells) =>
    Array.from({ length: cells + 1 }, (_, cell) => Math.round(center + (cell - cells / 2) * view.scale));
  const columns = edges(view.x, width);
  const rows = edges(view.y, height);
  return Array.from({ length: height }, (_, y) =>
    Array.from({ length: width }, (_, x) => average(ink, columns[x], columns[x + 1], rows[y], rows[y + 1])),
  );
}

function centeredView({ box, mass }, width, height) {
  const hasMargin = Math.min(width, height) >= SMALL;
  const share = hasMargin ? 1 - 2 * MARGIN : 1;
  const scale = Math.max((box.right - box.left) / (share * width), (box.bottom - box.top) / (share * height));
  return hasMargin ? { ...mass, scale } : { x: (box.left + box.right) / 2, y: (box.top + box.bottom) / 2, scale };
}

function average({ amount, width, height }, left, right, top, bottom) {
  right = Math.max(right, left + 1); // in a small drawing, a cell can be less than one pixel
  bottom = Math.max(bottom, top + 1);
  let sum = 0;
  for (let y = Math.max(top, 0); y < Math.min(bottom, height); y++) {
    for (let x = Math.max(left, 0); x < Math.min(right, width); x++) sum += amount[y * width + x];
  }
  return sum / ((right - left) * (bottom - top));
}

/** Draws such an image on a canvas, 0 as black and 1 as white. */
export function drawImage(shares, canvas) {
  const context = canvas.getContext("2d");
  const image = context.createImageData(canvas.width, canvas.height);
  shares.flat().forEach((share, i) => image.data.set([255 * share, 255 * share, 255 * share, 255], 4 * i));
  context.putImageData(image, 0, 0);
}
