// A form for each kind of model: it shows the fields, and makes a request of what is in them.
//
// Each function takes the model and `changed`, to be called when there is something new to ask. It returns the form's
// `node` and `body()`, the request or null while there is nothing to ask; `example`, a request to show until then; and
// `file()` where a file is better sent.

import { board, show, shrunk } from "./drawing.js";
import { copyOf, element } from "./elements.js";

const FEW = 50; // options that are better chosen from a list than typed
const FREE = 8; // for a size that may be anything

/** Which form suits what the manifest says. */
export function formOf(model) {
  const steps = model.preprocessing.map((step) => step.name);
  if (model.writes) return promptForm;
  if (model.raw === "image") return imageForm;
  if (model.raw === "text") return textForm;
  return steps.includes("table_row") ? rowForm : tensorsForm;
}

function imageForm(model, changed) {
  const { width, height, channels, low, high } = model.preprocessing.find(({ name }) => name === "image").parameters;
  const node = copyOf("ask-image").firstElementChild;
  const parts = [".board canvas", ".pen", ".told", ".seen", ".picture", "#file"];
  const [canvas, dot, told, seen, picture, file] = parts.map((part) => node.querySelector(part));
  const { centered, dark } = node.elements;
  Object.assign(seen, { width, height });
  centered.checked = channels === 1; // of a colored picture the ink is rarely all that there is
  const blank = Array.from({ length: height }, () => Array(width).fill(0));
  const say = (text) => (told.textContent = text);
  const drawing = board({ canvas, dot, say, ratio: width / height, changed: read });
  let shares = null;

  function read() {
    const ink = drawing.ink();
    shares = ink && shrunk(ink, width, height, centered.checked);
    if (shares && dark.checked) shares = shares.map((row) => row.map((share) => 1 - share));
    show(shares ?? blank, seen);
    file.value = "";
    sent(seen);
  }
  function sent(what) {
    seen.hidden = what !== seen;
    picture.hidden = what !== picture;
    changed();
  }
  function load() {
    if (!file.files.length) return read();
    const reader = new FileReader();
    reader.addEventListener("load", () => {
      picture.src = reader.result;
      sent(picture);
    });
    reader.readAsDataURL(file.files[0]);
  }
  node.querySelector(".clear").addEventListener("click", drawing.clear);
  for (const choice of [centered, dark]) choice.addEventListener("change", read);
  file.addEventListener("change", load);
  show(blank, seen);

  const pixel = (share) => Array(channels).fill(Math.round(low + share * (high - low)));
  const drawn = () => shares && { instances: [shares.map((row) => row.map(pixel))] };
  const chosen = () => ({ instances: [{ b64: picture.src.split(",")[1] }] });
  return {
    node,
    body: () => (seen.hidden ? chosen() : drawn()),
    file: () => (seen.hidden ? { name: file.files[0].name } : { name: "drawing.png", address: () => seen.toDataURL() }),
  };
}

function textForm(model, changed) {
  const node = copyOf("ask-text").firstElementChild;
  const text = node.querySelector("textarea");
  node.addEventListener("input", changed);
  return {
    node,
    body: () => (text.value ? { instances: [text.value] } : null),
    example: { instances: ["A text of your own."] },
  };
}

function rowForm(model, changed) {
  const node = copyOf("ask-row").firstElementChild;
  const fields = model.inputs.map((input, place) => cell(input, model.columns[place] ?? {}));
  node.append(...fields.map(({ label, field, list }) => element("div", {}, label, field, ...(list ? [list] : []))));
  node.addEventListener("input", changed);
  const valueOf = (field) => (field.type === "number" ? field.valueAsNumber : field.value);
  const known = (value) => (value === "" || Number.isNaN(value) ? null : value);
  const row = () => ({
    instances: [Object.fromEntries(fields.map(({ field }) => [field.name, known(valueOf(field))]))],
  });
  return { node, body: () => (fields.some(({ field }) => field.value) ? row() : null), example: row() };
}

/** The field of a column: a list to choose from where there are few values, a hint at them where there are many. */
function cell(input, { name = input.name, kind, categories = [] }) {
  const told = { id: `cell-${input.name}`, name: input.name };
  const label = element("label", { htmlFor: told.id }, name);
  const values = kind === "boolean" ? ["true", "false"] : categories;
  const options = values.map((value) => element("option", { value }, value));
  if (options.length && options.length <= FEW) {
    return { label, field: element("select", told, element("option", { value: "" }, "–"), ...options) };
  }
  const type = kind === "date" ? "date" : input.dtype === "string" ? "text" : "number";
  const field = element("input", { ...told, type, step: "any" });
  if (!options.length) return { label, field };
  field.setAttribute("list", `${told.id}-list`);
  return { label, field, list: element("datalist", { id: `${told.id}-list` }, ...options) };
}

function promptForm(model) {
  const node = copyOf("ask-prompt").firstElementChild;
  const prompt = node.querySelector("textarea");
  prompt.value = ["The ", "the "].find((text) => [...text].every((c) => model.labels.includes(c))) ?? model.labels[0];
  const body = () => {
    const fields = [...node.elements].filter(({ name, value }) => name && value);
    return Object.fromEntries(fields.map(({ type, name, value }) => [name, type === "number" ? Number(value) : value]));
  };
  return { node, body, example: { text_input: prompt.value } };
}

function tensorsForm(model) {
  const node = copyOf("ask-tensors").firstElementChild;
  const text = node.querySelector("textarea");
  text.value = JSON.stringify(exampleOf(model.inputs));
  text.addEventListener("input", () => text.setCustomValidity(""));
  function body() {
    try {
      return JSON.parse(text.value);
    } catch (error) {
      text.setCustomValidity(error.message);
      text.reportValidity();
      return null;
    }
  }
  return { node, body };
}

/** A request of the right shape: one row, or whole tensors where the model does not take rows. */
function exampleOf(inputs) {
  const named = (from) =>
    Object.fromEntries(inputs.map(({ name, dtype, shape }) => [name, filled(shape.slice(from), zero(dtype))]));
  if (!inputs.every(({ shape }) => typeof shape[0] === "string")) return { inputs: named(0) };
  return { instances: [inputs.length > 1 ? named(1) : named(1)[inputs[0].name]] };
}

function filled([size, ...rest], value) {
  return size === undefined ? value : Array(Number(size) || FREE).fill(filled(rest, value));
}

function zero(dtype) {
  return dtype === "bool" ? false : dtype === "string" ? "" : 0;
}
