// The server that the page came from: asked with the key that the person gave, if it wants one.

/** The server said no; `status` 0 is for one that does not answer at all. */
export class Refused extends Error {
  constructor(status, reason) {
    super(reason);
    this.status = status;
  }
}

export function keep(key) {
  sessionStorage.setItem("key", key);
}

export function hasKey() {
  return sessionStorage.getItem("key") !== null;
}

/** Where a model's call is, relative to the page: `address(model, "v1", ":predict")`. */
export function address(model, protocol, call) {
  const version = model.only ? "" : `/versions/${model.version}`;
  return `${protocol}/models/${encodeURIComponent(model.name)}${version}${call}`;
}

/** The answer to a GET, or to a POST if there is a body. */
export async function ask(path, body, signal) {
  const headers = hasKey() ? { Authorization: `Bearer ${sessionStorage.getItem("key")}` } : {};
  const post = { method: "POST", body: JSON.stringify(body) };
  const response = await fetch(path, { headers, signal, ...(body === undefined ? {} : post) }).catch((error) => {
    throw error.name === "AbortError" ? error : new Refused(0, "The server does not answer.");
  });
  if (!response.ok) throw new Refused(response.status, await reason(response));
  return response;
}

/** Each text of a stream of server-sent events, when it comes. */
export async function* pieces(path, body, signal) {
  const response = await ask(path, body, signal);
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  for (let rest = "", read; !(read = await reader.read()).done; ) {
    const events = (rest + read.value).split("\n\n");
    rest = events.pop();
    for (const event of events) {
      const { error, text_output } = JSON.parse(event.replace(/^data: /, ""));
      if (error) throw new Refused(200, error);
      yield text_output;
    }
  }
}

async function reason(response) {
  const text = await response.text();
  try {
    return JSON.parse(text).error ?? text;
  } catch {
    return text || `The server answered ${response.status}.`;
  }
}
