// Code examples that send the request of the form, with curl and with Python.

const MAX_INLINE = 2000; // characters; a longer request is read from a file

/**
 * Returns both examples and the file that they read, if any: an `image` instead of `body`, or a long body.
 * With `key`, they read the API key from the environment, so that copies of the examples do not contain it.
 */
export function makeExamples({ url, body, image, key }) {
  const text = JSON.stringify(body);
  const file = image ?? (text.length > MAX_INLINE ? jsonFile(text) : undefined);
  const source = image ? fromImage(file.name) : file ? fromFile(file.name) : fromText(text, body);
  return { file, curl: curl(url, source, key), python: python(url, source, key) };
}

function jsonFile(text) {
  return { name: "request.json", address: () => `data:application/json,${encodeURIComponent(text)}` };
}

function fromText(text, body) {
  return { data: quote(text), lines: [`body = json.dumps(${literal(body)}).encode()`] };
}

function fromFile(name) {
  return { data: quote(`@${name}`), lines: [`body = open(${literal(name)}, "rb").read()`] };
}

function fromImage(name) {
  const image = `"$(base64 < ${quote(name)} | tr -d '\\n')"`;
  return {
    before: `printf '{"instances": [{"b64": "%s"}]}' ${image} |\n  `,
    data: "@-",
    modules: ["base64"],
    lines: [
      `image = base64.b64encode(open(${literal(name)}, "rb").read()).decode()`,
      'body = json.dumps({"instances": [{"b64": image}]}).encode()',
    ],
  };
}

function curl(url, { before = "", data }, key) {
  return `${before}curl ${quote(url)} \\\n  ${key ? '-H "Authorization: Bearer $KEY" ' : ""}-d ${data}`;
}

function python(url, { modules = [], lines }, key) {
  const headers = key ? ', {"Authorization": "Bearer " + os.environ["KEY"]}' : "";
  return [
    ...[...modules, "json", ...(key ? ["os"] : [])].map((name) => `import ${name}`),
    "from urllib.request import Request, urlopen",
    "",
    ...lines,
    `with urlopen(Request(${literal(url)}, body${headers})) as response:`,
    "    print(json.load(response))",
  ].join("\n");
}

/** Quotes a text for the shell. */
function quote(text) {
  return `'${text.replaceAll("'", "'\\''")}'`;
}

/** Writes a JSON value as Python source; strings and numbers are the same in both. */
function literal(value) {
  if (Array.isArray(value)) return `[${value.map(literal).join(", ")}]`;
  if (value === null || typeof value === "boolean") return { null: "None", true: "True", false: "False" }[value];
  if (typeof value !== "object") return JSON.stringify(value);
  return `{${Object.entries(value).map((pair) => pair.map(literal).join(": ")).join(", ")}}`;
}
