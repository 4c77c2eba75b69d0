// A form for each kind of model: it shows the input fields and builds a request from them.
//
// Each function takes the model and `changed`, which the form calls when the input changes. It returns the form's `node`
// and `body()`: the request, or null while the form is empty. `example` is a request for the code examples of an empty
// form. `file()` returns the image file of an image form.

import { createBoard, drawImage, shrink } from "./drawing.js";
import { copyTemplate, element } from "./elements.js";

const MAX_OPTIONS = 50; // up to this many options, the field is a list
const ISO_DATE = /^\d{4}-\d\d-\d\d$/; // what a date field of the browser returns
const DYNAMIC_SIZE = 8; // the size of dynamic dimensions in example requests

/** Returns the form for the inputs of a model. */
export function formFor(model) {
  const steps = model.preprocessing.map((step) => step.name);
  if (model.generates_text) return promptForm;
  if (model.inputs.length === 1 && model.inputs[0].name in model.raw_inputs) {
    return { image: imageForm, text: textForm }[model.raw_inputs[model.inputs[0].name]];
  }
  return steps.includes("table_row") ? rowForm : tensorsForm;
}

function imageForm(model, changed) {
  const { width, height, channels, low, high } = model.preprocessing.find(({ name }) => name === "image").parameters;
  const node = copyTemplate("input-image").firstElementChild;
  const parts = [".board canvas", ".pen", ".status", ".preview", ".upload", "#file"];
  const [canvas, dot, status, preview, upload, file] = parts.map((part) => node.querySelector(part));
  const { centered, dark } = node.elements;
  Object.assign(preview, { width, height });
  upload.style.aspectRatio = `${width} / ${height}`; // an image of other proportions is squeezed, as the model sees it
  centered.checked = channels === 1; // color images are rarely ink on an empty background
  const blank = Array.from({ length: height }, () => Array(width).fill(0));
  const announce = (text) => (status.textContent = text);
  const drawing = createBoard({ canvas, dot, announce, ratio: width / height, changed: readDrawing });
  let shares = null;

  function readDrawing() {
    const ink = drawing.ink();
    shares = ink && shrink(ink, width, height, centered.checked);
    if (shares && dark.checked) shares = shares.map((row) => row.map((share) => 1 - share));
    drawImage(shares ?? blank, preview);
    file.value = "";
    use(preview);
  }
  function use(source) {
    preview.hidden = source !== preview;
    upload.hidden = source !== upload;
    changed();
  }
  function readFile() {
    if (!file.files.length) return readDrawing();
    const reader = new FileReader();
    reader.addEventListener("load", () => {
      upload.src = reader.result;
      use(upload);
    });
    reader.readAsDataURL(file.files[0]);
  }
  node.querySelector(".clear").addEventListener("click", drawing.clear);
  for (const choice of [centered, dark]) choice.addEventListener("change", readDrawing);
  file.addEventListener("change", readFile);
  drawImage(blank, preview);

  const pixel = (share) => Array(channels).fill(Math.round(low + share * (high - low)));
  const drawingBody = () => shares && { instances: [shares.map((row) => row.map(pixel))] };
  const uploadBody = () => ({ instances: [{ b64: upload.src.split(",")[1] }] });
  return {
    node,
    body: () => (preview.hidden ? uploadBody() : drawingBody()),
    file: () =>
      preview.hidden ? { name: file.files[0].name } : { name: "drawing.png", address: () => preview.toDataURL() },
  };
}

function textForm(model, changed) {
  const node = copyTemplate("input-text").firstElementChild;
  const text = node.querySelector("textarea");
  node.addEventListener("input", changed);
  return {
    node,
    body: () => (text.value ? { instances: [text.value] } : null),
    example: { instances: ["Your text."] },
  };
}

function rowForm(model, changed) {
  const node = copyTemplate("input-row").firstElementChild;
  const fields = model.inputs.map((input, i) => columnField(input, model.columns[i] ?? {}));
  node.append(...fields.map(({ label, field, list }) => element("div", {}, label, field, ...(list ? [list] : []))));
  node.addEventListener("input", changed);
  const valueOf = (field) => (field.type === "number" ? field.valueAsNumber : field.value);
  const valueOrNull = (value) => (value === "" || Number.isNaN(value) ? null : value);
  const row = () => ({
    instances: [Object.fromEntries(fields.map(({ field }) => [field.name, valueOrNull(valueOf(field))]))],
  });
  return { node, body: () => (fields.some(({ field }) => field.value) ? row() : null), example: row() };
}

/** The field of a column: a list for few categories, a text field with suggestions for many. */
function columnField(input, { name = input.name, kind, categories = [], example = "" }) {
  const attributes = { id: `cell-${input.name}`, name: input.name };
  const label = element("label", { htmlFor: attributes.id }, name);
  const values = kind === "boolean" ? ["true", "false"] : categories;
  const options = values.map((value) => element("option", { value }, value));
  if (options.length && options.length <= MAX_OPTIONS) {
    return { label, field: element("select", attributes, element("option", { value: "" }, "–"), ...options) };
  }
  const isDate = kind === "date" && (!example || ISO_DATE.test(example));
  const type = isDate ? "date" : input.dtype === "string" ? "text" : "number";
  const field = element("input", { ...attributes, type, step: "any", placeholder: example });
  if (!options.length) return { label, field };
  field.setAttribute("list", `${attributes.id}-list`);
  return { label, field, list: element("datalist", { id: `${attributes.id}-list` }, ...options) };
}

function promptForm(model) {
  const node = copyTemplate("input-prompt").firstElementChild;
  const prompt = node.querySelector("textarea");
  prompt.value = ["The ", "the "].find((text) => [...text].every((c) => model.labels.includes(c))) ?? model.labels[0];
  const body = () => {
    const fields = [...node.elements].filter(({ name, value }) => name && value);
    return Object.fromEntries(fields.map(({ type, name, value }) => [name, type === "number" ? Number(value) : value]));
  };
  return { node, body, example: { text_input: prompt.value } };
}

function tensorsForm(model) {
  const node = copyTemplate("input-tensors").firstElementChild;
  const text = node.querySelector("textarea");
  const accepted = ({ name, shape, ...rest }) =>
    model.raw_inputs[name] === "text" ? { name, dtype: "string", shape: shape.slice(0, 1) } : { name, shape, ...rest };
  text.value = JSON.stringify(exampleRequest(model.inputs.map(accepted)));
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

/** An example request with the right shapes: one row, or whole tensors if the model has no batch axis. */
function exampleRequest(inputs) {
  const byName = (from) =>
    Object.fromEntries(inputs.map(({ name, dtype, shape }) => [name, nestedArray(shape.slice(from), zero(dtype))]));
  if (!inputs.every(({ shape }) => typeof shape[0] === "string")) return { inputs: byName(0) };
  return { instances: [inputs.length > 1 ? byName(1) : byName(1)[inputs[0].name]] };
}

function nestedArray([size, ...rest], value) {
  return size === undefined ? value : Array(Number(size) || DYNAMIC_SIZE).fill(nestedArray(rest, value));
}

function zero(dtype) {
  return dtype === "bool" ? false : dtype === "string" ? "" : 0;
}
