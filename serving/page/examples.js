// The request that the form makes, as a person sends it from a shell or from Python.

const LONG = 2000; // characters of a request that is better kept in a file

/**
 * Both examples and the file that they read, if any: a `picture` that is sent in place of `body`, or a body that is
 * long. With `key` they take one from the environment, so that no copy of them holds it.
 */
export function examples({ url, body, picture, key }) {
  const text = JSON.stringify(body);
  const file = picture ?? (text.length > LONG ? jsonFile(text) : undefined);
  const way = picture ? asPicture(file.name) : file ? asFile(file.name) : asText(text, body);
  return { file, curl: curl(url, way, key), python: python(url, way, key) };
}

function jsonFile(text) {
  return { name: "request.json", address: () => `data:application/json,${encodeURIComponent(text)}` };
}

function asText(text, body) {
  return { data: quoted(text), lines: [`body = json.dumps(${literal(body)}).encode()`] };
}

function asFile(name) {
  return { data: quoted(`@${name}`), lines: [`body = open(${literal(name)}, "rb").read()`] };
}

function asPicture(name) {
  const picture = `"$(base64 < ${quoted(name)} | tr -d '\\n')"`;
  return {
    before: `printf '{"instances": [{"b64": "%s"}]}' ${picture} |\n  `,
    data: "@-",
    modules: ["base64"],
    lines: [
      `picture = base64.b64encode(open(${literal(name)}, "rb").read()).decode()`,
      'body = json.dumps({"instances": [{"b64": picture}]}).encode()',
    ],
  };
}

function curl(url, { before = "", data }, key) {
  return `${before}curl ${quoted(url)} \\\n  ${key ? '-H "Authorization: Bearer $KEY" ' : ""}-d ${data}`;
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

/** A word of a shell. */
function quoted(text) {
  return `'${text.replaceAll("'", "'\\''")}'`;
}

/** A value in Python, which takes JSON's texts and numbers as they are. */
function literal(value) {
  if (Array.isArray(value)) return `[${value.map(literal).join(", ")}]`;
  if (value === null || typeof value === "boolean") return { null: "None", true: "True", false: "False" }[value];
  if (typeof value !== "object") return JSON.stringify(value);
  return `{${Object.entries(value).map((pair) => pair.map(literal).join(": ")).join(", ")}}`;
}
