// Requests to the server of this page, with the API key if it requires one.

/** An error response of the server; `status` is 0 if there is no response at all. */
export class ServerError extends Error {
  constructor(status, reason) {
    super(reason);
    this.status = status;
  }
}

export function saveKey(key) {
  sessionStorage.setItem("key", key);
}

export function hasKey() {
  return sessionStorage.getItem("key") !== null;
}

/** The path of a call of a model, relative to the page: `callPath(model, "v1", ":predict")`. */
export function callPath(model, protocol, call) {
  const version = model.isOnlyVersion ? "" : `/versions/${model.version}`;
  return `${protocol}/models/${encodeURIComponent(model.name)}${version}${call}`;
}

/** Sends a GET request, or a POST request if there is a body. */
export async function send(path, body, signal) {
  const headers = hasKey() ? { Authorization: `Bearer ${sessionStorage.getItem("key")}` } : {};
  const post = { method: "POST", body: JSON.stringify(body) };
  const response = await fetch(path, { headers, signal, ...(body === undefined ? {} : post) }).catch((error) => {
    throw error.name === "AbortError" ? error : new ServerError(0, "The server does not respond.");
  });
  if (!response.ok) throw new ServerError(response.status, await errorReason(response));
  return response;
}

/** Yields each text of a stream of server-sent events as it arrives. */
export async function* streamText(path, body, signal) {
  const response = await send(path, body, signal);
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  for (let rest = "", read; !(read = await reader.read()).done; ) {
    const events = (rest + read.value).split("\n\n");
    rest = events.pop();
    for (const event of events) {
      const { error, text_output } = JSON.parse(event.replace(/^data: /, ""));
      if (error) throw new ServerError(200, error);
      yield text_output;
    }
  }
}

async function errorReason(response) {
  const text = await response.text();
  try {
    return JSON.parse(text).error ?? text;
  } catch {
    return text || `The server responded with status ${response.status}.`;
  }
}
