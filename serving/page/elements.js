// Helpers that build the page. Text is always inserted as text, never as HTML: names, labels and cards are not trusted.

/** Creates an element: `element("a", { href: "#x" }, "text", child)`. */
export function element(tag, properties = {}, ...children) {
  const node = Object.assign(document.createElement(tag), properties);
  node.append(...children);
  return node;
}

/** Copies the content of a template. */
export function copyTemplate(template) {
  return document.getElementById(template).content.cloneNode(true);
}

/** Shows an error message in `node`, or hides the node if there is no message. */
export function showError(node, message = "") {
  node.textContent = message;
  node.hidden = !message;
}

/** Downloads a file. */
export function download({ name, address }) {
  element("a", { download: name, href: address() }).click();
}
