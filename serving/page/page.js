// The page: a list of the models, and the one that is chosen with its form, its numbers and its card.

import { answers, readable } from "./answers.js";
import { card } from "./card.js";
import { complain, copyOf, element, save } from "./elements.js";
import { examples } from "./examples.js";
import { formOf } from "./forms.js";
import { address, ask, hasKey, keep, pieces } from "./server.js";

const find = (selector, within = document) => within.querySelector(selector);
let models = [];

async function start() {
  const trouble = find("#trouble");
  try {
    models = await (await ask("models")).json();
  } catch (error) {
    return refused(error, trouble);
  }
  find("#key").hidden = true;
  for (const model of models) model.only = models.filter(({ name }) => name === model.name).length === 1;
  find("#models").replaceChildren(...models.map((model) => element("li", {}, linkTo(model))));
  choose();
}

/** Tells what went wrong where the person looks, and asks for a key if that is what the server wants. */
function refused(error, place) {
  if (error.name === "AbortError") return;
  if (error.status !== 401) return complain(place, error.message);
  complain(place, hasKey() ? "The server does not take this key." : "The server wants a key.");
  find("#key").hidden = false;
  find("#secret").focus();
}

function linkTo(model) {
  const title = element("span", { className: "title" }, titleOf(model));
  return element("a", { href: anchor(model) }, title, element("small", {}, model.task.replaceAll("_", " ")));
}

function titleOf(model) {
  return model.only ? model.name : `${model.name} ${model.version}`;
}

function anchor(model) {
  return `${newestOf(model)}/${model.version}`;
}

function newestOf(model) {
  return `#/${encodeURIComponent(model.name)}`;
}

/** Shows the model that the address names, its newest version if it names none, or the first of all. */
function choose() {
  const { hash } = location;
  const named = hash.length > "#/".length;
  const chosen = models.find((model) => !named || [anchor(model), newestOf(model)].includes(hash));
  const trouble = models.length ? `${hash.slice(2)} is not served here, or no longer.` : "No model is served.";
  complain(find("#trouble"), chosen ? "" : trouble);
  const here = chosen && anchor(chosen);
  for (const link of document.querySelectorAll("nav a")) link.ariaCurrent = link.hash === here ? "page" : null;
  document.title = chosen ? `${titleOf(chosen)} – kerasfound` : "kerasfound";
  find("#shown").replaceChildren(...(chosen ? [section(chosen)] : []));
}

function section(model) {
  const shown = copyOf("shown-model");
  find("h2", shown).textContent = model.name;
  find(".about", shown).textContent = `Version ${model.version}, ${model.task.replaceAll("_", " ")}`;
  measures(model, shown);
  find(".card div", shown).append(...card(model.card));
  find(".card", shown).hidden = !model.card;
  const panels = { asked: find(".asked", shown), answer: find(".answer", shown), examples: find(".examples", shown) };
  (model.writes ? writing : asking)(model, panels);
  for (const each of shown.querySelectorAll(".example")) copying(each);
  return shown;
}

function measures(model, shown) {
  const on = model.measured_on;
  const rows = Object.entries(model.metrics).map(([name, value]) =>
    element("tr", {}, element("th", { scope: "row" }, name.replaceAll("_", " ")), element("td", {}, readable(value))),
  );
  find(".measures tbody", shown).append(...rows);
  find(".measured", shown).textContent = !rows.length
    ? "Not measured."
    : on && `On the ${readable(on.rows)} rows of the ${on.split} split of ${on.data}.`;
}

/** A model that answers at once: it is asked whenever the form changes, or when the form is sent if it has a button. */
function asking(model, panels) {
  const path = address(model, "v1", ":predict");
  const show = answers(model, panels.answer);
  const complaint = find(".error", panels.answer);
  const again = newest(update);
  const form = formOf(model)(model, again);

  async function update() {
    const body = form.body();
    exampled(path, form, panels.examples);
    try {
      show(body && (await (await ask(path, body)).json()));
      complain(complaint);
    } catch (error) {
      show(null);
      refused(error, complaint);
    }
  }
  sending(form.node, panels.asked, again);
  show(null);
  exampled(path, form, panels.examples);
}

/** A model that writes: its text is shown as it comes, until it ends or is stopped. */
function writing(model, panels) {
  const form = formOf(model)(model);
  const complaint = find(".error", panels.answer);
  const output = find(".verdict", panels.answer);
  const [button, stop] = form.node.querySelectorAll("button");
  let stopping;

  async function write() {
    stopping?.abort();
    const { signal } = (stopping = new AbortController());
    const body = form.body();
    complain(complaint);
    output.replaceChildren();
    begun(true);
    try {
      for await (const piece of pieces(address(model, "v2", "/generate_stream"), body, signal)) {
        if (!output.hasChildNodes()) output.append(element("span", { className: "given" }, body.text_input));
        output.append(piece);
        if (!output.isConnected) stopping.abort(); // another model was chosen
      }
    } catch (error) {
      refused(error, complaint);
    }
    begun(false);
  }
  function begun(under_way) {
    output.ariaBusy = String(under_way);
    button.disabled = under_way;
    stop.disabled = !under_way;
  }
  const update = () => exampled(address(model, "v2", "/generate"), form, panels.examples);
  form.node.addEventListener("input", update);
  stop.addEventListener("click", () => stopping.abort());
  output.classList.add("written");
  sending(form.node, panels.asked, write);
  update();
}

function sending(form, place, send) {
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    send();
  });
  place.append(form);
}

/** Runs `task` again as long as something changed while it ran: one request at a time, and the last one counts. */
function newest(task) {
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

/** Shows how a program asks what the form asks now. */
function exampled(path, form, place) {
  const url = new URL(path, document.baseURI).href;
  const body = form.body() ?? form.example ?? {};
  const { file, curl, python } = examples({ url, body, picture: form.file?.(), key: hasKey() });
  find(".curl pre", place).textContent = curl;
  find(".python pre", place).textContent = python;
  const note = find(".file", place);
  note.hidden = !file;
  if (!file) return;
  const button = element("button", { type: "button", hidden: !file.address }, `Save ${file.name}`);
  button.addEventListener("click", () => save(file));
  note.replaceChildren(`Both read ${file.name} from the folder that they run in. `, button);
}

function copying(example) {
  const [button, code] = [find("button", example), find("pre", example)];
  const name = find("h4", example).textContent;
  button.ariaLabel = `Copy the ${name} example`;
  button.addEventListener("click", async () => {
    getSelection().selectAllChildren(code);
    // The clipboard is there on https and on this machine alone; the older way works everywhere.
    if (navigator.clipboard) await navigator.clipboard.writeText(code.textContent);
    else document.execCommand("copy");
    button.textContent = "Copied";
    setTimeout(() => (button.textContent = "Copy"), 2000);
  });
}

find("#key").addEventListener("submit", (event) => {
  event.preventDefault();
  keep(find("#secret").value);
  start();
});
addEventListener("hashchange", () => location.hash.startsWith("#/") && choose());
start();
