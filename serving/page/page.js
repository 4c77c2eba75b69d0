// The page: a list of the models, and the selected model with its form, outputs, metrics and card.

import { renderCard } from "./card.js";
import { copyTemplate, download, element, showError } from "./elements.js";
import { makeExamples } from "./examples.js";
import { formFor } from "./forms.js";
import { formatNumber, outputPanel } from "./outputs.js";
import { callPath, hasKey, saveKey, send, streamText } from "./server.js";

const find = (selector, within = document) => within.querySelector(selector);
let models = [];

async function start() {
  try {
    models = await (await send("models")).json();
  } catch (error) {
    return reportError(error, find("#page-error"));
  }
  find("#key").hidden = true;
  for (const model of models) model.isOnlyVersion = models.filter(({ name }) => name === model.name).length === 1;
  find("#models").replaceChildren(...models.map((model) => element("li", {}, modelLink(model))));
  showSelected();
}

/** Shows an error in `node`; for a missing or wrong API key, shows the field for the key too. */
function reportError(error, node) {
  if (error.name === "AbortError") return;
  if (error.status !== 401) return showError(node, error.message);
  showError(node, hasKey() ? "The server rejected this key." : "The server requires an API key.");
  find("#key").hidden = false;
  find("#secret").focus();
}

function modelLink(model) {
  const title = element("span", { className: "title" }, modelTitle(model));
  return element("a", { href: versionHash(model) }, title, element("small", {}, model.task.replaceAll("_", " ")));
}

function modelTitle(model) {
  return model.isOnlyVersion ? model.name : `${model.name} ${model.version}`;
}

function versionHash(model) {
  return `${modelHash(model)}/${model.version}`;
}

function modelHash(model) {
  return `#/${encodeURIComponent(model.name)}`;
}

/** Shows the model in the address. Without a version, this is the newest one; without a name, the first model. */
function showSelected() {
  const { hash } = location;
  const hasName = hash.length > "#/".length;
  const selected = models.find((model) => !hasName || [versionHash(model), modelHash(model)].includes(hash));
  const message = models.length ? `${hash.slice(2)} is not served.` : "The server has no model.";
  showError(find("#page-error"), selected ? "" : message);
  const selectedHash = selected && versionHash(selected);
  for (const link of document.querySelectorAll("nav a")) link.ariaCurrent = link.hash === selectedHash ? "page" : null;
  document.title = selected ? `${modelTitle(selected)} – kerasfound` : "kerasfound";
  find("#selected").replaceChildren(...(selected ? [modelSection(selected)] : []));
}

function modelSection(model) {
  const section = copyTemplate("model-section");
  find("h2", section).textContent = model.name;
  find(".about", section).textContent = `Version ${model.version}, ${model.task.replaceAll("_", " ")}`;
  showMetrics(model, section);
  find(".card div", section).append(...renderCard(model.card));
  find(".card", section).hidden = !model.card;
  const panels = { input: find(".input", section), output: find(".output", section), examples: find(".examples", section) };
  (model.generates_text ? connectGenerator : connectPredictor)(model, panels);
  for (const example of section.querySelectorAll(".example")) addCopyButton(example);
  return section;
}

function showMetrics(model, section) {
  const { measured_on: source, baseline } = model;
  const rows = Object.entries(model.metrics).map(([name, value]) => {
    const cells = [value, baseline?.metrics[name]].map((x) => element("td", {}, x === undefined ? "" : formatNumber(x)));
    return element("tr", {}, element("th", { scope: "row" }, name.replaceAll("_", " ")), ...cells);
  });
  find(".metrics tbody", section).append(...rows);
  find(".metrics thead", section).hidden = !baseline;
  find(".baseline", section).textContent = !baseline
    ? ""
    : `Without a model: ${baseline.name}.` + (baseline.verdict && ` The model is ${baseline.verdict}.`);
  find(".metrics-source", section).textContent = !rows.length
    ? "Not measured."
    : source && `On the ${formatNumber(source.rows)} rows of the ${source.split} split of ${source.data}.`;
}

/** Connects form and output of a model: it runs after every change, or on submit if the form has a button. */
function connectPredictor(model, panels) {
  const path = callPath(model, "v1", ":predict");
  const show = outputPanel(model, panels.output);
  const errorNode = find(".error", panels.output);
  const runLatest = oneAtATime(run);
  const form = formFor(model)(model, runLatest);

  async function run() {
    const body = form.body();
    showExamples(path, form, panels.examples);
    try {
      show(body && (await (await send(path, body)).json()));
      showError(errorNode);
    } catch (error) {
      show(null);
      reportError(error, errorNode);
    }
  }
  addForm(form.node, panels.input, runLatest);
  show(null);
  showExamples(path, form, panels.examples);
}

/** Connects form and output of a language model: the text appears as it is generated, until it ends or is stopped. */
function connectGenerator(model, panels) {
  const form = formFor(model)(model);
  const errorNode = find(".error", panels.output);
  const output = find(".verdict", panels.output);
  const [button, stop] = form.node.querySelectorAll("button");
  let controller;

  async function generate() {
    controller?.abort();
    const { signal } = (controller = new AbortController());
    const body = form.body();
    showError(errorNode);
    output.replaceChildren();
    setBusy(true);
    try {
      for await (const piece of streamText(callPath(model, "v2", "/generate_stream"), body, signal)) {
        if (!output.hasChildNodes()) output.append(element("span", { className: "prompt-text" }, body.text_input));
        output.append(piece);
        if (!output.isConnected) controller.abort(); // another model was selected
      }
    } catch (error) {
      reportError(error, errorNode);
    }
    setBusy(false);
  }
  function setBusy(busy) {
    output.ariaBusy = String(busy);
    button.disabled = busy;
    stop.disabled = !busy;
  }
  const update = () => showExamples(callPath(model, "v2", "/generate"), form, panels.examples);
  form.node.addEventListener("input", update);
  stop.addEventListener("click", () => controller.abort());
  output.classList.add("generated");
  addForm(form.node, panels.input, generate);
  update();
}

function addForm(form, panel, submit) {
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    submit();
  });
  panel.append(form);
}

/** Returns a function that runs `task`, but never twice at a time: changes during a run cause one more run. */
function oneAtATime(task) {
  let changed = false;
  let running = false;
  return async () => {
    changed = true;
    if (running) return;
    for (running = true; changed; ) {
      changed = false;
      await task();
    }
    running = false;
  };
}

/** Shows the code examples for the current input of the form. */
function showExamples(path, form, panel) {
  const url = new URL(path, document.baseURI).href;
  const body = form.body() ?? form.example ?? {};
  const { file, curl, python } = makeExamples({ url, body, image: form.file?.(), key: hasKey() });
  find(".curl pre", panel).textContent = curl;
  find(".python pre", panel).textContent = python;
  const note = find(".file", panel);
  note.hidden = !file;
  if (!file) return;
  const button = element("button", { type: "button", hidden: !file.address }, `Save ${file.name}`);
  button.addEventListener("click", () => download(file));
  note.replaceChildren(`Both examples read ${file.name} from the current folder. `, button);
}

function addCopyButton(example) {
  const [button, code] = [find("button", example), find("pre", example)];
  const name = find("h4", example).textContent;
  button.ariaLabel = `Copy the ${name} example`;
  button.addEventListener("click", async () => {
    getSelection().selectAllChildren(code);
    // Browsers offer the clipboard only on https and localhost; execCommand works everywhere.
    if (navigator.clipboard) await navigator.clipboard.writeText(code.textContent);
    else document.execCommand("copy");
    button.textContent = "Copied";
    setTimeout(() => (button.textContent = "Copy"), 2000);
  });
}

find("#key").addEventListener("submit", (event) => {
  event.preventDefault();
  saveKey(find("#secret").value);
  start();
});
addEventListener("hashchange", () => location.hash.startsWith("#/") && showSelected());
start();
