/** What every view is made of. */
import { t } from "./words.js";

/** An element: h("button", { class: "plain", onclick: f, "data-x": 1 }, "words", child). */
export function h(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.flat().filter((child) => child !== null && child !== undefined));
  return element;
}

/** to: where more is to be seen of it. */
export function say(words, to = null) {
  const place = document.getElementById("said");
  place.replaceChildren(to === null ? words : h("a", { href: to, onclick: () => place.replaceChildren() }, words));
  clearTimeout(say.timer);
  say.timer = setTimeout(() => (place.textContent = ""), 6000);
}

/** What the API answers; a problem is thrown, and said unless quietly. */
export async function ask(path, { method = "GET", body = undefined, quietly = false } = {}) {
  const headers = method === "GET" ? {} : { "Content-Type": "application/json", "X-Requested-With": "page" };
  let answer;
  try {
    answer = await fetch(path, { method, headers, body: body === undefined ? undefined : JSON.stringify(body) });
  } catch (error) {
    if (!quietly) say(t("no_answer"));
    throw error;
  }
  if (answer.status === 401) {
    location.replace("/login" + location.hash);
    return new Promise(() => {});
  }
  const said = await answer.json();
  if (answer.ok) return said;
  const why = `${said.error.problem}. ${said.error.remedy}`;
  if (!quietly) say(t("failed", { why }));
  throw new Error(why);
}

/** A select with its label. choices: [value, words] pairs. */
export function choice(words, choices, value, change) {
  const select = h("select", { onchange: () => change(select.value) });
  for (const [name, text] of choices) select.append(h("option", { value: name, selected: name === value }, text));
  return h("label", { class: "field" }, h("span", {}, words), select);
}

/** Words on a plate of their label's colour. */
export function chip(words, colour) {
  const element = h("span", { class: "chip" }, words);
  element.style.setProperty("--colour", colour ?? "#b0b6be");
  return element;
}
