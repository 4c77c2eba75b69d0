// What a model answered: bars for labels, a number, and the answer as it came.

import { element } from "./elements.js";

const MOST = 12; // labels that are shown in their own order; of more, the likeliest ones are
const LONGEST = 20_000; // characters of an answer that are shown as they came

/** A number as a person reads it. */
export function readable(value) {
  if (value === null) return "–"; // what is no number in JSON
  return value.toLocaleString("en", Number.isInteger(value) ? {} : { maximumSignificantDigits: 5 });
}

/** Shows answers of `model` in `panel`: `show(answer)`, and `show(null)` for none. */
export function answers(model, panel) {
  const [verdict, bars, raw] = [".verdict", ".bars", ".raw"].map((name) => panel.querySelector(name));
  return function show(answer) {
    const [step] = model.postprocessing;
    const row = answer && rowOf(answer, step?.parameters.output);
    const ranked = answer?.labels && row ? rank(model.labels, row) : [];
    verdict.hidden = !step;
    raw.open ||= !step;
    const number = step?.name === "regression" && answer ? numberOf(row, model.target) : "";
    const told = ranked.length ? answer.labels[0] : number;
    if (verdict.textContent !== told) verdict.textContent = told;
    bars.replaceChildren(...ranked.map(bar));
    raw.hidden = !answer;
    raw.querySelector("pre").textContent = answer ? shortened(JSON.stringify(answer)) : "";
  };
}

/** The first row's answer, of the output that the manifest explains. */
function rowOf({ predictions, outputs }, output) {
  const [first] = predictions ?? [outputs?.[output]?.[0] ?? outputs?.[0]];
  return first?.[output] ?? first;
}

function numberOf(row, target) {
  return `${target ? `${target}: ` : ""}${readable([row].flat(Infinity)[0])}`;
}

/** Labels with their scores and the part of a bar that each fills. */
function rank(labels, scores) {
  const shares = scores.every((score) => score >= 0 && score <= 1);
  const [least, most] = [Math.min(0, ...scores), Math.max(...scores)];
  const rows = labels.map((label, place) => ({
    label,
    score: scores[place],
    best: scores[place] === most,
    part: shares ? scores[place] : (scores[place] - least) / (most - least || 1),
    text: shares ? `${(100 * scores[place]).toFixed(1)}%` : readable(scores[place]),
  }));
  return rows.length > MOST ? rows.sort((a, b) => b.score - a.score).slice(0, MOST) : rows;
}

function bar({ label, part, text, best }) {
  const fill = element("span", { className: "fill" });
  fill.style.width = `${100 * part}%`;
  const track = element("span", { className: "track" }, fill);
  return element("li", { className: best ? "best" : "" }, element("span", { className: "label" }, label), track, text);
}

function shortened(text) {
  return text.length > LONGEST ? `${text.slice(0, LONGEST)} … and ${text.length - LONGEST} characters more` : text;
}
