// Shows the Markdown of a model card: headings, paragraphs, lists, tables and code. Other markup is shown as text.

import { element } from "./elements.js";

const BLOCKS = [
  [/^#/, (lines) => heading(lines[0])],
  [/^\|/, table],
  [/^- /, (lines) => element("ul", {}, ...lines.map((line) => element("li", {}, ...inline(line.slice(2)))))],
  [/^/, (lines) => element("p", {}, ...inline(lines.join(" ")))],
];

/** Returns the card as elements. */
export function renderCard(markdown) {
  const blocks = markdown.split(/\n{2,}|(?<=^#.*)\n/m).map((block) => block.trim()).filter(Boolean);
  return blocks.map((block) => BLOCKS.find(([start]) => start.test(block))[1](block.split("\n")));
}

function heading(line) {
  const [, marks, text] = line.match(/^(#+)\s*(.*)$/);
  return element(`h${Math.min(marks.length + 3, 6)}`, {}, ...inline(text));
}

function table([head, , ...rows]) {
  const row = (line, tag) =>
    element("tr", {}, ...line.split("|").slice(1, -1).map((cell) => element(tag, {}, ...inline(cell.trim()))));
  const parts = [element("thead", {}, row(head, "th")), element("tbody", {}, ...rows.map((line) => row(line, "td")))];
  return element("div", { className: "wide", tabIndex: 0 }, element("table", {}, ...parts));
}

function inline(text) {
  return text.split("`").map((part, i) => (i % 2 ? element("code", {}, part) : part));
}
