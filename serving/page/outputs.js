// The outputs of a model: bars for labels, a number, and the raw response.

import { element } from "./elements.js";

const MAX_LABELS = 12; // up to this many labels keep their order; of more, the most likely are shown
const MAX_CHARACTERS = 20_000; // of the raw response

/** Formats a number for people. */
export function formatNumber(value) {
  if (value === null) return "–"; // NaN and infinity
  return value.toLocaleString("en", Number.isInteger(value) ? {} : { maximumSignificantDigits: 5 });
}

/** Returns `show(response)`, which shows a response of `model` in `panel`; `show(null)` clears the panel. */
export function outputPanel(model, panel) {
  const [verdict, bars, raw] = [".verdict", ".bars", ".raw"].map((name) => panel.querySelector(name));
  return function show(response) {
    const [step] = model.postprocessing;
    const row = response && firstRow(response, step?.parameters.output);
    const ranked = response?.labels && row ? rankLabels(model.labels, row) : [];
    verdict.hidden = !step;
    raw.open ||= !step;
    const number = step?.name === "regression" && response ? formatPrediction(row, model.target) : "";
    const text = ranked.length ? response.labels[0] : number;
    if (verdict.textContent !== text) verdict.textContent = text; // screen readers read every change
    bars.replaceChildren(...ranked.map(labelBar));
    raw.hidden = !response;
    raw.querySelector("pre").textContent = response ? shorten(JSON.stringify(response)) : "";
  };
}

/** The first row of the output that the manifest names. */
function firstRow({ predictions, outputs }, output) {
  const [first] = predictions ?? [outputs?.[output]?.[0] ?? outputs?.[0]];
  return first?.[output] ?? first;
}

function formatPrediction(row, target) {
  return `${target ? `${target}: ` : ""}${formatNumber([row].flat(Infinity)[0])}`;
}

/** Labels with their scores and the filled part of their bars. */
function rankLabels(labels, scores) {
  const probabilities = scores.every((score) => score >= 0 && score <= 1);
  const [least, most] = [Math.min(0, ...scores), Math.max(...scores)];
  const rows = labels.map((label, i) => ({
    label,
    score: scores[i],
    best: scores[i] === most,
    part: probabilities ? scores[i] : (scores[i] - least) / (most - least || 1),
    text: probabilities ? `${(100 * scores[i]).toFixed(1)}%` : formatNumber(scores[i]),
  }));
  return rows.length > MAX_LABELS ? rows.sort((a, b) => b.score - a.score).slice(0, MAX_LABELS) : rows;
}

function labelBar({ label, part, text, best }) {
  const fill = element("span", { className: "fill" });
  fill.style.width = `${100 * part}%`;
  const track = element("span", { className: "track" }, fill);
  return element("li", { className: best ? "best" : "" }, element("span", { className: "label" }, label), track, text);
}

function shorten(text) {
  const rest = text.length - MAX_CHARACTERS;
  return rest > 0 ? `${text.slice(0, MAX_CHARACTERS)} … and ${rest} more characters` : text;
}
