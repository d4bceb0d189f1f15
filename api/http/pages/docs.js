// Renders /openapi.json as a page on which every call can be tried. Text goes in as text, never as HTML.
"use strict";

const METHODS = ["get", "post", "put", "patch", "delete"];
let spec;
let token = "";

function element(tag, properties = {}, ...children) {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...children);
  return made;
}

function resolve(schema = {}) {
  if (schema.$ref) return resolve(schema.$ref.slice(2).split("/").reduce((at, key) => at[key], spec));
  const choices = schema.anyOf || schema.oneOf;
  return choices ? { ...resolve(choices[0]), ...schema } : schema;
}

// Something of the right shape to start from.
function example(schema) {
  const known = resolve(schema);
  const given = [known.example, known.examples?.[0], known.const, known.default, known.enum?.[0]];
  const chosen = given.find((value) => value !== undefined && value !== null);
  if (chosen !== undefined) return chosen;
  if (known.properties) {
    return Object.fromEntries(Object.entries(known.properties).map(([name, inner]) => [name, example(inner)]));
  }
  if (known.type === "array") return known.items?.oneOf ? known.items.oneOf.map(example) : [example(known.items)];
  if (known.type === "object") return {};
  if (known.type === "integer" || known.type === "number") return known.minimum ?? 1;
  if (known.type === "boolean") return false;
  if (known.format === "uuid") return "00000000-0000-7000-8000-000000000000";
  if (known.format === "date-time") return "2030-05-01T19:30:00Z";
  return "text";
}

function field(name, hint, required) {
  return element("label", {}, hint, element("input", { name, required }));
}

function inputs(operation) {
  const fields = (operation.parameters || []).map((each) =>
    field(`${each.in}:${each.name}`, `${each.name} (${each.in})`, each.required && each.in === "path"));
  const content = operation.requestBody?.content;
  if (content) {
    const [media, body] = Object.entries(content)[0];
    const value = media === "application/json"
      ? JSON.stringify(example(body.schema), null, 2)
      : new URLSearchParams(example(body.schema)).toString();
    fields.push(element("label", { className: "wide" }, media, element("textarea", { name: "body", value, spellcheck: false })));
    fields.at(-1).dataset.media = media;
  }
  return fields;
}

function requestFor(method, path, form) {
  const query = new URLSearchParams();
  const headers = token ? { Authorization: `Bearer ${token}` } : {};
  for (const { name, value } of form.querySelectorAll("input")) {
    const [where, key] = name.split(/:(.*)/);
    if (where === "path") path = path.replace(`{${key}}`, encodeURIComponent(value));
    else if (value && where === "query") query.append(key, value);
    else if (value && where === "header") headers[key] = value;
  }
  const body = form.querySelector("textarea");
  if (body) headers["Content-Type"] = body.parentElement.dataset.media;
  return [path + (query.size ? `?${query}` : ""), { method: method.toUpperCase(), headers, body: body?.value }];
}

async function send(method, path, form, shown) {
  shown.textContent = "…";
  try {
    const answer = await fetch(...requestFor(method, path, form));
    const text = await answer.text();
    let pretty = text;
    try { pretty = JSON.stringify(JSON.parse(text), null, 2); } catch { /* not JSON: shown as it is */ }
    shown.textContent = `${answer.status} ${answer.statusText}\n\n${pretty.slice(0, 20000)}`;
  } catch (error) {
    shown.textContent = String(error);
  }
}

function operationView(method, path, operation) {
  const shown = element("pre", { hidden: true });
  const form = element("form", {}, ...inputs(operation), element("button", {}, "Send"));
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    shown.hidden = false;
    send(method, path, form, shown);
  });
  const answers = Object.entries(operation.responses).map(([status, answer]) =>
    element("tr", {}, element("td", {}, status), element("td", {}, answer.description)));
  return element("details", {},
    element("summary", {},
      element("span", { className: "method" }, method.toUpperCase()),
      element("code", {}, path),
      operation.summary || ""),
    element("p", {}, operation.description || ""),
    form,
    shown,
    element("h3", {}, "Answers"),
    element("table", {}, ...answers));
}

function render() {
  document.getElementById("about").textContent = spec.info.description.replaceAll("`", "");
  const sections = new Map((spec.tags || []).map((tag) => [tag.name, [element("h2", {}, tag.name), element("p", {}, tag.description)]]));
  for (const [path, operations] of Object.entries(spec.paths)) {
    for (const method of METHODS.filter((each) => operations[each])) {
      const tag = operations[method].tags?.[0] || "more";
      if (!sections.has(tag)) sections.set(tag, [element("h2", {}, tag)]);
      sections.get(tag).push(operationView(method, path, operations[method]));
    }
  }
  const filled = [...sections.values()].filter((section) => section.some((each) => each.tagName === "DETAILS"));
  document.getElementById("operations").replaceChildren(...filled.flat());
}

document.getElementById("login").addEventListener("submit", async (event) => {
  event.preventDefault();
  const form = event.target;
  const { email, password } = Object.fromEntries(new FormData(form));
  const answer = await fetch("/v1/sessions", {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ email, password }),
  });
  const body = await answer.json();
  token = body.access_token || "";
  form.querySelector("output").textContent = token ? `logged in as ${email}` : body.detail;
});

fetch("/openapi.json").then((answer) => answer.json()).then((loaded) => { spec = loaded; render(); });
