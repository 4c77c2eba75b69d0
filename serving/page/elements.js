// Building what is shown. Texts go in as text, never as HTML: names, labels and cards may be anybody's.

/** A new element: `element("a", { href: "#x" }, "text", child)`. */
export function element(tag, properties = {}, ...children) {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...children);
  return made;
}

/** A copy of a template's content. */
export function copyOf(template) {
  return document.getElementById(template).content.cloneNode(true);
}

/** Says what went wrong at `place`, or nothing again. */
export function complain(place, message = "") {
  place.textContent = message;
  place.hidden = !message;
}

/** Hands the person a file. */
export function save({ name, address }) {
  element("a", { download: name, href: address() }).click();
}
